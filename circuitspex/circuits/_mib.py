"""``mib_scores``: circuits scored by the protocol of MIB's circuit track.

Mueller et al., 'MIB: A Mechanistic Interpretability Benchmark', 2025, and the evaluation that its track is run with:
what is not in the circuit gives its output on the counterfactual prompt; circuits have 0.1, 0.2, 0.5, 1, 2, 5, 10, 20,
50 and 100 % of all nodes, or of all edges, rounded down; means over the prompts are taken before f is; the empty
circuit is the counterfactual's own run; areas by the trapezoidal rule over the shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from circuitspex.circuits._choose import choose_curve, match
from circuitspex.circuits.evidence._attribution_scores import AttributionScores
from circuitspex.circuits.evidence.attribution import ranked
from circuitspex.circuits.evidence.curve import SHARES, curves, sizes_of
from circuitspex.circuits.evidence.mib_sizes import n_edges_of, players_of_mib
from circuitspex.circuits.found import Found
from circuitspex.circuits.mib_report import MIBReport
from circuitspex.circuits.report import Gain
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame, EdgeGame, LensGame, RememberingGame
from circuitspex.masks.members import masks_keeping
from circuitspex.recovery import Interactions
from circuitspex.scale import check_seed
from circuitspex.statistics import over_prompts
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray, Term


@runtime_checkable
class CircuitsBySize(Protocol):
    """What chooses a circuit of each size, as ``find_edges`` gives: each has the ``names`` of what it keeps."""

    @property
    def names(self) -> tuple[str, ...]:
        """All that circuits are chosen among."""

    @property
    def passes(self) -> int:
        """Passes with a gradient that it took."""

    def chosen(self, size: int) -> Any:
        """The circuit of at most this size with most of the behaviour."""

    def matched(self, size: int) -> Any:
        """The circuit of at most this size that is most like the model."""


Way = AttributionScores | Interactions | Found | CircuitsBySize | FloatArray | Sequence[Iterable[str | int]]
"""What circuits are made of: scores, a decoded function, what chooses by size, or ten circuits."""

CHOSEN, MATCHED = "chosen", "matched"


def mib_scores(
    game: ComponentGame | EdgeGame,
    ways: Mapping[str, Way],
    heldout: Task | None = None,
    *,
    passes: Mapping[str, int] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> MIBReport:
    """Faithfulness over size, CPR and CMD by MIB's definition, of several ways to choose circuits.

    Args:
        game: of all heads and MLPs of a model (``ComponentGame(…, "heads+mlps", "resample")``), or of all its edges.
        ways: by name, what circuits are made of. Scores ``(n,)`` or ``AttributionScores`` are ranked signed, and by
            absolute value under '|name|'; a decoded function gives 'chosen' (``choose``, most of the behaviour) and
            'matched' (``match``, most like the model), and so does what chooses by size (``find_edges``); ten
            circuits, by the names or numbers of what they keep, are taken as they are, each with at most as many as
            its share of all.
        heldout: the prompts to score on; by default the game's own, which scores may be fitted to.
        passes: how many passes with a gradient ways took, where they don't say.
        seed: of the bootstrap over prompts.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: a game that is not of all nodes or edges under the baseline 'resample', a way of other players, or a
            metric that is the same on the counterfactual's run.
    """
    level = players_of_mib(game)
    seed = check_seed(seed)
    n, sizes = game.n_players, sizes_of(game.n_players)
    if not ways:
        raise UserError("there is no way to choose circuits to score: give scores, a decoded function or ten circuits")
    circuits, spent = _circuits(game, ways, sizes)
    spent |= dict(passes or {})
    asked = RememberingGame(game if heldout is None else game.on(heldout), progress)
    task: Task = asked.game.task
    wanted = list(dict.fromkeys([tuple(range(n)), *(circuit for way in circuits.values() for circuit in way)]))
    found = dict(zip(wanted, _run(asked, wanted, n), strict=True))
    full, empty = found[tuple(range(n))], _counterfactual(game, task)
    metric = {name: np.stack([found[circuit] for circuit in way]) for name, way in circuits.items()}
    made, draws = curves(metric, full, empty, sizes, seed=seed)
    own = [name for name, way in ways.items() if not _is_scores(way)]
    chosen = [name for name in made if name.split(" (")[0] in (CHOSEN, MATCHED, *own)]
    gains = [
        Gain(name, other, draws.cpr_gain(made, name, other), draws.cmd_gain(made, name, other))
        for name in chosen
        for other in made
        if other not in chosen
    ]
    return MIBReport(
        level=level,
        n_players=n,
        n_prompts=task.n_prompts,
        full=float(full.mean()),
        empty=float(empty.mean()),
        curves=made,
        gains=tuple(gains),
        span=over_prompts(full - empty),
        edges=n_edges_of(game, circuits),
        passes={name: spent[name] for name in made if name in spent},
        about={
            "model": getattr(game, "model_name", ""),
            "task": task.name,
            "metric": task.metric.name,
            "executor": game.executor,
        },
    )


def _run(asked: RememberingGame, wanted: Sequence[Term], n: int) -> FloatArray:
    """The metric ``(K, P)`` of circuits, some at a time: masks over all edges of a model are large."""
    step = max(1, 50_000_000 // n)
    parts = [
        asked.evaluate(masks_keeping(wanted[at : at + step], n), stage="MIB's circuits").per_prompt
        for at in range(0, len(wanted), step)
    ]
    return np.concatenate(parts)


def _counterfactual(game: Any, task: Task) -> FloatArray:
    from circuitspex.ablation.attribution.other_prompts import counterfactual_metric

    with game._ready():
        return counterfactual_metric(game.model, task)


def _is_scores(way: Any) -> bool:
    """Whether a way is scores or a function of masks, and not circuits."""
    if isinstance(way, AttributionScores | Interactions | Found | CircuitsBySize):
        return True
    return len(way) > 0 and all(isinstance(each, int | float | np.number) for each in way)


def _circuits(
    game: LensGame, ways: Mapping[str, Way], sizes: tuple[int, ...]
) -> tuple[dict[str, list[Term]], dict[str, int]]:
    """The ten circuits of each way, and the passes that it says it took."""
    found: dict[str, list[Term]] = {}
    spent: dict[str, int] = {}
    choosing = [name for name, way in ways.items() if isinstance(way, Interactions | Found | CircuitsBySize)]
    for name, way in ways.items():
        if isinstance(way, Interactions | Found | CircuitsBySize):
            by_size = _by_size(way)
            function = by_size or (way.interactions if isinstance(way, Found) else way)
            _check_names(game, function.names, name)
            taken = function.passes if by_size else function.n_gradients
            ending = "" if len(choosing) == 1 else f" ({name})"
            for label, circuits in (_of_sizes(game, by_size, sizes) if by_size else _decoded(function, sizes)).items():
                found[label + ending], spent[label + ending] = circuits, taken
        elif _is_scores(way):
            if isinstance(way, AttributionScores):
                _check_names(game, way.names, name)
                values, spent[name], spent[f"|{name}|"] = way.values, way.passes, way.passes
            else:
                values = np.asarray(way, dtype=np.float64)
            if values.shape != (game.n_players,):
                raise UserError(f"'{name}' has {values.shape} scores; the game has {game.n_players} players")
            if not np.isfinite(values).all():
                raise UserError(f"'{name}' has scores that are no finite numbers: they have no rank")
            for label, absolute in ((name, False), (f"|{name}|", True)):
                order = ranked(values, absolute=absolute)
                found[label] = [tuple(sorted(order[:size])) for size in sizes]
        else:
            found[name] = _given(game, list(way), sizes, name)  # type: ignore[arg-type]
    return found, spent


def _by_size(way: Any) -> Any:
    """What chooses a circuit of each size by itself: what was given, or the edges of a search among edges."""
    if isinstance(way, Found):
        way = getattr(way, "edges", None)
    return way if isinstance(way, CircuitsBySize) and not isinstance(way, Interactions) else None


def _of_sizes(game: LensGame, way: CircuitsBySize, sizes: tuple[int, ...]) -> dict[str, list[Term]]:
    found = {}
    for label, choose in ((CHOSEN, way.chosen), (MATCHED, way.matched)):
        found[label] = _given(game, [choose(size).names if size else () for size in sizes], sizes, label)
    return found


def _decoded(function: Interactions, sizes: tuple[int, ...]) -> dict[str, list[Term]]:
    distinct = sorted(set(sizes))
    chosen = {choice.size: choice.members for choice in choose_curve(function, distinct)}
    matched = {size: match(function, size, start=chosen[size]).members for size in distinct}
    return {CHOSEN: [chosen[size] for size in sizes], MATCHED: [matched[size] for size in sizes]}


def _given(game: LensGame, circuits: list[Iterable[str | int]], sizes: tuple[int, ...], name: str) -> list[Term]:
    """Circuits by the names or numbers of what they keep, with at most as many as MIB's shares."""
    if len(circuits) != len(sizes):
        raise UserError(f"'{name}' has {len(circuits)} circuits; MIB's shares are {len(sizes)}, one circuit for each")
    place = {each: i for i, each in enumerate(game.names)}
    found = []
    for circuit, size, share in zip(circuits, sizes, SHARES, strict=True):
        members = set()
        for item in circuit:
            at = place.get(item, -1) if isinstance(item, str) else int(item)
            if not 0 <= at < game.n_players:
                raise UserError(f"'{name}' keeps {item}, which is not among the {game.n_players} of the game")
            members.add(at)
        if len(members) > size:
            raise UserError(f"'{name}' keeps {len(members)} of {game.n_players} where MIB's {share:.1%} are {size}")
        found.append(tuple(sorted(members)))
    return found


def _check_names(game: LensGame, names: Sequence[str], name: str) -> None:
    if tuple(names) != tuple(game.names):
        raise UserError(f"'{name}' is of {len(names)} other components than the game's {game.n_players}")

"""``attribution_scores``: the field's ways to score components in a few passes, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.circuits.evidence.attribution import nap, nap_ig, ranked
from circuitspex.circuits.evidence.learned_masks import learned_top_k
from circuitspex.components import Selector
from circuitspex.components.edges import is_of_edges
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame, EdgeGame, LensGame, RememberingGame
from circuitspex.models.given import GivenModel
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray


@by_value
@dataclass(frozen=True)
class AttributionScores:
    """A score for each component: above zero where it helps the metric.

    ``values (n,)`` are in units of the metric, in the order of ``names``; ``passes`` is how many passes with a gradient
    over all prompts they took. ``about`` says of which model, task and baseline they are.
    """

    method: str
    names: tuple[str, ...]
    values: FloatArray = field(repr=False)
    passes: int
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> float:
        """The score of a component by its name.

        Raises:
            UserError: none of that name was scored.
        """
        try:
            return float(self.values[self.names.index(name)])
        except ValueError:
            raise UserError(f"'{name}' is not among the {len(self.names)} components that were scored") from None

    def __len__(self) -> int:
        return len(self.names)

    def ranked(self, *, absolute: bool = False) -> list[int]:
        """The components by score, the highest first; by absolute score where asked."""
        return ranked(self.values, absolute=absolute)

    def __str__(self) -> str:
        order = self.ranked(absolute=True)[:10]
        width = max(len(self.names[i]) for i in order) if order else 0
        lines = [f"{self.method} of {len(self)} components, {self.passes} passes with gradients; the largest:"]
        return "\n".join([*lines, *(f"  {self.names[i].ljust(width)}  {self.values[i]:+.4f}" for i in order)])


@by_value
@dataclass(frozen=True)
class Method:
    """One way to score: what it is of, how many passes ``steps`` are, and what computes it from the game."""

    about: str
    scores: Callable[[LensGame, int, int, bool | None], FloatArray]
    of: Literal["components", "edges", ""] = ""
    passes: Callable[[LensGame, int], int] = lambda game, steps: steps


def _one(game: LensGame, steps: int) -> int:
    return 1


METHODS: dict[str, Method] = {
    "nap": Method(
        "the slope of each gate with nothing ablated (attribution patching on nodes)",
        lambda game, steps, seed, progress: nap(game, progress=progress),
        "components",
        _one,
    ),
    "nap-ig": Method(
        "the same, averaged with all gates at the middles of equal parts of the way from 0 to 1",
        lambda game, steps, seed, progress: nap_ig(game, steps=steps, progress=progress),
        "components",
    ),
    "nap-ig-inputs": Method(
        "slopes with the embeddings at 1/steps, 2/steps, … 1 of the way from the counterfactual's to the prompt's",
        lambda game, steps, seed, progress: _slopes(game).along_inputs(np.arange(1, steps + 1) / steps),
        "components",
    ),
    "eap": Method(
        "the slope of each edge's gate with nothing ablated (edge attribution patching)",
        lambda game, steps, seed, progress: nap(game, progress=progress),
        "edges",
        _one,
    ),
    "eap-ig": Method(
        "the same, averaged with all gates at the middles of equal parts of the way from 0 to 1",
        lambda game, steps, seed, progress: nap_ig(game, steps=steps, progress=progress),
        "edges",
    ),
    "eap-ig-inputs": Method(
        "slopes with the embeddings at 0, 1/steps, … of the way from the counterfactual's to the prompt's",
        lambda game, steps, seed, progress: _slopes(game).along_inputs(np.arange(steps) / steps),
        "edges",
    ),
    "eap-ig-activations": Method(
        "slopes with what one layer's heads, its MLP or the embeddings write on the way, one after the other",
        lambda game, steps, seed, progress: _slopes(game).along_activations(np.arange(1, steps + 1) / steps),
        "edges",
        lambda game, steps: steps * (1 + 2 * game.structure.n_layers),  # type: ignore[attr-defined]
    ),
    "relp": Method(
        "relevance patching: the coefficients of relevance propagation in place of slopes",
        lambda game, steps, seed, progress: _slopes(game).by_relevance(),
        "",
        _one,
    ),
    "topk-masks": Method(
        "masks of the highest scores, learned by the slopes of their gates",
        lambda game, steps, seed, progress: learned_top_k(game, passes=steps, seed=seed, progress=progress),
    ),
}
"""All ways to score, by name."""


def attribution_scores(
    game: LensGame | GivenModel,
    task: Task | str | Path | None = None,
    components: Selector | None = None,
    *,
    method: str = "nap",
    steps: int = 5,
    baseline: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> AttributionScores:
    """Score components by one of the field's ways that take a few passes each.

    - 'nap': attribution patching on nodes (Nanda 2023; Syed et al. 2023), one pass: d metric / d gate, nothing ablated.
    - 'nap-ig': integrated gradients of the gates, at ``(k + 1/2) / steps`` for k = 0 … steps - 1: the scores add up to
      what all components do together.
    - 'nap-ig-inputs': integrated gradients of the inputs, as EAP-IG has them on nodes (Hanna et al. 2024; MIB): the
      embeddings are at ``k / steps`` of the way from the counterfactual's to the prompt's, k = 1 … steps, and the slope
      in a component's output is multiplied by its difference between the two prompts. Its MLPs have the slope at their
      output here, where the code of EAP-IG takes that at their input.
    - 'eap', 'eap-ig': the first two on edges (Syed et al. 2023): d metric / d gate of each edge.
    - 'eap-ig-inputs': EAP-IG (Hanna et al. 2024) as the field runs it: the embeddings at ``k / steps``, k = 0 … steps -
      1, the slope in what an edge's destination reads times the difference in what its source writes.
    - 'eap-ig-activations': what one layer's heads, its MLP or the embeddings write is at ``k / steps``, k = 1 … steps,
      one after the other, and slopes are averaged over all of them: ``steps`` times as many passes as there are such.
    - 'relp': relevance patching (Jafari et al. 2025), one pass; on components or edges; dense transformers.
    - 'topk-masks': the highest scores are kept, and learned by the slopes there; ``steps`` passes.

    A score is by how much the metric, the mean over the prompts, would fall without the component: it is not divided by
    the number of prompts once more, and above zero where the component helps.

    Args:
        game: a game, or a model, of which the next three arguments make one.
        task: the prompts and the metric; where ``game`` is a model.
        components: a selector, of edges too ('edges'); where ``game`` is a model, and by default 'heads+mlps'.
        method: a name from the list: 'nap…' of components, 'eap…' of edges, the others of both.
        steps: passes with a gradient; for methods of one pass it is not used.
        baseline: what stands in for what is ablated; where ``game`` is a model, and by default 'resample'.
        seed: of 'topk-masks'.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: an unknown method, one that is not for these components, or no positive number of steps.
        NoGradientError: the metric has no gradient.
    """
    if method not in METHODS:
        raise UserError(f"unknown attribution method '{method}'; allowed: {', '.join(METHODS)}")
    steps, seed = whole(steps, "steps", 1, MOST), check_seed(seed)
    made = _game(game, task, components, baseline)
    way = METHODS[method]
    if way.of and way.of != _players(made):
        fitting = [name for name, other in METHODS.items() if other.of in ("", _players(made))]
        raise UserError(f"'{method}' scores {way.of}; for {_players(made)} there are: {', '.join(fitting)}")
    values = way.scores(made, steps, seed, progress)
    about: dict[str, Any] = {key: dict(value) for key, value in made.describe().items() if key != "run"}
    about["baseline"] = getattr(made, "baseline", None)
    return AttributionScores(method, made.names, np.asarray(values), way.passes(made, steps), about)


def _game(game: Any, task: Any, components: Any, baseline: str | None) -> LensGame:
    if isinstance(game, RememberingGame):
        game = game.game
    if isinstance(game, LensGame):
        if task is not None:
            raise UserError("a game has its own task: give the task to the game, or a model and the task")
        if components is not None or baseline is not None:
            what = "components" if components is not None else "baseline"
            raise UserError(f"a game has its own {what}: give {what} to the game, or a model and the task")
        return game
    components = "heads+mlps" if components is None else components
    baseline = "resample" if baseline is None else baseline
    if task is None:
        raise UserError("attribution_scores takes a game, or a model and a task")
    if is_of_edges(components):
        return EdgeGame(game, task, components, baseline)
    return ComponentGame(game, task, components, baseline)


def _players(game: LensGame) -> str:
    return "edges" if game.lens == "edges" else "components"


def _slopes(game: LensGame) -> Any:
    """Slopes in passes of the game's model."""
    from circuitspex.ablation.attribution.edge_slopes import EdgeSlopes
    from circuitspex.ablation.attribution.node_slopes import NodeSlopes

    if not isinstance(game, ComponentGame | EdgeGame):
        raise UserError(f"this attribution is of components or edges of a model, not of a game of {game.lens}")
    with game._ready():
        if isinstance(game, EdgeGame):
            return EdgeSlopes(game.model, game.structure, game.selection, game.task, game.baseline)
        return NodeSlopes(game.model, game.structure, game.components, game.task, game.baseline)

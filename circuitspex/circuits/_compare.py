"""``compare``: what changed between two checkpoints, from the same masks and prompts on both.

Common random numbers: a mask that happens to be hard is hard for both models, so the difference of the two games varies
far less than either. The difference is decoded like any game; its strongest components and interactions, and those of
each model, are then measured by paired ablations in the same contexts on both. A difference is a discovery where it is
larger than the smallest one of interest, by a one-sided test against that, at a false discovery rate.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from circuitspex.ablation import Executor, Precision, Store, store_at
from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction, Node
from circuitspex.circuits.comparison import Change, Comparison, Kind
from circuitspex.circuits.evidence._replicate import RATE, Measured, replicate
from circuitspex.circuits.evidence._strongest import MORE_CONTEXTS, PRECISION, strongest
from circuitspex.circuits.record import versions
from circuitspex.components import ModelStructure, Selector, model_structure
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import ComponentGame, Run
from circuitspex.masks import Keep, check_keep, mean_keep, sample_masks
from circuitspex.models import model_identity, model_name
from circuitspex.recovery import Interactions, Method, decode
from circuitspex.statistics import over_prompts, q_values
from circuitspex.tasks import Task
from circuitspex.typing import Masks, PerPrompt, Term

# The smallest difference of interest, as a share of the standard deviation of the metric over masks.
LEAST_SHARE = 0.02


def compare(
    before: Any,
    after: Any,
    task: Task,
    components: Selector = "heads",
    baseline: str = "mean",
    budget: int = 100,
    *,
    keep: Keep = 0.5,
    method: Method = "auto",
    max_nodes: int = 12,
    max_interactions: int = 8,
    n_heldout: int = 100,
    n_contexts: int = 16,
    least: float | None = None,
    rate: float = RATE,
    executor: Executor = "auto",
    precision: Precision = "model",
    store: Store | str | Path | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Comparison:
    """Find which components and interactions two checkpoints of one architecture use differently for a task.

    Args:
        before: the first model, a TransformerBridge.
        after: the second, of the same architecture and tokenizer.
        task: prompts and metric.
        components: a selector such as 'heads' or 'heads+mlps', or a list of components.
        baseline: 'mean', 'resample' or 'zero'; each model's own activations.
        budget: ablations of each model to decode from; each with a backward pass where the method uses gradients.
        keep: the share of components that a random mask keeps.
        method: as in ``decode``, but not 'spex'.
        max_nodes: how many components with the largest main effects are measured: of the difference, and of each model.
        max_interactions: how many sets of two or more, likewise.
        n_heldout: masks on which the decoded difference is scored.
        n_contexts: random contexts in which each set is measured; twice as many where its interval is wide.
        least: the smallest difference of interest, in units of the metric; by default 2 % of the standard deviation of
            the metric over masks.
        rate: the false discovery rate.
        executor: how the models are run; see ``ComponentGame``.
        precision: of their matrix products; see ``ComponentGame``.
        store: where finished ablations are kept and taken from; see ``ComponentGame``.
        seed: of every random choice.
        progress: progress bars; by default where standard error is a terminal.

    Returns:
        A ``Comparison``; ``identical`` where the weights are the same, and then nothing is run.

    Raises:
        UserError: models of different architectures or vocabularies, or an argument out of range.
        ComponentError, TaskError: as in ``ComponentGame``.
    """
    keep = check_keep(keep)
    _check(budget, max_nodes, max_interactions, n_heldout, n_contexts, least, rate, method)
    check_comparable(before, after, task)
    identities = [model_identity(before), model_identity(after)]
    if identities[0] == identities[1]:
        return _identical(before, after, task, baseline, rate, seed)
    kept = store_at(store)
    games = [
        ComponentGame(model, task, components, baseline, executor=executor, precision=precision, store=kept)
        for model in (before, after)
    ]
    n, names = games[0].n_players, games[0].names
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(4)]
    masks = sample_masks(n, budget, keep=keep, seed=seeds[0])
    runs = _both(games, masks, method in ("auto", "gradspex"), method == "gradspex", progress)
    decoded = [
        _decode(masks, runs[1].values - runs[0].values, _gap(runs), method, keep, seeds[1], names),
        *(_decode(masks, run.values, run.gradients, method, keep, seeds[1], names) for run in runs),
    ]
    fresh = sample_masks(n, n_heldout, keep=keep, seed=seeds[2])
    held_out = [game.evaluate(fresh, progress=progress, label="held-out ablations") for game in games]
    score = decoded[0].score(fresh, held_out[1].values - held_out[0].values, seed=seed)
    if least is None:
        least = LEAST_SHARE * float(np.concatenate([run.values for run in (*runs, *held_out)]).std())

    sets = _candidates(decoded, max_nodes, max_interactions)
    contexts = sample_masks(n, MORE_CONTEXTS * n_contexts, keep=mean_keep(keep), seed=seeds[3])
    measured = _measure(games, sets, contexts, n_contexts, progress)
    changes = _changes(names, decoded[0], sets, measured, least, rate)
    ends = [game.evaluate(np.ones((1, n), dtype=bool), progress=False).per_prompt[0] for game in games]
    faithfulness = Faithfulness(score.r2, score.low, score.high, score.n_masks)
    about = {
        "components": components if isinstance(components, str) else "+".join(names),
        "n_components": n,
        "baseline": baseline,
        "keep": mean_keep(keep),
        "method": decoded[0].method,
        "seed": seed,
        "budget": budget,
        "gradient_ablations": decoded[0].n_gradients,
        "plain_ablations": 0 if decoded[0].n_gradients else budget,
        "heldout_ablations": n_heldout,
        "executor": games[0].executor,
        "versions": versions(),
    }
    parts = _Parts(games, task, faithfulness, about, sets, decoded, measured, changes)
    return Comparison(
        identical=False,
        changes=changes,
        before=parts.circuit(0),
        after=parts.circuit(1),
        difference=parts.difference(),
        faithfulness=faithfulness,
        least=least,
        rate=rate,
        metric_before=over_prompts(ends[0], one_prompt=0.0),
        metric_after=over_prompts(ends[1], one_prompt=0.0),
        metric_difference=over_prompts(ends[1] - ends[0], one_prompt=0.0),
        run=about,
    )


def check_comparable(before: Any, after: Any, task: Task) -> None:
    """Raise a UserError that says why two models can't be compared, if they can't."""
    one, two = model_structure(before), model_structure(after)
    for what, value in _shape(before, one).items():
        other = _shape(after, two)[what]
        if value != other:
            raise UserError(
                f"{model_name(before)} and {model_name(after)} can't be compared component by component: "
                f"{what} {value} in the first, {other} in the second"
            )
    texts = [text for text in task.prompts[:8] if text]
    tokenizers: list[Any] = [getattr(model, "tokenizer", None) for model in (before, after)]
    if texts and all(tokenizers):
        for text in texts:
            ids = [tokenizer(text)["input_ids"] for tokenizer in tokenizers]
            if ids[0] != ids[1]:
                raise UserError(f"the two models split prompts into different tokens, {text!r} for example")


def _shape(model: Any, structure: ModelStructure) -> dict[str, Any]:
    layers = structure.layers
    return {
        "layers": structure.n_layers,
        "heads a layer": sorted({layer.n_heads for layer in layers}),
        "neurons a layer": sorted({layer.n_neurons for layer in layers}),
        "the width is": model.cfg.d_model,
        "the vocabulary is": model.cfg.d_vocab,
        "the architecture is": str(getattr(model.cfg, "architecture", None)),
    }


def _check(
    budget: int,
    max_nodes: int,
    max_interactions: int,
    n_heldout: int,
    n_contexts: int,
    least: float | None,
    rate: float,
    method: str,
) -> None:
    for name, value, at_least in (
        ("budget", budget, 2),
        ("max_nodes", max_nodes, 1),
        ("max_interactions", max_interactions, 0),
        ("n_heldout", n_heldout, 2),
        ("n_contexts", n_contexts, 2),
    ):
        if value < at_least:
            raise UserError(f"{name} must be at least {at_least}, not {value}")
    if least is not None and not (least >= 0 and np.isfinite(least)):
        raise UserError(f"least must be a number of the metric's units, at least 0, not {least}")
    if not 0 < rate < 1:
        raise UserError(f"rate must lie between 0 and 1 and be neither (the false discovery rate), not {rate}")
    if method == "spex":
        raise UserError("method 'spex' runs masks of its own design, which compare does not; use 'auto'")


def _both(
    games: Sequence[ComponentGame], masks: Masks, gradients: bool, required: bool, progress: bool | None
) -> list[Run]:
    try:
        return [
            game.evaluate(masks, gradients=gradients, progress=progress, label="ablations to decode") for game in games
        ]
    except NoGradientError:
        if required:
            raise
        return [game.evaluate(masks, progress=progress, label="ablations to decode") for game in games]


def _gap(runs: Sequence[Run]) -> Any:
    slopes = [run.gradients for run in runs]
    return None if slopes[0] is None or slopes[1] is None else np.asarray(slopes[1]) - np.asarray(slopes[0])


def _decode(
    masks: Masks, values: Any, slopes: Any, method: Method, keep: Keep, seed: int, names: Sequence[str]
) -> Interactions:
    with warnings.catch_warnings():
        # A difference that is nothing but noise explains nothing; the comparison says so by its R².
        warnings.simplefilter("ignore")
        return decode(masks, values, gradients=slopes, method=method, keep=mean_keep(keep), seed=seed, names=names)


def _candidates(decoded: Sequence[Interactions], max_nodes: int, max_interactions: int) -> list[Term]:
    """The strongest sets of the difference and of both models, and the members of every set."""
    sets: dict[Term, None] = {}
    for one in decoded:
        sets |= dict.fromkeys(strongest(one, max_interactions))
    singles = dict.fromkeys((i,) for members in sets for i in members)
    for one in decoded:
        singles |= dict.fromkeys((members[0],) for members in strongest(one, max_nodes, order=1))
    return [*sorted(singles), *sets]


def _measure(
    games: Sequence[ComponentGame], sets: Sequence[Term], contexts: Masks, start: int, progress: bool | None
) -> dict[Term, tuple[Measured, Measured, Measured]]:
    """Each set in the first model, in the second, and the difference, in the same contexts on the same prompts."""
    if not sets:
        return {}

    def evaluate(masks: Masks) -> PerPrompt:
        both = [game.evaluate(masks, progress=progress, label="measuring both").per_prompt for game in games]
        return np.concatenate([*both, both[1] - both[0]], axis=1)

    found = replicate(evaluate, sets, contexts, start=start, precision=PRECISION, n_parts=3)
    out = {}
    for members, measured in found.items():
        one, two, gap = measured.split(3)
        out[members] = (one, two, gap)
    return out


def _changes(
    names: Sequence[str],
    decoded: Interactions,
    sets: Sequence[Term],
    measured: dict[Term, tuple[Measured, Measured, Measured]],
    least: float,
    rate: float,
) -> tuple[Change, ...]:
    q_of = q_values([measured[members][2].p_value(least) for members in sets])
    changes = []
    for members, q in zip(sets, q_of, strict=True):
        before, after, gap = (part.estimate() for part in measured[members])
        effect = decoded.effect(*members) if members in decoded.terms else 0.0
        changes.append(
            Change(
                tuple(names[i] for i in members),
                before,
                after,
                gap,
                effect,
                q,
                _kind(before, after, q, least, rate),
            )
        )
    changes.sort(key=lambda change: (-abs(change.difference.value), change.components))
    return tuple(changes)


def _kind(before: Estimate, after: Estimate, q: float, least: float, rate: float) -> Kind:
    if q > rate:
        return "unchanged"
    was, now = (each.excludes_zero and abs(each.value) > least for each in (before, after))
    return "changed" if was == now else "gained" if now else "lost"


@dataclass(frozen=True)
class _Parts:
    """What the circuits of a comparison are made of."""

    games: Sequence[ComponentGame]
    task: Task
    faithfulness: Faithfulness
    about: dict[str, Any]
    sets: Sequence[Term]
    decoded: Sequence[Interactions]
    measured: dict[Term, tuple[Measured, Measured, Measured]]
    changes: Sequence[Change]

    def circuit(self, which: int) -> Circuit:
        """The components and interactions whose effect in one model excludes zero."""
        shown = [m for m in self.sets if self.measured[m][which].estimate().excludes_zero]
        model = self.games[which].model
        return self._circuit(
            shown, which, {"name": model_name(model), "identity": model_identity(model)}, self.decoded[1 + which]
        )

    def difference(self) -> Circuit:
        """What changed: effects are the second model's minus the first's."""
        found = {change.components for change in self.changes if change.kind != "unchanged"}
        names = self.games[0].names
        shown = [members for members in self.sets if tuple(names[i] for i in members) in found]
        titles = [game.model_name for game in self.games]
        return self._circuit(shown, 2, {"name": f"{titles[1]} minus {titles[0]}"}, self.decoded[0])

    def _circuit(self, shown: Sequence[Term], which: int, model: dict[str, Any], decoded: Interactions) -> Circuit:
        game = self.games[0]
        edges = [members for members in shown if len(members) > 1]
        inside = sorted({i for members in edges for i in members} | {m[0] for m in shown if len(m) == 1})
        nodes = []
        for i in inside:
            part = self.measured[i,][which]
            about = game.components[i]
            effect = _decoded_effect(decoded, (i,))
            nodes.append(Node(game.names[i], about.layer, about.kind, effect, part.estimate(), part.per_prompt))
        nodes.sort(key=lambda node: (-abs(node.effect), node.name))
        drawn = [
            Interaction(
                tuple(game.names[i] for i in members),
                _decoded_effect(decoded, members),
                self.measured[members][which].estimate(),
                self.measured[members][which].per_prompt,
            )
            for members in edges
        ]
        drawn.sort(key=lambda edge: (-abs(edge.effect), edge.components))
        unablated = None if which == 2 else float(_whole(self.games[which]).mean())
        task = {
            "name": self.task.name,
            "identity": self.task.identity,
            "metric": self.task.metric.name,
            "n_prompts": self.task.n_prompts,
            **({} if unablated is None else {"unablated": unablated}),
        }
        score = self.faithfulness if which == 2 else Faithfulness(None, None, None, 0)
        return Circuit(tuple(nodes), tuple(drawn), score, model=model, task=task, run=self.about)


def _decoded_effect(decoded: Interactions, members: Term) -> float:
    return decoded.effect(*members) if members in decoded.terms else 0.0


def _whole(game: ComponentGame) -> Any:
    return game.evaluate(np.ones((1, game.n_players), dtype=bool), progress=False).per_prompt[0]


def _identical(before: Any, after: Any, task: Task, baseline: str, rate: float, seed: int) -> Comparison:
    """The result where both have the same weights: nothing is run."""
    about = {"baseline": baseline, "seed": seed, "versions": versions()}
    what = {"name": task.name, "identity": task.identity, "metric": task.metric.name, "n_prompts": task.n_prompts}
    none = Faithfulness(None, None, None, 0)

    def empty(model: Any) -> Circuit:
        named = {"name": model_name(model), "identity": model_identity(model)}
        return Circuit((), (), none, model=named, task=what, run=about)

    gap = Circuit((), (), none, model={"name": f"{model_name(after)} minus {model_name(before)}"}, task=what, run=about)
    return Comparison(True, (), empty(before), empty(after), gap, none, 0.0, rate, run=about)

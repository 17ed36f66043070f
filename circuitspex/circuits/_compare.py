"""``compare``: what changed between two checkpoints, from the same masks and prompts on both.

Common random numbers: a mask that happens to be hard is hard for both models, so the difference of the two games varies
far less than either. The difference is decoded like any game; its strongest components and interactions, and those of
each model, are then measured by paired ablations in the same contexts on both. A difference is a discovery where it is
larger than the smallest one of interest, by a one-sided test against that, at a false discovery rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from circuitspex.ablation import Executor, Precision, Store
from circuitspex.circuits.checkpoints import check_comparable
from circuitspex.circuits.comparison import Change, Comparison, Kind
from circuitspex.circuits.comparison_circuits import Parts, decoded_effect, identical, whole
from circuitspex.circuits.evidence._replicate import RATE, Measured, replicate
from circuitspex.circuits.evidence._strongest import PRECISION, strongest
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.circuits.record import versions
from circuitspex.circuits.search.draws import contexts_of, drawn, score_on_new_masks
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.prompts import check_given
from circuitspex.components import Selector
from circuitspex.errors import UserError
from circuitspex.games import RememberingGame, Run
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.masks import Keep, check_keep
from circuitspex.models import model_identity
from circuitspex.models.given import GivenModel, Loading, models_of
from circuitspex.recovery import DECODERS, Interactions, Method, decode
from circuitspex.renamed import renamed
from circuitspex.silence import no_warnings
from circuitspex.statistics import SMALLEST_SHARE, over_prompts, q_values
from circuitspex.tasks import Task, task_of
from circuitspex.typing import Masks, PerPrompt, Term, Values

# The smallest difference of interest, as a share of the standard deviation of the metric over masks.
LEAST_SHARE = 0.02


@renamed(least="min_effect", rate="fdr")
def compare(
    before: GivenModel,
    after: GivenModel,
    task: Task | str | Path,
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
    min_effect: float | None = None,
    fdr: float = RATE,
    executor: Executor = "auto",
    precision: Precision = "model",
    store: Store | str | Path | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, Any] | None = None,
    quantization: str | None = None,
) -> Comparison:
    """Find which components and interactions two checkpoints of one architecture use differently for a task.

    Args:
        before: the first model, a TransformerBridge, a Hugging Face model, or the name of one.
        after: the second, of the same architecture and tokenizer.
        task: prompts and metric; or the name of a built-in task, or a ``.jsonl`` file.
        components: a selector such as 'heads' or 'heads+mlps', or a list of components.
        baseline: 'mean', 'mean_vector', 'resample' or 'zero'; each model's own activations.
        budget: ablations of each model to decode from; each with a backward pass where the method uses gradients.
        keep: the share of components that a random mask keeps.
        method: as in ``decode``, but not 'spex'.
        max_nodes: how many components with the largest main effects are measured: of the difference, and of each model.
        max_interactions: how many sets of two or more, likewise.
        n_heldout: masks on which the decoded difference is scored.
        n_contexts: random contexts in which each set is measured; twice as many where its interval is wide.
        min_effect: the smallest difference of interest, in units of the metric; by default 2 % of the standard
            deviation of the metric over masks. An effect is gone (or was not there) where it is certain to be below it;
            by default also where it is certain to be below a fifth of what it is in the other model.
        fdr: the false discovery rate.
        executor: how the models are run; see ``ComponentGame``.
        precision: of their matrix products; see ``ComponentGame``.
        store: where finished ablations are kept and taken from; see ``ComponentGame``.
        workers: processes that run the ablations, each with both models; see ``RayWorkers``.
        seed: of every random choice.
        progress: progress bars; by default where standard error is a terminal.
        device, dtype, device_map, quantization: how models that are named are loaded; see ``load_model``.

    Returns:
        A ``Comparison``; ``identical`` where the weights are the same, and then nothing is run.

    Raises:
        UserError: models of different architectures or vocabularies, or an argument out of range.
        ComponentError, TaskError: as in ``ComponentGame``.
    """
    keep = check_keep(keep)
    if DECODERS[method].makes_its_own_masks:
        raise UserError(f"method '{method}' runs masks of its own design, which compare does not; use 'auto'")
    options = Options.of(locals())
    check_given(task, baseline, components)
    how: Loading = {"device": device, "dtype": dtype, "device_map": device_map, "quantization": quantization}
    before, after = models_of([before, after], how)
    task = task_of(task, before)
    check_comparable(before, after, task)
    if model_identity(before) == model_identity(after):
        return identical(before, after, task, baseline, options)
    both = [RememberingGame(options.game(model, task, components, baseline), progress) for model in (before, after)]
    n, names = both[0].n_players, both[0].names
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(4)]
    masks = drawn(n, budget, keep, seeds[0])
    runs = [game.evaluate(masks, gradients=options.gradients, stage="ablations to decode") for game in both]
    decoded = [
        _decoded(masks, runs[1].values - runs[0].values, _gap(runs), options, seeds[1], names),
        *(_decoded(masks, run.values, run.gradients, options, seeds[1], names) for run in runs),
    ]
    held_out: list[Run] = []

    def gap_on(fresh: Masks) -> Values:
        held_out.extend(game.evaluate(fresh, stage="held-out ablations") for game in both)
        return np.asarray(held_out[1].values - held_out[0].values)

    faithfulness = score_on_new_masks(decoded[0], masks, gap_on, n_heldout=n_heldout, keep=keep, seed=seeds[2])
    share = None if min_effect is not None else SMALLEST_SHARE
    if min_effect is None:
        min_effect = LEAST_SHARE * float(np.concatenate([run.values for run in (*runs, *held_out)]).std())

    sets = _candidates(decoded, max_nodes, max_interactions)
    contexts, start = contexts_of(n, n_contexts, options.share, len(both[0]), seeds[3])
    measured = _measure(both, sets, contexts, start, uniform=options.share == 0.5)
    resolution = Resolution.of(np.concatenate([run.per_prompt for run in runs]), both[0].game.unit_roundoff)
    changes = _changes(names, decoded[0], sets, measured, resolution, min_effect, share, fdr)
    ends = [whole(game) for game in both]
    about = {
        "components": components if isinstance(components, str) else "+".join(names),
        "n_components": n,
        "baseline": baseline,
        "keep": options.share,
        "method": decoded[0].method,
        "seed": seed,
        "budget": budget,
        "gradient_ablations": decoded[0].n_gradients,
        "plain_ablations": 0 if decoded[0].n_gradients else budget,
        "heldout_ablations": faithfulness.n_masks,
        "executor": both[0].game.executor,
        "versions": versions(),
        **({} if share is None else {"near_zero_share": share}),
    }
    parts = Parts(both, task, faithfulness, about, sets, decoded, measured, changes, resolution)
    return Comparison(
        identical=False,
        changes=changes,
        before=parts.circuit(0),
        after=parts.circuit(1),
        difference=parts.difference(),
        faithfulness=faithfulness,
        min_effect=min_effect,
        fdr=fdr,
        metric_before=over_prompts(ends[0], one_prompt=0.0),
        metric_after=over_prompts(ends[1], one_prompt=0.0),
        metric_difference=over_prompts(ends[1] - ends[0], one_prompt=0.0),
        run=about,
    )


def _gap(runs: Sequence[Run]) -> Any:
    """The gradients of the difference, where both have gradients."""
    one, two = (run.gradients for run in runs)
    return None if one is None or two is None else np.asarray(two) - np.asarray(one)


def _decoded(
    masks: Masks, values: Any, gradients: Any, options: Options, seed: int, names: Sequence[str]
) -> Interactions:
    with no_warnings():
        # A difference that is nothing but noise explains nothing; the comparison says so by its R².
        return decode(
            masks, values, gradients=gradients, method=options.method, keep=options.share, seed=seed, names=names
        )


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
    both: Sequence[RememberingGame], sets: Sequence[Term], contexts: Masks, start: int, *, uniform: bool
) -> dict[Term, tuple[Measured, Measured, Measured]]:
    """Each set in the first model, in the second, and the difference, in the same contexts on the same prompts."""
    if not sets:
        return {}

    def evaluate(masks: Masks) -> PerPrompt:
        one, two = (game.evaluate(masks, stage="measuring both").per_prompt for game in both)
        return np.concatenate([one, two, two - one], axis=1)

    found = replicate(evaluate, sets, contexts, start=start, precision=PRECISION, n_parts=3, uniform=uniform)
    return {members: (one, two, gap) for members, measured in found.items() for one, two, gap in [measured.split(3)]}


def _changes(
    names: Sequence[str],
    decoded: Interactions,
    sets: Sequence[Term],
    measured: dict[Term, tuple[Measured, Measured, Measured]],
    resolution: Resolution,
    min_effect: float,
    share: float | None,
    fdr: float,
) -> tuple[Change, ...]:
    least = {members: max(min_effect, resolution.least(len(members))) for members in sets}
    q_of = q_values([measured[members][2].p_value(least[members]) for members in sets])
    changes = []
    kind: Kind
    for members, q in zip(sets, q_of, strict=True):
        before, after, gap = (part.estimate() for part in measured[members])
        effect, kind = decoded_effect(decoded, members), "unchanged"
        if q <= fdr:
            kind = _kind(*measured[members][:2], min_effect, share)
        changes.append(Change(tuple(names[i] for i in members), before, after, gap, effect, q, kind))
    changes.sort(key=lambda change: (-abs(change.difference.value), change.components))
    return tuple(changes)


def _kind(before: Measured, after: Measured, min_effect: float, share: float | None) -> Kind:
    """What happened to an effect that differs; see ``Change``."""
    was_none, is_none = before.is_near_zero(min_effect, after, share), after.is_near_zero(min_effect, before, share)
    if was_none != is_none:
        return "gained" if was_none else "lost"
    ends = before.estimate(), after.estimate()
    if all(end.excludes_zero for end in ends) and ends[0].value * ends[1].value < 0:
        return "changed"
    return "stronger" if abs(ends[1].value) > abs(ends[0].value) else "weaker"

"""``compare_series``: the same components and interactions in a series of checkpoints, as a timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from circuitspex.ablation import Executor, Store
from circuitspex.circuits.checkpoints import check_comparable
from circuitspex.circuits.comparison import Point, Series
from circuitspex.circuits.evidence._strongest import strongest
from circuitspex.circuits.record import versions
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.prompts import check_given
from circuitspex.circuits.series_on_workers import CheckpointsOnWorkers
from circuitspex.circuits.series_steps import decoded_at, game_at, loaded, point_at
from circuitspex.components import Selector
from circuitspex.errors import UserError
from circuitspex.games import RememberingGame
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.masks import Keep, check_keep, sample_masks
from circuitspex.models import model_identity
from circuitspex.models.given import GivenModel
from circuitspex.models.protocol import Model
from circuitspex.recovery import Interactions
from circuitspex.tasks import Task, task_of
from circuitspex.typing import Term


def compare_series(
    models: Mapping[str, GivenModel | Callable[[], Model]],
    task: Task | str | Path,
    components: Selector = "heads",
    baseline: str = "mean",
    budget: int = 100,
    *,
    keep: Keep = 0.5,
    decode_at: Sequence[str] | None = None,
    max_nodes: int = 8,
    max_interactions: int = 6,
    n_contexts: int = 16,
    executor: Executor = "auto",
    store: Store | str | Path | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Series:
    """Follow components and interactions through a series of checkpoints.

    The strongest components and interactions are decoded at the first, the middle and the last checkpoint; all of them
    are then measured at every checkpoint, in the same contexts on the same prompts.

    Args:
        models: by name, in their order; each a TransformerBridge, a Hugging Face model, the name of one, or a function
            without arguments that loads one, so that only one needs to be in memory at a time.
        task: prompts and metric; or the name of a built-in task, or a ``.jsonl`` file.
        components: a selector, or a list of components.
        baseline: 'mean', 'mean_vector', 'resample' or 'zero'; each checkpoint's own activations.
        budget: ablations to decode from, at each checkpoint that is decoded.
        keep: the share of components that a random mask keeps.
        decode_at: the names of the checkpoints that are decoded.
        max_nodes: how many components of each decoded checkpoint are followed.
        max_interactions: how many sets of two or more.
        n_contexts: random contexts in which each set is measured.
        executor: how the models are run; see ``ComponentGame``.
        store: where finished ablations are kept and taken from.
        workers: processes that each load, decode and measure whole checkpoints; see ``RayWorkers``. Functions that load
            one are called there.
        seed: of every random choice.
        progress: progress bars; by default where standard error is a terminal.

    Returns:
        A ``Series``; checkpoints with the weights of an earlier one are named in ``same_as`` and not run again.

    Raises:
        UserError: fewer than two checkpoints, checkpoints that can't be compared, or a name in ``decode_at`` that is
            none of theirs.
    """
    if not isinstance(models, Mapping):
        raise UserError("models are a mapping from the names of checkpoints to models, such as {'step1000': model}")
    models = {str(name): model for name, model in models.items()}  # steps of a training are numbers
    names = list(models)
    if len(names) < 2:
        raise UserError(f"a series needs at least two checkpoints, not {len(names)}")
    keep = check_keep(keep)
    options = Options.of(locals())
    if isinstance(decode_at, str) or (decode_at is not None and not list(decode_at)):
        raise UserError(f"decode_at is a list of names of checkpoints, such as [{names[0]!r}], not {decode_at!r}")
    some = [names[0], names[len(names) // 2], names[-1]] if decode_at is None else decode_at
    chosen = [str(name) for name in some]
    unknown = [name for name in chosen if name not in models]
    if unknown:
        raise UserError(f"there is no checkpoint '{unknown[0]}'; there are {', '.join(names)}")
    check_given(task, baseline, components)
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(3)]

    sets: dict[Term, None] = {}
    labels: tuple[str, ...] = ()
    first = loaded(models[names[0]])
    prompts = task_of(task, first)

    elsewhere = None
    if workers is not None:
        elsewhere = CheckpointsOnWorkers(models, first, prompts, components, baseline, options)

    def game_of(model: Model) -> RememberingGame:
        return game_at(model, prompts, components, baseline, options)

    def decoded_here() -> Iterator[tuple[tuple[str, ...], Interactions]]:
        for name in dict.fromkeys(chosen):
            model = first if name == names[0] else loaded(models[name])
            check_comparable(first, model, prompts)
            game = game_of(model)
            yield game.names, decoded_at(game, options, keep, seeds)

    functions = decoded_here() if elsewhere is None else elsewhere.decoded(list(dict.fromkeys(chosen)), keep, seeds)
    for of_players, decoded in functions:
        labels = of_players
        sets |= dict.fromkeys(strongest(decoded, max_interactions))
        sets |= dict.fromkeys((members[0],) for members in strongest(decoded, max_nodes, order=1))
    wanted = sorted(sets, key=lambda members: (len(members), members))
    contexts = sample_masks(len(labels), n_contexts, keep=options.share, seed=seeds[2])
    points: list[Point] = []
    same_as: dict[str, str] = {}
    measured = None if elsewhere is None else elsewhere.points(wanted, contexts)
    for place, name in enumerate(names):
        if measured is None:
            model = first if name == names[0] else loaded(models[name])
            check_comparable(first, model, prompts)
            identity = model_identity(model)
        else:
            identity = measured[place].identity
        earlier = next((point for point in points if point.identity == identity), None)
        if earlier is not None:
            same_as[name] = same_as.get(earlier.name, earlier.name)
            points.append(Point(name, identity, earlier.metric, earlier.effects))
        elif measured is not None:
            points.append(measured[place])
        else:
            points.append(point_at(name, identity, game_of(model), wanted, contexts))
    about = {
        "task": prompts.name,
        "metric": prompts.metric.name,
        "n_prompts": prompts.n_prompts,
        "components": components if isinstance(components, str) else "+".join(labels),
        "n_components": len(labels),
        "baseline": baseline,
        "keep": options.share,
        "budget": budget,
        "seed": seed,
        "versions": versions(),
    }
    return Series(tuple(tuple(labels[i] for i in members) for members in wanted), tuple(points), same_as, about)

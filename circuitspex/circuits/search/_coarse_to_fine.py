"""Coarse to fine: explain large parts first, then expand only those that matter.

With single neurons as components a model has tens of thousands of them, most of which no behaviour needs. So the model
is explained in large parts, and only the parts through which much of the behaviour goes are expanded into smaller ones.
The others stay one component each: the fine masks are over a mixed list, and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex.ablation import Executor, Precision, Store
from circuitspex.circuits.found import Found, Level
from circuitspex.circuits.search._search import search
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.prompts import hold_out, prepared
from circuitspex.components import Latents, model_structure
from circuitspex.components.nesting import Group, can_be_opened, check_levels, opened, parts_of, written
from circuitspex.games import ComponentGame, GroupedGame
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.masks import Keep
from circuitspex.models.given import GivenModel
from circuitspex.models.protocol import Model
from circuitspex.recovery import Interactions, Method
from circuitspex.renamed import renamed
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray


@renamed(share="threshold", most="max_expanded")
def coarse_to_fine(
    model: GivenModel,
    task: Task | str | Path,
    levels: Sequence[str] = ("layers", "heads+mlps", "neurons"),
    baseline: str = "mean",
    budget: int = 100,
    *,
    threshold: float = 0.05,
    max_expanded: int = 8,
    keep: Keep | Literal["auto"] = 0.5,
    latents: Latents | Sequence[Latents] | None = None,
    method: Method = "auto",
    max_nodes: int = 16,
    max_interactions: int = 12,
    n_heldout: int = 200,
    n_contexts: int = 16,
    n_random: int = 20,
    directions: bool = True,
    until: float | None = None,
    heldout: Task | str | Path | None = None,
    executor: Executor = "auto",
    precision: Precision = "model",
    store: Store | str | Path | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Found:
    """Find a circuit of small components by expanding only the large ones that matter.

    At each level the whole search of ``find_circuit`` is done. A component is expanded where at least ``threshold`` of
    the variance of the decoded function goes through it, main effect and interactions together, or where it is in an
    interaction that was measured again and replicated; of these, at most the ``max_expanded`` with the largest share.
    If none reaches it, the one with the largest share is expanded.

    Args:
        model: a TransformerBridge, a Hugging Face model, or the name of one.
        task: prompts and metric; or the name of a built-in task, or a ``.jsonl`` file.
        levels: selectors from coarse to fine, two or more; each names components that lie within those of the one
            before. The first may be 'layers' (or 'layers[20:30]'): the heads and the MLP of a layer as one component.
        baseline: as in ``find_circuit``, and so are all arguments that are not named here.
        budget: ablations to decode from, at each level.
        threshold: see above; of the variance over masks, so that the shares of all components add up to one or more.
        max_expanded: see above.

    Returns:
        What the last level gave; ``levels`` has all of them, with what was expanded for the next.

    Raises:
        ComponentError: levels that don't nest, or components that the model lacks; before anything runs.
        UserError: an argument out of range.
    """
    options = Options.of(locals())
    model, task, heldout = prepared(model, task, baseline, heldout, "heads", levels)
    return search_levels(model, task, levels, baseline, options, heldout)


def search_levels(
    model: Model, task: Task, levels: Sequence[str], baseline: str, options: Options, heldout: Task | None
) -> Found:
    """``coarse_to_fine`` with options that are made and checked."""
    structure = model_structure(model, options.latents)
    check_levels(structure, levels)
    if heldout is None:
        task, heldout = hold_out(task, options.seed)
    report = task.report(model)
    parts = parts_of(structure, levels[0])
    done: list[Level] = []
    closed: set[str] = set()
    for depth, selector in enumerate(levels):
        game = _game(options, model, task, parts, baseline)
        record = {
            "components": written(structure, parts),
            "levels": [*(_record(level) for level in done), {"components": selector}],
            "groups": {p.name: "+".join(map(str, p.components)) for p in parts if len(p.components) > 1},
        }
        found = search(game, options, heldout=heldout, record=record).found(report=report)
        names: tuple[str, ...] = ()
        if depth + 1 < len(levels):
            finer = can_be_opened(structure, parts, levels[depth + 1])
            finer -= {place for place, part in enumerate(parts) if part.name in closed}
            chosen = _worth_expanding(found, parts, finer, options)
            names = tuple(parts[place].name for place in chosen)
            closed |= {parts[place].name for place in finer} - set(names)
            parts = opened(structure, parts, levels[depth + 1], chosen)
        done.append(Level(selector, names, found))
    last = done[-1].found
    return replace(
        last,
        levels=tuple(done),
        n_stored=sum(level.found.n_stored for level in done),
        n_run=sum(level.found.n_run for level in done),
    )


def through(interactions: Interactions) -> FloatArray:
    """The share of a decoded function's variance that goes through each component, ``(n,)``.

    That of component i is the sum of ``c_S²`` over the sets S with i in them over the sum of all (its total Sobol index
    over uniform masks); an interaction counts for each of its members.
    """
    out = np.zeros(interactions.n_players)
    for term, coefficient in zip(interactions.terms, interactions.coefficients.tolist(), strict=True):
        out[list(term)] += coefficient**2
    total = interactions.function.variance()
    return out / total if total > 0 else out


def _worth_expanding(found: Found, parts: Sequence[Group], finer: set[int], options: Options) -> list[int]:
    """The places of the parts to expand, in their order."""
    shares = through(found.interactions)
    interacting = {name for one in found.circuit.interactions for name in one.components}
    ranked = sorted(finer, key=lambda place: (-shares[place], place))
    wanted = [place for place in ranked if shares[place] >= options.threshold or parts[place].name in interacting]
    return sorted((wanted or ranked[:1])[: options.max_expanded])


def _game(
    options: Options, model: Model, task: Task, parts: Sequence[Group], baseline: str
) -> ComponentGame | GroupedGame:
    game = options.game(model, task, [component for part in parts for component in part.components], baseline)
    if all(len(part.components) == 1 for part in parts):
        return game
    place = {component: index for index, component in enumerate(game.components)}
    groups = [[place[component] for component in part.components] for part in parts]
    return GroupedGame(game, groups, [part.name for part in parts])


def _record(level: Level) -> dict[str, Any]:
    return {
        "components": level.selector,
        "n_components": level.found.interactions.n_players,
        "r2": level.found.faithfulness.r2,
        "opened": list(level.expanded),
    }

"""Coarse to fine: explain large parts first, then open only those that matter.

With single neurons as components a model has tens of thousands of them, most of which no behaviour needs. So the model
is explained in large parts, and only the parts through which much of the behaviour goes are opened into smaller ones.
The others stay one component each: the fine masks are over a mixed list, and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex.ablation import Executor, Precision, Store, store_at
from circuitspex.circuits.found import Found, Level
from circuitspex.circuits.search._search import Plan
from circuitspex.circuits.search.on_model import found_on_model, hold_out
from circuitspex.components import Latents, model_structure
from circuitspex.components.nesting import Group, can_be_opened, check_levels, opened, parts_of, written
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame, GroupedGame
from circuitspex.masks import Keep
from circuitspex.recovery import Interactions, Method
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray


def coarse_to_fine(
    model: Any,
    task: Task,
    levels: Sequence[str] = ("layers", "heads+mlps", "neurons"),
    baseline: str = "mean",
    budget: int = 100,
    *,
    share: float = 0.05,
    most: int = 8,
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
    heldout: Task | None = None,
    executor: Executor = "auto",
    precision: Precision = "model",
    store: Store | str | Path | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Found:
    """Find a circuit of small components by opening only the large ones that matter.

    At each level the whole search of ``find_circuit`` is done. A component is opened where at least ``share`` of the
    variance of the decoded function goes through it, main effect and interactions together, or where it is in an
    interaction that was measured again and replicated; of these, at most the ``most`` with the largest share. If none
    reaches it, the one with the largest share is opened.

    Args:
        model: a TransformerBridge.
        task: prompts and metric.
        levels: selectors from coarse to fine, two or more; each names components that lie within those of the one
            before. The first may be 'layers' (or 'layers[20:30]'): the heads and the MLP of a layer as one component.
        baseline: as in ``find_circuit``, and so are all arguments that are not named here.
        budget: ablations to decode from, at each level.
        share: see above; of the variance over masks, so that the shares of all components add up to one or more.
        most: see above.

    Returns:
        What the last level gave; ``levels`` has all of them, with what was opened for the next.

    Raises:
        ComponentError: levels that don't nest, or components that the model lacks; before anything runs.
        UserError: an argument out of range.
    """
    plan = Plan(
        budget, keep, method, max_nodes, max_interactions, n_heldout, n_contexts, 0, until, seed, progress
    ).check()
    if n_random < 1:
        raise UserError(f"n_random must be at least 1, not {n_random}")
    if not 0 < share < 1:
        raise UserError(f"share must lie between 0 and 1 and be neither (of the decoded variance), not {share}")
    if most < 1:
        raise UserError(f"most must be at least 1 (components that are opened at a level), not {most}")
    structure = model_structure(model, latents)
    check_levels(structure, levels)
    if heldout is None:
        task, heldout = hold_out(task, seed)
    report = task.report(model)
    kept = store_at(store)
    parts = parts_of(structure, levels[0])
    done: list[Level] = []
    closed: set[str] = set()
    for depth, selector in enumerate(levels):
        game = _game(model, task, parts, baseline, latents, executor, precision, kept)
        record = {
            "components": written(structure, parts),
            "levels": [*(_record(level) for level in done), {"components": selector}],
            "groups": {p.name: "+".join(map(str, p.components)) for p in parts if len(p.components) > 1},
        }
        found = found_on_model(game, plan, report, heldout, directions=directions, n_random=n_random, more=record)
        names: tuple[str, ...] = ()
        if depth + 1 < len(levels):
            finer = can_be_opened(structure, parts, levels[depth + 1])
            finer -= {place for place, part in enumerate(parts) if part.name in closed}
            chosen = _worth_opening(found, parts, finer, share, most)
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


def _worth_opening(found: Found, parts: Sequence[Group], finer: set[int], share: float, most: int) -> list[int]:
    """The places of the parts to open, in their order."""
    shares = through(found.interactions)
    interacting = {name for edge in found.circuit.interactions for name in edge.components}
    ranked = sorted(finer, key=lambda place: (-shares[place], place))
    wanted = [place for place in ranked if shares[place] >= share or parts[place].name in interacting]
    return sorted((wanted or ranked[:1])[:most])


def _game(
    model: Any,
    task: Task,
    parts: Sequence[Group],
    baseline: str,
    latents: Latents | Sequence[Latents] | None,
    executor: Executor,
    precision: Precision,
    store: Store | None,
) -> ComponentGame | GroupedGame:
    components = [component for part in parts for component in part.components]
    game = ComponentGame(
        model, task, components, baseline, latents=latents, executor=executor, precision=precision, store=store
    )
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
        "opened": list(level.opened),
    }

"""The strongest parts of a decoded function, measured on the model, and what of them replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.circuits.circuit import Interaction, Node
from circuitspex.circuits.evidence._measure import measure_cells
from circuitspex.circuits.evidence._replicate import RATE, Measured, combinations_of, replicate
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.games import LensGame
from circuitspex.recovery import Interactions
from circuitspex.statistics import q_values, selected_confidence
from circuitspex.typing import FloatArray, Masks, PerPrompt, Term

PRECISION = 0.1
"""A set whose interval is wider to either side than this share of the largest effect is measured in more contexts."""


def strongest(interactions: Interactions, count: int, *, order: int | None = None) -> list[Term]:
    """The sets with the largest coefficients: of one order, or of all orders from two on."""
    if order is None:
        terms = [i for i, term in enumerate(interactions.terms) if len(term) > 1]
    else:
        terms = [i for i, term in enumerate(interactions.terms) if len(term) == order]
    terms = [i for i in terms if interactions.coefficients[i] != 0]
    terms.sort(key=lambda i: (-abs(float(interactions.coefficients[i])), interactions.terms[i]))
    return [interactions.terms[i] for i in terms[:count]]


@by_value
@dataclass(frozen=True)
class Measurements:
    """What was measured of the strongest parts, on each prompt, before anything is said of it.

    ``singles`` are the components, ``sets`` the interactions; ``found`` has the measurement of each, ``unablated`` the
    metric ``(2^|S|, 1, P)`` of each interaction's combinations while all others are kept. ``names`` and ``places``
    ``(layer, kind)`` are those of all players of the game that these are.
    """

    singles: tuple[Term, ...]
    sets: tuple[Term, ...]
    found: Mapping[Term, Measured]
    unablated: Mapping[Term, FloatArray]
    resolution: Resolution
    names: Mapping[int, str]
    places: Mapping[int, tuple[int, str]]

    def on(self, prompts: Sequence[int]) -> Measurements:
        """The same on these prompts alone."""
        rows = list(prompts)
        found = {
            term: replace(each, differences=each.differences[:, rows], cells=each.cells[:, :, rows])
            for term, each in self.found.items()
        }
        return replace(self, found=found, unablated={term: each[:, :, rows] for term, each in self.unablated.items()})

    def names_of(self, term: Term) -> tuple[str, ...]:
        """What the components of a set are called."""
        return tuple(self.names[i] for i in term)


@dataclass(frozen=True)
class Parts:
    """What was measured: the components and interactions that are discoveries (and the members of these), and the rest.

    Strongest first; what is in ``dropped`` and ``dropped_nodes`` could not be told from nothing.
    """

    nodes: tuple[Node, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    dropped: tuple[Interaction, ...] = ()
    dropped_nodes: tuple[Node, ...] = ()
    measurements: Measurements | None = None


def measured_parts(
    interactions: Interactions,
    game: LensGame,
    evaluate: Callable[[Masks], PerPrompt],
    contexts: Masks,
    start: int,
    max_nodes: int,
    max_interactions: int,
    resolution: Resolution,
    uniform: bool = False,
) -> Parts:
    """The strongest components and interactions, measured again; what replicates, and what did not.

    Interactions carry the relation of their components, and the table of their combinations while all others are kept.
    One stays where its measured sign is the decoded one and its q value, over all interactions that
    were measured, is at most ``RATE``. A component is a discovery where its q value, over all components that were
    measured, is; one that is not has a place in the circuit only as a member of an interaction that replicates. Both
    are tested against the ``resolution`` of the game's numbers, not against 0. ``uniform``: see ``replicate``.
    """
    sets = strongest(interactions, max_interactions)
    members = {(i,) for members in sets for i in members}
    singles = sorted(members | {(each[0],) for each in strongest(interactions, max_nodes, order=1)})
    wanted = singles + sets
    if not wanted:
        return Parts()
    found = replicate(evaluate, wanted, contexts, start=start, precision=PRECISION, uniform=uniform)
    measurements = Measurements(
        tuple(singles),
        tuple(sets),
        found,
        around_the_whole(evaluate, sets, contexts.shape[1]),
        resolution,
        {index: game.names[index] for (index,) in singles},
        {index: game.part(index) for (index,) in singles},
    )
    return parts_of(measurements, interactions)


def parts_of(measurements: Measurements, interactions: Interactions) -> Parts:
    """What of the measurements are discoveries, and what is not; see ``measured_parts``.

    Where the function has no coefficient of a set, its sign can't be compared, and the test alone decides.
    """
    sets, singles, found = measurements.sets, measurements.singles, measurements.found
    least = measurements.resolution.least
    q_of = _q_values(found, sets, measurements.resolution) | _q_values(found, singles, measurements.resolution)
    edges: list[Interaction] = []
    dropped: list[Interaction] = []
    for term in sets:
        decoded, measured = interactions.effect(*term), found[term].estimate()
        names = measurements.names_of(term)
        edge = Interaction(
            names,
            decoded,
            measured,
            found[term].per_prompt,
            found[term].table,
            q_of[term],
            pair=found[term].relation(names, least(len(term))),
            unablated=combinations_of(measurements.unablated[term].mean((1, 2))),
        )
        replicates = q_of[term] <= RATE and (decoded == 0 or (measured.value > 0) == (decoded > 0))
        (edges if replicates else dropped).append(edge)
    nodes: list[Node] = []
    for (index,) in singles:
        name, (layer, kind), single = measurements.names[index], measurements.places[index], found[index,]
        effect = interactions.effect(index)
        nodes.append(Node(name, layer, kind, effect, single.estimate(), single.per_prompt, q_of[index,]))
    place = {name: index for index, name in measurements.names.items()}
    if len(sets) > 1:
        confidence = selected_confidence(len(edges), len(sets))
        edges = [
            replace(edge, adjusted=found[tuple(place[name] for name in edge.components)].estimate(confidence))
            for edge in edges
        ]
    needed = {name for edge in edges for name in edge.components}
    kept = [node for node in nodes if node.is_distinct or node.name in needed]
    if len(singles) > 1:
        confidence = selected_confidence(sum(node.is_distinct for node in kept), len(singles))
        kept = [
            replace(node, adjusted=found[place[node.name],].estimate(confidence)) if node.is_distinct else node
            for node in kept
        ]
    in_place = {node.name for node in kept}
    return Parts(
        tuple(sorted(kept, key=lambda node: (-abs(node.effect), node.name))),
        tuple(sorted(edges, key=lambda edge: (-abs(edge.effect), edge.components))),
        tuple(sorted(dropped, key=lambda edge: (-abs(edge.decoded), edge.components))),
        tuple(
            sorted(
                (node for node in nodes if node.name not in in_place), key=lambda node: (-abs(node.decoded), node.name)
            )
        ),
        measurements,
    )


def _q_values(found: Mapping[Term, Measured], sets: Sequence[Term], resolution: Resolution) -> dict[Term, float]:
    """The q value of each set among these, for the test that its effect is larger than its numbers' resolution."""
    return dict(zip(sets, q_values([found[s].p_value(resolution.least(len(s))) for s in sets]), strict=True))


def around_the_whole(
    evaluate: Callable[[Masks], PerPrompt], sets: Sequence[Term], n_players: int
) -> dict[Term, FloatArray]:
    """The metric ``(2^|S|, 1, P)`` of each on/off combination of each set while all other components are kept."""
    if not sets:
        return {}
    return measure_cells(evaluate, sets, np.ones((1, n_players), dtype=np.bool_))[1]

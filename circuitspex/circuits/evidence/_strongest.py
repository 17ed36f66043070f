"""The strongest parts of a decoded function, measured on the model, and what of them replicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from circuitspex.circuits.circuit import Combination, Interaction, Node
from circuitspex.circuits.evidence._measure import measure
from circuitspex.circuits.evidence._replicate import RATE, combinations_of, replicate
from circuitspex.games import LensGame
from circuitspex.recovery import Interactions
from circuitspex.statistics import q_values
from circuitspex.typing import Masks, PerPrompt, Term

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


def measured_parts(
    interactions: Interactions,
    game: LensGame,
    evaluate: Callable[[Masks], PerPrompt],
    contexts: Masks,
    start: int,
    max_nodes: int,
    max_interactions: int,
    uniform: bool = False,
) -> tuple[tuple[Node, ...], tuple[Interaction, ...], tuple[Interaction, ...]]:
    """The strongest components and interactions, measured again; what replicates, and the edges that did not.

    Interactions carry the relation of their components, and the table of their combinations while all others are kept.
    An interaction replicates where its measured sign is the decoded one and its q value, over all interactions that
    were measured, is at most ``RATE``. ``uniform``: see ``replicate``.
    """
    sets = strongest(interactions, max_interactions)
    singles = {(i,) for members in sets for i in members}
    singles |= {(members[0],) for members in strongest(interactions, max_nodes, order=1)}
    wanted = sorted(singles) + sets
    if not wanted:
        return (), (), ()
    found = replicate(evaluate, wanted, contexts, start=start, precision=PRECISION, uniform=uniform)
    unablated = around_the_whole(evaluate, sets, contexts.shape[1])
    q_of = dict(zip(sets, q_values([found[members].p_value() for members in sets]), strict=True))
    edges: list[Interaction] = []
    dropped: list[Interaction] = []
    for members in sets:
        decoded, measured = interactions.effect(*members), found[members].estimate()
        names = tuple(game.names[i] for i in members)
        edge = Interaction(
            names,
            decoded,
            measured,
            found[members].per_prompt,
            found[members].table,
            q_of[members],
            pair=found[members].relation(names),
            unablated=unablated[members],
        )
        replicates = q_of[members] <= RATE and (measured.value > 0) == (decoded > 0)
        (edges if replicates else dropped).append(edge)
    needed = {name for edge in edges for name in edge.components}
    nodes = []
    for (index,) in sorted(singles):
        name, (layer, kind), single = game.names[index], game.part(index), found[index,]
        if name in needed or single.estimate().excludes_zero:
            effect = interactions.effect(index)
            nodes.append(Node(name, layer, kind, effect, single.estimate(), single.per_prompt))
    nodes.sort(key=lambda node: (-abs(node.effect), node.name))
    edges.sort(key=lambda edge: (-abs(edge.effect), edge.components))
    dropped.sort(key=lambda edge: (-abs(edge.decoded), edge.components))
    return tuple(nodes), tuple(edges), tuple(dropped)


def around_the_whole(
    evaluate: Callable[[Masks], PerPrompt], sets: Sequence[Term], n_players: int
) -> dict[Term, tuple[Combination, ...]]:
    """The mean metric of each on/off combination of each set while all other components are kept."""
    if not sets:
        return {}
    whole = np.ones((1, n_players), dtype=np.bool_)
    cells = measure(evaluate, sets, whole, tables=True)[1]
    return {members: combinations_of(cells[members].mean((1, 2))) for members in sets}

"""The strongest parts of a decoded function, measured on the model, and what of them replicates."""

from __future__ import annotations

from collections.abc import Callable

from circuitspex.circuits.circuit import Interaction, Node
from circuitspex.circuits.evidence._replicate import RATE, replicate
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
    q_of = dict(zip(sets, q_values([found[members].p_value() for members in sets]), strict=True))
    edges: list[Interaction] = []
    dropped: list[Interaction] = []
    for members in sets:
        decoded, measured = interactions.effect(*members), found[members].estimate()
        names = tuple(game.names[i] for i in members)
        per_prompt, table = found[members].per_prompt, found[members].table
        edge = Interaction(names, decoded, measured, per_prompt, table, q_of[members])
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

"""A score for every part of a circuit's search, so that a ranking means something: the decoded function's main effects.

Parts of the circuit have the effects that were measured. Others whose decoded main effect is 0 are all alike to a
sparse decoder, and a sort would order them at random: they get a place of their own instead, a score far below all
others. First come those that the function has in interactions, the strongest first; then those nearer to the logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.edge_circuits import EdgeCircuits
from circuitspex.recovery import Interactions

_PLACES = 1e-3
"""The share of the smallest score below which the places of parts without one are."""


@dataclass(frozen=True)
class Scores:
    """The score of each part by its name, and the names of those whose score is only their place in a ranking."""

    score: dict[str, float]
    placed: tuple[str, ...]

    @property
    def strongest(self) -> float:
        """The largest size of a score; 1 where there is none."""
        return max(map(abs, self.score.values()), default=0.0) or 1.0


Function = Interactions | EdgeCircuits
"""What a search decoded: of components, or of all edges."""


def scores_of(circuit: Circuit, searched: Iterable[str], function: Function | None = None) -> Scores:
    """The score of each part that was searched, by its name in the circuit, in the order of computation.

    Args:
        circuit: its parts have their effects.
        searched: the names of all parts that the search could ablate.
        function: what was decoded, for all others; without it the record of the circuit, which has the main effects of
            up to 4096 parts. Of a search among edges the main effects of all edges, also of those in the circuit: what
            was measured of these was measured with all other edges open.
    """
    names = list(searched)
    known = {node.name: node.effect for node in circuit.nodes}
    decoded: Mapping[str, float] = circuit.run.get("main_effects") or {}
    if isinstance(function, EdgeCircuits):
        decoded, known = dict(zip(function.names, function.scores.tolist(), strict=True)), {}
    elif function is not None:
        decoded = function.main_effects
    score = {name: float(known.get(name, decoded.get(name, 0.0))) for name in names}
    shared = _in_interactions(circuit, function)
    silent = [name for name in reversed(names) if score[name] == 0]
    silent.sort(key=lambda name: -shared.get(name, 0.0))
    least = min((abs(value) for value in score.values() if value), default=1.0) * _PLACES
    score |= {name: least * (len(silent) - place) / len(silent) for place, name in enumerate(silent)}
    return Scores(score, tuple(silent))


def _in_interactions(circuit: Circuit, function: Function | None) -> dict[str, float]:
    """How much each part takes part in interactions: the sum of their sizes."""
    found: dict[str, float] = {}
    if isinstance(function, Interactions):
        sets = [(tuple(function.names[i] for i in term), function.effect(*term)) for term in function.terms]
    else:
        sets = [(each.components, each.decoded) for each in (*circuit.interactions, *circuit.dropped)]
    for members, effect in sets:
        for name in members if len(members) > 1 else ():
            found[name] = found.get(name, 0.0) + abs(effect)
    return found


def weaker_of(one: float, other: float, strongest: float) -> float:
    """The score of an edge between two nodes: the weaker of theirs, smaller by up to a thousandth as the other is weak.

    So a ranking of edges keeps to that of nodes, and edges of one node are in the order of their other ends.
    """
    weak, strong = sorted((one, other), key=abs)
    return weak * (1.0 - _PLACES * (1.0 - abs(strong) / strongest))

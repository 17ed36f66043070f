"""What MIB's circuit track is submitted as: a score for every node and edge, or one circuit a share of the edges.

The benchmark takes either, each in a folder of its own. ``importances/importances.json`` is ranked by its evaluation.
``chosen/0.1.json`` is the circuit that ``choose`` makes of the decoded function with at most 10 % of the model's edges
(as the benchmark counts them: with keys and values for each query head), ``matched/0.1.json`` the one that ``match``
makes. A ranking can't say that of two parts which back each other up one is enough; a circuit for each share can.

A circuit of nodes has all edges between its nodes, the input, the logits, and what the search never ablated; so many
nodes are kept as fit into a share. Where not even one does (a search among heads keeps all MLPs), the graph is empty.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuitspex.circuits import choose, match
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.edge_circuits import EdgeCircuits
from circuitspex.circuits.evidence.curve import SHARES
from circuitspex.errors import UserError
from circuitspex.export.graphs.eap import graph_of
from circuitspex.export.graphs.eap_graph import WholeGraph, write_graph
from circuitspex.export.graphs.eap_scores import Function
from circuitspex.typing import Term

_CLOSE = 0.99
"""Among very many parts the search for the largest circuit that fits ends with one that takes this much of a share."""
_MANY = 2000

CHOSEN, MATCHED = WAYS = ("chosen", "matched")


def write(circuit: Circuit, function: Function, folder: Path | str) -> tuple[Path, ...]:
    """Write both forms into a folder; the paths of all files.

    Args:
        circuit: of components or of edges, as ``find_circuit`` gives it.
        function: the decoded function, ``found.interactions``; of edges what ``find_circuit`` found of all of them,
            ``found.edges``, whose circuits were run.
        folder: made where it is not there.

    Raises:
        UserError: the format can't hold the circuit, or the function is of other components.

    Warns:
        UserWarning: where no circuit fits into a share of the edges.
    """
    graph = graph_of(circuit, function)
    if set(function.names) != set(graph.scores.score) and not isinstance(function, EdgeCircuits):
        raise UserError(
            f"the decoded function is of {len(function.names)} other parts than the {len(graph.scores.score)} that "
            "this circuit was searched among"
        )
    sign = "ablation" if all(node.signed for node in circuit.nodes) else "unknown"
    about: dict[str, Any] = {"baseline": str(circuit.run.get("baseline", ""))}
    folder = Path(folder)
    _make(folder / "importances")
    written = [write_graph(graph, graph.kept, folder / "importances" / "importances.json", sign=sign, **about)]
    for way in WAYS:
        _make(folder / way)
        none: list[float] = []
        sizes = _Sizes(graph, function, way)
        for share in SHARES:
            members = sizes.largest(int(share * graph.n_edges))
            said = {**about, "share_of_edges": share, "chosen_by": way}
            path = folder / way / f"{share:g}.json"
            written.append(write_graph(graph, members, path, sign=sign, every=False, **said))
            if members is None:
                none.append(share)
        if none and way == CHOSEN:
            warnings.warn(
                "what a circuit of this search always has (the input, the logits, parts that were never ablated) takes "
                f"more than {max(none):.1%} of the model's edges: the graphs of {len(none)} of {len(SHARES)} shares "
                "are empty",
                stacklevel=2,
            )
    return tuple(written)


@dataclass
class _Sizes:
    """The circuits of each size, made when they are asked for."""

    graph: WholeGraph
    function: Function
    way: str
    made: dict[int, tuple[Term, frozenset[str], int]] = field(default_factory=dict)

    def _members(self, size: int) -> Term:
        """The numbers of the members of a circuit of that size."""
        if isinstance(self.function, EdgeCircuits):
            if size == 0:
                return ()
            made = self.function.chosen(size) if self.way == CHOSEN else self.function.matched(size)
            return tuple(made.columns.tolist())
        near = min(self.made, key=lambda other: abs(other - size), default=None)
        start = () if near is None else self.made[near][0]
        if self.way == CHOSEN:
            return choose(self.function, size, time_limit=0, start=start).members
        return match(self.function, size, start=start).members

    def _of(self, size: int) -> tuple[Term, frozenset[str], int]:
        """The members by number and name of the circuit of that size, and how many edges it has."""
        if size not in self.made:
            members = self._members(size)
            names = frozenset(self.graph.member(self.function.names[i]) for i in members)
            self.made[size] = members, names, self.graph.count(names)
        return self.made[size]

    def largest(self, budget: int) -> frozenset[str] | None:
        """The circuit of as many members as there can be with at most so many edges; None where none fits."""
        n = len(self.function.names)
        if self._of(0)[2] > budget:
            return None
        if self._of(n)[2] <= budget:
            return self._of(n)[1]
        fits, beyond, halve = 0, n, False
        for size in sorted(self.made):
            fits, beyond = (size, beyond) if self.made[size][2] <= budget else (fits, min(beyond, size))
        while beyond - fits > 1:
            # The edges between k nodes grow like its square.
            low, goal, high = (math.sqrt(count) for count in (self._of(fits)[2], budget, self._of(beyond)[2]))
            guess = fits + round((beyond - fits) * (goal - low) / (high - low))
            size = (fits + beyond) // 2 if halve else min(max(guess, fits + 1), beyond - 1)
            count = self._of(size)[2]
            fits, beyond, halve = (size, beyond, not halve) if count <= budget else (fits, size, not halve)
            if n > _MANY and _CLOSE * budget <= count <= budget:
                break
        return self._of(fits)[1]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't write to the folder {folder}: {error.strerror or error}") from None

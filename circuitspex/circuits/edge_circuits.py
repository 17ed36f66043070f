"""Circuits of edges at every size: most of the behaviour, and most like the model."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from circuitspex import strict_json
from circuitspex.by_value import by_value
from circuitspex.circuits.sized_circuits import SizedCircuit, SizedCircuits
from circuitspex.components.connection import connected
from circuitspex.components.edges import EdgeSelection, EdgeSelector
from circuitspex.errors import FileFormatError, UserError
from circuitspex.files import write_atomically
from circuitspex.registry import Later
from circuitspex.typing import IntArray

_applied = Later("circuitspex.circuits.use._applied:applied_edges")
_WRITES = "circuitspex find --components edges --out"


@by_value
@dataclass(frozen=True)
class EdgeCircuit(SizedCircuit):
    """One circuit: ``columns`` are the players that stay open, ``names`` what they are called.

    ``budget`` is how many edges were allowed; what lies on no path from the embeddings to the logits is left out, so
    there may be fewer. ``per_prompt`` ``(P,)`` is the metric on the prompts left out, with only these open; None where
    the circuit was not run.
    """

    def applied(
        self,
        model: Any,
        *,
        keep: bool | None = None,
        scale: float | None = None,
        baseline: str = "mean_vector",
        prompts: Any = None,
        among: EdgeSelector = "edges",
    ) -> AbstractContextManager[Any]:
        """Within ``with circuit.applied(model, prompts=task):`` the model runs with only these edges, on any prompt.

        Every pass counts, those of ``generate`` too; see ``Circuit.applied``, whose circuits are of components.

        Args:
            model: a TransformerBridge; of a Hugging Face model, or the name of one, a bridge is made and given.
            keep: True (the default without ``scale``): all other edges are closed; False: these are.
            scale: these edges have this gate, ``base + scale (out - base)``; the others are closed too with
                ``keep=True`` and stay open without.
            baseline: what closed edges carry: 'mean_vector', one vector for each source, or nothing, 'zero'.
            prompts: what means are taken over, all of their tokens: a task (its reference prompts), a list of texts, or
                rows of tokens.
            among: a selector of what others there are; edges beside these stay open.

        Raises:
            UserError: a baseline that holds for some prompts only, no prompts for means, a model that is not dense or
                in half precision, or one that a circuit is applied to already.
            ComponentError: edges that the model lacks, that are of one token position, or that give keys and values to
                each query head where the model shares them.
        """
        found: AbstractContextManager[Any] = _applied(
            self.names,
            model,
            keep=keep,
            scale=scale,
            baseline=baseline,
            prompts=prompts,
            among=among,
        )
        return found

    @classmethod
    def load(cls, path: str | Path, size: int, way: Literal["chosen", "matched"] = "chosen") -> EdgeCircuit:
        """One circuit of a file that ``EdgeCircuits.save`` (``find --out``: edges.json) wrote.

        Args:
            path: the file.
            size: how many edges were allowed; one of those in the file.
            way: 'chosen', most of the behaviour, or 'matched', most like the model.

        Raises:
            UserError: no such file, another kind of file, or no circuit of that size in it.
        """
        if way not in ("chosen", "matched"):
            raise UserError(f"way is 'chosen' or 'matched', not {way!r}")
        try:
            data = strict_json.read(path)
            places = {name: column for column, name in enumerate(data["scores"])}
            listed = {int(each["size"]): [places[name] for name in each["edges"]] for each in data[way]}
        except FileFormatError as error:
            raise UserError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} has no circuits of edges, as {_WRITES} writes them in edges.json") from error
        if size not in listed:
            sizes = ", ".join(map(str, sorted(listed))) or "no number of"
            raise UserError(f"{path} has circuits of {sizes} edges, none of {size}")
        names = list(places)
        columns = np.array(listed[size], dtype=np.int64)
        return cls(columns, tuple(names[column] for column in listed[size]), size)


@by_value
@dataclass(frozen=True, repr=False, kw_only=True)
class EdgeCircuits(SizedCircuits[EdgeCircuit]):
    """What ``find_edges`` gives: a circuit with most of the behaviour and one most like the model, at each size.

    ``selection`` has the edges that were players, in the order of columns; a kept edge is an open one. All else is as
    in ``SizedCircuits``.
    """

    selection: EdgeSelection

    players: ClassVar[str] = "edges"
    in_brackets: ClassVar[str] = "edges that are connected"

    @property
    def names(self) -> tuple[str, ...]:
        """What the edges are called, in the order of columns."""
        return self.selection.names

    def _best_of(self, order: IntArray, size: int) -> EdgeCircuit:
        return largest_circuit(self.selection, order, size)

    def save(self, path: str | Path) -> Path:
        """Write the circuits of all sizes, and the main effect of each edge, as JSON; the path.

        The circuit of all edges is not listed. ``share`` is that of the behaviour on the prompts left out, and
        ``heldout`` that on prompts that the search has not seen, where there were any.

        Raises:
            UserError: the path can't be written.
        """
        ways = {"chosen": self.highest, "matched": self.nearest}
        listed: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for way, circuits in ways.items():
            unseen = [] if self.heldout is None else list(getattr(self.heldout, way))
            for place, each in enumerate(circuits):
                if each.size < len(self.selection):
                    about = {"size": each.budget, "share": self.share(each), "edges": list(each.names)}
                    listed[way].append(about | ({"heldout": unseen[place]} if unseen else {}))
        scores = {name: float(f"{score:.6g}") for name, score in zip(self.names, self.scores.tolist(), strict=True)}
        graph = self.selection.graph
        data = {"model": graph.name, "ungrouped": graph.ungrouped, **listed, "scores": scores}
        return write_atomically(Path(path), (json.dumps(data, allow_nan=False) + "\n").encode())


def largest_circuit(selection: EdgeSelection, order: IntArray, size: int) -> EdgeCircuit:
    """The circuit that ``largest_connected`` finds, not run."""
    columns = largest_connected(selection, order, size)
    return EdgeCircuit(columns, tuple(selection.names[i] for i in columns.tolist()), size)


def largest_connected(selection: EdgeSelection, order: IntArray, size: int) -> IntArray:
    """Of an order of columns, the longest beginning whose connected part has at most so many edges: that part, sorted.

    The connected part of a longer beginning holds that of a shorter one, so its length is found by halving. Where the
    players are not all edges of the model, the others are open, and nothing is left out.

    Raises:
        UserError: a size below 1.
    """
    if size < 1:
        raise UserError(f"a circuit has at least one edge, not {size}")
    if len(selection) < len(selection.graph) or any(at is not None for at in selection.positions):
        return np.sort(order[:size])

    def part(length: int) -> IntArray:
        return connected(selection.graph, selection.numbers[order[:length]])

    low, high = size, len(order)
    if len(part(high)) <= size:
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        if len(part(middle)) <= size:
            low = middle
        else:
            high = middle
    column = np.empty(len(selection.graph), dtype=np.int64)
    column[selection.numbers] = np.arange(len(selection))
    return np.sort(column[part(low)])

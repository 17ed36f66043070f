"""Circuits of edges at every size: most of the behaviour, and most like the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from circuitspex import strict_json
from circuitspex.components.connection import connected
from circuitspex.components.edges import EdgeSelection, EdgeSelector
from circuitspex.errors import FileFormatError, UserError
from circuitspex.files import write_atomically
from circuitspex.registry import Later
from circuitspex.scale import whole
from circuitspex.typing import FloatArray, IntArray, Masks, PerPrompt

_applied = Later("circuitspex.circuits.use._applied:applied_edges")
_WRITES = "circuitspex find --components edges --out"


@dataclass(frozen=True)
class EdgeCircuit:
    """One circuit: ``columns`` are the players that stay open, ``names`` what they are called.

    ``budget`` is how many edges were allowed; what lies on no path from the embeddings to the logits is left out, so
    there may be fewer. ``per_prompt`` ``(P,)`` is the metric on the prompts left out, with only these open; None where
    the circuit was not run.
    """

    columns: IntArray
    names: tuple[str, ...]
    budget: int
    per_prompt: PerPrompt | None = None

    @property
    def size(self) -> int:
        """How many edges are open."""
        return len(self.columns)

    @property
    def value(self) -> float | None:
        """The mean metric on the prompts left out."""
        return None if self.per_prompt is None else float(self.per_prompt.mean())

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


@dataclass(frozen=True)
class EdgeRound:
    """One round: ``passes`` with gradients so far, and the share of the behaviour at each size on the prompts left out.

    ``kept`` says whether the round's circuits are better than those before it.
    """

    passes: int
    shares: tuple[float, ...]
    area: float
    kept: bool


@dataclass(frozen=True)
class HeldOut:
    """Shares of the behaviour on prompts that a search has not seen, of the circuits of each size."""

    n_prompts: int
    chosen: tuple[float, ...]
    matched: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class EdgeCircuits:
    """What ``find_edges`` gives: a circuit with most of the behaviour and one most like the model, at each size.

    Attributes:
        selection: the edges that were players, in the order of columns.
        scores: ``(n,)`` the main effect of each edge: the slope of the metric in its gate, on average over the masks
            of all shares. A ranking of all edges.
        sizes_of_slopes: ``(n,)`` how large its slope is on the way from all closed to all open, whatever its sign.
        sizes: for which circuits were run.
        scores_at: ``(len(sizes), n)`` the same, on average over masks of nearly that size.
        highest, nearest: the circuits at these sizes; see ``chosen`` and ``matched``.
        whole, empty: ``(P,)`` the metric on the prompts left out with all edges open, and with all closed.
        rounds: how the search went.
        n_prompts: all of them, those left out too.
        passes: passes with gradients, each over all prompts.
        plain_passes: different masks that were run on the prompts left out.
        seconds: of the whole search.
        heldout: the shares of ``highest`` and ``nearest`` on prompts that the search has not seen; None where there
            were none.
    """

    selection: EdgeSelection
    scores: FloatArray
    sizes_of_slopes: FloatArray
    sizes: tuple[int, ...]
    scores_at: FloatArray
    highest: tuple[EdgeCircuit, ...]
    nearest: tuple[EdgeCircuit, ...]
    whole: PerPrompt
    empty: PerPrompt
    rounds: tuple[EdgeRound, ...]
    n_prompts: int
    passes: int
    plain_passes: int
    seconds: float
    heldout: HeldOut | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the edges are called, in the order of columns."""
        return self.selection.names

    def chosen(self, size: int) -> EdgeCircuit:
        """The circuit of at most so many edges with most of the behaviour.

        Of ``sizes`` it is the best, on all prompts, of those that the slopes on all prompts choose after each round. Of
        any other size it is read off the main effects at the sizes beside it, and was not run.

        Raises:
            UserError: a size below 1, or more than there are edges.
        """
        return self._of(self.highest, size)

    def matched(self, size: int) -> EdgeCircuit:
        """The circuit of at most so many edges whose metric is nearest to the whole model's; see ``chosen``."""
        return self._of(self.nearest, size)

    def masks(self, circuits: tuple[EdgeCircuit, ...]) -> Masks:
        """The masks ``(len(circuits), n)`` that keep them open."""
        out = np.zeros((len(circuits), len(self.selection)), dtype=np.bool_)
        for row, circuit in zip(out, circuits, strict=True):
            row[circuit.columns] = True
        return out

    def share(self, circuit: EdgeCircuit) -> float | None:
        """How much of the way from nothing open to everything open its metric is, on the prompts left out.

        Slopes on these prompts had a say in which edges it has: on prompts that the search has not seen it is lower.
        ``rounds`` has the shares of circuits that these prompts had no say in.
        """
        if circuit.value is None:
            return None
        return float((circuit.value - self.empty.mean()) / (self.whole.mean() - self.empty.mean()))

    def on_heldout(self, game: Any) -> EdgeCircuits:
        """These circuits with their shares of the behaviour on the prompts of a game of the same edges."""
        ends = np.array([[True], [False]]) & np.ones(len(self.selection), dtype=np.bool_)
        masks = [ends, self.masks(self.highest), self.masks(self.nearest)]
        whole, empty, *values = game.evaluate(np.concatenate(masks)).values.tolist()
        if whole == empty:
            return self
        shares = [(value - empty) / (whole - empty) for value in values]
        count = len(self.highest)
        return replace(self, heldout=HeldOut(game.n_samples, tuple(shares[:count]), tuple(shares[count:])))

    def scores_for(self, size: int) -> FloatArray:
        """The main effects ``(n,)`` at a size: those of the sizes beside it, weighted by the logarithm of the share."""
        place = np.interp(np.log(max(size, 1)), np.log(self.sizes), np.arange(len(self.sizes)))
        below = int(np.floor(place))
        above, part = min(below + 1, len(self.sizes) - 1), float(place - below)
        return np.asarray((1 - part) * self.scores_at[below] + part * self.scores_at[above])

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

    def _of(self, circuits: tuple[EdgeCircuit, ...], size: int) -> EdgeCircuit:
        size = whole(size, "size", 1, len(self.selection))
        for circuit in circuits:
            if circuit.budget == size:
                return circuit
        near = min(circuits, key=lambda each: abs(np.log(each.budget / size)))
        scores = self.scores_for(size) * np.sign(self.whole.mean() - self.empty.mean())
        inside = np.zeros(len(scores), dtype=np.bool_)
        inside[near.columns] = True
        # A larger circuit than the nearest has all of it; a smaller one is a part of it.
        order = np.lexsort((-scores, ~inside))
        columns = largest_connected(self.selection, order, size)
        return EdgeCircuit(columns, tuple(self.names[i] for i in columns.tolist()), size)

    def __str__(self) -> str:
        lines = [
            f"{len(self.selection)} edges, {self.passes} passes with gradients on {self.n_prompts} prompts, rounds "
            f"judged by {self.plain_passes} masks on {len(self.whole)} of them, {self.seconds:.0f} s",
        ]
        on = f"the {len(self.whole)}"
        shares: list[Sequence[Any]] = [[self.share(each) for each in way] for way in (self.highest, self.nearest)]
        if self.heldout is not None:
            on, shares = f"{self.heldout.n_prompts} held-out prompts", [self.heldout.chosen, self.heldout.matched]
        lines.append(f"  edges  share of the behaviour on {on}: chosen, matched (edges that are connected)")
        for size, high, near, *share in zip(self.sizes, self.highest, self.nearest, *shares, strict=True):
            lines.append(f"{size:>7}  {share[0]:z.2f} ({high.size})  {share[1]:z.2f} ({near.size})")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


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

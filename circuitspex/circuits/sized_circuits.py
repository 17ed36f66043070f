"""Circuits at every size: most of the behaviour, and most like the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.scale import whole
from circuitspex.typing import FloatArray, IntArray, Masks, PerPrompt


@by_value
@dataclass(frozen=True)
class SizedCircuit:
    """One circuit: ``columns`` are the players that are kept, ``names`` what they are called.

    ``budget`` is how many were allowed; there may be fewer. ``per_prompt`` ``(P,)`` is the metric on the prompts left
    out, with only these kept; None where the circuit was not run.
    """

    columns: IntArray
    names: tuple[str, ...]
    budget: int
    per_prompt: PerPrompt | None = None

    @property
    def size(self) -> int:
        """How many players are kept."""
        return len(self.columns)

    @property
    def value(self) -> float | None:
        """The mean metric on the prompts left out."""
        return None if self.per_prompt is None else float(self.per_prompt.mean())


OneCircuit = TypeVar("OneCircuit", bound=SizedCircuit)


@dataclass(frozen=True)
class Round:
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


@by_value
@dataclass(frozen=True, repr=False, kw_only=True)
class SizedCircuits(ABC, Generic[OneCircuit]):
    """A circuit with most of the behaviour and one most like the model, at each size.

    Attributes:
        scores: ``(n,)`` the main effect of each player: the slope of the metric in its gate, on average over the masks
            of all shares. A ranking of all.
        sizes_of_slopes: ``(n,)`` how large its slope is on the way from all ablated to all kept, whatever its sign.
        sizes: for which circuits were run.
        scores_at: ``(len(sizes), n)`` the same as ``scores``, on average over masks of nearly that size.
        highest, nearest: the circuits at these sizes; see ``chosen`` and ``matched``.
        whole, empty: ``(P,)`` the metric on the prompts left out with all players kept, and with all ablated.
        rounds: how the search went.
        n_prompts: all of them, those left out too.
        passes: passes with gradients, each over all prompts.
        plain_passes: different masks that were run on the prompts left out.
        seconds: of the whole search.
        heldout: the shares of ``highest`` and ``nearest`` on prompts that the search has not seen; None where there
            were none.
    """

    scores: FloatArray
    sizes_of_slopes: FloatArray
    sizes: tuple[int, ...]
    scores_at: FloatArray
    highest: tuple[OneCircuit, ...]
    nearest: tuple[OneCircuit, ...]
    whole: PerPrompt
    empty: PerPrompt
    rounds: tuple[Round, ...]
    n_prompts: int
    passes: int
    plain_passes: int
    seconds: float
    heldout: HeldOut | None = None

    players: ClassVar[str] = "players"
    """What is kept and ablated, in words."""
    in_brackets: ClassVar[str] = ""
    """What the number in brackets after a share counts; empty where it is always the size."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What the players are called, in the order of columns."""

    @abstractmethod
    def _best_of(self, order: IntArray, size: int) -> OneCircuit:
        """The circuit of at most ``size`` players that an order of all columns gives."""

    def chosen(self, size: int) -> OneCircuit:
        """The circuit of at most this size with most of the behaviour.

        Of ``sizes`` it is the best, on all prompts, of those that the slopes on all prompts choose after each round. Of
        any other size it is read off the main effects at the sizes beside it, and was not run.

        Raises:
            UserError: a size below 1, or more than there are players.
        """
        return self._of(self.highest, size)

    def matched(self, size: int) -> OneCircuit:
        """The circuit of at most this size whose metric is nearest to the whole model's; see ``chosen``."""
        return self._of(self.nearest, size)

    def masks(self, circuits: Sequence[OneCircuit]) -> Masks:
        """The masks ``(len(circuits), n)`` that keep them."""
        return masks_of(circuits, len(self.names))

    def share(self, circuit: SizedCircuit) -> float | None:
        """How much of the way from nothing kept to everything kept its metric is, on the prompts left out.

        Slopes on these prompts had a say in what it keeps: on prompts that the search has not seen it is lower.
        ``rounds`` has the shares of circuits that these prompts had no say in.
        """
        if circuit.value is None:
            return None
        return float((circuit.value - self.empty.mean()) / (self.whole.mean() - self.empty.mean()))

    def on_heldout(self, game: Any) -> Self:
        """These circuits with their shares of the behaviour on the prompts of a game of the same players."""
        ends = np.array([[True], [False]]) & np.ones(len(self.names), dtype=np.bool_)
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

    def _of(self, circuits: tuple[OneCircuit, ...], size: int) -> OneCircuit:
        size = whole(size, "size", 1, len(self.names))
        for circuit in circuits:
            if circuit.budget == size:
                return circuit
        near = min(circuits, key=lambda each: abs(np.log(each.budget / size)))
        scores = self.scores_for(size) * np.sign(self.whole.mean() - self.empty.mean())
        inside = np.zeros(len(scores), dtype=np.bool_)
        inside[near.columns] = True
        # A larger circuit than the nearest has all of it; a smaller one is a part of it.
        return self._best_of(np.lexsort((-scores, ~inside)), size)

    def __str__(self) -> str:
        lines = [
            f"{len(self.names)} {self.players}, {self.passes} passes with gradients on {self.n_prompts} prompts, "
            f"rounds judged by {self.plain_passes} masks on {len(self.whole)} of them, {self.seconds:.0f} s",
        ]
        on = f"the {len(self.whole)}"
        shares: list[Sequence[Any]] = [[self.share(each) for each in way] for way in (self.highest, self.nearest)]
        if self.heldout is not None:
            on, shares = f"{self.heldout.n_prompts} held-out prompts", [self.heldout.chosen, self.heldout.matched]
        bracket = f" ({self.in_brackets})" if self.in_brackets else ""
        lines.append(f"{self.players:>7}  share of the behaviour on {on}: chosen, matched{bracket}")
        for size, *pair, chosen, matched in zip(self.sizes, self.highest, self.nearest, *shares, strict=True):
            sizes = [f" ({each.size})" if self.in_brackets else "" for each in pair]
            lines.append(f"{size:>7}  {chosen:z.2f}{sizes[0]}  {matched:z.2f}{sizes[1]}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def masks_of(circuits: Sequence[SizedCircuit], n_players: int) -> Masks:
    """The masks ``(len(circuits), n)`` that keep them."""
    masks = np.zeros((len(circuits), n_players), dtype=np.bool_)
    for row, circuit in zip(masks, circuits, strict=True):
        row[circuit.columns] = True
    return masks

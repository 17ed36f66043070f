"""What the name of a component promises, as something that a trial pass can show to be false.

A claim changes an activation at its TransformerLens hook, in rows of its own, and judges by what plain PyTorch hooks
saw in the Hugging Face modules of the layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from circuitspex.components.layout import Layout
from circuitspex.components.proof.codes import code, code_rows
from circuitspex.components.proof.seen import (
    CLEAN,
    HEADS,
    LATE,
    LESS,
    MORE,
    NEURONS,
    OTHER_ATTENTION,
    OTHER_ENTRY,
    OTHER_MLP,
    OUTPUTS,
    STREAM,
    Seen,
    rounding,
    same,
    size,
)

if TYPE_CHECKING:
    import torch


@dataclass
class Claim(ABC):
    """That the hook carries what the name promises, in this layout; a layout of None is the plain one."""

    hook: str
    layout: Layout | None = None

    @abstractmethod
    def changed(self, z: torch.Tensor, seen: Seen) -> torch.Tensor:
        """The activation with the rows of this claim changed."""

    @abstractmethod
    def reason(self, seen: Seen) -> str | None:
        """None if the claim stands, else why it can't be made, to follow 'since'."""


@dataclass
class Adds(Claim):
    """What passes is added to the residual stream, perhaps times a number (or one for each dimension).

    So a change by d changes the stream by d times that; and the stream itself goes past the hook, not through it.
    """

    of_attention: bool = True

    def changed(self, z: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See ``Claim``."""
        other = OTHER_ATTENTION if self.of_attention else OTHER_MLP
        scale = max(size(z[CLEAN]), 0.0 if seen.entry is None else size(seen.entry[CLEAN])) or 1.0
        first, second = (scale * seen.random(z[CLEAN]) for _ in range(2))
        z[OUTPUTS : OTHER_ENTRY + 1] = first
        z[other] = second
        self._difference = (second - first).reshape(z.shape[1], -1)
        self._sizes = (second.abs() + first.abs()).reshape(z.shape[1], -1)
        return z

    def reason(self, seen: Seen) -> str | None:
        """See ``Claim``."""
        other = OTHER_ATTENTION if self.of_attention else OTHER_MLP
        if seen.entry is None or seen.change is None:
            return "its residual stream can't be seen"
        streams = [x for _, x in seen.read] + ([] if seen.left is None else [seen.left])
        change = seen.change.double().flatten()
        for stream in streams:
            if stream.shape[2:] != self._difference.shape[1:]:
                continue
            x = stream.double()
            found, given = x[other] - x[OUTPUTS], self._difference.double()
            # By least squares, with small weights where numbers are huge and their rounding is large.
            weight = 1 / (x[other].abs() + x[OUTPUTS].abs() + given.abs()).square().clamp_min(1e-300)
            times = (weight * found * given).sum(0) / (weight * given.square()).sum(0).clamp_min(1e-300)
            sizes = (stream[other], stream[OUTPUTS], seen.entry[CLEAN], (times * self._sizes).to(stream))
            past = (x[OTHER_ENTRY] - x[OUTPUTS]).flatten()
            alike = float(past @ change / (past.norm() * change.norm()).clamp_min(1e-300))
            # An unrelated change of so many numbers is alike by 0.1 at most; none at all is 0.
            if float(times.abs().mean()) > 1e-6 and alike > 0.3 and same(found, times * given, *sizes):
                return None
        return f"changing what passes '{self.hook}' does not change the residual stream by as much"


@dataclass
class Enters(Claim):
    """What passes is the residual stream that the layer reads."""

    def changed(self, z: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See ``Claim``."""
        z[STREAM] = z[STREAM] + (size(z[CLEAN]) or 1.0) * seen.random(z[CLEAN])
        self._given = z[STREAM].detach().clone()
        return z

    def reason(self, seen: Seen) -> str | None:
        """See ``Claim``."""
        arrived = None if seen.arrived is None else seen.arrived[STREAM]
        if arrived is None or arrived.shape != self._given.shape or not same(arrived, self._given):
            return f"what passes '{self.hook}' is not the residual stream that the layer reads"
        return None


@dataclass
class IsRead(Claim):
    """What passes is all that a projection reads: the heads' outputs, or the neurons."""

    n_units: int = 0
    row: int = NEURONS

    def changed(self, z: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See ``Claim``."""
        z[self.row] = z[self.row] + (size(z[CLEAN]) or 1.0) * seen.random(z[CLEAN])
        self._given = z[self.row].detach().flatten(1).clone()
        self._clean = z[CLEAN].detach().flatten(1).clone()
        self.projected: torch.Tensor | None = None
        return z

    def reason(self, seen: Seen) -> str | None:
        """See ``Claim``."""
        gave: torch.Tensor | None = None
        for module, x in seen.read:
            if type(module).__module__.startswith("transformer_lens"):
                continue
            matrix = any(p.ndim > 1 for p in (*module.parameters(recurse=False), *module.buffers(recurse=False)))
            if not matrix and not list(module.children()):
                continue
            if x.shape[2] != self._given.shape[1]:
                continue
            if same(x[self.row], self._given) and same(x[CLEAN], self._clean):
                self.projected, gave = x, seen.gave.get(id(module))
                break
        if self.projected is None:
            return f"what passes '{self.hook}' is not what an output projection reads"
        if self.n_units < 1 or self.projected.shape[2] % self.n_units:
            return f"its output projection reads {self.projected.shape[2]} numbers a token, for {self.n_units} units"
        # Weights of zero write nothing, whatever they read: then the layer must not change either.
        writes = gave is None or bool((gave[self.row] != gave[CLEAN]).any())
        if writes and seen.left is not None and bool((seen.left[self.row] == seen.left[CLEAN]).all()):
            return f"changing what passes '{self.hook}' does not change what the layer gives"
        return None


@dataclass
class HeadsRead(IsRead):
    """The heads' outputs, one after the other, are what the output projection reads."""

    row: int = HEADS


@dataclass
class Moves(Claim):
    """Each unit moves the outputs of its own heads, and of no others.

    ``n_units`` queries, keys or values serve ``n_heads`` heads, equally many consecutive ones each. A query, a key: at
    the first position, which can only attend to itself, they change no output's direction. A value: the outputs are
    linear in it.

    ``shuffled``: a unit's numbers are only put into another order, which a norm over all units does not pass on to the
    others (OLMo 2); a value must then change outputs at the first position, since a norm is not linear (Gemma 4).

    A head that attention can't move, since it gives the same at every position or its keys or queries are all alike
    (``facing``), is not asked to. Where that is so of all heads nothing tells readings apart, and the usual one stands.
    """

    n_units: int = 0
    n_heads: int = 0
    first_row: int = 0
    is_value: bool = False
    shuffled: bool = False
    facing: Moves | None = field(default=None, repr=False, compare=False)
    """For a query the key that it meets in this trial, for a key the query."""

    def changed(self, z: torch.Tensor, seen: Seen) -> torch.Tensor:
        """See ``Claim``."""
        layout = self.layout or Layout(self.n_units)
        units = layout.read(z).clone()
        self.clean = units[CLEAN].detach().clone()
        scale = 4 * (size(units[CLEAN]) or 1.0)
        for unit, rows in enumerate(code(self.n_units)):
            for row in rows:
                at = self.first_row + row, slice(None), unit
                noise = seen.random(units[at])
                units[at] = units[at].gather(-1, noise.argsort(-1)) if self.shuffled else units[at] + scale * noise
        if self.is_value:
            step = scale * seen.random(units[CLEAN])
            units[MORE], units[LESS] = units[CLEAN] + step, units[CLEAN] - step
            units[LATE, -1] = units[LATE, -1] + step[-1]
        return layout.write(z, units)

    def reason(self, seen: Seen) -> str | None:
        """See ``reason_at``; by itself it knows no outputs of heads."""
        return "it is not known what its output projection reads"

    def reason_at(self, outputs: torch.Tensor, causal: bool) -> str | None:
        """The reason as seen in the outputs of the heads, ``[rows, pos, head * width]``."""
        import torch

        z = outputs.double().reshape(*outputs.shape[:2], self.n_heads, -1)
        eps = _resolution(outputs)
        scale = z[CLEAN].abs().amax((0, 2)) + 1e-3 * z[CLEAN].abs().max() + 1e-30  # all is zero where nothing is read
        moved = (z - z[CLEAN]).abs().amax((1, 3)) / scale  # rows, head
        n_rows = code_rows(self.n_units)
        group = self.n_heads // self.n_units
        idle = self._idle(z[CLEAN], eps)
        moving = 0
        for unit, rows in enumerate(code(self.n_units)):
            on = torch.tensor([row in rows for row in range(n_rows)], device=moved.device)
            own = moved[self.first_row : self.first_row + n_rows, unit * group : (unit + 1) * group]
            noise = float(own[~on].max()) if bool((~on).any()) else 0.0
            if not noise <= eps:
                return f"changing others at '{self.hook}' changes the output of a head that they don't serve"
            moves = own[on].amax(0) > max(eps / 8, 2 * noise)
            moving += int(moves.sum())
            if not bool((moves | idle[unit * group : (unit + 1) * group]).all()):
                return f"changing it at '{self.hook}' does not change the output of every head that it serves"
        if not moving and self.shuffled:
            return f"changing it at '{self.hook}' does not change the output of any head"
        if self.is_value and self.shuffled:
            first = (z[:, 0] - z[CLEAN, 0]).abs().amax(-1) > eps * scale
            if causal and not bool(first[self.first_row : self.first_row + n_rows].any(0).all()):
                return f"what passes '{self.hook}' does not change the outputs of heads that attend to it alone"
        elif self.is_value:
            middle = (z[MORE] + z[LESS]) / 2
            if not bool(((middle - z[CLEAN]).abs() <= eps * (z[MORE].abs() + z[LESS].abs() + scale[:, None])).all()):
                return f"the outputs of heads are not linear in what passes '{self.hook}'"
        elif causal:
            at_first = z[self.first_row : self.first_row + n_rows, 0]
            before = z[CLEAN, 0]
            times = (at_first * before).sum(-1, keepdim=True) / before.square().sum(-1, keepdim=True).clamp_min(1e-300)
            if not bool(((at_first - times * before).abs() <= eps * scale[:, None]).all()):
                return f"what passes '{self.hook}' does more than choose what heads attend to"
        return None

    def _idle(self, clean: torch.Tensor, eps: float) -> torch.Tensor:
        """Of each head, whether what it attends to can make no difference; ``clean`` is ``[pos, head, width]``."""
        import torch

        if self.is_value:
            return torch.zeros(self.n_heads, dtype=torch.bool, device=clean.device)
        idle = (clean - clean[:1]).abs().amax((0, 2)) <= eps * clean.abs().amax((0, 2))
        other = self.facing
        if other is not None and self.n_heads % other.n_units == 0:
            alike = (other.clean == other.clean[:1]).flatten(2).all(2).all(0)
            idle |= alike.to(idle.device).repeat_interleave(self.n_heads // other.n_units)
        return idle


def is_causal(outputs: torch.Tensor) -> bool:
    """Whether a value at the last position left what heads give at the first one as it was."""
    first = outputs[:, 0].double()
    return bool((first[LATE] - first[CLEAN]).abs().max() <= _resolution(outputs) * first[CLEAN].abs().max())


def _resolution(outputs: torch.Tensor) -> float:
    """Relative differences up to this may be rounding: many digits of float32, few of a half-precision number."""
    eps = rounding(outputs)
    return eps * (256 if eps < 1e-6 else 4)

"""One layer in a trial pass: what is changed in which row, and what plain PyTorch hooks see of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LENGTH = 4
"""Tokens of a row: enough for a query to choose among, and no number that sizes of models often are."""

CLEAN, OUTPUTS, OTHER_ATTENTION, OTHER_MLP, OTHER_ENTRY, HEADS, NEURONS, MORE, LESS = range(9)
"""Rows of a trial. In four of them attention and the MLP write fixed random numbers: the same ones in ``OUTPUTS`` and
``OTHER_ENTRY``, where the residual stream comes in changed, others in ``OTHER_ATTENTION`` and ``OTHER_MLP``."""
STREAM, LATE = HEADS, NEURONS
"""Rows that serve another claim as well: what enters a layer is put back before it is read, and what values do is not
looked at where neurons are."""
CODES = 9
"""The first of the rows in which some queries, keys or values are changed."""


@dataclass
class Seen:
    """What passes one layer, by rows; every row is given the residual stream of the first.

    ``arrived`` and ``entry`` are the stream before and after that, ``[rows, pos, d_model]``. ``read`` is what each of
    the layer's modules was given, in order, ``[rows, pos, numbers]``, ``gave`` what each gave (by ``id``), and ``left``
    what the layer did.
    ``passed`` are the claims (their ``id``) whose hook something passed.
    """

    n_rows: int
    generator: torch.Generator
    passed: set[int] = field(default_factory=set)
    arrived: torch.Tensor | None = None
    entry: torch.Tensor | None = None
    change: torch.Tensor | None = None
    read: list[tuple[Any, torch.Tensor]] = field(default_factory=list)
    gave: dict[int, torch.Tensor] = field(default_factory=dict)
    left: torch.Tensor | None = None

    def random(self, like: torch.Tensor) -> torch.Tensor:
        """Standard normal numbers of that shape."""
        import torch

        return torch.randn(like.shape, generator=self.generator).to(like)

    def by_token(self, value: Any) -> torch.Tensor | None:
        """A tensor as ``[rows, pos, numbers]``; None if it is nothing of the kind."""
        import torch

        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or not value.numel():
            return None
        flat = value.ndim == 2 and len(value) == self.n_rows * LENGTH
        if not flat and tuple(value.shape[:2]) != (self.n_rows, LENGTH):
            return None
        return value.detach().reshape(self.n_rows, LENGTH, -1)


def size(x: torch.Tensor) -> float:
    """Root mean square of the numbers ``[pos, …]`` of a usual token: some models have huge ones at the first."""
    rows = x.detach().double().reshape(len(x), -1)
    return float(rows.square().mean(-1).sqrt().median()) if x.numel() else 0.0


def rounding(*numbers: torch.Tensor) -> float:
    """The rounding of these numbers, or of float32: models have parts that are computed in it whatever their dtype."""
    import torch

    return max(torch.finfo(dtype).eps for dtype in (torch.float32, *(each.dtype for each in numbers)))


def same(x: torch.Tensor, y: torch.Tensor, *sizes: torch.Tensor) -> bool:
    """Whether two tensors differ by no more than rounding does to numbers of these sizes, number by number."""
    about = x.abs() + y.abs()
    for each in sizes:
        about = about + each.abs()
    return bool(((x - y).abs() <= 8 * rounding(x, y, *sizes) * about + 1e-30).all())

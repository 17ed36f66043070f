"""How far two ways to compute the same logits may be apart: by rounding, and by no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Beside the largest logit. Both ways do the same operations; the order of sums within products differs. A part that was
# misread shows as a difference of order one. Shares of half precision are for where float32 can't be asked.
_FLOAT32 = 1e-4
_SHARES = {"torch.float64": 1e-10, "torch.float32": _FLOAT32, "torch.bfloat16": 5e-2, "torch.float16": 1e-2}
# In half precision each way's error is measured beside float32, and one is compared with the other: of models with
# random weights, 2 to 32 layers deep, the larger was up to 2.2 times the smaller.
_TIMES = 4.0
# Below so many units of the dtype's rounding there is nothing to compare: one unit is the rounding of the logits alone.
_UNITS = 2.0
# A model that amplifies rounding in half precision does so in float32, from a smaller unit: two ways in float32 may be
# so many times further apart than the error in half precision says.
_AMPLIFIED = 64.0


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest number expected; infinite where one has no number.

    Infinities that both have are no difference.
    """
    import torch

    found, expected = found.to(expected), expected.detach()
    gap = torch.where(found == expected, 0, found - expected).abs().max()
    size = torch.where(expected.isfinite(), expected, 0).abs().max().clamp_min(1e-30)
    share = float(gap / size)
    return share if share == share else float("inf")


def differ(found: torch.Tensor, expected: torch.Tensor) -> str | None:
    """None if two ways in one dtype give the same logits but for rounding, else by how much they differ."""
    share = apart(found, expected)
    return None if share <= _SHARES.get(str(expected.dtype), _FLOAT32) else f"relative difference {share:.1e}"


def differ_in_half(
    found: torch.Tensor, plain: torch.Tensor, found_exactly: torch.Tensor, exact: torch.Tensor
) -> str | None:
    """None if two ways are the same but for rounding in half precision, else what is wrong.

    How much half precision rounds off depends on the model: its depth, its width, how it amplifies small differences.
    So both ways are run in float32 too, where they must agree; and in half precision the one must be about as near to
    that as the plain one is.

    Args:
        found: logits ``[masks, ...]`` in half precision, by the way in question.
        plain: the same, by the plain way.
        found_exactly: the same in float32, by the way in question.
        exact: the same in float32, by the plain way.
    """
    import torch

    size, mine, its, read = (
        part.flatten(1).float().square().mean(1).sqrt()
        for part in (exact, found.to(exact) - exact, plain.to(exact) - exact, found_exactly - exact)
    )
    if not bool(torch.isfinite(size + mine + its + read).all()):
        return "numbers that are not finite"
    size, its = size.clamp_min(1e-30), torch.maximum(its, its.square().mean().sqrt())  # the error of one mask is a draw
    unit = torch.finfo(plain.dtype).eps
    amplified = (its / size).clamp_max(1) / unit
    limit = (_AMPLIFIED * torch.finfo(torch.float32).eps * amplified).clamp_min(_FLOAT32)
    if bool((read > limit * size).any()):
        return f"relative difference {float((read / size).max()):.1e} in float32"
    wrong = mine > _TIMES * its + _UNITS * unit * size
    if not bool(wrong.any()):
        return None
    worst = int((mine / size * wrong).argmax())
    own, usual = float(mine[worst] / size[worst]), float(its[worst] / size[worst])
    return f"relative errors of {own:.1e}, where plain hooks have {usual:.1e}"

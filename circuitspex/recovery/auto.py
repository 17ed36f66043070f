"""The stack: every decoder that applies, combined by what each predicts out of fold."""

from __future__ import annotations

from circuitspex.recovery.data import Fitted, Samples
from circuitspex.recovery.gradspex import fit_gradspex
from circuitspex.recovery.learned import fit_learned
from circuitspex.recovery.linear import fit_linear
from circuitspex.recovery.proxyspex import fit_proxyspex
from circuitspex.recovery.pursuit import fit_pursuit
from circuitspex.recovery.score import r_squared
from circuitspex.recovery.screen import Screen
from circuitspex.recovery.stack import clearly_better, stack

# Where the decoders with gradients explain so much more than those without, the slower ones of these are not tried.
_CLEAR_LEAD = 0.05


def fit_plain(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """LASSO, trees, the Gaussian process and pursuit, on values alone."""
    linear = fit_linear(samples)
    if max_order == 1:
        return linear
    trees = fit_proxyspex(samples, max_order=max_order)
    return stack(
        [
            linear,
            trees,
            fit_learned(samples, trees, max_order=max_order),
            fit_pursuit(samples, max_order=max_order),
        ],
        samples.values,
    )


def fit_with_gradients(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """GradSPEX: the Gaussian process on values and slopes, stacked with decoders that never saw a slope.

    The stack with slopes is taken only where it is clearly better out of fold than the stack without: slopes must not
    make a result worse. Without any slopes but zero: the stack without.
    """
    if samples.slopes is None or not samples.slopes.any():
        return fit_plain(samples, max_order=max_order)
    screen = Screen.of(samples)
    part = screen.samples
    linear = fit_linear(part)
    quick = [linear] if max_order == 1 else [linear, fit_proxyspex(part, max_order=max_order)]
    slopes = fit_gradspex(part, max_order=max_order)
    with_slopes = stack([slopes, *quick], part.values)
    plain = stack(quick, part.values)
    lead = (r_squared(part.values, with_slopes.out_of_fold) or 0) - (r_squared(part.values, plain.out_of_fold) or 0)
    if max_order != 1 and not (lead > _CLEAR_LEAD and clearly_better(with_slopes, plain, part.values)):
        slower = [fit_learned(part, quick[1], max_order=max_order), fit_pursuit(part, max_order=max_order)]
        with_slopes = stack([slopes, *quick, *slower], part.values)
        plain = stack([*quick, *slower], part.values)
    chosen = with_slopes if clearly_better(with_slopes, plain, part.values) else plain
    return screen.whole(chosen)

"""The statistics that results rest on: intervals of means, resampling, and the false discovery rate.

What is measured is crossed: the same masks (or contexts) on the same prompts. Both are samples, so a number ``(C, P)``
varies with its row and with its column, and intervals say what to expect in other contexts *and* on other prompts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf, isfinite
from typing import Any

import numpy as np
from scipy import special

from circuitspex.errors import UserError
from circuitspex.scale import power_of_two
from circuitspex.typing import FloatArray, IntArray

# The quantiles between which the middle 95 % lies.
_ENDS = (0.025, 0.975)

RATE = 0.05
"""The false discovery rate up to which something is a discovery, unless another is asked for."""

SMALLEST_SHARE = 0.2
"""The smallest effect of interest, as a share of the effect that it is held against.

An effect that is certain to be smaller than this counts as none beside the other: a fifth of what a component does with
another is what it does without it, or a fifth of what it did before is what it does now. Smaller shares ask for more
contexts and prompts than a search runs; larger ones would call half an effect nothing.
"""


@dataclass(frozen=True)
class Estimate:
    """A measured number and the ends of its interval (95 % unless said otherwise)."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0

    def __format__(self, spec: str) -> str:
        spec = "+z" + (spec or ".3f").removeprefix("z")  # z: no sign where it rounds to -0
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def moments(numbers: FloatArray) -> tuple[float, float, float]:
    """The mean of ``(C, P)`` numbers over contexts and prompts, its standard error, and the degrees of freedom of that.

    The number of a context and a prompt is taken as the sum of an effect of the context, one of the prompt, and noise
    of the cell, the two-way random-effects model of Searle, Casella and McCulloch ('Variance Components', 1992, §4.3).
    The variance of the mean is then that of the means over contexts, plus that of the means over prompts, minus that of
    the noise, which both hold. A margin that is not told from noise by an F test at the level of 25 % is pooled with it
    (Bancroft, 'Analysis and inference for incompletely specified models', 1964: a milder test than the usual, because
    too small a variance is worse than too large a one). The degrees of freedom are Satterthwaite's
    (1946). With one prompt only contexts count, with one context only prompts. Numbers that do not vary have an error
    of 0, and then one degree of freedom.

    Raises:
        UserError: one context and one prompt; nothing shows how much the number varies.
    """
    if numbers.size < 2:
        raise UserError("an interval needs at least two contexts or two prompts")
    unit = power_of_two(numbers)  # no square overflows, or vanishes
    numbers = numbers / unit
    mean, by_context, by_prompt = float(numbers.mean()), numbers.mean(1), numbers.mean(0)
    margins = [
        (float(each.var(ddof=1)) / len(each), len(each) - 1) for each in (by_context, by_prompt) if len(each) > 1
    ]
    parts = margins
    if len(margins) == 2:
        rest = numbers - by_context[:, None] - by_prompt + mean
        free = (len(by_context) - 1) * (len(by_prompt) - 1)
        noise = float((rest**2).sum()) / free / numbers.size
        is_real = [variance > noise * _least_ratio(each, free) for variance, each in margins]
        real = [margin for margin, told in zip(margins, is_real, strict=True) if told]
        same = [(noise, free), *(margin for margin, told in zip(margins, is_real, strict=True) if not told)]
        pooled_free = sum(each for _, each in same)
        pooled = sum(variance * each for variance, each in same) / pooled_free
        # Both margins hold the noise: it is taken out once. One alone holds it as it should. None: there is only noise.
        parts = real if len(real) == 1 else [*real, (-pooled if real else pooled, pooled_free)]
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return mean * unit, 0.0, 1.0
    return mean * unit, variance**0.5 * unit, variance**2 / sum(part**2 / free for part, free in parts)


@functools.cache
def _least_ratio(free: int, free_of_noise: int) -> float:
    """How many times the noise's variance a margin's must be to count as more than noise; at least 1."""
    return max(1.0, float(special.fdtri(free, free_of_noise, 0.75)))


def half_width(error: float, freedom: float, confidence: float = 0.95) -> float:
    """Half the width of Student's t interval of a mean with this standard error."""
    return 0.0 if error == 0 else float(special.stdtrit(freedom, 0.5 + confidence / 2)) * error


def t_interval(mean: float, error: float, freedom: float, confidence: float = 0.95) -> Estimate:
    """A mean with Student's t interval, from what ``moments`` gives."""
    half = half_width(error, freedom, confidence)
    return Estimate(mean, mean - half, mean + half)


def _beyond(t: float, freedom: float) -> float:
    """How likely Student's t is above this."""
    return float(special.stdtr(freedom, -t))


def estimate(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """The mean of ``(C, P)`` numbers with its t interval for both contexts and prompts being samples; see ``moments``.

    Raises:
        UserError: one context and one prompt; nothing shows how much the number varies.
    """
    return t_interval(*moments(differences), confidence)


def over_prompts(values: FloatArray, *, one_prompt: float = inf) -> Estimate:
    """The mean of values ``(P,)`` with its t interval over prompts.

    A single prompt does not show how much prompts differ: its interval is ``one_prompt`` wide to either side, infinite
    unless the prompt is all that the number is about (0).
    """
    if len(values) < 2:
        mean = float(values[0])
        return Estimate(mean, mean - one_prompt, mean + one_prompt)
    return estimate(values[None, :])


def p_value(mean: float, error: float, freedom: float, *, least: float = 0.0, sign: float = 0.0) -> float:
    """Student's t test: how likely a mean so far from zero would be if the truth were within ``least`` of it.

    With ``least`` above 0 it is a minimum-effect test (Murphy and Myors 1999): the truth that makes the mean most
    likely is ``least`` itself, on either side, and both tails count around it. With a ``sign``, a mean of the other
    sign counts as nothing, and only the tail on that side.
    """
    size = mean * np.sign(sign) if sign else abs(mean)
    if error == 0:
        return 0.0 if size > least else 1.0
    tail = _beyond((size - least) / error, freedom)
    return tail if sign else min(1.0, tail + _beyond((size + least) / error, freedom))


def equivalence_p_value(mean: float, error: float, freedom: float, margin: float) -> float:
    """Two one-sided t tests (TOST, Schuirmann 1987): how likely a mean so near zero is if the truth is ``margin`` off.

    ``mean``, ``error`` and ``freedom`` are what ``moments`` gives. It is the larger p value of the two tests, that the
    truth is below ``margin`` and above ``-margin``. A mean outside the margin has 0.5 or more.
    """
    if error == 0:
        return 0.0 if abs(mean) <= margin else 1.0
    return _beyond((margin - abs(mean)) / error, freedom)


def equivalent(mean: float, error: float, freedom: float, margin: float, *, level: float = 0.05) -> bool:
    """Whether a mean is certain, at this level, to lie within ``margin`` of zero: ``equivalence_p_value``.

    The same as that its interval of confidence ``1 - 2 level`` (90 % by default) lies within the margin. Where the
    margin is a share of another measured effect, that one is uncertain too: ``small_beside``.
    """
    return equivalence_p_value(mean, error, freedom, margin) <= level


def small_beside(
    effect: FloatArray,
    other: FloatArray,
    *,
    share: float = SMALLEST_SHARE,
    level: float = 0.05,
    of: Callable[[FloatArray], tuple[float, float, float]] = moments,
) -> bool:
    """Whether the mean effect is certain, at this level, to be less than a share of another's size; both ``(C, P)``.

    The equivalence test of a ratio (Sasabuchi 1988; Hauschke et al. 1999): ``|e| < s |r|`` where ``e - s r`` and
    ``e + s r`` have opposite signs, the second that of ``r``. Each of the two is a mean of numbers measured in the same
    contexts on the same prompts, so nothing is assumed about how effect and other vary together. ``of`` gives the mean,
    its error and degrees of freedom of such numbers.

    Raises:
        UserError: as in ``moments``.
    """
    sign = float(np.sign(other.mean())) or 1.0
    below, above = of(effect - share * other), of(effect + share * other)
    return max(p_value(*below, sign=-sign), p_value(*above, sign=sign)) <= level


def q_values(p_values: Sequence[float]) -> list[float]:
    """For each p value the smallest false discovery rate at which it is a discovery.

    Benjamini and Hochberg's step-up rule, 'Controlling the false discovery rate', 1995.

    Raises:
        UserError: a number that is no p value.
    """
    if not len(p_values):
        return []
    if not all(isfinite(p) and 0 <= p <= 1 for p in p_values):
        raise UserError("p values must lie between 0 and 1")
    from scipy.stats import false_discovery_control  # here: all distributions of scipy.stats take long to import

    return [float(q) for q in false_discovery_control(np.asarray(p_values, dtype=np.float64))]


def selected_confidence(n_selected: int, n_tested: int, rate: float = RATE) -> float:
    """The confidence that intervals of the selected need, so that of those shown a share of ``rate`` is wrong.

    Benjamini and Yekutieli ('False discovery rate-adjusted multiple confidence intervals for selected parameters',
    2005): of what was selected because it was large, the usual intervals miss the truth more often than they say. Each
    of R that were selected from m is given a ``1 - R rate / m`` interval, and the expected share of wrong ones among
    those shown (the false coverage rate) is at most ``rate``.
    """
    return 1 - rate * max(1, n_selected) / max(1, n_tested, n_selected)


def bootstrap_rows(n_rows: int, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """Row numbers drawn with replacement, ``(n_resamples, n_rows)``: the bootstrap (Efron 1979)."""
    return rng.integers(0, n_rows, (n_resamples, n_rows))


def pigeonhole_draws(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[tuple[IntArray, IntArray]]:
    """Row numbers ``(C,)`` and column numbers ``(P,)`` of one resample of ``(C, P)`` after another, without end.

    Rows and columns are drawn with replacement, independently: Owen's pigeonhole bootstrap for crossed data (2007).
    """
    n_rows, n_columns = shape
    while True:
        yield rng.integers(0, n_rows, n_rows), rng.integers(0, n_columns, n_columns)


def quantile_interval(value: float, draws: Any) -> Estimate:
    """A number with the 95 % percentile interval of its resamples, widened where needed so that it holds the number.

    Resamples that are not finite (a share of nothing) are left out; without any other the interval has no width.
    """
    draws = np.asarray(draws, dtype=np.float64)
    finite = draws[np.isfinite(draws)]
    if len(finite) == 0:
        return Estimate(value, value, value)
    low, high = np.quantile(finite, _ENDS)
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def ratio_of_means(part: FloatArray, whole: FloatArray, *, seed: int, n_resamples: int = 2000) -> Estimate:
    """The mean of one over the mean of the other, ``(C, P)`` each, with its pigeonhole bootstrap interval.

    Where the mean of the whole is 0, the ratio is given as 0; resamples in which it is 0 are left out.
    """
    units = power_of_two(part), power_of_two(whole)
    part, whole = part / units[0], whole / units[1]
    draws = []
    for rows, columns in islice(pigeonhole_draws(whole.shape, np.random.default_rng(seed)), n_resamples):
        total = whole[np.ix_(rows, columns)].mean()
        if total != 0:
            draws.append(part[np.ix_(rows, columns)].mean() / total)
    ratio = units[0] / units[1]
    found = float(part.mean() / whole.mean()) if whole.mean() != 0 else 0.0
    return quantile_interval(found * ratio, np.asarray(draws) * ratio)


def ratio_over_prompts(part: FloatArray, whole: FloatArray) -> Estimate:
    """The mean of one over the mean of the other, ``(P,)`` each on the same prompts, with its 95 % interval over them.

    Fieller's interval ('Some problems in interval estimation', 1954): the ratios r for which the mean of
    ``part - r whole`` is not told from 0 by Student's t test. With few prompts the bootstrap of a ratio is too narrow.
    It is infinite where the mean of the whole is itself not told from 0, or where there is only one prompt.

    Raises:
        UserError: the mean of the whole is 0, so there is no ratio.
    """
    top, bottom = float(part.mean()), float(whole.mean())
    if bottom == 0:
        raise UserError("a share of nothing is undefined: the whole is 0")
    value, n = top / bottom, len(part)
    if n < 2:
        return Estimate(value, -inf, inf)
    covariance = np.cov(part / bottom, whole / bottom) * (float(special.stdtrit(n - 1, _ENDS[1])) ** 2 / n)
    square, product, constant = 1 - covariance[1, 1], value - covariance[0, 1], value**2 - covariance[0, 0]
    if square <= 0:
        return Estimate(value, -inf, inf)
    root = max(0.0, float(product**2 - square * constant)) ** 0.5
    return Estimate(value, min(value, float((product - root) / square)), max(value, float((product + root) / square)))


def mean_and_range(values: Any) -> Estimate:
    """The mean of some numbers, and the range of the middle 95 % of them, which is no interval of the mean."""
    low, high = np.quantile(values, _ENDS)
    unit = power_of_two(values)
    return Estimate(float(np.mean(np.asarray(values) / unit)) * unit, float(low), float(high))


def jackknife_errors(draws: FloatArray) -> FloatArray:
    """Standard errors ``(T,)`` of numbers fitted without each of F groups of the data in turn, ``(F, T)``.

    The delete-a-group jackknife (Kott 2001), ``se² = (F - 1)/F sum_f (c_f - mean c)²``.
    """
    n_groups, unit = len(draws), power_of_two(draws)
    draws = draws / unit
    return np.asarray(np.sqrt((n_groups - 1) / n_groups * ((draws - draws.mean(0)) ** 2).sum(0))) * unit

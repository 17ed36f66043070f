"""Faithfulness over the size of a circuit, and the two areas under it that MIB ranks methods by.

MIB's circuit-localization track (Mueller et al., 'MIB: A Mechanistic Interpretability Benchmark', 2025): with the
metric ``m`` and a circuit of the k highest-ranked components,

    f(k) = (m(C_k) - m(empty)) / (m(full) - m(empty))

at 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50 and 100 % of the components, k rounded down. CPR is the area under f, CMD the area
under |1 - f|, both by the trapezoidal rule over the share from 0.001 to 1: so a circuit that is as good as the model
everywhere has a CPR of 0.999 and a CMD of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuitspex.errors import UserError
from circuitspex.statistics import Estimate, bootstrap_rows, quantile_interval, ratio_over_prompts
from circuitspex.typing import FloatArray

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_RESAMPLES = 1000


@dataclass(frozen=True)
class Curve:
    """Faithfulness over size, of one way to choose circuits.

    ``sizes`` are the numbers of components at MIB's ten shares, ``values`` f at each, with intervals over prompts.
    ``cpr`` and ``cmd`` are the areas.
    """

    name: str
    sizes: tuple[int, ...]
    values: tuple[Estimate, ...]
    cpr: Estimate
    cmd: Estimate

    @property
    def distinct(self) -> tuple[int, ...]:
        """The sizes that differ: with few components the smallest shares round to the same number."""
        return tuple(dict.fromkeys(self.sizes))


def sizes_of(n_players: int) -> tuple[int, ...]:
    """How many components MIB's ten shares are, rounded down as there."""
    if n_players < 1:
        raise UserError(f"there must be at least one component, not {n_players}")
    return tuple(int(share * n_players) for share in SHARES)


def area(values: FloatArray) -> FloatArray:
    """The area under values at the ten shares, along the last axis."""
    widths = np.diff(np.array(SHARES))
    return np.asarray(((values[..., 1:] + values[..., :-1]) / 2 * widths).sum(-1))


def faithfulness(metric: FloatArray, full: FloatArray, empty: FloatArray) -> FloatArray:
    """f from the metric by prompt: ``(..., P)`` of the circuits, ``(P,)`` of the whole and of the empty model.

    The means over prompts are divided, as MIB does. Prompts are along the last axis, which is gone afterwards.
    """
    top, span = metric.mean(-1) - empty.mean(-1), full.mean(-1) - empty.mean(-1)
    return np.asarray(top / span)


def share_of(metric: FloatArray, full: FloatArray, empty: FloatArray) -> Estimate | None:
    """f of one circuit with its 95 % interval over prompts, from the metric by prompt ``(P,)``; None where undefined.

    What ``find_circuit`` and ``examine`` call the share of the behaviour that a circuit keeps, or that is left without
    it. The interval is Fieller's (``statistics.ratio_over_prompts``).
    """
    whole = full - empty
    return None if not whole.mean() else ratio_over_prompts(metric - empty, whole)


def curves(
    metric: dict[str, FloatArray], full: FloatArray, empty: FloatArray, sizes: Sequence[int], *, seed: int = 0
) -> tuple[dict[str, Curve], Resampled]:
    """A curve for each way of choosing, from the metric of its circuits.

    Args:
        metric: by name, ``(10, P)``: the metric of each prompt with only the circuit of each size kept.
        full: ``(P,)``, nothing ablated.
        empty: ``(P,)``, everything ablated.
        sizes: the ten sizes.
        seed: of the bootstrap over prompts.

    Returns:
        The curves, and the bootstrap draws of the areas, for differences between curves on the same prompts.

    Raises:
        UserError: the whole model is no better than the empty one, so that shares of the difference mean nothing.
    """
    n_prompts = len(full)
    if not full.mean() != empty.mean():
        raise UserError("the metric is the same with everything ablated: the faithfulness of circuits is undefined")
    draws = bootstrap_rows(n_prompts, _RESAMPLES, np.random.default_rng(seed))
    out, areas = {}, {}
    for name, values in metric.items():
        f = faithfulness(values, full, empty)
        many = np.stack([faithfulness(values[:, draw], full[draw], empty[draw]) for draw in draws])  # (B, 10)
        cpr, cmd = area(many), area(np.abs(1 - many))
        areas[name] = (cpr, cmd)
        out[name] = Curve(
            name,
            tuple(sizes),
            tuple(quantile_interval(float(f[i]), many[:, i]) for i in range(len(sizes))),
            quantile_interval(float(area(f)), cpr),
            quantile_interval(float(area(np.abs(1 - f))), cmd),
        )
    return out, Resampled(areas)


@dataclass(frozen=True)
class Resampled:
    """Areas on resampled prompts, by curve: what the intervals of differences are made of."""

    areas: dict[str, tuple[FloatArray, FloatArray]]

    def cpr_gain(self, curves: dict[str, Curve], one: str, other: str) -> Estimate:
        """How much higher the CPR of one is, with its interval over prompts."""
        return quantile_interval(
            curves[one].cpr.value - curves[other].cpr.value, self.areas[one][0] - self.areas[other][0]
        )

    def cmd_gain(self, curves: dict[str, Curve], one: str, other: str) -> Estimate:
        """How much lower the CMD of one is, with its interval over prompts."""
        return quantile_interval(
            curves[other].cmd.value - curves[one].cmd.value, self.areas[other][1] - self.areas[one][1]
        )

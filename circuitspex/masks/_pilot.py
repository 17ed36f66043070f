"""A pilot: a few masks at each of several shares kept, to pick the share at which there is something to explain.

With too few components kept the behaviour is dead: the value stays near the all-ablated one. With too many kept nothing
varies. In between, the smaller share says more about interactions, because more components are ablated together. So
the pilot goes from the smallest share up, and takes the first at which

- the behaviour is alive: the mean value is at least ``ALIVE`` of the way from the all-ablated value to the unablated;
- it varies: the standard deviation over masks is at least ``VARIES`` of that way;
- it can be explained (with gradients only): main effects and pairs account for at least ``EXPLAINED`` of the
  differences between masks. For a function of pairs the difference between two masks is exactly half the sum of the
  two gradients times the difference of the masks (the trapezoid rule), so no fit is needed to know.

Among many thousands of components (neurons) interactions are too many to be found, so there main effects alone have to
explain: ``MAIN_EFFECTS`` of the variance over masks. The mean gradient is an unbiased estimate of them, and how well it
predicts each mask, estimated from the others, says without a fit what share they make up. The more components are kept,
the larger that share; a mask then moves the value less, so ``VARIES_WIDE`` is enough.

Larger shares are then not run. Where no share passes, the one that varies most is taken (of many thousands of
components: the one that main effects explain best), among those that are alive if there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.checks import check_finite
from circuitspex.errors import UserError
from circuitspex.half_precision import HALF_FROM
from circuitspex.masks.sample import check_keep, sample_masks
from circuitspex.typing import FloatArray, Game, Gradients, Masks, Values

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
ALIVE = 0.25
VARIES = 0.1
EXPLAINED = 0.5
MAIN_EFFECTS = 0.8
VARIES_WIDE = 0.03

# Below this share of the values' own size a difference is rounding noise.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PilotRow:
    """What the masks of one share showed.

    ``mean`` is how far the mean value is on the way from all ablated (0) to unablated (1), ``spread`` the standard
    deviation over masks in units of that way; ``explained`` the R² of main effects and pairs and ``main_effects`` the
    share of the variance that main effects make up, None without gradients; ``wide`` whether the components are many
    thousands. Where the two ends of the way coincide, ``mean`` is None and ``spread`` is in units of the value.
    """

    keep: float
    mean: float | None
    spread: float
    explained: float | None
    n_masks: int
    main_effects: float | None = None
    wide: bool = False

    @property
    def alive(self) -> bool:
        """Whether enough of the behaviour is left."""
        return self.mean is not None and self.mean >= ALIVE

    @property
    def verdict(self) -> str:
        """'usable', or the first thing that is wrong with this share."""
        if self.mean is None:
            return "ends coincide"
        if not self.alive:
            return "dead"
        by_main_effects = self.wide and self.main_effects is not None
        if self.spread < (VARIES_WIDE if by_main_effects else VARIES):
            return "hardly varies"
        if by_main_effects:
            assert self.main_effects is not None
            return "usable" if self.main_effects >= MAIN_EFFECTS else "main effects explain too little"
        if self.explained is not None and self.explained < EXPLAINED:
            return "not explained by pairs"
        return "usable"


@dataclass(frozen=True, repr=False)
class Pilot:
    """The share of components to keep, the shares that were tried, and why this one.

    ``keep`` is the choice; ``rows`` has one row per share, in the order in which they were run; ``reason`` is one
    sentence; ``empty`` and ``full`` are the values with everything and with nothing ablated; ``n_ablations`` is what
    the pilot cost, these two included.
    """

    keep: float
    rows: tuple[PilotRow, ...]
    reason: str
    empty: float
    full: float
    n_ablations: int

    def __repr__(self) -> str:
        head = f"{'keep':>5}  {'mean':>6}  {'spread':>6}  {'explained':>9}  {'main effects':>12}  verdict"
        lines = [head]
        for row in self.rows:
            mean = "-" if row.mean is None else f"{row.mean:.2f}"
            explained = "-" if row.explained is None else f"{row.explained:.2f}"
            main = "-" if row.main_effects is None else f"{row.main_effects:.2f}"
            lines.append(f"{row.keep:>5g}  {mean:>6}  {row.spread:>6.2f}  {explained:>9}  {main:>12}  {row.verdict}")
        return "\n".join([*lines, self.reason])


def pilot(
    game: Game,
    *,
    shares: Sequence[float] = SHARES,
    n_masks: int = 24,
    gradients: bool | None = False,
    seed: int = 0,
) -> Pilot:
    """Pick the share of components to keep by a few ablations at each of several shares.

    Args:
        game: anything with ``n_players`` that gives the values ``(K,)`` of masks bool ``(K, n)``, True = kept.
        shares: what to try, from the smallest up; the pilot ends at the first that is usable.
        n_masks: masks for each share.
        gradients: also ask whether main effects and pairs explain the differences, by ``game.evaluate(masks,
            gradients=True)``, whose result has ``values (K,)`` and ``gradients (K, n)``; None is passed on to the game,
            which then gives gradients where it has them.
        seed: of the masks: those of a share are ``sample_masks(n, n_masks, keep=share, seed=seed)``.

    Raises:
        UserError: no shares or one out of range, fewer than 2 masks, gradients of a game that has none, or values that
            are not finite.
    """
    if not shares:
        raise UserError("a pilot needs at least one share to try")
    if n_masks < 2:
        raise UserError(f"n_masks must be at least 2, not {n_masks}")
    for share in shares:
        if not isinstance(check_keep(share), float):
            raise UserError(f"a pilot tries single shares, not the range {share}")
    n = game.n_players
    ends, _ = _evaluate(game, np.array([[False] * n, [True] * n]), gradients)
    empty, full = float(ends[0]), float(ends[1])
    rows: list[PilotRow] = []
    for share in sorted({float(share) for share in shares}):
        masks = sample_masks(n, n_masks, keep=share, seed=seed)
        values, found = _evaluate(game, masks, gradients)
        rows.append(_row(share, masks, values, found, empty, full))
        if rows[-1].verdict == "usable":
            break
    chosen = _choose(rows)
    return Pilot(chosen.keep, tuple(rows), _reason(chosen, rows), empty, full, 2 + n_masks * len(rows))


def explained_by_pairs(masks: Masks, values: Values, gradients: Gradients) -> float | None:
    """R² of the trapezoid rule over all pairs of masks; 1 for a function of main effects and pairs.

    ``f(a) - f(b)`` is predicted by ``(grad f(a) + grad f(b)) / 2 · (a - b)``. None where the values do not vary.
    """
    left, right = np.triu_indices(len(values), 1)
    differences = values[left] - values[right]
    total = float((differences**2).sum())
    if np.abs(differences).max() <= _ROUNDING * max(1e-300, float(np.abs(values).max())):
        return None
    kept = masks.astype(np.float64)
    # (g_a + g_b)·(a - b) from the (K, K) products, so that no array of all pairs by all components is made.
    along: FloatArray = gradients @ kept.T
    own = np.diag(along)
    predicted = (own[:, None] - along + along.T - own[None, :])[left, right] / 2
    return float(1 - ((differences - predicted) ** 2).sum() / total)


def main_effects_share(masks: Masks, values: Values, gradients: Gradients) -> float | None:
    """The share of the variance over masks that main effects make up; None where the values do not vary.

    Each value is predicted by the mean gradient of the *other* masks; what the noise of that mean adds to the error is
    known from how gradients vary, and taken off. At most 1, and below 0 where gradients say nothing.
    """
    n_masks = len(values)
    if n_masks < 3 or np.ptp(values) <= _ROUNDING * max(1e-300, float(np.abs(values).max())):
        return None
    kept = masks.astype(np.float64) - float(masks.mean())
    along: FloatArray = kept @ gradients.T  # (mask, gradient of mask)
    predicted = (along.sum(1) - np.diag(along)) / (n_masks - 1)
    others = (values.sum() - values) / (n_masks - 1)
    share = float(masks.mean())
    noise = share * (1 - share) * float(gradients.var(0, ddof=1).sum()) / (n_masks - 1)
    missed = float(((values - others - predicted) ** 2).mean()) - noise
    return min(1.0, 1 - missed / float(((values - others) ** 2).mean()))


def _evaluate(game: Any, masks: Masks, gradients: bool | None) -> tuple[Values, Gradients | None]:
    if gradients is False:
        return check_finite(game(masks), (len(masks),), "values"), None
    if not hasattr(game, "evaluate"):
        raise UserError("this game has no evaluate(masks, gradients=True); use gradients=False")
    run = game.evaluate(masks, gradients=gradients)
    values = check_finite(run.values, (len(masks),), "values")
    return values, None if run.gradients is None else check_finite(run.gradients, masks.shape, "gradients")


def _row(keep: float, masks: Masks, values: Values, gradients: Gradients | None, empty: float, full: float) -> PilotRow:
    spread = float(values.std(ddof=1))
    explained = None if gradients is None else explained_by_pairs(masks, values, gradients)
    main = None if gradients is None else main_effects_share(masks, values, gradients)
    wide = masks.shape[1] > HALF_FROM
    way = full - empty
    if abs(way) <= _ROUNDING * max(abs(full), abs(empty)):
        return PilotRow(keep, None, spread, explained, len(values), main, wide)
    mean = (float(values.mean()) - empty) / way
    return PilotRow(keep, mean, spread / abs(way), explained, len(values), main, wide)


def _choose(rows: Sequence[PilotRow]) -> PilotRow:
    if rows[-1].verdict == "usable":
        return rows[-1]
    if not any(row.spread > _ROUNDING for row in rows):
        return min(rows, key=lambda row: abs(row.keep - 0.5))
    alive = [row for row in rows if row.alive] or list(rows)
    explained = [row for row in alive if row.wide and row.main_effects is not None and row.spread >= VARIES_WIDE]
    if explained:
        return max(explained, key=lambda row: row.main_effects or 0.0)
    return max(alive, key=lambda row: row.spread)


def _reason(chosen: PilotRow, rows: Sequence[PilotRow]) -> str:
    start = f"keep {chosen.keep:g}: "
    if chosen.verdict == "usable":
        return start + (
            f"the smallest share tried at which the behaviour is alive ({chosen.mean:.0%} of the way from all ablated "
            f"to unablated) and varies (by {chosen.spread:.0%} of that way)"
            + (f", {chosen.main_effects:.0%} of it by main effects" if chosen.wide and chosen.main_effects else "")
        )
    if not any(row.spread > _ROUNDING for row in rows):
        return start + "the value does not vary at any share tried, so none is better than another"
    if chosen.mean is None:
        return start + "the value is the same with everything and with nothing ablated; here it varies most"
    if not chosen.alive:
        return start + f"no share tried leaves {ALIVE:.0%} of the behaviour; here it varies most"
    most = "main effects explain most" if chosen.wide and chosen.main_effects is not None else "it varies most"
    return start + (
        f"no share tried is usable ({chosen.verdict} here); of those that leave the behaviour alive {most} here"
    )

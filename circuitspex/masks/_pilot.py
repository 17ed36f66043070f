"""A pilot: a few masks at each of several shares kept, to pick the share at which there is something to explain.

With too few components kept the behaviour is dead: the value stays near the all-ablated one. With too many kept nothing
varies. In between, the smaller share says more about interactions, because more components are ablated together. So
the pilot goes from the smallest share up, and takes the first at which

- the behaviour is alive: the mean value is at least ``ALIVE`` of the way from the all-ablated value to the unablated;
- it varies: the standard deviation over masks is at least ``VARIES`` of that way;
- it can be explained (with gradients only): main effects and pairs account for at least ``EXPLAINED`` of the
  differences between masks. For a function of pairs the difference between two masks is exactly half the sum of the
  two gradients times the difference of the masks (the trapezoid rule), so no fit is needed to know.

Larger shares are then not run. Where no share passes, the one that varies most is taken, among those that are alive if
there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.checks import check_finite
from circuitspex.errors import UserError
from circuitspex.masks.sample import check_keep, sample_masks
from circuitspex.typing import FloatArray, Game, Gradients, Masks, Values

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
ALIVE = 0.25
VARIES = 0.1
EXPLAINED = 0.5

# Below this share of the values' own size a difference is rounding noise.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PilotRow:
    """What the masks of one share showed.

    ``mean`` is how far the mean value is on the way from all ablated (0) to unablated (1), ``spread`` the standard
    deviation over masks in units of that way; ``explained`` the R² of main effects and pairs, None without gradients.
    Where the two ends of the way coincide, ``mean`` is None and ``spread`` is in units of the value.
    """

    keep: float
    mean: float | None
    spread: float
    explained: float | None
    n_masks: int

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
        if self.spread < VARIES:
            return "hardly varies"
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
        lines = [f"{'keep':>5}  {'mean':>6}  {'spread':>6}  {'explained':>9}  verdict"]
        for row in self.rows:
            mean = "-" if row.mean is None else f"{row.mean:.2f}"
            explained = "-" if row.explained is None else f"{row.explained:.2f}"
            lines.append(f"{row.keep:>5g}  {mean:>6}  {row.spread:>6.2f}  {explained:>9}  {row.verdict}")
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
    way = full - empty
    if abs(way) <= _ROUNDING * max(abs(full), abs(empty)):
        return PilotRow(keep, None, spread, explained, len(values))
    return PilotRow(keep, (float(values.mean()) - empty) / way, spread / abs(way), explained, len(values))


def _choose(rows: Sequence[PilotRow]) -> PilotRow:
    if rows[-1].verdict == "usable":
        return rows[-1]
    if not any(row.spread > _ROUNDING for row in rows):
        return min(rows, key=lambda row: abs(row.keep - 0.5))
    alive = [row for row in rows if row.alive]
    return max(alive or rows, key=lambda row: row.spread)


def _reason(chosen: PilotRow, rows: Sequence[PilotRow]) -> str:
    start = f"keep {chosen.keep:g}: "
    if chosen.verdict == "usable":
        return start + (
            f"the smallest share tried at which the behaviour is alive ({chosen.mean:.0%} of the way from all ablated "
            f"to unablated) and varies (by {chosen.spread:.0%} of that way)"
        )
    if not any(row.spread > _ROUNDING for row in rows):
        return start + "the value does not vary at any share tried, so none is better than another"
    if chosen.mean is None:
        return start + "the value is the same with everything and with nothing ablated; here it varies most"
    if not chosen.alive:
        return start + f"no share tried leaves {ALIVE:.0%} of the behaviour; here it varies most"
    return start + (
        f"no share tried is usable ({chosen.verdict} here); of those that leave the behaviour alive it varies most here"
    )

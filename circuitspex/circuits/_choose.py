"""Which k components make the best circuit, by the decoded function.

The k components with the largest main effects are not the best k: two that back each other up are wasted on one job.
What is maximised is the decoded function itself, with the chosen components kept and all others ablated.
With ``z_i = 1`` where component i is kept and the function written in ANDs, ``f(z) = sum over S of a_S prod_{i in S}
z_i``, this is a mixed-integer program: ``y_S`` stands for the product, ``y_S <= z_i`` where ``a_S > 0``, and
``y_S >= sum z_i - |S| + 1`` where ``a_S < 0`` (Fortet 1960; Glover and Woolsey 1974).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, eye_array, hstack, vstack

from circuitspex.circuits.found import Found
from circuitspex.errors import UserError
from circuitspex.recovery.bases.polynomial import Polynomial, fourier_to_mobius
from circuitspex.recovery.interactions import Interactions
from circuitspex.scale import power_of_two, whole
from circuitspex.typing import FloatArray, Term

# A choice counts as proved when no other can be better by more than this share of the function's spread.
_GAP = 1e-6
# Beyond so many products the mixed-integer program is not tried: its relaxation alone takes longer than a sweep.
_MOST_PRODUCTS = 20_000


@dataclass(frozen=True)
class Choice:
    """The best circuit found of one size.

    ``members`` are component indices, ``value`` the decoded value with only them kept, ``bound`` what no circuit of
    this size exceeds (infinite where nothing is known), ``proved`` whether the choice is known to be the best, ``how``
    what found it.
    """

    members: Term
    value: float
    bound: float
    proved: bool
    how: Literal["mixed-integer program", "greedy with swaps"]

    @property
    def size(self) -> int:
        """How many components are kept."""
        return len(self.members)

    def __str__(self) -> str:
        known = "proved to be the best" if self.proved else "not proved to be the best"
        return f"{self.size} components, decoded value {self.value:+z.3f}, by {self.how}, {known}"


def choose(
    function: Interactions | Polynomial | Found,
    size: int,
    *,
    n_players: int | None = None,
    time_limit: float = 10.0,
    start: Iterable[int] = (),
) -> Choice:
    """The ``size`` components that keep the decoded function highest when all others are ablated.

    Without the components that work against the behaviour, that can be higher than the whole model's value; ``match``
    looks for the circuits that behave *like* the model instead.

    Greedy with swaps gives a circuit; a mixed-integer program (HiGHS, through SciPy) then improves on it or proves
    that none is better, as far as the time allows.

    Args:
        function: what ``decode`` or ``find_circuit`` gave, or a polynomial together with ``n_players``.
        size: how many components to keep, from 0 to ``n``.
        n_players: the number of components, where ``function`` does not say.
        time_limit: seconds for the mixed-integer program; 0 leaves it out.
        start: a circuit to start the swaps from, besides the greedy one.

    Raises:
        UserError: a size below 0 or above the number of components.
    """
    game = _Ands.of(function, n_players)
    size = _check_size(size, game.n)
    best = game.swapped(game.filled([], size), size)
    for other in (game.shrunk(size), list(start)[:size]):
        tried = game.swapped(game.filled(other, size), size)
        if game.value(tried) > game.value(best) + 1e-12:
            best = tried
    greedy = Choice(tuple(sorted(best)), game.value(best), float("inf"), False, "greedy with swaps")
    if size in (0, game.n):
        greedy = Choice(greedy.members, greedy.value, greedy.value, True, "greedy with swaps")
    elif time_limit > 0 and len(game.coefficients) <= _MOST_PRODUCTS:
        greedy = _program(game, size, time_limit, greedy)
    return game.in_units(greedy)


def match(
    function: Interactions | Polynomial | Found, size: int, *, n_players: int | None = None, start: Iterable[int] = ()
) -> Choice:
    """The ``size`` components with which the decoded value is nearest to that of the whole model.

    By greedy with swaps; ``proved`` where the decoded value is the whole model's to nine digits.

    Raises:
        UserError: a size below 0 or above the number of components.
    """
    game = _Ands.of(function, n_players)
    size = _check_size(size, game.n)
    full = game.value(range(game.n))
    starts = [game.filled([], size), game.shrunk(size), game.filled(list(start)[:size], size)]
    tried = [game.swapped(members, size, full) for members in starts]
    best = min(tried, key=lambda members: abs(game.value(members) - full))
    value = game.value(best)
    same = size in (0, game.n) or abs(value - full) <= 1e-9 * max(1.0, abs(full))
    return game.in_units(Choice(tuple(sorted(best)), value, full, same, "greedy with swaps"))


def choose_curve(
    function: Interactions | Polynomial | Found,
    sizes: Sequence[int],
    *,
    n_players: int | None = None,
    time_limit: float = 0.0,
) -> tuple[Choice, ...]:
    """``choose`` for each of the sizes; each also starts from the circuits of the sizes beside it."""
    found: dict[int, Choice] = {}
    sizes, unit = [whole(size, "size") for size in sizes], _Ands.of(function, n_players).unit
    for order in (sorted(set(sizes)), sorted(set(sizes), reverse=True)):
        start: Term = ()
        for size in order:
            seen = found.get(size)
            if seen is None or not seen.proved:
                limit = time_limit if seen is None else 0.0
                new = choose(function, size, n_players=n_players, time_limit=limit, start=start)
                if seen is None or new.value > seen.value + 1e-12 * unit:
                    bound = new.bound if seen is None else seen.bound
                    found[size] = Choice(new.members, new.value, bound, new.proved, new.how)
            start = found[size].members
    return tuple(found[size] for size in sizes)


def smallest(
    function: Interactions | Polynomial | Found, share: float, *, n_players: int | None = None, time_limit: float = 0.0
) -> Choice | None:
    """The smallest circuit whose decoded value reaches ``share`` of the way from nothing kept to everything kept.

    Found by bisection, as the best value of a size hardly ever falls before the whole model's is reached; None where
    no circuit does.

    Raises:
        UserError: a share that is not positive, or a function that is as high with nothing kept as with everything.
    """
    if not share > 0:
        raise UserError(f"the share of the behaviour to keep must be positive, not {share}")
    game = _Ands.of(function, n_players)
    empty, full = game.value([]) * game.unit, game.value(range(game.n)) * game.unit
    if full <= empty:
        raise UserError("by the decoded function, ablating everything does not lower the value: no share can be kept")
    goal = empty + share * (full - empty)
    low, high = 0, game.n  # size low fails, size high may do
    best: Choice | None = None
    while high - low > 1 or best is None:
        middle = (low + high) // 2 if best is not None or high - low > 1 else high
        choice = choose(function, middle, n_players=n_players, time_limit=time_limit)
        if choice.value >= goal - 1e-12 * game.unit:
            best, high = choice, middle
        else:
            low = middle
            if low == high:
                return None
    return best


def _check_size(size: int, n_players: int) -> int:
    size = whole(size, "the size of a circuit")
    if not 0 <= size <= n_players:
        raise UserError(f"a circuit has between 0 and {n_players} components here, not {size}")
    return size


@dataclass(frozen=True)
class _Ands:
    """The function as a sum of ANDs of kept components, ready for moves that add and remove one.

    Its numbers are in units of ``unit``, so that no threshold depends on those of the function.
    """

    n: int
    unit: float
    constant: float
    coefficients: FloatArray
    incidence: csr_array  # (products, n)
    orders: FloatArray

    @classmethod
    def of(cls, function: Interactions | Polynomial | Found, n_players: int | None) -> _Ands:
        if isinstance(function, Found):
            function = function.interactions
        if not isinstance(function, Interactions | Polynomial):
            raise UserError(
                f"a circuit is chosen by the decoded function, found.interactions; not by {type(function).__name__}"
            )
        if isinstance(function, Interactions):
            n, polynomial = function.n_players, function.function
        else:
            polynomial = function
            n = n_players if n_players is not None else 1 + max((t[-1] for t in function.terms if t), default=-1)
        unit = power_of_two(polynomial.coefficients)
        table = fourier_to_mobius({term: value / unit for term, value in polynomial.table().items()})
        constant = table.pop((), 0.0)
        kept = [(term, value) for term, value in table.items() if value != 0]
        rows = np.repeat(np.arange(len(kept)), [len(term) for term, _ in kept])
        columns = np.array([i for term, _ in kept for i in term], dtype=np.int64)
        incidence = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(kept), n)).tocsr()
        coefficients = np.array([value for _, value in kept], dtype=np.float64)
        return cls(
            n, unit, constant, coefficients, incidence, np.array([len(term) for term, _ in kept], dtype=np.float64)
        )

    def in_units(self, choice: Choice) -> Choice:
        """A choice with its numbers in those of the function."""
        return replace(choice, value=choice.value * self.unit, bound=choice.bound * self.unit)

    def value(self, members: Iterable[int]) -> float:
        """The function with only these kept."""
        return self.constant + float(self.coefficients[self._missing(self._on(members)) == 0].sum())

    def gains(self, on: FloatArray) -> FloatArray:
        """What each component adds: by joining where it is out, or by being in where it is in."""
        missing = self._missing(on)
        joining = self.incidence.T @ (self.coefficients * (missing == 1))
        leaving = self.incidence.T @ (self.coefficients * (missing == 0))
        return np.asarray(np.where(on > 0, leaving, joining))

    def filled(self, members: Iterable[int], size: int) -> list[int]:
        """More of the best next components, up to the size."""
        on = self._on(members)
        while on.sum() < size:
            gain = np.where(on > 0, -np.inf, self.gains(on))
            on[int(np.argmax(gain))] = 1
        return [int(i) for i in np.flatnonzero(on)]

    def shrunk(self, size: int) -> list[int]:
        """From everything, without the component that is missed least each time."""
        on = np.ones(self.n)
        while on.sum() > size:
            on[int(np.argmin(np.where(on > 0, self.gains(on), np.inf)))] = 0
        return [int(i) for i in np.flatnonzero(on)]

    def swapped(self, members: list[int], size: int, target: float = math.inf) -> list[int]:
        """One for another as long as that brings the value nearer to the target: the best exchange each time."""
        on = self._on(members)
        if size in (0, self.n):
            return members
        value = self.value(members)
        for _ in range(20 * size + 100):
            best, move = self._short_of(value, target) - 1e-9, None
            inside = self.gains(on)
            for out in np.flatnonzero(on):
                on[out] = 0
                reached = np.where(on > 0, -np.inf, value - inside[out] + self.gains(on))
                reached[out] = -np.inf
                short = self._short_of(reached, target)
                into = int(np.argmin(short))
                on[out] = 1
                if short[into] < best:
                    best, move = float(short[into]), (int(out), into, float(reached[into]))
            if move is None:
                break
            on[move[0]], on[move[1]], value = 0, 1, move[2]
        return [int(i) for i in np.flatnonzero(on)]

    @staticmethod
    def _short_of(value: Any, target: float) -> Any:
        """How far a value is from the target; without one, the higher the better."""
        return -value if math.isinf(target) else np.abs(value - target)

    def _on(self, members: Iterable[int]) -> FloatArray:
        on = np.zeros(self.n)
        on[list(members)] = 1
        return on

    def _missing(self, on: FloatArray) -> FloatArray:
        return np.asarray(np.round(self.orders - self.incidence @ on))


def _program(game: _Ands, size: int, time_limit: float, greedy: Choice) -> Choice:
    """The mixed-integer program; the better of its circuit and the greedy one, with its bound."""
    single = game.orders == 1
    linear = np.asarray(game.incidence[single].T @ game.coefficients[single])
    products = game.incidence[~single]
    weights, orders = game.coefficients[~single], game.orders[~single]
    n, t = game.n, len(weights)
    row, column = products.nonzero()
    of_component, of_product = eye_array(n, format="csr"), eye_array(t, format="csr")
    # y_S - z_i <= 0 for each member of a set with a positive weight
    wanted, negative = weights[row] > 0, weights < 0
    above = hstack([-of_component[column[wanted]], of_product[row[wanted]]])
    # sum z_i - y_S <= |S| - 1 for each set with a negative weight
    below = hstack([products[negative], -of_product[negative]])
    limits = np.concatenate([np.zeros(above.shape[0]), orders[negative] - 1])
    found = milp(
        -np.concatenate([linear, weights]),
        constraints=[
            LinearConstraint(vstack([above, below]), -np.inf, limits),
            LinearConstraint(np.concatenate([np.ones(n), np.zeros(t)])[None], size, size),
        ],
        integrality=np.concatenate([np.ones(n), np.zeros(t)]),
        bounds=Bounds(0, 1),
        options={"time_limit": time_limit, "mip_rel_gap": 0.0},
    )
    bound = float("inf") if found.mip_dual_bound is None else game.constant - float(found.mip_dual_bound)
    choice = greedy
    if found.x is not None:
        members = game.swapped([int(i) for i in np.flatnonzero(found.x[:n] > 0.5)], size)
        value = game.value(members)
        if len(members) == size and value > greedy.value + 1e-9:
            choice = Choice(tuple(sorted(members)), value, bound, False, "mixed-integer program")
    spread = float(np.abs(game.coefficients).sum()) or 1.0
    proved = bound <= choice.value + _GAP * spread
    return Choice(choice.members, choice.value, max(bound, choice.value), proved, choice.how)

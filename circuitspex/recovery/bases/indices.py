"""Game-theoretic indices of a sparse function of masks, exactly and without visiting the 2^n masks.

All of them are linear in the function, and treat components alike. So the AND of a set T gives each subset S of T a
weight that depends on ``|T|``, ``|S|`` and the order k only, and no other set anything:
``index(S) = sum over T >= S of weight(|T|, |S|, k) mobius(T)``. A component in no term has no effect on the others,
so none of these depends on ``n``. The weights are computed as exact fractions.

With ``D_S(A) = sum over L <= S of (-1)^(|S|-|L|) f(A + L)`` the ``|S|``-fold difference at the context A:

- ``sv``: the Shapley value (Shapley 1953): ``D_i(A)`` averaged over the A before i in a random order.
- ``banzhaf``: the Banzhaf value (Banzhaf 1965): ``D_i(A)`` averaged over all A.
- ``sii``: the Shapley interaction index (Grabisch and Roubens 1999): ``D_S(A)`` averaged over the A before S, where S
  moves as one component in a random order.
- ``bii``: the Banzhaf interaction index (Grabisch and Roubens 1999): ``D_S(A)`` averaged over all A without S.
- ``k-sii``: SII made to add up (n-SII of Bordt and von Luxburg 2023):
  ``sum over R outside S, |R| <= k - |S|, of B_|R| SII(S + R)`` with the Bernoulli numbers B (``B_1 = -1/2``). This is
  also what Lundberg et al. (2020) call SHAP interaction values, at k = 2 and with each pair split in two halves.
- ``stii``: the Shapley-Taylor index (Sundararajan, Dhamdhere and Agarwal 2020): ``D_S(no others)`` below the order k;
  at k, ``D_S(A)`` averaged over the A before the first of S in a random order.
- ``fsii``: Faith-Shap (Tsai, Yeh and Ravikumar 2023): the ANDs of at most k components nearest to f in squared error
  with the Shapley kernel's weight ``1 / (C(n, a) a (n - a))`` on masks that keep a, exact where nothing and where
  everything is kept.
- ``fbii``: Faith-Banzhaf (Hammer and Holzman 1992; Tsai et al. 2023): the same with equal weight on all masks and no
  constraint, which is the sum of parities cut off at order k.

The constant ``()``:

- ``sv``, ``k-sii``, ``stii``, ``fsii``: the value where nothing is kept; the sum over all sets is then the value where
  everything is kept (efficiency).
- ``fbii``: the constant of the fit.
- ``banzhaf``, ``bii``: the mean over all masks. ``sii``: the mean over masks whose share of kept components is itself
  uniform in [0, 1]. These are the definitions at S empty; these three do not add up to the function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import comb, isfinite
from operator import index as as_integer

from circuitspex.errors import UserError
from circuitspex.recovery.bases.polynomial import spread
from circuitspex.typing import Term


@cache
def bernoulli(number: int) -> Fraction:
    """The Bernoulli number B_number, with ``B_1 = -1/2``."""
    if number == 0:
        return Fraction(1)
    return -sum((comb(number + 1, j) * bernoulli(j) for j in range(number)), Fraction(0)) / (number + 1)


def _same(t: int, s: int) -> Fraction:
    return Fraction(int(t == s))


def _sign(power: int) -> int:
    return -1 if power % 2 else 1


def _sii(t: int, s: int, k: int) -> Fraction:
    return Fraction(1, t - s + 1)


def _bii(t: int, s: int, k: int) -> Fraction:
    return Fraction(1, 2 ** (t - s))


def _k_sii(t: int, s: int, k: int) -> Fraction:
    # The C(t - s, j) sets S + R with |R| = j inside T each have SII weight 1 / (t - s - j + 1).
    if s == 0:
        return _same(t, s)
    rest = t - s
    parts = (bernoulli(j) * Fraction(comb(rest, j), rest - j + 1) for j in range(min(rest, k - s) + 1))
    return sum(parts, Fraction(0))


def _stii(t: int, s: int, k: int) -> Fraction:
    return Fraction(1, comb(t, k)) if s == k else _same(t, s)


def _fsii(t: int, s: int, k: int) -> Fraction:
    if t <= k or s == 0:
        return _same(t, s)
    return _sign(k - s) * Fraction(s * comb(k, s) * comb(t - 1, k), (k + s) * comb(t + k - 1, k + s))


def _fbii(t: int, s: int, k: int) -> Fraction:
    # An AND is 2^-t times the sum of its subsets' parities; those of at most k, back as ANDs, leave for S
    # 2^(s - t) sum_{j <= k - s} (-1)^j C(t - s, j), and that alternating sum has a closed form.
    if t <= k:
        return _same(t, s)
    return _sign(k - s) * Fraction(comb(t - s - 1, k - s), 2 ** (t - s))


# What the AND of t components gives each subset of s, at the order k: weights by (t, s, k).
# The Shapley value is k-SII at order 1: 1 / |T| for each member, and the value of nothing kept as its constant.
WEIGHTS: dict[str, Callable[[int, int, int], Fraction]] = {
    "sv": _k_sii,
    "banzhaf": _bii,
    "sii": _sii,
    "k-sii": _k_sii,
    "stii": _stii,
    "fsii": _fsii,
    "bii": _bii,
    "fbii": _fbii,
}
INDICES = tuple(WEIGHTS)
"""The names that ``fourier_to_index`` takes."""


@cache
def _parity_weight(index: str, t: int, s: int, k: int) -> float:
    """What the parity of t components gives each subset of s: that of its ``2^u (-1)^(t-u)`` ANDs of u around it."""
    ands = (_sign(t - u) * 2**u * comb(t - s, u - s) * WEIGHTS[index](u, s, k) for u in range(s, t + 1))
    return float(sum(ands, Fraction(0)))


def check_terms(table: Mapping[Term, float], n_players: int) -> None:
    """Refuse coefficients that are not finite, and terms that are not increasing indices below ``n_players``.

    Raises:
        UserError: naming the first such term.
    """
    for term, value in table.items():
        if term and (not 0 <= term[0] <= term[-1] < n_players or any(a >= b for a, b in pairwise(term))):
            raise UserError(f"term {term}: terms are increasing component indices from 0 to {n_players - 1}")
        if not isfinite(value):
            raise UserError(f"the coefficient of {term} is {value}; all must be finite")


def check_order(order: int) -> int:
    """The order as an ``int``.

    Raises:
        UserError: it is not a whole number, or below 1.
    """
    try:
        whole = as_integer(order)
    except TypeError:
        raise UserError(f"order must be a whole number, not {order!r}") from None
    if whole < 1:
        raise UserError(f"order must be at least 1, not {whole}")
    return whole


def fourier_to_index(fourier: Mapping[Term, float], index: str, order: int, n_players: int) -> dict[Term, float]:
    """An index of every set of at most ``order`` components, from coefficients of parities.

    A parity of t components has 2^t ANDs with coefficients up to 2^t of both signs. They are added up inside the
    exact weights here, so that only subsets of at most ``order`` are visited and nothing cancels in floating point.

    Args:
        fourier: the function, as a sum of parities.
        index: one of ``INDICES``, in any case.
        order: the largest set k that gets a value; 1 for 'sv' and 'banzhaf'. The values of 'k-sii', 'stii', 'fsii'
            and 'fbii' depend on it, and are the Möbius coefficients themselves once no term is larger.
        n_players: how many components there are.

    Returns:
        Values by term, those of sets in no term left out; ``()`` is always there.

    Raises:
        UserError: an unknown index, an order that it does not have, or a term that is no set of these components.
    """
    name = str(index).lower()
    if name not in WEIGHTS:
        raise UserError(f"unknown index '{index}'; allowed: {', '.join(INDICES)}")
    order = check_order(order)
    if order > 1 and name in ("sv", "banzhaf"):
        raise UserError(f"'{name}' has order 1, not {order}; for sets take {'k-sii' if name == 'sv' else 'bii'}")
    check_terms(fourier, n_players)
    present = {term: value for term, value in fourier.items() if value != 0}
    return {(): 0.0} | spread(present, lambda t, s: _parity_weight(name, t, s, order), order)

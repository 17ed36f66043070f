"""Game-theoretic indices of sparse functions, against their definitions over all masks."""

from functools import cache
from itertools import combinations, permutations
from math import comb, factorial

import numpy as np
import pytest
from planted import index_table, random_table

from circuitspex.errors import UserError
from circuitspex.recovery.bases.indices import INDICES, bernoulli, fourier_to_index
from circuitspex.recovery.bases.polynomial import fourier_to_mobius, mobius_to_fourier

# Sums of at most 2^10 numbers of size 10, in double precision; least squares on up to 176 ANDs, whose matrix has a
# condition number of about 1e3, loses three more digits.
CLOSE = 1e-9
FIRST_ORDER = ("sv", "banzhaf")
ADDITIVE = ("k-sii", "stii", "fsii", "fbii")


def subsets(players, largest):
    return [s for size in range(largest + 1) for s in combinations(players, size)]


def bits(term):
    return sum(1 << i for i in term)


def dense(n, seed):
    """A Möbius table with a coefficient for every set."""
    rng = np.random.default_rng(seed)
    return {term: float(rng.normal()) for term in subsets(range(n), n)}


def sparse(n, seed):
    """A few parities, then the widest AND there is, as a Möbius table."""
    table = fourier_to_mobius(random_table(n, (3, 3, 2), seed=seed))
    return {**table, tuple(range(n)): 2.5}


def values(mobius, n):
    """The value of every mask; bit i of the position says whether i is kept."""
    kept = np.arange(2**n)
    out = np.zeros(2**n)
    for term, value in mobius.items():
        out += value * (kept & bits(term) == bits(term))
    return out


def difference(f, term, contexts):
    """The |S|-fold difference of S at each context without S."""
    inside = subsets(term, len(term))
    return sum((-1) ** (len(term) - len(part)) * f[contexts | bits(part)] for part in inside)


def contexts_without(n, term):
    """All masks that keep nothing of S, and how many each keeps."""
    kept = np.arange(2**n)
    kept = kept[kept & bits(term) == 0]
    return kept, (kept[:, None] >> np.arange(n) & 1).sum(1)


def sii(f, n, term):
    contexts, sizes = contexts_without(n, term)
    free = n - len(term)
    weights = np.array([factorial(t) * factorial(free - t) / factorial(free + 1) for t in range(free + 1)])
    return float(weights[sizes] @ difference(f, term, contexts))


def bii(f, n, term):
    return float(difference(f, term, contexts_without(n, term)[0]).mean())


def stii(f, n, term, order):
    if len(term) < order:
        return float(difference(f, term, np.array([0]))[0])
    contexts, sizes = contexts_without(n, term)
    weights = np.array([order / n / comb(n - 1, t) for t in range(n - order + 1)])
    return float(weights[sizes] @ difference(f, term, contexts))


def k_sii(f, n, term, order):
    """By the recursion over the order in Bordt and von Luxburg."""

    @cache
    def base(s):
        return sii(f, n, s)

    def at(s, k):
        if len(s) == k:
            return base(s)
        outside = [i for i in range(n) if i not in s]
        larger = sum(base(tuple(sorted((*s, *r)))) for r in combinations(outside, k - len(s)))
        return at(s, k - 1) + float(bernoulli(k - len(s))) * larger

    return at(term, order) if term else float(f[0])


def ands(n, terms):
    kept = np.arange(2**n)
    return np.stack([(kept & bits(term) == bits(term)).astype(float) for term in terms], 1)


def fbii(f, n, terms):
    return np.linalg.lstsq(ands(n, terms), f, rcond=None)[0]


def fsii(f, n, terms):
    """Weighted least squares among the coefficients that are exact at nothing and at everything kept."""
    x = ands(n, terms)
    sizes = (np.arange(2**n)[:, None] >> np.arange(n) & 1).sum(1)
    ends = (sizes == 0) | (sizes == n)
    start = np.linalg.lstsq(x[ends], f[ends], rcond=None)[0]
    free = np.linalg.svd(x[ends])[2][np.linalg.matrix_rank(x[ends]) :].T
    weights = np.array([0 if a in (0, n) else 1 / (comb(n, a) * a * (n - a)) for a in range(n + 1)]) ** 0.5
    rows = weights[sizes][:, None]
    moves = np.linalg.lstsq(rows * (x @ free), rows[:, 0] * (f - x @ start), rcond=None)[0]
    return start + free @ moves


def by_definition(mobius, n, index, order):
    f = values(mobius, n)
    terms = subsets(range(n), order)
    if index in ("fsii", "fbii"):
        return dict(zip(terms, {"fsii": fsii, "fbii": fbii}[index](f, n, terms), strict=True))
    if index == "sv":
        return {term: sii(f, n, term) if term else float(f[0]) for term in terms}
    if index in ("k-sii", "stii"):
        return {term: {"k-sii": k_sii, "stii": stii}[index](f, n, term, order) for term in terms}
    return {term: {"sii": sii, "bii": bii, "banzhaf": bii}[index](f, n, term) for term in terms}


def same(found, expected, tolerance=CLOSE):
    assert set(found) <= set(expected)
    for term, value in expected.items():
        assert found.get(term, 0.0) == pytest.approx(value, abs=tolerance), term


SIZES = [(3, 3), (5, 1), (5, 2), (6, 3), (7, 4)]
CASES = [
    *((index, n, order) for index in INDICES if index not in FIRST_ORDER for n, order in SIZES),
    *((index, n, 1) for index in FIRST_ORDER for n in (1, 4, 7)),
]


@pytest.mark.parametrize("game", [dense, sparse])
@pytest.mark.parametrize(("index", "n", "order"), CASES)
def test_every_index_is_its_definition(game, index, n, order):
    mobius = dense(n, n) if n < 3 else game(n, 10 * n + order)
    expected = by_definition(mobius, n, index, order)
    same(index_table(mobius, index, order, n), expected)
    same(fourier_to_index(mobius_to_fourier(mobius), index.upper(), order, n), expected)


@pytest.mark.parametrize("index", INDICES)
def test_ten_components(index):
    order = 1 if index in FIRST_ORDER else 3
    mobius = sparse(10, 3)
    for found in (index_table(mobius, index, order, 10), fourier_to_index(mobius_to_fourier(mobius), index, order, 10)):
        same(found, by_definition(mobius, 10, index, order))


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_shapley_values_are_mean_marginals_over_orders(n):
    mobius = dense(n, n)
    f = values(mobius, n)
    total = np.zeros(n)
    for order in permutations(range(n)):
        for place, player in enumerate(order):
            total[player] += f[bits(order[: place + 1])] - f[bits(order[:place])]
    found = index_table(mobius, "SV", 1, n)
    np.testing.assert_allclose([found.get((i,), 0.0) for i in range(n)], total / factorial(n), atol=CLOSE)


def test_shapley_taylor_averages_over_orders():
    mobius = dense(5, 1)
    f = values(mobius, 5)
    for term in combinations(range(5), 2):
        before = [bits(o[: min(o.index(i) for i in term)]) for o in permutations(range(5))]
        expected = difference(f, term, np.array(before)).mean()
        assert index_table(mobius, "stii", 2, 5)[term] == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("index", ["sv", "k-sii", "stii", "fsii"])
def test_efficient_indices_add_up_to_the_value_of_everything(index, order):
    mobius = {**sparse(8, order), **dense(6, order)}
    found = index_table(mobius, index, 1 if index == "sv" else order, 8)
    assert sum(found.values()) == pytest.approx(sum(mobius.values()), abs=CLOSE)
    assert found[()] == pytest.approx(mobius[()])


@pytest.mark.parametrize("index", ADDITIVE)
def test_from_the_largest_term_on_they_are_the_mobius_coefficients(index):
    mobius = fourier_to_mobius(random_table(9, (5, 4, 2), seed=4))
    for order in (3, 4, 9, 12):
        found = index_table(mobius, index, order, 9)
        assert found == {term: value for term, value in mobius.items() if value != 0 or term == ()}


def test_constants_are_those_documented():
    mobius = {(): 1.0, (0,): 2.0, (0, 1, 2): 4.0}
    at_nothing, mean, mean_of_shares = 1.0, 1.0 + 1.0 + 0.5, 1.0 + 1.0 + 1.0
    for index in ("k-sii", "stii", "fsii"):
        assert index_table(mobius, index, 2, 3)[()] == at_nothing
    assert index_table(mobius, "sv", 1, 3)[()] == at_nothing
    assert index_table(mobius, "banzhaf", 1, 3)[()] == index_table(mobius, "bii", 2, 3)[()] == mean
    assert index_table(mobius, "sii", 2, 3)[()] == mean_of_shares
    assert index_table(mobius, "fbii", 2, 3)[()] == at_nothing + 4.0 / 8
    for index in INDICES:
        assert index_table({}, index, 1, 0) == {(): 0.0}


def test_faith_banzhaf_is_the_cut_off_sum_of_parities():
    table = random_table(8, (5, 6, 6), seed=2)
    cut = {term: value for term, value in table.items() if len(term) <= 2}
    expected = dict.fromkeys(subsets(range(8), 2), 0.0) | fourier_to_mobius(cut)
    same(index_table(fourier_to_mobius(table), "fbii", 2, 8), expected)


@pytest.mark.parametrize("index", INDICES)
def test_components_in_no_term_change_nothing(index):
    order = 1 if index in FIRST_ORDER else 3
    small = dense(6, 5)
    places = (3, 50, 51, 400, 998, 999)
    moved = {tuple(places[i] for i in term): value for term, value in small.items()}
    found = index_table(moved, index, order, 1000)
    assert found == {
        tuple(places[i] for i in term): value for term, value in index_table(small, index, order, 6).items()
    }


@pytest.mark.timeout(20)
@pytest.mark.parametrize("index", INDICES)
def test_a_thousand_components_take_no_time(index):
    """500 triples and a parity of 60 components, which has 2^60 ANDs."""
    rng = np.random.default_rng(0)
    terms = {tuple(sorted(rng.choice(1000, 3, replace=False).tolist())) for _ in range(500)}
    fourier = {term: float(rng.normal()) for term in terms}
    order = 1 if index in FIRST_ORDER else 2
    found = fourier_to_index(fourier, index, order, 1000)
    expected = index_table(fourier_to_mobius(fourier), index, order, 1000)
    assert len(found) <= 1 + 500 * (3 + 3)
    assert max(abs(found.get(t, 0.0) - expected.get(t, 0.0)) for t in {*found, *expected}) < CLOSE
    wide = fourier_to_index({tuple(range(0, 120, 2)): 1.0}, index, order, 1000)
    assert all(np.isfinite(value) for value in wide.values())


def test_a_wide_parity_has_the_known_shapley_values():
    """It goes from (-1)^t to 1, shared equally among t components: the ANDs' 2^t coefficients must not cancel."""
    for t in (1, 2, 9, 60, 61, 301):
        term = tuple(range(t))
        found = fourier_to_index({term: 1.0}, "sv", 1, 400)
        assert found[()] == (-1) ** t
        for i in (0, t - 1):
            assert found.get((i,), 0.0) == (1 - (-1) ** t) / t


@pytest.mark.parametrize("index", INDICES)
def test_they_are_linear(index):
    order = 1 if index in FIRST_ORDER else 2
    one, other = dense(5, 1), sparse(5, 2)
    mixed = {t: 2 * one.get(t, 0.0) - 3 * other.get(t, 0.0) for t in {*one, *other}}
    first, second = index_table(one, index, order, 5), index_table(other, index, order, 5)
    expected = {t: 2 * first.get(t, 0.0) - 3 * second.get(t, 0.0) for t in {*first, *second}}
    same(index_table(mixed, index, order, 5), expected)


def test_bernoulli_numbers():
    assert [float(bernoulli(j)) for j in (0, 1, 2, 3, 4, 5)] == [1, -0.5, 1 / 6, 0, -1 / 30, 0]


@pytest.mark.parametrize(
    ("table", "index", "order", "words"),
    [
        ({}, "shap", 2, "allowed: sv, banzhaf, sii"),
        ({}, None, 2, "unknown index"),
        ({}, "sii", 0, "at least 1"),
        ({}, "sii", 1.5, "whole number"),
        ({}, "SV", 2, "'sv' has order 1.*k-sii"),
        ({}, "banzhaf", 3, "'banzhaf' has order 1.*bii"),
        ({(4,): 1.0}, "sii", 1, r"term \(4,\).*0 to 3"),
        ({(-1,): 1.0}, "sii", 1, "increasing"),
        ({(1, 0): 1.0}, "sii", 1, "increasing"),
        ({(1, 1): 1.0}, "sii", 1, "increasing"),
        ({(1,): float("nan")}, "sii", 1, "finite"),
        ({(): float("inf")}, "sii", 1, "finite"),
    ],
)
def test_wrong_calls_are_one_line(table, index, order, words):
    with pytest.raises(UserError, match=words) as caught:
        fourier_to_index(table, index, order, 4)
    assert len(str(caught.value).splitlines()) == 1

"""Choosing the k components that make the best circuit, against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from circuitspex.circuits import choose, choose_curve, match, smallest
from circuitspex.errors import UserError
from circuitspex.recovery.bases.polynomial import Polynomial, mobius_to_fourier


def random_function(rng, n, n_terms, order=4):
    table = {(): float(rng.normal())}
    for _ in range(n_terms):
        size = int(rng.integers(1, min(order, n) + 1))
        table[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = float(rng.normal())
    return Polynomial.of(table)


def value_of(function, n, members):
    x = np.full((1, n), -1.0)
    x[0, list(members)] = 1.0
    return float(function.predict(x)[0])


@pytest.mark.some(6)
@pytest.mark.parametrize("seed", range(12))
def test_the_program_finds_the_best_of_all_subsets(seed):
    rng = np.random.default_rng([seed, 5])
    n = int(rng.integers(3, 10))
    function = random_function(rng, n, int(rng.integers(3, 30)))
    for size in range(n + 1):
        best = max(value_of(function, n, members) for members in combinations(range(n), size))
        found = choose(function, size, n_players=n)
        assert found.size == size
        assert found.value == pytest.approx(value_of(function, n, found.members))
        assert found.proved
        assert found.value == pytest.approx(best, abs=1e-5)
        assert found.bound >= best - 1e-5
        greedy = choose(function, size, n_players=n, time_limit=0)
        assert greedy.value <= best + 1e-9
        assert greedy.proved == (size in (0, n))


def test_two_that_back_each_other_up_are_not_both_chosen():
    """The largest main effects are 0 and 1, but one of them does the work of both."""
    function = Polynomial.of(mobius_to_fourier({(0,): 3.0, (1,): 2.9, (0, 1): -2.9, (2,): 1.0, (3,): 0.5}))
    assert choose(function, 2, n_players=6).members == (0, 2)
    assert choose(function, 2, n_players=6, time_limit=0).members == (0, 2)


def test_greedy_alone_misses_an_and_and_the_program_does_not():
    function = Polynomial.of(mobius_to_fourier({(0, 1, 2): 5.0, (3,): 1.0, (4,): 0.9, (5,): 0.8}))
    found = choose(function, 3, n_players=8)
    assert found.members == (0, 1, 2)
    assert found.proved


def test_a_curve_has_its_sizes_and_never_a_worse_circuit_than_one_alone():
    rng = np.random.default_rng(3)
    function = random_function(rng, 40, 200, order=3)
    sizes = [20, 1, 5, 5, 40, 0]
    found = choose_curve(function, sizes, n_players=40)
    assert [choice.size for choice in found] == sizes
    for choice in found:
        assert choice.value >= choose(function, choice.size, n_players=40, time_limit=0).value - 1e-9


def test_a_matched_circuit_is_nearer_to_the_whole_model_than_the_highest():
    rng = np.random.default_rng(8)
    function = random_function(rng, 30, 150, order=2)
    whole = value_of(function, 30, range(30))
    for size in (5, 10, 20):
        near = match(function, size, n_players=30)
        assert near.size == size
        assert near.value == pytest.approx(value_of(function, 30, near.members))
        assert abs(near.value - whole) <= abs(choose(function, size, n_players=30, time_limit=0).value - whole) + 1e-9


def test_the_smallest_circuit_of_a_share():
    weights = {(i,): float(10 - i) for i in range(10)}  # 55 in all
    function = Polynomial.of(mobius_to_fourier(weights))
    for share, size in ((0.01, 1), (10 / 55, 1), (0.19, 2), (0.5, 4), (1.0, 10)):
        found = smallest(function, share, n_players=10)
        assert found is not None
        assert found.size == size
        assert found.members == tuple(range(size))
    assert smallest(function, 1.01, n_players=10) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: choose(f, 7, n_players=6), "between 0 and 6 components here, not 7"),
        (lambda f: choose(f, -1, n_players=6), "not -1"),
        (lambda f: match(f, 7, n_players=6), "not 7"),
        (lambda f: smallest(f, 0, n_players=6), "must be positive"),
        (lambda f: smallest(Polynomial.of({(0,): -1.0}), 0.5, n_players=6), "no share can be kept"),
    ],
)
def test_wrong_calls_are_one_line(call, said):
    with pytest.raises(UserError, match=said):
        call(Polynomial.of({(0,): 1.0}))

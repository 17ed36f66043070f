"""Numbers of any size give the answer in their own units, or one line; counts and seeds are whole, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import choose
from circuitspex.circuits._choose import choose_curve, match, smallest
from circuitspex.errors import UserError
from circuitspex.masks.sample import every_mask
from circuitspex.recovery import DECODERS
from circuitspex.recovery.bases.polynomial import Polynomial, signs
from circuitspex.recovery.scoring.r2 import score
from circuitspex.scale import power_of_two
from circuitspex.statistics import estimate, jackknife_errors, mean_and_range, moments, ratio_of_means

SIZES = (1e-300, 1e-160, 1e150, 1e300)
N = 8


def planted() -> tuple[Any, Any, Any]:
    """Masks, values and gradients of a function with two main effects, a pair and noise."""
    rng = np.random.default_rng(4)
    function = Polynomial.of({(): 0.5, (0,): 1.0, (3,): -0.6, (1, 2): 0.8})
    masks = cx.sample_masks(N, 60, seed=1)
    x = signs(masks)
    slopes = np.zeros((60, N))
    for term, value in function.table().items():
        for i in term:
            slopes[:, i] += 2 * value * np.prod(x[:, [j for j in term if j != i]], axis=1)
    return masks, function.predict(x) + rng.normal(0, 0.01, 60), slopes


def decoded(method: str, size: float) -> Any:
    """What the decoder makes of the planted values times ``size``."""
    masks, values, slopes = planted()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numbers that overflow or are none
        warnings.filterwarnings("ignore", category=UserWarning)
        if method == "spex":
            function = Polynomial.of({(): 0.5, (0,): 1.0, (3,): -0.6, (1, 2): 0.8})

            class Planted:
                n_players = N

                def __call__(self, masks: Any) -> Any:
                    return function.predict(signs(masks)) * size

            return cx.spex(Planted(), 60)
        gradients = slopes * size if DECODERS[method].uses_gradients == "needs" else None
        return cx.decode(masks, values * size, gradients=gradients, method=method)


@pytest.mark.some(3)
@pytest.mark.parametrize("method", list(DECODERS))
def test_every_decoder_gives_the_answer_in_the_units_of_the_values(method: str) -> None:
    plain = decoded(method, 1.0)
    exact = decoded(method, 2.0**500)
    assert exact.terms == plain.terms
    assert np.array_equal(exact.coefficients, plain.coefficients * 2.0**500)  # a power of two changes no digit
    assert np.array_equal(exact.standard_errors, plain.standard_errors * 2.0**500)
    assert exact.cross_validated == plain.cross_validated
    for size in (1e-300, 1e300):
        found = decoded(method, size)
        assert found.cross_validated.r2 == pytest.approx(plain.cross_validated.r2, abs=0.02)
        for term in ((0,), (3,), (1, 2)):
            if plain.coefficient(*term):
                assert found.coefficient(*term) / size == pytest.approx(plain.coefficient(*term), rel=0.02)
        masks, values, _ = planted()
        assert found.score(masks, values * size).r2 == pytest.approx(plain.score(masks, values).r2, abs=0.02)


@pytest.mark.parametrize("size", SIZES)
def test_statistics_are_those_of_the_numbers_in_other_units(size: float) -> None:
    numbers = np.random.default_rng(0).normal(1, 0.3, (6, 7))
    mean, error, freedom = moments(numbers)
    assert np.allclose(np.array(moments(numbers * size)[:2]) / size, [mean, error], rtol=1e-9)
    assert moments(numbers * size)[2] == pytest.approx(freedom)
    plain, large = estimate(numbers), estimate(numbers * size)
    assert large.low / size == pytest.approx(plain.low)
    assert jackknife_errors(numbers * size) / size == pytest.approx(jackknife_errors(numbers))
    assert mean_and_range(numbers * size).value / size == pytest.approx(mean_and_range(numbers).value)
    assert ratio_of_means(numbers * size, numbers * size, seed=0).value == pytest.approx(1.0)
    assert score(numbers[0] * size, numbers[1] * size).r2 == pytest.approx(score(numbers[0], numbers[1]).r2)


@pytest.mark.parametrize("size", SIZES)
def test_a_circuit_is_chosen_whatever_the_units(size: float) -> None:
    table = {(): 0.1, (0,): 1.0, (1,): -0.5, (2, 3): 0.7, (4,): 0.2}
    plain, scaled = (Polynomial.of({term: value * unit for term, value in table.items()}) for unit in (1.0, size))
    one, other = choose(plain, 3, n_players=6), choose(scaled, 3, n_players=6)
    assert (one.members, one.proved) == (other.members, other.proved)
    assert other.value / size == pytest.approx(one.value)
    assert match(scaled, 3, n_players=6).members == match(plain, 3, n_players=6).members
    curves = [choose_curve(each, [1, 2, 4], n_players=6) for each in (plain, scaled)]
    assert [choice.members for choice in curves[0]] == [choice.members for choice in curves[1]]
    smallest_ones = [smallest(each, 0.9, n_players=6) for each in (plain, scaled)]
    assert smallest_ones[0].members == smallest_ones[1].members


def test_power_of_two() -> None:
    for numbers in ([0.0], [], [3.0, -5.0], [5e-324], [1.7e308], [-1e-160]):
        unit = power_of_two(np.array(numbers))
        scaled = np.array(numbers) / unit
        assert np.array_equal(scaled * unit, numbers)
        assert len(numbers) == 0 or 0 < unit < np.inf
        assert not len(numbers) or np.abs(scaled).max() <= 2


def _values(numbers: Any) -> Any:
    return cx.decode(every_mask(2), numbers, method="linear")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([1j, 0, 0, 0], "values must be real numbers, not complex128"),
        ([10**400, 0, 1, 2], "a larger one was found"),
        (["1", "2", "3", "4"], "values must be real numbers"),
        ([None, 1, 2, 3], "values must be real numbers, not object"),
        ([np.nan, 1, 2, 3], "values must be finite"),
        (
            [np.longdouble("1e4000") if np.finfo(np.longdouble).max > 1e309 else np.inf, 1, 2, 3],
            "values must be finite",
        ),
    ],
)
def test_values_that_are_no_real_numbers_are_one_line(numbers: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        _values(numbers)
    assert len(str(caught.value).splitlines()) == 1


def test_whole_numbers_of_python_may_be_large() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [10**30 if first else 0 for first, _ in every_mask(2)]
        found = cx.decode(every_mask(2), values)
    assert found.predict(every_mask(2)) == pytest.approx(values)


MASKS = cx.sample_masks(3, 8, seed=0)
VALUES = np.arange(8.0)
CALLS: dict[str, Callable[[Any], Any]] = {
    "sample_masks, components": lambda number: cx.sample_masks(number, 4),
    "sample_masks, masks": lambda number: cx.sample_masks(4, number),
    "sample_masks, seed": lambda number: cx.sample_masks(4, 4, seed=number),
    "decode, seed": lambda number: cx.decode(MASKS, VALUES, method="linear", seed=number),
    "decode, max_order": lambda number: cx.decode(MASKS, VALUES, method="linear", max_order=number),
    "decode, bootstrap": lambda number: cx.decode(MASKS, VALUES, method="linear", bootstrap=number),
    "spex, budget": lambda number: cx.spex(cx.FunctionGame(lambda masks: masks.sum(1), 3), number),
    "spex, seed": lambda number: cx.spex(cx.FunctionGame(lambda masks: masks.sum(1), 3), 8, seed=number),
    "explain, budget": lambda number: cx.explain(cx.FunctionGame(lambda masks: masks.sum(1), 3), number),
    "explain, seed": lambda number: cx.explain(cx.FunctionGame(lambda masks: masks.sum(1), 3), 8, seed=number),
    "explain, heldout": lambda number: cx.explain(cx.FunctionGame(lambda masks: masks.sum(1), 3), 8, n_heldout=number),
    "choose, size": lambda number: choose(Polynomial.of({(0,): 1.0}), number, n_players=3),
    "top": lambda number: cx.decode(MASKS, VALUES, method="linear").top(number),
    "players": lambda number: cx.FunctionGame(lambda masks: masks.sum(1), number),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [2.5, "3", True, -1, 2**70, np.float64(2), [2]], ids=repr)
def test_counts_and_seeds_that_are_no_whole_numbers_are_one_line(call: str, number: Any) -> None:
    fine = {"top": (2**70,), "decode, max_order": (2**70,)}.get(call, ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if any(number is each or (number == each and type(number) is int) for each in fine):
            CALLS[call](number)
            return
        with pytest.raises(UserError) as caught:
            CALLS[call](number)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 200


@pytest.mark.some(3)
@pytest.mark.parametrize("call", [name for name in CALLS if name != "explain, heldout"])
def test_whole_numbers_of_numpy_are_whole_numbers(call: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (np.int8, np.int64, np.uint16):
            CALLS[call](kind(3))

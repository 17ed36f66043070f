"""Standard errors by the bootstrap, and the budget that the learning curve promises."""

import warnings

import numpy as np
import pytest
from planted import random_masks, random_table, values_of

from circuitspex.errors import UserError
from circuitspex.recovery import decode
from circuitspex.recovery.scoring.learning_curve import likely_budget


@pytest.mark.long
def test_errors_are_about_those_of_repeated_experiments():
    table = {(): 1.0, (0,): 1.0, (3,): -0.7}
    noise = 0.5

    def experiment(seed, **options):
        rng = np.random.default_rng(seed)
        masks = rng.random((60, 5)) < 0.5
        return decode(masks, values_of(table, masks) + noise * rng.normal(size=60), method="linear", **options)

    truth = np.std([experiment(seed).coefficient("0") for seed in range(100)], ddof=1)
    assert truth == pytest.approx(noise / 60**0.5, rel=0.3)
    found = [experiment(seed, bootstrap=40) for seed in range(6)]
    errors = [each.standard_errors[each.terms.index((0,))] for each in found]
    # Forty resamples give a standard error to about 11 %; six experiments average it.
    assert np.mean(errors) == pytest.approx(truth, rel=0.35)


@pytest.mark.long
def test_prompts_are_drawn_too_where_they_are_given():
    rng = np.random.default_rng(0)
    masks = random_masks(80, 4, seed=1)
    x = np.where(masks, 1.0, -1.0)
    weights = np.array([1.0, 3.0, -1.0, 1.0])  # of component 0, by prompt: their mean is uncertain
    per_prompt = x[:, :1] * weights + 0.05 * rng.normal(size=(80, 4))
    values = per_prompt.mean(1)
    over_masks = decode(masks, values, method="linear", bootstrap=40)
    over_both = decode(masks, values, method="linear", bootstrap=40, per_prompt=per_prompt)
    of_prompts = weights.std() / 2
    place = over_both.terms.index((0,))
    assert over_both.standard_errors[place] == pytest.approx(of_prompts, rel=0.35)
    assert over_masks.standard_errors[place] < 0.1 * of_prompts


@pytest.mark.long
def test_the_function_is_the_same_with_and_without():
    masks = random_masks(60, 6, seed=3)
    values = values_of(random_table(6), masks)
    one = decode(masks, values, method="proxyspex")
    other = decode(masks, values, method="proxyspex", bootstrap=3)
    assert one.terms == other.terms
    assert np.array_equal(one.coefficients, other.coefficients)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bootstrap": 1}, "at least 2"),
        ({"bootstrap": -3}, "at least 0"),
        ({"per_prompt": np.zeros((20, 3))}, "must be the values"),
        ({"per_prompt": np.zeros((19, 3))}, "shape"),
        ({"per_prompt": np.full((20, 2), np.nan)}, "finite"),
    ],
)
def test_wrong_options_are_named(options, words):
    masks = random_masks(20, 3, seed=0)
    with pytest.raises(UserError, match=words):
        decode(masks, masks @ np.ones(3), method="linear", **options)


def test_a_power_law_is_continued():
    curve = [(size, 1 - 4 / size**0.5) for size in (50, 100, 200)]
    assert likely_budget(curve, 0.9) == 1600
    assert likely_budget(curve, 0.99) is None  # beyond twenty times
    assert likely_budget([(50, 0.2), (100, 0.2)], 0.5) is None
    assert likely_budget([(50, 0.2)], 0.5) is None


def test_the_warning_names_a_budget_that_does():
    rng = np.random.default_rng(7)
    weights = rng.normal(size=40)

    def found(n_masks):
        masks = np.random.default_rng(8).random((n_masks, 40)) < 0.5
        noise = 3 * np.random.default_rng(9).normal(size=n_masks)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = decode(masks, np.where(masks, 1.0, -1.0) @ weights + noise, method="linear")
        return result, [str(w.message) for w in caught]

    result, (text,) = found(60)
    assert result.cross_validated.r2 < 0.5
    needed = int(text.split("about ")[1].split()[0])
    assert 60 < needed < 1200
    better, texts = found(2 * needed)
    assert better.cross_validated.r2 > 0.5
    assert not texts


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e6])
def test_an_offset_hides_no_values_that_are_of_other_prompts(offset):
    rng = np.random.default_rng(4)
    masks = random_masks(60, 8, seed=5)
    per_prompt = (rng.normal(size=(60, 3)) + offset).astype(np.float32)
    values = per_prompt.astype(np.float64).mean(1)
    for given in (per_prompt, per_prompt.astype(np.float64)):
        decode(masks, values.astype(given.dtype), method="linear", bootstrap=2, per_prompt=given)
    with pytest.raises(UserError, match="must be the values"):
        decode(masks, values, method="linear", bootstrap=2, per_prompt=per_prompt[::-1])

"""SPEX on games whose answer is known: parities, ANDs, noise, small budgets, and what it must refuse."""

import warnings

import numpy as np
import pytest
from planted import all_masks, r2, random_masks, values_of

from circuitspex.errors import UserError
from circuitspex.masks.coded import CodedDesign, Shape
from circuitspex.recovery._decode import decode
from circuitspex.recovery._spex import spex
from circuitspex.recovery.bases.polynomial import signs
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.spex import _find, fit_spex
from circuitspex.recovery.samples import Samples


class PlantedGame:
    """A function of masks as a game that counts what it is asked."""

    def __init__(self, n, function, noise=0.0, seed=0):
        self.n_players = n
        self.function = function
        self.noise = noise
        self.rng = np.random.default_rng(seed)
        self.batches = []

    def __call__(self, masks):
        self.batches.append(len(masks))
        return self.function(masks) + self.noise * self.rng.normal(size=len(masks))


def parities(n, s, seed):
    """Coefficients in [-1, 1] of s random parities of orders 1 to 5."""
    rng = np.random.default_rng([n, s, seed])
    table = {}
    while len(table) < s:
        members = rng.choice(n, min(n, int(rng.integers(1, 6))), replace=False)
        table[tuple(sorted(members.tolist()))] = float(rng.uniform(-1, 1))
    return table


def parity_game(n, s, seed, snr=None):
    table = parities(n, s, seed)
    noise = 0.0 if snr is None else 10 ** (-snr / 20) * sum(c * c for c in table.values()) ** 0.5
    return PlantedGame(n, lambda masks: values_of(table, masks), noise, seed), table


def and_game(n, s, seed):
    """Sums of products of 1 to 4 gates."""
    rng = np.random.default_rng([n, s, seed])
    terms = [(rng.choice(n, int(rng.integers(1, 5)), replace=False), rng.uniform(-1, 1)) for _ in range(s)]
    return PlantedGame(n, lambda masks: sum(c * masks[:, members].all(1) for members, c in terms))


def samples_of(game, design, seed=0):
    masks = design.masks()
    return Samples.check(masks, game(masks), None, seed)


def fresh_r2(game, found, n_masks=2000):
    masks = random_masks(n_masks, game.n_players, seed=99)
    return r2(game.function(masks), found.predict(masks))


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spex(*arguments, **options)


@pytest.mark.some(3)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "budget"), [(32, 500), (128, 984), (1024, 1344)])
def test_clean_parities_are_recovered(n, budget, seed):
    game, table = parity_game(n, 10, seed)
    found = spex(game, budget, seed=seed)
    assert fresh_r2(game, found) > 0.99, (n, seed)
    for term, c in table.items():
        assert found.coefficient(*term) == pytest.approx(c, abs=0.02), (n, seed, term)
    assert (found.method, found.n_ablations, found.n_gradients) == ("spex", budget, 0)
    assert sum(game.batches) == budget
    assert max(game.batches) <= 256


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", range(3))
def test_noise_of_10_db(seed):
    game, _ = parity_game(128, 10, seed, snr=10)
    found = spex(game, 2000, seed=seed)
    assert fresh_r2(game, found) > 0.97, seed
    assert 0.8 < found.cross_validated.r2 < 0.95, seed  # the noise itself can't be predicted


def test_4096_components():
    game, table = parity_game(4096, 8, 1)
    found = spex(game, 1600, seed=1)
    assert fresh_r2(game, found, 500) > 0.99
    assert set(table) <= set(found.terms)


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", range(3))
def test_the_refit_completes_and_games(seed):
    game = and_game(64, 10, seed)
    design = CodedDesign.choose(64, 864, seed=seed)
    samples = samples_of(game, design)
    found = [(), *_find(samples, design, np.arange(864))]
    weights = np.linalg.lstsq(np.stack([samples.x[:, t].prod(1) for t in found], 1), samples.values, rcond=None)[0]
    masks = random_masks(2000, 64, seed=99)
    raw = r2(game.function(masks), values_of(dict(zip(found, weights, strict=True)), masks))
    refit = r2(game.function(masks), fit_spex(samples, design).function.predict(signs(masks)))
    assert refit > 0.9, (seed, raw, refit)
    assert refit > raw - 0.001, (seed, raw, refit)


@pytest.mark.long
def test_prediction_out_of_fold_is_honest():
    """A fold's values never reach the function that predicts them."""
    game, _ = parity_game(40, 6, 0, snr=10)
    design = CodedDesign.choose(40, 800, seed=0)
    samples = samples_of(game, design)
    fitted = fit_spex(samples, design)
    assert len(fitted.without_fold) == design.repetitions >= 2
    size = design.masks_per_repetition
    for fold in range(design.repetitions):
        rows = slice(fold * size, (fold + 1) * size)
        np.testing.assert_array_equal(fitted.out_of_fold[rows], fitted.without_fold[fold].predict(samples.x[rows]))
        values = samples.values.copy()
        values[rows] = np.random.default_rng(fold).normal(size=size)
        other = fit_spex(Samples.check(samples.x > 0, values, None, 0), design)
        assert other.without_fold[fold].table() == fitted.without_fold[fold].table()
        np.testing.assert_array_equal(other.out_of_fold[rows], fitted.out_of_fold[rows])


@pytest.mark.parametrize("seed", range(2))
def test_noise_alone_is_not_explained(seed):
    game = PlantedGame(100, lambda masks: np.zeros(len(masks)), 1.0, seed)
    found = spex(game, 1000, seed=seed)
    assert found.cross_validated.r2 < 0.05
    assert found.function.variance() < 0.2


@pytest.mark.some(2)
@pytest.mark.parametrize(("budget", "seed"), [(448, 2), (560, 2), (300, 0)])
def test_what_is_not_found_does_no_harm(budget, seed):
    """Within a repetition the parities of a bin look alike; fits that mistake one for another must not be chosen."""
    game, _ = parity_game(1024, 14, seed)
    assert fresh_r2(game, quietly(game, budget, seed=seed)) > -0.05


@pytest.mark.some(8)
@pytest.mark.parametrize("budget", [2, 3, 5, 9, 17, 40, 64, 65, 100, 150, 296])
@pytest.mark.parametrize("n", [1, 2, 5, 30, 200])
def test_small_budgets_never_raise(n, budget):
    game, _ = parity_game(n, min(n, 4), 0)
    found = quietly(game, budget)
    assert sum(game.batches) == budget == found.n_ablations
    assert np.isfinite(found.predict(random_masks(10, n))).all()


def test_budgets_without_a_coded_part_fall_back_on_main_effects():
    game, _ = parity_game(200, 10, 0)
    design = CodedDesign.choose(200, 40)
    assert design.repetitions == 0
    samples = samples_of(game, design)
    assert fit_spex(samples, design).function.table() == fit_linear(samples).function.table()


def test_few_components_are_fitted_in_full():
    game, table = parity_game(6, 10, 3)
    found = spex(game, 150)
    np.testing.assert_allclose(found.predict(all_masks(6)), values_of(table, all_masks(6)), atol=0.05)


def test_one_repetition_is_fitted_and_cross_validated_on_main_effects():
    game, table = parity_game(60, 4, 2)
    design = CodedDesign.of_shape(60, 700, Shape(1, 4, 5), seed=1)
    fitted = fit_spex(samples_of(game, design), design)
    assert set(table) <= set(fitted.function.terms)
    assert max(len(term) for function in fitted.without_fold for term in function.terms) <= 1


@pytest.mark.long
def test_same_seed_same_answer_bit_for_bit():
    one, other = (spex(parity_game(64, 10, 1, snr=10)[0], 700, seed=5, batch_size=size) for size in (256, 256))
    assert one.function.terms == other.function.terms
    np.testing.assert_array_equal(one.coefficients, other.coefficients)
    np.testing.assert_array_equal(one.standard_errors, other.standard_errors)
    assert one.cross_validated == other.cross_validated


def test_batches_of_any_size_give_the_same():
    found = [spex(parity_game(40, 5, 1)[0], 500, batch_size=size) for size in (1, 33, 10_000)]
    assert found[0].terms == found[1].terms == found[2].terms
    np.testing.assert_array_equal(found[0].coefficients, found[2].coefficients)


@pytest.mark.parametrize("budget", [10, 700])
def test_a_constant_game_warns_and_is_the_constant(budget):
    with pytest.warns(UserWarning, match="nothing to explain"):
        found = spex(PlantedGame(50, lambda masks: np.full(len(masks), 2.5)), budget)
    assert found.terms == ((),)
    assert found.coefficient() == 2.5


def test_scale_and_shift_of_the_values_do_not_matter():
    game, table = parity_game(64, 6, 4)
    for scale, shift in ((1e-9, 0.0), (1e9, 0.0), (1.0, 1e4)):
        other = PlantedGame(64, lambda masks, a=scale, b=shift: a * game.function(masks) + b)
        found = spex(other, 700)
        for term, c in table.items():
            assert found.coefficient(*term) / scale == pytest.approx(c, abs=0.02), (scale, shift, term)


def test_signs_follow_the_convention_and_names_the_game():
    game = PlantedGame(40, lambda masks: 3.0 * masks[:, 1] - 1.0 * masks[:, 2] + 2.0 * (masks[:, 3] & masks[:, 4]))
    game.names = tuple(f"L0H{i}" for i in range(40))
    found = spex(game, 500)
    assert found.effect("L0H1") == pytest.approx(3)
    assert found.effect("L0H2") == pytest.approx(-1)
    assert found.effect("L0H3", "L0H4") == pytest.approx(2)
    assert spex(game, 500, names=[str(i) for i in range(40)]).effect("1") == pytest.approx(3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_first_mask_that_is_not_finite_is_named(bad):
    def broken(masks):
        values = np.zeros(len(masks))
        if len(game.batches) == 3:
            values[7] = bad
        return values

    game = PlantedGame(30, broken)
    with pytest.raises(UserError, match="mask 27 ") as caught:
        spex(game, 500, batch_size=10)
    assert len(game.batches) == 3  # it stops there
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 1}, "at least 2"),
        ({"budget": 10.5}, "whole number"),
        ({"budget": True}, "whole number"),
        ({"batch_size": 0}, "batch_size"),
        ({"names": ["a"]}, "1 names"),
        ({"game": 3}, "callable"),
        ({"game": lambda masks: masks}, "n_players"),
        ({"game": PlantedGame(30, lambda masks: np.zeros((len(masks), 2)).T)}, "could not|one value per mask"),
    ],
)
def test_wrong_calls_are_one_clear_line(options, words):
    call = {"game": parity_game(30, 3, 0)[0], "budget": 100} | options
    with pytest.raises(UserError, match=words) as caught:
        spex(call.pop("game"), call.pop("budget"), **call)
    assert "\n" not in str(caught.value)


def test_samples_of_another_design_are_refused():
    game, _ = parity_game(40, 3, 0)
    design = CodedDesign.choose(40, 500)
    with pytest.raises(UserError, match="the design has"):
        fit_spex(samples_of(game, CodedDesign.choose(40, 501)), design)
    with pytest.raises(UserError, match="in its order"):
        fit_spex(samples_of(game, CodedDesign.choose(40, 500, seed=1)), design)
    with pytest.raises(UserError, match="values must have shape"):
        decode(design.masks(), np.zeros(499), method="spex")

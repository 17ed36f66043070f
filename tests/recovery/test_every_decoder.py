"""Properties that every decoder must have: those of ``decode``, with and without gradients, and ``spex`` on a game."""

import warnings
from dataclasses import replace

import every_decoder
import numpy as np
import pytest
from every_decoder import (
    ALL,
    CLOSE,
    DECODERS,
    GRADSPEX,
    ON_ANY_MASKS,
    Replay,
    coefficients_close,
    decoded,
    one_line,
    planted,
    some_masks,
    sound,
)
from planted import all_masks, gradients_of, r2, random_masks, random_table, value_of, values_of

import circuitspex
from circuitspex.errors import UserError
from circuitspex.masks.coded import CodedDesign
from circuitspex.masks.sample import sample_masks
from circuitspex.recovery import decode

pytestmark = pytest.mark.usefixtures("fewer_trees")


@pytest.mark.some(4)
@ALL
def test_the_answer_is_sound_and_predict_is_the_sum_over_terms(decoder):
    found = decoded(decoder)
    masks = some_masks(decoder.n)[:100]
    sound(found, decoder.masks())
    table = dict(zip(found.terms, found.coefficients.tolist(), strict=True))
    expected = [value_of(table, mask) for mask in masks]
    np.testing.assert_allclose(found.predict(masks), expected, atol=1e-12 * sum(map(abs, table.values())))


def test_auto_with_gradients_is_gradspex():
    masks, values, gradients, _ = planted(GRADSPEX)
    one, other = decoded(GRADSPEX), replace(GRADSPEX, method="auto").quietly(masks, values, gradients)
    assert one.terms == other.terms
    assert np.array_equal(one.coefficients, other.coefficients)
    assert np.array_equal(one.standard_errors, other.standard_errors)
    assert one.cross_validated == other.cross_validated
    assert one.method == other.method == "gradspex"


@ON_ANY_MASKS
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.some(6)
def test_permuted_components_permute_the_answer(decoder, seed):
    # Gradients are solved for in single precision to 1e-3; coordinate descent stops at 1e-4, on a path that depends on
    # the order, and SPEX's over 119 columns for 32 masks far from its end. All else differs by the order of sums only.
    # Where two components split the masks of a tree's node alike, which of them is taken must not depend on the order.
    tolerance = {"gradspex": 0.02, "spex": 0.02, "linear": 1e-3}.get(decoder.method, CLOSE)
    table = random_table(7, (4, 3, 1), seed=seed)
    masks = random_masks(32, 7, seed=seed)
    values = values_of(table, masks) + 0.1 * np.random.default_rng(0).normal(size=32)
    gradients = gradients_of(table, masks)
    order = np.random.default_rng(0).permutation(7)
    one = decoder.quietly(masks, values, gradients)
    other = decoder.quietly(masks[:, order], values, gradients[:, order])
    fresh = all_masks(7)
    np.testing.assert_allclose(other.predict(fresh[:, order]), one.predict(fresh), atol=tolerance * values.std())


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", [0, 1])
def test_permuted_components_permute_what_spex_recovers(seed):
    """The design belongs to the places of components, so that the masks are others: the function is the same."""
    table = random_table(16, (4, 3, 1), seed=2)
    order = np.random.default_rng(seed).permutation(16)
    moved = {tuple(sorted(int(order[i]) for i in term)): value for term, value in table.items()}
    masks = sample_masks(16, 500, seed=99)
    spread = values_of(table, masks).std()
    for game in (table, moved):

        def values(asked, game=game):
            return values_of(game, asked)

        values.n_players = 16
        found = circuitspex.spex(values, 240)
        np.testing.assert_allclose(found.predict(masks), values_of(game, masks), atol=0.02 * spread)


@ALL
@pytest.mark.parametrize("level", [0.0, 0.1, -1e6])
def test_a_constant_game_is_its_constant_and_has_no_r2(decoder, level):
    masks = decoder.masks()
    with pytest.warns(UserWarning, match="nothing to explain") as caught:
        found = decoder(masks, np.full(len(masks), level), np.zeros(masks.shape))
    assert [warning.filename for warning in caught] == [every_decoder.__file__]  # where the call is
    assert [term for term in found.terms if term] == []
    assert len(found.top()) == 0
    assert found.cross_validated.r2 is found.cross_validated.low is found.cross_validated.high is None
    np.testing.assert_allclose(found.predict(some_masks(decoder.n)), level, rtol=1e-12)
    assert found.score(masks, np.full(len(masks), level)).r2 is None


@pytest.mark.some(3)
@ON_ANY_MASKS
def test_each_mask_twice(decoder):
    masks, values, gradients = (part[:20] for part in planted(decoder)[:3])
    found = decoder.quietly(np.tile(masks, (2, 1)), np.tile(values, 2), np.tile(gradients, (2, 1)))
    sound(found, np.tile(masks, (2, 1)))


@ON_ANY_MASKS
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.usefixtures("no_learning_curve")
@pytest.mark.some(4)
def test_copies_of_a_mask_do_not_explain_noise(decoder, seed):
    """Each mask has a random value of its own: a decoder that saw one copy knows the other."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(decoder.masks(n_masks=30, seed=seed), 2, axis=0)
    values, gradients = np.repeat(rng.normal(size=30), 2), rng.normal(size=masks.shape)
    found = decoder.quietly(masks, values, gradients)
    sound(found, masks)
    assert found.cross_validated.r2 <= 0.2


@ON_ANY_MASKS
@pytest.mark.parametrize(("n", "n_distinct"), [(1, 2), (2, 3)])
def test_two_or_three_masks_many_times(decoder, n, n_distinct):
    """So few that no part of them can be left out to see how the fit grows with the budget."""
    rng = np.random.default_rng(0)
    masks = np.tile(all_masks(n)[:n_distinct], (20, 1))
    values, gradients = rng.normal(size=len(masks)), rng.normal(size=masks.shape)
    sound(decoder.quietly(masks, values, gradients), masks)


@pytest.mark.some(3)
@ON_ANY_MASKS
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.usefixtures("no_learning_curve")
def test_every_mask_twice_does_not_explain_noise(decoder, seed):
    """Each row has a random value of its own: the mean of two copies is no more than the noise of both."""
    rng = np.random.default_rng(seed)
    masks = np.tile(all_masks(5), (2, 1))
    found = decoder.quietly(masks, rng.normal(size=64), rng.normal(size=masks.shape))
    sound(found, masks)
    assert found.cross_validated.r2 <= 0.2


@pytest.mark.parametrize("seed", range(3))
def test_a_budget_beyond_all_masks_does_not_explain_noise(seed):
    """Sixteen masks, each four times, and a random value for each."""
    table = np.random.default_rng(seed).normal(size=16)
    masks = CodedDesign.choose(4, 64, seed=seed).masks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = circuitspex.spex(Replay(masks, table[masks @ 2 ** np.arange(4)]), 64, seed=seed)
    sound(found, masks)
    assert found.cross_validated.r2 <= 0.2


def test_spex_refuses_coded_masks_that_are_repeated():
    masks = CodedDesign.choose(16, 240).masks()
    with pytest.raises(UserError, match="480 masks of its own design") as caught:
        decode(np.repeat(masks, 2, axis=0), np.arange(480.0), method="spex")
    one_line(caught)


@pytest.mark.some(4)
@ALL
@pytest.mark.parametrize(("n", "n_masks"), [(60, 10), (30, 8), (7, 2), (7, 3), (1, 2), (1, 5), (2, 2), (2, 3)])
def test_few_masks_and_few_components(decoder, n, n_masks):
    masks = decoder.masks(n, n_masks)
    table = random_table(n, (2, 1, 0), seed=3)
    found = decoder.quietly(masks, values_of(table, masks), gradients_of(table, masks))
    sound(found, masks)


@pytest.mark.some(3)
@ON_ANY_MASKS
def test_two_components_with_all_masks_and_repeats(decoder):
    masks = all_masks(2)[[0, 1, 2, 3, 0, 3, 3, 1]]
    table = {(): 0.3, (0,): 1.7, (1,): -0.9, (0, 1): 0.45}
    values, gradients = values_of(table, masks), gradients_of(table, masks)
    found = decoder.quietly(masks, values, gradients)
    sound(found, masks)
    for kind in (np.uint8, float):  # masks of 0 and 1 are the same masks
        other = decoder.quietly(masks.astype(kind), values, gradients)
        assert other.terms == found.terms
        np.testing.assert_array_equal(other.coefficients, found.coefficients)


@ALL
@pytest.mark.parametrize("shift", [5.0, -1e6])
@pytest.mark.some(3)
def test_a_shift_of_the_values_shifts_predictions_and_nothing_else(decoder, shift):
    masks, values, gradients, _ = planted(decoder)
    one, other = decoded(decoder), decoder.quietly(masks, values + shift, gradients)
    spread = values.std()
    # Beside 1e6 a value is rounded by 1e-10, and that decides in single precision when solving for gradients stops.
    room = 1e4 if decoder.gradients and abs(shift) > 100 else 1.0
    expected = dict(zip(one.terms, one.coefficients.tolist(), strict=True))
    coefficients_close(other, {**expected, (): expected.get((), 0.0) + shift}, room * spread)
    fresh = some_masks(decoder.n)
    np.testing.assert_allclose(other.predict(fresh) - shift, one.predict(fresh), atol=room * CLOSE * spread)
    assert other.cross_validated.r2 == pytest.approx(one.cross_validated.r2, abs=room * CLOSE)


@ALL
@pytest.mark.parametrize("factor", [-3.0, 1e-6, 1e6])
@pytest.mark.some(6)
def test_a_factor_of_the_values_is_one_of_the_coefficients_and_nothing_else(decoder, factor):
    masks, values, gradients, _ = planted(decoder)
    one, other = decoded(decoder), decoder.quietly(masks, factor * values, factor * gradients)
    spread = abs(factor) * values.std()
    coefficients_close(other, dict(zip(one.terms, (factor * one.coefficients).tolist(), strict=True)), spread)
    fresh = some_masks(decoder.n)
    np.testing.assert_allclose(other.predict(fresh), factor * one.predict(fresh), atol=CLOSE * spread)
    assert other.cross_validated.r2 == pytest.approx(one.cross_validated.r2, abs=CLOSE)
    errors, others = (dict(zip(found.terms, found.standard_errors.tolist(), strict=True)) for found in (one, other))
    for term in {*errors} & {*others}:
        assert others[term] == pytest.approx(abs(factor) * errors[term], abs=CLOSE * spread)


@pytest.mark.some(3)
@ALL
def test_the_same_seed_gives_the_same_answer_bit_for_bit(decoder):
    masks, values, gradients, _ = planted(decoder)
    one, other = decoded(decoder), decoder.quietly(masks.copy(), values.copy(), gradients.copy())
    assert one.terms == other.terms
    assert np.array_equal(one.coefficients, other.coefficients)
    assert np.array_equal(one.standard_errors, other.standard_errors)
    assert one.cross_validated == other.cross_validated
    assert (one.seed, one.keep, one.method) == (other.seed, other.keep, other.method)


def test_spex_and_decode_of_its_design_are_the_same():
    one, other = decoded(DECODERS[-1]), decoded(DECODERS[-2])
    coefficients_close(one, dict(zip(other.terms, other.coefficients.tolist(), strict=True)), 1.0)
    assert one.cross_validated.r2 == pytest.approx(other.cross_validated.r2, abs=CLOSE)
    assert (one.seed, one.keep, one.method) == (other.seed, other.keep, other.method)


@ALL
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("no_learning_curve")
@pytest.mark.some(3)
def test_noise_is_not_explained(decoder, seed):
    rng = np.random.default_rng(seed)
    masks = decoder.masks(n_masks=decoder.n_masks if decoder.coded else 50, seed=seed)
    found = decoder.quietly(masks, rng.normal(size=len(masks)), rng.normal(size=masks.shape), seed=seed)
    sound(found, masks)
    assert found.cross_validated.r2 <= 0.3
    assert found.cross_validated.low <= 0


@ON_ANY_MASKS
def test_masks_of_mixed_density(decoder):
    """Each mask keeps a share of its own, so that components go together unless the share is accounted for."""
    table = {(): 0.7, (0,): 1.3, (2,): -0.8, (5,): 0.55}
    masks = sample_masks(7, 64, keep=(0.15, 0.9), seed=1)
    found = decoder.quietly(masks, values_of(table, masks), gradients_of(table, masks))
    sound(found, masks)
    assert found.keep == pytest.approx(masks.mean())
    fresh = sample_masks(7, 300, keep=(0.15, 0.9), seed=99)
    assert r2(values_of(table, fresh), found.predict(fresh)) > 0.98
    assert found.cross_validated.r2 > 0.95

"""Components on which no value depends are noticed where masks show it, and left out of what is decoded."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from planted import r2, random_masks

from circuitspex.recovery import decode
from circuitspex.recovery.decoders.stack import fit_auto, fit_with_gradients
from circuitspex.recovery.decoders.tabulated import fit_tabulated, members_of
from circuitspex.recovery.samples import Samples


def junta(n, size, seed, levels=None):
    """A random table over some of the components, and these; few different values where ``levels`` says so."""
    rng = np.random.default_rng(seed)
    members = np.sort(rng.choice(n, size, replace=False))
    table = rng.normal(size=2**size) if levels is None else rng.integers(0, levels, 2**size).astype(float)
    return members, lambda masks: table[masks[:, members] @ (1 << np.arange(size))]


def samples_of(masks, values):
    return Samples.check(masks, values, None, 0)


def by_definition(masks, values, most):
    """The smallest sets on which masks that agree have the same value."""
    for size in range(1, masks.shape[1]):
        found = []
        for chosen in combinations(range(masks.shape[1]), size):
            cells = {}
            for mask, value in zip(masks[:, chosen], values, strict=True):
                cells.setdefault(tuple(mask), []).append(value)
            if all(max(each) - min(each) <= most for each in cells.values()):
                found.append(chosen)
        if found:
            return found
    return []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "size", "n_masks"), [(7, 3, 40), (9, 5, 90), (8, 4, 20)])
def test_what_is_found_is_what_the_definition_says(n, size, n_masks, seed):
    _, game = junta(n, size, seed)
    masks = random_masks(n_masks, n, seed=seed + 1)
    values = game(masks)
    sets = by_definition(masks, values, 1e-4 * np.ptp(values))
    found = members_of(samples_of(masks, values))
    if found is None:
        repeated = len(np.unique(masks, axis=0)) - min(len(np.unique(masks[:, list(each)], axis=0)) for each in sets)
        assert len(sets) > 1 or repeated < 12  # not known, or could be chance
    else:
        assert [tuple(found)] == sets


@pytest.mark.parametrize("seed", range(4))
def test_a_table_over_six_of_sixteen_components_is_found_from_two_hundred_masks(seed):
    members, game = junta(16, 6, seed)
    masks, fresh = random_masks(200, 16, seed=seed + 10), random_masks(500, 16, seed=seed + 20)
    found = decode(masks, game(masks))
    assert set().union(*found.terms) == set(members.tolist())
    assert r2(game(fresh), found.predict(fresh)) > 0.9
    assert found.predict(masks) == pytest.approx(game(masks), abs=1e-6)
    # 4 % of new masks are of a cell that 200 masks do not show, 8 % of a fold's: they must not be taken for known.
    assert 0.4 < found.cross_validated.r2 < 0.99


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(2))
def test_it_is_no_worse_than_what_all_components_give(keep, seed):
    _, game = junta(12, 6, seed)
    masks, fresh = (np.random.default_rng([seed, k]).random((k, 12)) < keep for k in (150, 600))
    samples = samples_of(masks, game(masks))
    found = fit_auto(samples)
    x = np.where(fresh, 1.0, -1.0)
    usual = r2(game(fresh), fit_with_gradients(samples).function.predict(x))
    assert r2(game(fresh), found.function.predict(x)) > usual - 0.01


def test_folds_are_not_told_what_they_must_predict():
    _, game = junta(10, 7, 3)
    masks = random_masks(250, 10, seed=4)
    masks = np.concatenate([masks, masks[:40]])  # a copy is no other mask
    samples = samples_of(masks, game(masks))
    usual = fit_with_gradients(samples)
    members = members_of(samples)
    found = fit_tabulated(samples, members, fit_with_gradients, lambda: usual)
    cells = [tuple(row) for row in samples.x[:, members]]
    for fold, function in zip(samples.folds, found.without_fold, strict=True):
        out = samples.fold == fold
        known = {cell for cell, gone in zip(cells, out, strict=True) if not gone}
        seen = np.array([cell in known for cell, gone in zip(cells, out, strict=True) if gone])
        missed = np.abs(function.predict(samples.x[out]) - samples.values[out])
        assert missed[seen].max() < 1e-6
        assert missed[~seen].mean() > 0.1
        again = members_of(samples.without(fold))
        is_found = again is not None and again.tolist() == members.tolist()
        expected = (function if is_found else usual.without_fold[fold]).predict(samples.x[out])
        assert np.array_equal(found.out_of_fold[out], expected)


RARE = {
    "a rare AND": (lambda m: 1.0 * m[:, 0] + m[:, 1:6].all(1), 6),
    "a rare AND beside two": (lambda m: 1.0 * m[:, 0] + 2 * m[:, 1] + m[:, 2:6].all(1), 6),
    "a rare AND of one or the other": (lambda m: (m[:, 0] | m[:, 1]) * (1.0 + m[:, 2:7].all(1)), 7),
}


@pytest.mark.some(3)
@pytest.mark.parametrize("name", RARE)
@pytest.mark.parametrize(("n", "n_masks"), [(12, 100), (12, 50), (16, 100), (8, 100)])
def test_a_component_that_fits_by_chance_is_not_taken(name, n, n_masks):
    """Strong effects say nothing of which components a rare event needs: many sets explain three masks."""
    game, size = RARE[name]
    for seed in range(25):
        masks = np.random.default_rng(seed).random((n_masks, n)) < 0.5
        found = members_of(samples_of(masks, game(masks)))
        assert found is None or found.max() < size


@pytest.mark.some(4)
@pytest.mark.parametrize("seed", range(12))
def test_gaps_of_a_majority_are_filled_with_care(seed):
    """A function of order 3 can agree with a majority of five wherever it was seen, and be far off in a gap."""

    def game(masks):
        return (masks[:, :5].sum(1) > 2).astype(float)

    masks, fresh = (np.random.default_rng([seed, k]).random((k, 8)) < 0.5 for k in (100, 1000))
    if seed == 9:  # as it was seen
        masks = np.random.default_rng(9).random((100, 8)) < 0.5
    samples = samples_of(masks, game(masks))
    assert members_of(samples).tolist() == [0, 1, 2, 3, 4]
    found = fit_auto(samples)
    explained = r2(game(fresh), found.function.predict(np.where(fresh, 1.0, -1.0)))
    assert explained > 0.8
    assert r2(samples.values, found.out_of_fold) < explained + 0.15


def noisy(masks):
    _, game = junta(8, 3, 0)
    return game(masks) + 0.01 * np.random.default_rng(1).normal(size=len(masks))


@pytest.mark.parametrize(
    "game",
    [
        noisy,
        lambda masks: masks @ np.arange(1.0, 9.0),  # all do something
        lambda masks: masks[:, :7].all(1).astype(float),  # rare: that the others do nothing may be chance
        lambda masks: np.full(len(masks), 2.0),
    ],
)
def test_nothing_is_left_out_where_it_is_not_known(game):
    masks = random_masks(100, 8, seed=2)
    assert members_of(samples_of(masks, game(masks))) is None


def test_nothing_is_left_out_where_two_components_are_always_the_same():
    masks = random_masks(100, 8, seed=2)
    masks[:, 5] = masks[:, 2]
    _, game = junta(3, 3, 0)
    assert members_of(samples_of(masks, game(masks[:, [1, 2, 3]]))) is None


def test_copies_of_a_mask_with_other_values_are_noise():
    _, game = junta(8, 3, 0)
    masks = random_masks(100, 8, seed=2)
    twice = np.concatenate([masks, masks])
    values = game(twice)
    assert members_of(samples_of(twice, values)) is not None
    values[100] += 0.1 * np.ptp(values)
    assert members_of(samples_of(twice, values)) is None


def test_rounding_in_single_precision_is_not_a_difference():
    members, game = junta(10, 4, 5)
    masks = random_masks(120, 10, seed=6)
    rounding = 1 + 1e-7 * np.random.default_rng(0).normal(size=120)
    assert members_of(samples_of(masks, game(masks) * rounding)).tolist() == members.tolist()

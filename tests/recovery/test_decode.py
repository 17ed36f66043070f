"""``decode`` on games whose answer is known, and what it refuses; what holds of every answer: test_every_decoder."""

import warnings

import numpy as np
import pytest
from planted import all_masks, gradients_of, r2, random_masks, random_table, values_of

from circuitspex.errors import UserError
from circuitspex.recovery import decode
from circuitspex.recovery.bases.polynomial import signs
from circuitspex.recovery.decoders.gradspex import fit_gradspex
from circuitspex.recovery.result import LittleExplained
from circuitspex.recovery.samples import Samples

METHODS = ("linear", "pursuit", "proxyspex", "gp", "gradspex", "auto")


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def planted(n=12, n_masks=60, seed=1, counts=(6, 5, 2), noise=0.0, keep=0.5):
    """Masks, values, gradients and the truth."""
    table = random_table(n, counts, seed=seed)
    masks = random_masks(n_masks, n, keep, seed=seed)
    values = values_of(table, masks) + noise * np.random.default_rng(seed).normal(size=n_masks)
    return masks, values, gradients_of(table, masks), table


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode(*arguments, **options)


def same(one, other):
    assert one.terms == other.terms
    assert np.array_equal(one.coefficients, other.coefficients)
    assert np.array_equal(one.standard_errors, other.standard_errors)
    assert one.cross_validated == other.cross_validated


@pytest.mark.some(6)
@pytest.mark.parametrize(
    ("method", "n_masks", "counts", "closeness"),
    [
        ("linear", 120, (6, 0, 0), 0.02),
        ("proxyspex", 400, (6, 5, 2), 0.02),
        ("proxyspex", 150, (6, 0, 0), 0.02),
        ("gradspex", 80, (6, 5, 2), 0.05),
        ("gradspex", 40, (6, 0, 0), 0.05),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_recovers_a_planted_function(method, n_masks, counts, closeness, seed):
    masks, values, gradients, table = planted(20, n_masks, seed, counts)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LittleExplained)
        warnings.simplefilter("error", RuntimeWarning)  # numbers that overflow or are none
        found = decode(masks, values, gradients=gradients, method=method)
    fresh = random_masks(500, 20, seed=99)
    assert r2(values_of(table, fresh), found.predict(fresh)) > 0.99
    assert found.score(fresh, values_of(table, fresh)).r2 > 0.99
    assert found.cross_validated.r2 > 0.97
    for term in {*table, *found.terms}:
        assert found.coefficient(*term) == pytest.approx(table.get(term, 0.0), abs=closeness)
    effect = max((term for term in table if term), key=lambda term: 2 ** len(term) * abs(table[term]))
    assert found.effect(*effect) == pytest.approx(
        2 ** len(effect) * table[effect], abs=2 ** len(effect) * closeness + 0.1
    )


@pytest.mark.parametrize("keep", [0.3, 0.8])
@pytest.mark.parametrize("method", ["pursuit", "proxyspex", "gp", "gradspex", "auto"])
@pytest.mark.some(5)
def test_recovers_from_masks_that_keep_more_or_less_than_half(method, keep):
    masks, values, gradients, table = planted(12, 100 if method == "gradspex" else 400, keep=keep)
    found = quietly(masks, values, gradients=gradients, method=method)
    fresh = random_masks(500, 12, keep, seed=99)
    # Pursuit is greedy, and products of signs that are mostly kept look alike.
    assert r2(values_of(table, fresh), found.predict(fresh)) > (0.9 if method == "pursuit" else 0.97)
    assert found.keep == pytest.approx(masks.mean())


@pytest.mark.long
def test_gradients_pay():
    masks, values, gradients, table = planted(40, 60)
    fresh = random_masks(500, 40, seed=99)
    with_gradients = r2(values_of(table, fresh), quietly(masks, values, gradients=gradients).predict(fresh))
    assert with_gradients > 0.95
    assert with_gradients > r2(values_of(table, fresh), quietly(masks, values).predict(fresh)) + 0.2


@pytest.mark.some(3)
@pytest.mark.usefixtures("fewer_trees")
def test_same_seed_same_answer_bit_for_bit(method):
    masks, values, gradients, _ = planted(10, 40, noise=0.3)
    first = quietly(masks, values, gradients=gradients, method=method, seed=4)
    same(first, quietly(masks.copy(), values.copy(), gradients=gradients.copy(), method=method, seed=4))
    same(
        first, quietly(np.asfortranarray(masks), values, gradients=np.asfortranarray(gradients), method=method, seed=4)
    )
    assert first.seed == 4
    other = quietly(masks, values, gradients=gradients, method=method, seed=5)
    assert other.cross_validated != first.cross_validated


@pytest.mark.some(3)
@pytest.mark.usefixtures("fewer_trees")
def test_inputs_are_left_as_they_are(method):
    masks, values, gradients, _ = planted()
    copies = masks.copy(), values.copy(), gradients.copy()
    for array in (masks, values, gradients):
        array.setflags(write=False)
    quietly(masks, values, gradients=gradients, method=method)
    for array, copy in zip((masks, values, gradients), copies, strict=True):
        assert np.array_equal(array, copy)


def test_order_of_components_does_not_matter_to_the_gaussian_process():
    masks, values, gradients, _ = planted(16, 60, noise=0.1)
    order = np.random.default_rng(0).permutation(16)
    one = fit_gradspex(Samples.check(masks, values, gradients, 0)).function.table()
    other = fit_gradspex(Samples.check(masks[:, order], values, gradients[:, order], 0)).function.table()
    back = {tuple(sorted(int(order[i]) for i in term)): value for term, value in other.items()}
    for term in {*one, *back}:
        assert back.get(term, 0.0) == pytest.approx(one.get(term, 0.0), abs=5e-3 * values.std())


@pytest.mark.some(3)
def test_noise_is_not_explained(method):
    rng = np.random.default_rng(3)
    masks, values, gradients = random_masks(100, 30), rng.normal(size=100), rng.normal(size=(100, 30))
    with pytest.warns(UserWarning, match="explains little"):
        found = decode(masks, values, gradients=gradients, method=method)
    assert found.cross_validated.r2 < 0.3


@pytest.mark.some(3)
@pytest.mark.usefixtures("fewer_trees")
def test_repeated_masks(method):
    masks, values, gradients, table = planted(8, 30, noise=0.2)
    again = np.tile(np.arange(30), 3)
    rng = np.random.default_rng(0)
    noisy = values[again] + 0.1 * rng.normal(size=90)
    found = quietly(masks[again], noisy, gradients=gradients[again], method=method)
    fresh = all_masks(8)
    # Copies of a mask are left out together, so that none is predicted from its own copy.
    assert found.cross_validated.r2 < r2(values_of(table, fresh), found.predict(fresh)) + 0.2
    samples = Samples.check(masks[again], noisy, None, 0)
    assert np.array_equal(samples.fold[:30], samples.fold[30:60])
    assert sorted(set(samples.fold.tolist())) == [0, 1, 2, 3, 4]


@pytest.mark.some(8)
@pytest.mark.usefixtures("fewer_trees")
@pytest.mark.parametrize("max_order", [1, 2, 3, 4])
def test_no_interaction_is_larger_than_max_order(method, max_order):
    masks, values, gradients, _ = planted(8, 60, counts=(3, 4, 4))
    found = quietly(masks, values, gradients=gradients, method=method, max_order=max_order)
    assert max(map(len, found.terms)) <= max_order
    if method == "gradspex" and max_order < 4:
        assert max(map(len, found.terms)) == max_order


@pytest.mark.some(3)
@pytest.mark.usefixtures("fewer_trees")
def test_terms_are_sorted_and_each_once(method):
    masks, values, gradients, _ = planted(noise=0.3)
    found = quietly(masks, values, gradients=gradients, method=method)
    assert list(found.terms) == sorted(set(found.terms), key=lambda term: (len(term), term))
    assert all(term == tuple(sorted(set(term))) for term in found.terms)
    assert len(found.terms) == len(found.coefficients) == len(found.standard_errors)
    assert (found.standard_errors >= 0).all()


@pytest.mark.parametrize("n_masks", [100, 400])
def test_standard_errors_are_of_the_size_of_the_errors(n_masks):
    rng = np.random.default_rng(0)
    masks = random_masks(n_masks, 6, seed=1)
    ratios = []
    for seed in range(10):
        values = values_of({(0,): 1.0, (1,): -1.0}, masks) + rng.normal(size=n_masks)
        found = quietly(masks, values, method="linear", seed=seed)
        errors = dict(zip(found.terms, found.standard_errors, strict=True))
        ratios += [errors[(0,)] * np.sqrt(n_masks), errors[(1,)] * np.sqrt(n_masks)]
    assert 0.5 < np.mean(ratios) < 2


def test_auto_takes_gradients_where_there_are_some():
    masks, values, gradients, _ = planted()
    one = quietly(masks, values, gradients=gradients)
    assert (one.method, one.n_gradients) == ("gradspex", 60)
    other = quietly(masks, values)
    assert (other.method, other.n_gradients) == ("auto", 0)


@pytest.mark.parametrize("kind", [int, np.uint8, float, list])
def test_masks_of_zeros_and_ones_are_taken(kind):
    masks, values, _, _ = planted()
    others = masks.astype(int).tolist() if kind is list else masks.astype(kind)
    same(quietly(masks, values, method="linear"), quietly(others, values.tolist(), method="linear"))


@pytest.mark.parametrize("entry", [2, -1, 0.5, np.nan, np.inf])
def test_other_masks_are_refused(entry):
    masks, values, _, _ = planted()
    masks = masks.astype(float)
    masks[3, 2] = entry
    with pytest.raises(UserError, match="masks must be True"):
        decode(masks, values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_and_gradients_must_be_finite(method, bad):
    masks, values, gradients, _ = planted()
    broken = values.copy()
    broken[7] = bad
    with pytest.raises(UserError, match=r"values must be finite.*\(7,\)"):
        decode(masks, broken, gradients=gradients, method=method)
    broken = gradients.copy()
    broken[7, 3] = bad
    with pytest.raises(UserError, match=r"gradients must be finite.*\(7, 3\)"):
        decode(masks, values, gradients=broken, method=method)


def _wrong_calls():
    masks, values, gradients, _ = planted()
    good = {"masks": masks, "values": values}
    return {
        "masks of one axis": good | {"masks": masks[0]},
        "masks of three axes": good | {"masks": masks[None]},
        "masks of words": good | {"masks": [["a", "b"]] * 60},
        "ragged masks": good | {"masks": [[1, 0], [1]], "values": [1, 2]},
        "no masks": good | {"masks": masks[:0], "values": []},
        "one mask": good | {"masks": masks[:1], "values": values[:1]},
        "one mask twice": good | {"masks": masks[[0, 0]], "values": values[:2]},
        "no components": good | {"masks": masks[:, :0]},
        "fewer values": good | {"values": values[:-1]},
        "values of two axes": good | {"values": values[:, None]},
        "no values": good | {"values": None},
        "values of words": good | {"values": ["a"] * 60},
        "complex values": good | {"values": values * 1j},
        "ragged values": good | {"values": [[1.0], [1.0, 2.0]]},
        "fewer gradients": good | {"gradients": gradients[:-1]},
        "gradients of fewer components": good | {"gradients": gradients[:, :-1]},
        "gradspex without gradients": good | {"method": "gradspex"},
        "unknown method": good | {"method": "magic"},
        "max_order of 0": good | {"max_order": 0},
        "fewer names": good | {"names": ["a"]},
        "a name twice": good | {"names": ["a", "b"] * 6},
    }


@pytest.mark.parametrize("name", _wrong_calls())
def test_wrong_calls_are_one_clear_line(name):
    call = _wrong_calls()[name]
    with pytest.raises(UserError) as caught:
        decode(call.pop("masks"), call.pop("values"), **call)
    assert len(str(caught.value).splitlines()) == 1
    if name == "unknown method":
        for method in METHODS:
            assert method in str(caught.value)


@pytest.mark.some(3)
@pytest.mark.usefixtures("fewer_trees")
@pytest.mark.parametrize(("kept", "words"), [(True, "never ablated"), (False, "never kept")])
def test_components_that_never_change_are_named(method, kept, words):
    masks, _, _, table = planted()
    masks[:, 5] = kept
    names = [f"L0H{i}" for i in range(12)]
    values, gradients = values_of(table, masks), gradients_of(table, masks)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = decode(masks, values, gradients=gradients, method=method, names=names)
    about = [str(warning.message) for warning in caught if words in str(warning.message)]
    assert len(about) == 1
    assert "L0H5" in about[0]
    assert caught[0].filename == __file__
    assert np.isfinite(found.predict(masks)).all()


def test_signs_follow_the_convention():
    masks = random_masks(200, 4)
    found = quietly(masks, 3.0 * masks[:, 1] - 1.0 * masks[:, 2], method="linear")
    assert found.effect(1) == pytest.approx(3, abs=0.1)
    assert found.effect(2) == pytest.approx(-1, abs=0.1)
    np.testing.assert_array_equal(signs(masks) > 0, masks)

"""``Interactions`` in every basis and index, against their definitions over all masks, and to and from shapiq."""

import importlib
from itertools import combinations
from math import comb, factorial
from types import SimpleNamespace

import numpy as np
import pytest
from planted import all_masks, random_table, value_of

from circuitspex.errors import UserError
from circuitspex.recovery import Interactions, Score
from circuitspex.recovery.bases.indices import INDICES
from circuitspex.recovery.bases.polynomial import Polynomial

# Sums of at most 2^6 numbers of size 10 in double precision; least squares on up to 57 ANDs loses three digits more.
CLOSE = 1e-9
BASES = ("fourier", "mobius", "biased")
FIRST_ORDER = ("sv", "banzhaf")
SPELLINGS = (str.lower, str.upper, str.title)


def made(table, n=6, keep=0.5):
    function = Polynomial.of(table)
    errors = np.linspace(0.01, 0.1, len(function.terms))
    names = tuple(f"L{i}M" for i in range(n))
    return Interactions(function, errors, names, "auto", keep, 64, 0, Score(0.9, 0.8, 0.95, 64), 1.5, 7)


def dense(n, seed=0):
    """A parity for every set."""
    rng = np.random.default_rng(seed)
    return {term: float(rng.normal()) for term in subsets(range(n), n)}


def subsets(players, largest):
    players = list(players)
    return [term for size in range(largest + 1) for term in combinations(players, size)]


def brute(found):
    """The value of every mask, by the set that is kept."""
    table = dict(zip(found.terms, found.coefficients.tolist(), strict=True))
    n = found.n_players
    return {kept: value_of(table, np.isin(np.arange(n), kept)) if table else 0.0 for kept in subsets(range(n), n)}


def difference(values, term, context):
    """The |S|-fold difference between kept and ablated, where ``context`` is kept of the others."""
    return sum(
        (-1) ** (len(term) - len(part)) * values[tuple(sorted({*context, *part}))] for part in subsets(term, len(term))
    )


def contexts(n, term):
    return subsets([i for i in range(n) if i not in term], n)


def sii(values, n, term):
    free = n - len(term)
    return sum(
        factorial(len(a)) * factorial(free - len(a)) / factorial(free + 1) * difference(values, term, a)
        for a in contexts(n, term)
    )


def bii(values, n, term):
    return float(np.mean([difference(values, term, a) for a in contexts(n, term)]))


def stii(values, n, term, order):
    if len(term) < order:
        return difference(values, term, ())
    return sum(order / n / comb(n - 1, len(a)) * difference(values, term, a) for a in contexts(n, term))


def k_sii(values, n, term, order):
    """SII with the larger sets' shared out by Bernoulli numbers."""
    if not term:
        return values[()]
    bernoulli = [1, -1 / 2, 1 / 6, 0, -1 / 30, 0, 1 / 42]
    outside = [i for i in range(n) if i not in term]
    return sum(
        bernoulli[len(more)] * sii(values, n, tuple(sorted((*term, *more))))
        for more in subsets(outside, min(order - len(term), len(outside)))
    )


def faithful(values, n, order, index):
    """The ANDs of at most ``order`` nearest to the values; FSII's are exact where nothing and everything is kept."""
    terms, rows = subsets(range(n), min(order, n)), list(values)
    ands = np.array([[set(term) <= set(row) for term in terms] for row in rows], dtype=float)
    y = np.array([values[row] for row in rows])
    if index == "fbii":
        return dict(zip(terms, np.linalg.lstsq(ands, y, rcond=None)[0], strict=True))
    sizes = np.array([len(row) for row in rows])
    inner = (sizes > 0) & (sizes < n)
    weight = np.array([1 / (comb(n, a) * a * (n - a)) for a in sizes[inner]])
    # Lagrange: the gradient of the squared error is a combination of the two constraints.
    fixed = ands[~inner]
    gram = ands[inner].T * weight
    zero = np.zeros((len(fixed), len(fixed)))
    system = np.block([[gram @ ands[inner], fixed.T], [fixed, zero]])
    right = np.concatenate([gram @ y[inner], y[~inner]])
    return dict(zip(terms, np.linalg.lstsq(system, right, rcond=None)[0], strict=False))


def by_definition(values, n, index, order):
    if index in ("fsii", "fbii"):
        return faithful(values, n, order, index)
    one = {
        "sv": lambda term: sii(values, n, term) if term else values[()],
        "banzhaf": lambda term: bii(values, n, term),
        "sii": lambda term: sii(values, n, term),
        "bii": lambda term: bii(values, n, term),
        "stii": lambda term: stii(values, n, term, order),
        "k-sii": lambda term: k_sii(values, n, term, order),
    }[index]
    return {term: one(term) for term in subsets(range(n), min(order, n))}


def close(found, expected, tolerance=CLOSE):
    for term in {*found, *expected}:
        assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=tolerance), term


def rebuilt(basis, coefficients, masks, keep):
    """The sum of a basis's functions at each mask, by their definitions."""
    gates = masks.astype(float)
    factors = {
        "fourier": 2 * gates - 1,
        "mobius": gates,
        "biased": (gates - keep) / np.sqrt(keep * (1 - keep)),
    }[basis]
    return sum(value * factors[:, list(term)].prod(1) for term, value in coefficients.items())


@pytest.mark.some(4)
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("n", [1, 2, 4, 6])
@pytest.mark.parametrize("index", INDICES)
def test_every_index_is_its_definition(index, n, spelling):
    for table in (dense(n), random_table(n, (3, 3, 1), seed=n), {}):
        found = made(table, n, keep=0.3)
        values = brute(found)
        for order in (None, 1) if index in FIRST_ORDER else (None, 1, 2, 3):
            size = order or (1 if index in FIRST_ORDER else 2)
            close(found.to_basis(spelling(index), order=order), by_definition(values, n, index, size))


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("basis", BASES)
def test_every_basis_predicts_the_same(basis, n, keep):
    for table in (dense(n), random_table(n, (3, 3, 1), seed=n)):
        found = made(table, n, keep)
        masks = all_masks(n)
        for spelling in SPELLINGS:
            coefficients = found.to_basis(spelling(basis))
            # At keep 0.05 and six components the basis's functions reach 4.4^6.
            np.testing.assert_allclose(rebuilt(basis, coefficients, masks, keep), found.predict(masks), atol=1e-8)
        np.testing.assert_allclose(found.predict(masks), [value_of(table, mask) for mask in masks], atol=CLOSE)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8])
def test_biased_coefficients_are_means_over_masks_that_keep_that_share(keep):
    found = made(dense(5), 5, keep)
    masks = all_masks(5)
    chance = np.where(masks, keep, 1 - keep).prod(1)
    scaled = (masks - keep) / np.sqrt(keep * (1 - keep))
    expected = {
        term: float(chance @ (found.predict(masks) * scaled[:, list(term)].prod(1))) for term in subsets(range(5), 5)
    }
    close(found.to_basis("biased"), expected)
    mean = float(chance @ found.predict(masks))
    assert found.to_basis("biased")[()] == pytest.approx(mean)
    variance = float(chance @ (found.predict(masks) - mean) ** 2)
    assert sum(c * c for term, c in found.to_basis("biased").items() if term) == pytest.approx(variance)


def test_at_one_half_the_biased_basis_is_fourier():
    found = made(dense(5), 5)
    close(found.to_basis("biased"), found.to_basis("fourier"))
    close(found.to_basis("bii", order=5), {t: 2 ** len(t) * c for t, c in found.to_basis("fourier").items()})


def test_a_basis_is_the_caller_s_to_change():
    found = made(dense(3), 3)
    before = dict(found.to_basis("fourier"))
    for basis in (*BASES, *INDICES):
        found.to_basis(basis)[()] = 1e9
    assert found.to_basis("fourier") == before
    assert found.coefficient() == before[()]


@pytest.mark.parametrize(
    ("basis", "order", "words"),
    [
        ("walsh", None, "unknown basis 'walsh'.*fourier, mobius, biased, sv, banzhaf, sii, k-sii, stii, fsii"),
        ("", None, "unknown basis"),
        (None, None, "unknown basis 'None'"),
        ("k_sii", None, "unknown basis 'k_sii'"),
        ("fourier", 2, "'fourier' is the whole function and takes no order"),
        ("Mobius", 1, "'mobius' is the whole function and takes no order"),
        ("BIASED", 3, "'biased' is the whole function and takes no order"),
        ("sv", 2, "'sv' has order 1.*k-sii"),
        ("Banzhaf", 3, "'banzhaf' has order 1.*bii"),
        ("fsii", 0, "order must be at least 1, not 0"),
        ("SII", -1, "order must be at least 1, not -1"),
        ("stii", 1.5, "order must be a whole number, not 1.5"),
        ("bii", "2", "order must be a whole number, not '2'"),
    ],
)
def test_wrong_names_and_orders_are_one_clear_line(basis, order, words):
    with pytest.raises(UserError, match=words) as caught:
        made(dense(3), 3).to_basis(basis, order=order)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_no_biased_basis_where_masks_keep_nothing_or_everything(keep):
    found = made(dense(3), 3, keep)
    with pytest.raises(UserError, match="keep must be between 0 and 1") as caught:
        found.to_basis("biased")
    assert len(str(caught.value).splitlines()) == 1
    for basis in ("fourier", "mobius", *INDICES):
        assert () in found.to_basis(basis)


def stand_in(index, n, table, baseline, *, older=False, budget=77):
    """What shapiq's objects carry: a dict of interactions, or a vector and the place of each set in it."""
    header = {"index": index, "n_players": n, "baseline_value": baseline, "estimation_budget": budget}
    if not older:
        return SimpleNamespace(**header, interactions=dict(table))
    lookup = {term: place for place, term in enumerate(table)}
    return SimpleNamespace(**header, values=np.array(list(table.values())), interaction_lookup=lookup)


def from_shapiq_of(found, index, older):
    """The stand-in of a result, and what it should predict on all masks."""
    n = found.n_players
    values, masks = brute(found), all_masks(n)
    if index == "Moebius":
        return stand_in(index, n, found.to_basis("mobius"), values[()], older=older), found.predict(masks)
    if index == "Fourier":
        table = {term: (-1) ** len(term) * c for term, c in found.to_basis("fourier").items()}
        return stand_in(index, n, table, values[()], older=older), found.predict(masks)
    name = index.lower()
    table = found.to_basis(name)
    baseline = table[()] if index == "FBII" else values[()]
    expected = np.array([sum(v for term, v in table.items() if mask[list(term)].all()) for mask in masks])
    return stand_in(index, n, table, baseline, older=older), expected


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("index", ["Moebius", "Fourier", "SV", "k-SII", "STII", "FSII", "FBII"])
def test_from_shapiq(index, older, tmp_path):
    source, expected = from_shapiq_of(made(dense(5, 3), 5), index, older)
    names = [f"L0H{i}" for i in range(5)]
    found = Interactions.from_shapiq(source, names=names, keep=0.3)
    np.testing.assert_allclose(found.predict(all_masks(5)), expected, atol=CLOSE)
    assert (found.names, found.method, found.keep) == (tuple(names), f"shapiq {index}", 0.3)
    assert (found.n_ablations, found.n_gradients, found.seed) == (77, 0, 0)
    assert found.cross_validated == Score(None, None, None, 0)
    assert not found.standard_errors.any()
    assert len(found.standard_errors) == len(found.terms)
    assert "not measured" in repr(found)
    assert len(found.top(3)) == 3
    again = Interactions.load(found.save(tmp_path / "found.json"))
    assert (again.terms, again.names, again.method) == (found.terms, found.names, found.method)
    assert again.cross_validated == found.cross_validated
    np.testing.assert_array_equal(again.coefficients, found.coefficients)


def test_from_shapiq_by_default_numbers_the_components():
    found = Interactions.from_shapiq(stand_in("SV", 3, {(1,): 2.0}, 0.5, budget=None))
    assert (found.names, found.keep, found.n_ablations) == (("0", "1", "2"), 0.5, 0)
    assert found.effect("1") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (stand_in("SII", 3, {(0,): 1.0}, 0.0), {}, "'SII' does not define a function.*Moebius, Fourier"),
        (stand_in("BV", 3, {(0,): 1.0}, 0.0), {}, "'BV' does not define"),
        (stand_in("SV", 3, {(3,): 1.0}, 0.0), {}, r"term \(3,\)"),
        (stand_in("SV", 3, {(0,): np.nan}, 0.0), {}, "must be finite"),
        (stand_in("SV", 3, {(0,): 1.0}, np.inf), {}, "baseline value is inf"),
        (stand_in("SV", 3, {(0, 1): 1.0, (1, 0): 1.0}, 0.0), {}, "name a set twice"),
        (stand_in("SV", 3, {(0,): "many"}, 0.0), {}, "can't be read"),
        (np.zeros(3), {}, "can't be read as shapiq"),
        (None, {}, "NoneType can't be read"),
        (stand_in("SV", 3, {(0,): 1.0}, 0.0), {"names": ["a", "b"]}, "names must be 3"),
        (stand_in("SV", 3, {(0,): 1.0}, 0.0), {"names": ["a", "b", "b"]}, "names must be 3"),
        (stand_in("SV", 3, {(0,): 1.0}, 0.0), {"keep": 1.5}, "keep must be"),
        (stand_in("SV", 3, {(0,): 1.0}, 0.0), {"keep": np.nan}, "keep must be"),
    ],
)
def test_other_objects_are_one_clear_line(values, options, words):
    with pytest.raises(UserError, match=words) as caught:
        Interactions.from_shapiq(values, **options)
    assert len(str(caught.value).splitlines()) == 1


def test_without_shapiq_one_line_says_what_to_install(monkeypatch):
    bridge = importlib.import_module("circuitspex.recovery.bases.shapiq_bridge")

    def missing(name):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(bridge, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install 'circuitspex\[shapiq\]'") as caught:
        made(dense(3), 3).to_shapiq()
    assert len(str(caught.value).splitlines()) == 1
    # What shapiq would not help with is said first.
    for index, order, words in (("shap", None, "unknown index"), ("sv", 2, "order 1"), ("mobius", 2, "whole function")):
        with pytest.raises(UserError, match=words):
            made(dense(3), 3).to_shapiq(index, order)


@pytest.mark.parametrize("index", [*INDICES, "mobius", "fourier"])
def test_shapiq_itself_there_and_back(index):
    pytest.importorskip("shapiq")
    found = made(dense(5, 3), 5)
    there = found.to_shapiq(index)
    table = {tuple(term): float(there[term]) for term in subsets(range(5), 5)}
    if index in INDICES:
        close({t: v for t, v in table.items() if t}, {t: v for t, v in found.to_basis(index).items() if t})
    if index in ("sii", "bii", "banzhaf"):
        with pytest.raises(UserError, match="does not define a function"):
            Interactions.from_shapiq(there)
        return
    back = Interactions.from_shapiq(there, names=found.names, keep=found.keep)
    assert back.n_ablations == found.n_ablations
    if index in ("mobius", "fourier"):
        close(back.to_basis("fourier"), found.to_basis("fourier"))
    else:
        size = 1 if index == "sv" else 2
        close(back.to_basis("mobius"), {t: v for t, v in found.to_basis(index).items() if len(t) <= size})


@pytest.mark.parametrize("keep", [0.0, 0.3, 1.0])
def test_files_give_the_same_in_every_basis(tmp_path, keep):
    found = made(dense(5, 1), 5, keep)
    again = Interactions.load(found.save(tmp_path / "found.json"))
    assert (again.terms, again.names, again.keep, again.seed) == (found.terms, found.names, found.keep, found.seed)
    assert again.cross_validated == found.cross_validated
    np.testing.assert_array_equal(again.standard_errors, found.standard_errors)
    for basis in (*BASES, *INDICES):
        if basis != "biased" or 0 < keep < 1:
            assert again.to_basis(basis) == found.to_basis(basis)

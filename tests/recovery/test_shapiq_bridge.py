"""To and from shapiq: with stand-ins of both its layouts always, and with shapiq itself where it is installed."""

import importlib
import sys
from dataclasses import dataclass
from itertools import combinations
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from planted import all_masks, index_table, random_table, values_of

from circuitspex.errors import UserError
from circuitspex.recovery.bases import shapiq_bridge
from circuitspex.recovery.bases.indices import INDICES
from circuitspex.recovery.bases.polynomial import fourier_to_mobius, mobius_to_fourier
from circuitspex.recovery.bases.shapiq_bridge import from_shapiq

# Sums of at most 2^8 numbers of size 10 in double precision.
CLOSE = 1e-9
# shapiq fits FSII and kADD-SHAP by least squares with a weight of 1e8 in place of its two constraints.
BIG_WEIGHT = 1e-7
NAMES = {"sv": "SV", "banzhaf": "BV", "sii": "SII", "k-sii": "k-SII"} | {i: i.upper() for i in INDICES[4:]}
SURROGATES = ("SV", "k-SII", "STII", "FSII", "FBII")


@dataclass
class InteractionValues:
    """What shapiq's constructor takes and keeps, in its older layout."""

    values: np.ndarray
    index: str
    max_order: int
    n_players: int
    min_order: int
    baseline_value: float
    interaction_lookup: dict
    estimated: bool
    estimation_budget: int | None


def older(index, n, table, baseline):
    """The layout up to 1.2: a vector and where each set is in it."""
    lookup = {term: place for place, term in enumerate(table)}
    return SimpleNamespace(
        index=index,
        n_players=n,
        baseline_value=baseline,
        values=np.array(list(table.values())),
        interaction_lookup=lookup,
    )


def newer(index, n, table, baseline):
    """The layout since 1.3: a dict."""
    return SimpleNamespace(index=index, n_players=n, baseline_value=baseline, interactions=dict(table))


LAYOUTS = pytest.mark.parametrize("layout", [older, newer])


@pytest.fixture
def stand_in(monkeypatch):
    module = ModuleType("shapiq")
    module.InteractionValues = InteractionValues
    monkeypatch.setitem(sys.modules, "shapiq", module)


def game(n, seed):
    """A dense Möbius table."""
    rng = np.random.default_rng(seed)
    return {term: float(rng.normal()) for size in range(n + 1) for term in combinations(range(n), size)}


def to_shapiq(mobius, *args, **options):
    """Of a Möbius table."""
    return shapiq_bridge.to_shapiq(mobius_to_fourier(mobius), *args, **options)


def inside(table, masks):
    """The sum of the values of all sets that are kept."""
    return np.array([sum(value for term, value in table.items() if mask[list(term)].all()) for mask in masks])


def close(found, expected, tolerance=CLOSE):
    for term in {*found, *expected}:
        assert found.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=tolerance), term


def dict_of(values):
    return {term: float(values.values[place]) for term, place in values.interaction_lookup.items()}


@pytest.mark.parametrize("index", INDICES)
def test_values_and_header(stand_in, index):
    mobius = game(5, 0)
    order = 1 if index in ("sv", "banzhaf") else 3
    made = to_shapiq(mobius, 5, index, order, budget=77)
    close(dict_of(made), index_table(mobius, index, order, 5))
    assert (made.index, made.n_players, made.max_order, made.min_order) == (NAMES[index], 5, order, 0)
    assert (made.estimated, made.estimation_budget) == (True, 77)
    expected = dict_of(made)[()] if index == "fbii" else mobius[()]
    assert made.baseline_value == pytest.approx(expected, abs=CLOSE)
    assert type(made.baseline_value) is float


def test_wide_parities_need_no_ands(stand_in):
    made = shapiq_bridge.to_shapiq({tuple(range(61)): 1.0}, 100, "SV")
    assert dict_of(made) == {(): -1.0} | {(i,): 2 / 61 for i in range(61)}
    assert made.baseline_value == -1


def test_defaults(stand_in):
    mobius = game(5, 0)
    for index, order in [("k-sii", 2), ("sv", 1), ("BV", 1), ("STII", 2), ("moebius", 5), ("Fourier", 5)]:
        assert to_shapiq(mobius, 5, index).max_order == order
    assert to_shapiq(mobius, 5).index == "k-SII"
    assert to_shapiq({}, 3, "mobius").max_order == 1
    assert dict_of(to_shapiq({(0,): 0.0}, 3, "mobius")) == {(): 0.0}


@pytest.mark.parametrize("index", ["sii", "k-sii", "stii", "fsii"])
def test_order_one_is_the_shapley_value(stand_in, index):
    one, shapley = to_shapiq(game(4, 1), 4, index, 1), to_shapiq(game(4, 1), 4, "sv")
    assert one.index == shapley.index == "SV"
    assert dict_of(one) == dict_of(shapley)
    assert one.baseline_value == shapley.baseline_value == pytest.approx(game(4, 1)[()], abs=CLOSE)


@pytest.mark.parametrize("basis", ["mobius", "Moebius", "fourier"])
def test_the_whole_function_round_trips(stand_in, basis):
    table = random_table(300, (9, 9, 5), seed=3)
    back = from_shapiq(to_shapiq(fourier_to_mobius(table), 300, basis))
    close(back, table)


def test_fourier_has_the_sign_of_shapiq(stand_in):
    """F(S) = 2^-n sum over masks of (-1)^|S & kept| f."""
    mobius = game(4, 2)
    masks = all_masks(4)
    values = inside(mobius, masks)
    made = to_shapiq(mobius, 4, "fourier")
    for term, value in dict_of(made).items():
        assert value == pytest.approx(((-1.0) ** masks[:, list(term)].sum(1) * values).mean(), abs=CLOSE)
    assert dict_of(made)[()] == pytest.approx(values.mean())
    assert made.baseline_value == pytest.approx(values.mean())


@pytest.mark.parametrize("index", SURROGATES)
def test_surrogates_are_read_as_sums_over_the_kept_sets(stand_in, index):
    mobius = game(6, 4)
    order = 1 if index == "SV" else 3
    made = to_shapiq(mobius, 6, index, order)
    masks = all_masks(6)
    np.testing.assert_allclose(
        values_of(from_shapiq(made), masks), inside(index_table(mobius, index, order, 6), masks), atol=CLOSE
    )


@LAYOUTS
@pytest.mark.parametrize("index", ["Moebius", "moebius", *SURROGATES])
def test_both_layouts_and_any_order_of_members(layout, index):
    given = {(2, 0): 1.5, (): 0.5, (np.int64(1),): -2.0}
    expected = mobius_to_fourier({(0, 2): 1.5, (): 0.5, (1,): -2.0})
    found = from_shapiq(layout(index, 3, given, 0.5))
    close(found, expected)
    assert all(type(i) is int for term in found for i in term)


@LAYOUTS
def test_where_the_constant_comes_from(layout):
    """An object without the empty set has its value in the baseline; FBII has a constant of its own."""
    for index in (*SURROGATES, "Moebius", "Fourier"):
        assert from_shapiq(layout(index, 2, {}, 3.0)) == {(): 3.0}
    for index in (*SURROGATES, "Moebius"):
        assert from_shapiq(layout(index, 2, {(): 7.0}, 3.0)) == {(): 7.0 if index == "FBII" else 3.0}
    assert from_shapiq(layout("Fourier", 2, {(): 7.0}, 3.0)) == {(): 7.0}
    assert from_shapiq(layout("Fourier", 2, {(0,): 2.0}, 3.0)) == {(): 1.0, (0,): -2.0}


@LAYOUTS
def test_kadd_shap_is_the_function_with_that_interaction_index(layout):
    mobius = game(5, 6)
    everything = index_table(mobius, "sii", 5, 5)
    close(from_shapiq(layout("kADD-SHAP", 5, everything, mobius[()])), mobius_to_fourier(mobius))


@LAYOUTS
@pytest.mark.parametrize("index", ["SII", "BII", "BV", "CHII", "Co-Moebius", "JointSV", "SGV", "ELC", "other"])
def test_indices_that_are_no_function_are_one_line(layout, index):
    with pytest.raises(UserError, match=f"'{index}'.*allowed: Moebius, Fourier, SV, k-SII") as caught:
        from_shapiq(layout(index, 3, {(0,): 1.0}, 0.0))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (object(), "object can't be read"),
        ({(0,): 1.0}, "dict can't be read"),
        (SimpleNamespace(index="SV", n_players=2, baseline_value=0.0), "interaction_lookup"),
        (older("SV", None, {}, 0.0), "can't be read"),
        (older("SV", 2, {}, "x"), "can't be read"),
        (newer("SV", 2, {(0,): "x"}, 0.0), "can't be read"),
        (newer("SV", 2, {(0.5,): 1.0}, 0.0), "can't be read"),
        (newer("SV", 2, {0: 1.0}, 0.0), "can't be read"),
        (newer("SV", 2, {(0,): np.ones(3)}, 0.0), "can't be read"),
        (SimpleNamespace(**(vars(older("SV", 2, {(0,): 1.0}, 0.0)) | {"values": []})), "can't be read"),
        (newer("SV", 2, {(2,): 1.0}, 0.0), "0 to 1"),
        (newer("SV", 2, {(0, 0): 1.0}, 0.0), "increasing"),
        (newer("k-SII", 2, {(0, 1): 1.0, (1, 0): 2.0}, 0.0), "twice"),
        (newer("SV", 2, {(0,): float("nan")}, 0.0), "finite"),
        (newer("SV", 2, {}, float("inf")), "finite"),
    ],
)
def test_other_objects_are_one_line(values, words):
    with pytest.raises(UserError, match=words) as caught:
        from_shapiq(values)
    assert len(str(caught.value).splitlines()) == 1


def test_wrong_calls_are_one_line(stand_in):
    for words, arguments in {
        "unknown index 'shap'; allowed: sv, .*fourier": ({}, 3, "shap"),
        "unknown index 'None'": ({}, 3, None),
        "at least 1": ({}, 3, "sii", 0),
        "whole number": ({}, 3, "mobius", "2"),
        "has order 1": ({}, 3, "sv", 2),
        "0 to 2": ({(3,): 1.0}, 3),
        "finite": ({(1,): float("nan")}, 3, "mobius"),
        "terms of 2; leave order out": ({(0, 1): 1.0}, 3, "mobius", 1),
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            to_shapiq(*arguments)
        assert len(str(caught.value).splitlines()) == 1


def test_without_shapiq_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapiq", None)
    with pytest.raises(UserError, match=r"pip install 'circuitspex\[shapiq\]'") as caught:
        to_shapiq({(): 1.0}, 2)
    assert len(str(caught.value).splitlines()) == 1


def test_reading_needs_no_shapiq(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapiq", None)
    importlib.reload(importlib.import_module("circuitspex.recovery.bases.shapiq_bridge"))
    assert from_shapiq(newer("SV", 1, {(0,): 2.0}, 0.0)) == {(): 1.0, (0,): 1.0}


def _computed(mobius, n, index, order):
    """shapiq's own values from all 2^n masks."""
    shapiq = pytest.importorskip("shapiq")
    computer = shapiq.ExactComputer(game=lambda masks: inside(mobius, np.asarray(masks, bool)), n_players=n)
    return computer(index, order)


@pytest.mark.parametrize(("n", "order"), [(4, 1), (5, 2), (6, 3)])
@pytest.mark.parametrize("index", INDICES)
def test_values_are_those_of_shapiq(index, n, order):
    pytest.importorskip("shapiq")
    mobius = game(n, n)
    order = 1 if index in ("sv", "banzhaf") else order
    made, theirs = to_shapiq(mobius, n, index, order), _computed(mobius, n, NAMES[index], order)
    tolerance = BIG_WEIGHT if index == "fsii" else CLOSE
    ours, others = dict(made.dict_values), dict(theirs.dict_values)
    if index in ("banzhaf", "bii") and not hasattr(theirs, "interactions"):
        # Up to 1.2 shapiq keeps one number for the empty set of these: the mean for BII, nothing kept for BV.
        constant = others.pop(())
        assert theirs.baseline_value == pytest.approx(constant, abs=CLOSE)
        assert constant == pytest.approx(mobius[()] if index == "banzhaf" else ours.pop(()), abs=CLOSE)
        ours.pop((), None)
    else:
        assert made.baseline_value == pytest.approx(theirs.baseline_value, abs=tolerance)
    close(ours, others, tolerance)
    assert (made.index, made.max_order, made.n_players) == (theirs.index, theirs.max_order, theirs.n_players)


@pytest.mark.parametrize("index", ["Moebius", "Fourier"])
def test_functions_are_those_of_shapiq(index):
    shapiq = pytest.importorskip("shapiq")
    if index not in getattr(shapiq.ExactComputer, "valid_indices", ("Moebius",)):
        pytest.skip(f"this shapiq has no {index}")
    mobius = game(5, 8)
    made, theirs = to_shapiq(mobius, 5, index), _computed(mobius, 5, index, 5)
    close(made.dict_values, theirs.dict_values)
    assert (made.index, made.baseline_value) == (theirs.index, pytest.approx(theirs.baseline_value))
    for values in (made, theirs):
        close(from_shapiq(values), mobius_to_fourier(mobius))


@pytest.mark.parametrize("index", ["k-SII", "STII", "FSII", "FBII"])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_surrogates_of_shapiq_are_read(index, order):
    pytest.importorskip("shapiq")
    mobius = game(5, 9)
    theirs = _computed(mobius, 5, index, order)
    if theirs.index == "BV":
        with pytest.raises(UserError, match="'BV'"):
            from_shapiq(theirs)
        return
    masks = all_masks(5)
    found = values_of(from_shapiq(theirs), masks)
    np.testing.assert_allclose(found, inside(theirs.dict_values, masks), atol=CLOSE)
    if order == 5:
        np.testing.assert_allclose(found, inside(mobius, masks), atol=BIG_WEIGHT)


def test_kadd_shap_of_shapiq_is_faith_shap_in_other_coordinates():
    """Both are the nearest function with pairs at most, under the same weights."""
    pytest.importorskip("shapiq")
    mobius = game(6, 10)
    close(
        from_shapiq(_computed(mobius, 6, "kADD-SHAP", 2)),
        mobius_to_fourier(index_table(mobius, "fsii", 2, 6)),
        BIG_WEIGHT,
    )

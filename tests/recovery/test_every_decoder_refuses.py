"""What no decoder takes, and what every decoder warns of: one line each."""

import warnings

import numpy as np
import pytest
from every_decoder import (
    DECODERS,
    ON_ANY_MASKS,
    Replay,
    one_line,
    planted,
    sound,
)
from planted import all_masks, gradients_of, random_table, values_of

import circuitspex
from circuitspex.errors import UserError
from circuitspex.masks.coded import CodedDesign
from circuitspex.recovery import decode

pytestmark = pytest.mark.usefixtures("fewer_trees")


@ON_ANY_MASKS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_and_gradients_that_are_not_finite_are_refused(decoder, bad):
    for place, (what, index) in enumerate([("values", (5,)), ("gradients", (5, 3))], start=1):
        call = [part.copy() for part in planted(decoder)[:3]]
        call[place][index] = bad
        if what == "gradients" and not decoder.gradients:
            continue
        with pytest.raises(UserError, match=f"{what} must be finite") as caught:
            decoder(*call)
        assert str(index) in one_line(caught)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_used_must_be_finite_too(bad):
    masks, values, gradients, _ = planted(DECODERS[0])
    gradients[5, 3] = bad
    for method in ("linear", "pursuit", "proxyspex", "gp", "spex"):
        with pytest.raises(UserError, match=r"gradients must be finite.*\(5, 3\)") as caught:
            decode(masks, values, gradients=gradients, method=method)
        one_line(caught)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 239])
def test_spex_names_the_mask_whose_value_is_not_finite(bad, place):
    spex = DECODERS[-1]
    masks, values, gradients, _ = planted(spex)
    values = values.copy()
    values[place] = bad
    with pytest.raises(UserError, match=f"mask {place} ") as caught:
        spex(masks, values, gradients)
    assert f"{masks[place].sum()} of 16 components kept" in one_line(caught)


@ON_ANY_MASKS
@pytest.mark.parametrize("entry", [2, -1, 0.5, np.nan])
def test_masks_of_other_numbers_are_refused(decoder, entry):
    masks, values, gradients, _ = planted(decoder)
    masks = masks.astype(float)
    masks[3, 2] = entry
    with pytest.raises(UserError, match="masks must be True") as caught:
        decoder(masks, values, gradients)
    one_line(caught)


@pytest.mark.some(3)
@ON_ANY_MASKS
@pytest.mark.parametrize(("kept", "words"), [(True, "never ablated"), (False, "never kept")])
def test_a_component_that_never_changes_is_named(decoder, kept, words):
    table = random_table(4, (4, 1, 0), seed=2)
    masks = all_masks(4)
    masks[:, 2] = kept
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = decoder(masks, values_of(table, masks), gradients_of(table, masks), names=["L0H0", "L0H1", "L1M", "x"])
    about = [str(warning.message) for warning in caught if words in str(warning.message)]
    assert len(about) == 1
    assert "1 of 4" in about[0]
    assert "(L1M)" in about[0]
    sound(found, masks)


def test_spex_names_components_that_never_change_too():
    masks = CodedDesign.choose(7, 3, seed=2).masks()
    fixed = np.flatnonzero(masks.all(0))
    assert len(fixed)
    names = [f"L0H{i}" for i in range(7)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        circuitspex.spex(Replay(masks, np.array([1.0, 2.5, 4.2])), 3, seed=2, names=names)
    about = [warning for warning in caught if "never ablated" in str(warning.message)]
    assert len(about) == 1
    assert all(names[i] in str(about[0].message) for i in fixed)
    assert about[0].filename == __file__

"""Coded designs: the whole budget, the promised structure, and recognition from masks alone."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.errors import UserError
from circuitspex.masks import sample_masks
from circuitspex.masks.coded import CodedDesign, Shape, choose_shape

BUDGETS = [(1, 1), (1, 50), (2, 7), (5, 100), (12, 300), (20, 64), (20, 3000), (32, 60), (32, 700), (64, 296)]
BUDGETS += [(64, 5000), (100, 3), (128, 999), (300, 1500), (1024, 184), (1024, 448), (1024, 1344), (2000, 1000)]


@pytest.mark.some(3)
@pytest.mark.parametrize(("n", "k"), [*BUDGETS, (4096, 700), (10_000, 20)])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_whole_budget_is_used(n, k, seed):
    design = CodedDesign.choose(n, k, seed=seed)
    masks = design.masks()
    assert masks.shape == (k, n)
    assert masks.dtype == np.bool_
    assert design.n_masks == k == design.n_coded + design.n_random
    np.testing.assert_array_equal(masks, CodedDesign.choose(n, k, seed=seed).masks())
    for size in (1, 7, 256) if k < 2000 else (256,):
        batches = list(design.batches(size))
        assert all(len(batch) == size for batch in batches[:-1])
        np.testing.assert_array_equal(np.concatenate(batches), masks)


@pytest.mark.parametrize(("n", "k"), BUDGETS)
def test_rows_are_what_the_definition_says(n, k):
    design = CodedDesign.choose(n, k, seed=2)
    masks = design.masks()
    if not design.repetitions:
        return
    row = 0
    for matrix, offset in zip(design.matrices, design.offsets, strict=True):
        for delay in design.delays:
            for index in range(2**design.b):
                bits = np.array([index >> bit & 1 for bit in range(design.b)])
                ablated = (matrix.astype(int) @ bits + delay + offset) % 2 == 1
                assert np.array_equal(masks[row], ~ablated), row
                row += 1
    assert row == design.n_coded


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in BUDGETS if choose_shape(n, k)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_masks_all_differ_and_no_component_is_in_the_constants_bin(n, k, seed):
    design = CodedDesign.choose(n, k, seed=seed)
    masks = design.masks()
    assert len(np.unique(masks, axis=0)) == len(masks)
    assert design.matrices.any(2).all()
    assert len({matrix.tobytes() for matrix in design.matrices}) == design.repetitions


@pytest.mark.parametrize(("n", "k"), BUDGETS)
@pytest.mark.parametrize("seed", [0, 9])
def test_designs_are_recognised(n, k, seed):
    design = CodedDesign.choose(n, k, seed=seed)
    again = CodedDesign.recognise(design.masks())
    assert again is not None
    assert (again.b, again.t) == (design.b, design.t)
    np.testing.assert_array_equal(again.matrices, design.matrices)
    np.testing.assert_array_equal(again.offsets, design.offsets)
    np.testing.assert_array_equal(again.extra, design.extra)
    assert CodedDesign.recognise(design.masks().astype(float)) is not None


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in BUDGETS if choose_shape(n, k)])
def test_other_masks_are_not_recognised(n, k):
    masks = CodedDesign.choose(n, k, seed=1).masks()
    coded = CodedDesign.choose(n, k, seed=1).n_coded
    rng = np.random.default_rng(0)
    for row in {0, 1, coded - 1, *rng.integers(0, coded, 5).tolist()}:
        other = masks.copy()
        other[row, rng.integers(n)] ^= True
        assert CodedDesign.recognise(other) is None, row
    assert CodedDesign.recognise(sample_masks(n, k)) is None
    assert CodedDesign.recognise(masks[::-1]) is None
    assert CodedDesign.recognise(np.ones((k, n), dtype=bool)) is None
    assert CodedDesign.recognise(masks[:0]) is None


@pytest.mark.parametrize(("n", "k"), [(1, 2), (1, 5), (3, 8), (5, 20), (8, 300)])
def test_masks_of_few_components_repeat_only_after_all_others(n, k):
    _, counts = np.unique(CodedDesign.choose(n, k, seed=3).masks(), axis=0, return_counts=True)
    assert len(counts) == min(k, 2**n)
    assert counts.max() - counts.min() <= 1


def test_larger_budgets_never_read_smaller_parities():
    for n in (30, 64, 500, 1024):
        read = [shape.t if (shape := choose_shape(n, k)) else 0 for k in range(10, 1500, 10)]
        assert read == sorted(read)
        assert read[0] == 0
        assert read[-1] == 5


@pytest.mark.parametrize("order", [1, 2, 3])
def test_smaller_orders_leave_more_bins(order):
    shape, other = choose_shape(128, 2000, order), choose_shape(128, 2000)
    assert shape is not None
    assert other is not None
    assert shape.t == order
    assert shape.repetitions * 2**shape.b > other.repetitions * 2**other.b


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((0, 5), "at least one component"), ((5, 0), "number of masks"), ((5, -1), "-1"), ((50, 900, 0), "order")],
)
def test_wrong_sizes_are_refused(arguments, words):
    n, k, *order = arguments
    with pytest.raises(UserError, match=words) as caught:
        CodedDesign.choose(n, k, order=order[0] if order else 5)
    assert "\n" not in str(caught.value)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="does not fit"):
        CodedDesign.of_shape(50, 100, Shape(3, 3, 5))
    with pytest.raises(UserError, match="batch"):
        list(CodedDesign.choose(50, 100).batches(0))

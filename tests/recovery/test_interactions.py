"""What a decoder returns: predictions, tables, other bases, files."""

import importlib.util
import json
import os
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from planted import all_masks, gradients_of, random_masks, random_table, value_of, values_of

from circuitspex.errors import FileFormatError, UserError
from circuitspex.recovery import Interactions, Score, decode
from circuitspex.recovery.bases.polynomial import Polynomial, mean_differences

NAMES = ("L0H0", "L0H1", "L0M", "L1H0", "L1N3@-1", "L1M")
TABLE = {(): 0.5, (0,): 1.0, (3,): -2.5, (0, 3): 0.75, (2, 5): -0.75, (1, 2, 4): 2.0}


def made(table=TABLE, names=NAMES, keep=0.5):
    function = Polynomial.of(table)
    errors = np.linspace(0.01, 0.1, len(function.terms))
    return Interactions(function, errors, tuple(names), "gradspex", keep, 100, 100, Score(0.9, 0.8, 0.95, 100), 1.5, 7)


def test_predict_is_the_sum_of_parities():
    masks = all_masks(6)
    np.testing.assert_allclose(made().predict(masks), [value_of(TABLE, mask) for mask in masks])
    np.testing.assert_array_equal(made().predict(masks.astype(int)), made().predict(masks))
    assert made().predict(masks[:0]).shape == (0,)


@pytest.mark.parametrize("masks", [np.ones((3, 5), bool), np.ones(6, bool), np.full((2, 6), 2), np.full((2, 6), 0.5)])
def test_predict_refuses_other_masks(masks):
    with pytest.raises(UserError):
        made().predict(masks)


@pytest.mark.parametrize("seed", range(4))
def test_mobius_basis_predicts_the_same(seed):
    table = random_table(6, (6, 8, 6), seed=seed)
    ands = made(table).to_basis("mobius")
    masks = all_masks(6)
    by_ands = [sum(c * mask[list(term)].all() for term, c in ands.items()) for mask in masks]
    np.testing.assert_allclose(made(table).predict(masks), by_ands, atol=1e-9)
    assert made(table).to_basis("fourier") == Polynomial.of(table).table()


def test_other_bases_are_refused():
    with pytest.raises(UserError, match="fourier, mobius"):
        made().to_basis("walsh")


def test_top_is_ordered_by_size_of_the_coefficient():
    top = made().top(10)
    assert [row.components for row in top] == [
        ("L0H1", "L0M", "L1N3@-1") if c == 2.0 else tuple(NAMES[i] for i in t)
        for t, c in [((3,), -2.5), ((1, 2, 4), 2.0), ((0,), 1.0), ((0, 3), 0.75), ((2, 5), -0.75)]
    ]
    assert [row.coefficient for row in top] == [-2.5, 2.0, 1.0, 0.75, -0.75]
    assert [row.components for row in made().top(1, order=2)] == [("L0H0", "L1H0")]
    assert len(made().top(2)) == 2
    assert len(made().top(5, order=7)) == 0
    errors = dict(zip(made().terms, made().standard_errors, strict=True))
    assert top[0].standard_error == errors[(3,)]
    assert top[0].effect == 2 * -2.5
    assert top[1].effect == 8 * 2.0


def test_table_is_aligned_text():
    lines = repr(made().top(3)).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split("  ")[0].strip() == "interaction"
    assert lines[2].startswith("L0H1 × L0M × L1N3@-1")
    assert len(repr(made({(): 1.0}).top()).splitlines()) == 1


def test_hostile_names_break_neither_table():
    hostile = ("<script>alert(1)</script>", "a\nb", 'x" onmouseover="y', "&amp;", "\x1b[31mred", "\u202eend")
    table = made(names=hostile).top(10)
    page = table._repr_html_()
    assert page.count("<tr>") == 6
    for bad in ("<script", 'x" on', "\x1b", "\n"):
        assert bad not in page
    assert "&lt;script&gt;" in page
    assert "&amp;amp;" in made({(3,): 1.0}, names=hostile).top()._repr_html_()
    text = repr(made({(i,): float(i + 1) for i in range(6)}, names=hostile).top(10))
    assert len(text.splitlines()) == 7
    assert "a\\nb" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_lookups_by_name_and_index():
    found = made()
    assert (
        found.coefficient("L0H0", "L1H0") == found.coefficient(3, 0) == found.coefficient("L1H0", np.int64(0)) == 0.75
    )
    assert found.coefficient() == 0.5
    assert found.coefficient("L0H1") == 0
    assert found.effect("L1H0") == -5
    assert found.effect("L0H1", "L0M") == 0
    for wrong in ("L9H9", 6, -1):
        with pytest.raises(UserError, match="component"):
            found.coefficient("L0H0", wrong)
        with pytest.raises(UserError, match="component"):
            found.effect(wrong)


@pytest.mark.parametrize("keep", [0.25, 0.5, 0.9])
def test_effects_of_any_set_are_mean_differences(keep):
    found = made(keep=keep)
    everything = dict.fromkeys([(1,), (1, 2), (2, 4), (0, 1), (1, 2, 4)], 0.0)
    for term, expected in mean_differences({**everything, **TABLE}, keep).items():
        assert found.effect(*term) == pytest.approx(expected)


@pytest.mark.some(2)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_sparse_array_is_symmetric_and_right(order):
    dense = made().to_sparse(order).todense()
    assert dense.shape == (6,) * order
    for axes in permutations(range(order)):
        np.testing.assert_array_equal(dense, dense.transpose(axes))
    for index in np.ndindex(dense.shape):
        expected = TABLE.get(tuple(sorted(index)), 0.0) if len(set(index)) == order else 0.0
        assert dense[index] == expected
    with pytest.raises(UserError):
        made().to_sparse(0)


def test_a_sparse_array_without_its_package_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    with pytest.raises(
        UserError, match=r"^sparse arrays need the package sparse: pip install 'circuitspex\[sparse\]'$"
    ):
        made().to_sparse(2)


def test_score_has_an_interval_around_r2():
    rng = np.random.default_rng(0)
    masks = random_masks(200, 6)
    values = made().predict(masks) + rng.normal(size=200)
    found = made().score(masks, values)
    assert found.low < found.r2 < found.high
    assert found.r2 == pytest.approx(1 - ((values - made().predict(masks)) ** 2).mean() / values.var())
    assert made().score(masks, np.ones(200)).r2 is None
    with pytest.raises(UserError):
        made().score(masks, values[:-1])
    with pytest.raises(UserError, match="finite"):
        made().score(masks, np.where(np.arange(200) == 5, np.nan, values))


def test_repr_says_what_it_is():
    assert repr(made()).startswith(
        "Interactions(gradspex: 2 of order 1, 2 of order 2, 1 of order 3; 6 components, 100 "
    )
    assert "no terms" in repr(made({(): 1.0}))


def _same(one, other):
    assert one.function.terms == other.function.terms
    assert np.array_equal(one.coefficients, other.coefficients)
    assert np.array_equal(one.standard_errors, other.standard_errors)
    for name in ("names", "method", "keep", "n_ablations", "n_gradients", "cross_validated", "seconds", "seed"):
        assert getattr(one, name) == getattr(other, name)


def test_files_round_trip_exactly(tmp_path):
    masks = random_masks(60, 6, seed=1)
    decoded = decode(masks, values_of(TABLE, masks), gradients=gradients_of(TABLE, masks), names=["é", "\n", *"abcd"])
    undefined = replace(made({(): 0.1 + 0.2}), cross_validated=Score(None, None, None, 3))
    for number, found in enumerate([made(), decoded, undefined, made({})]):
        path = found.save(tmp_path / "new" / "folder" / f"{number}.json")
        _same(Interactions.load(path), found)
        assert Interactions.load(str(path)).save(path).read_bytes() == path.read_bytes()
    assert len(list(path.parent.iterdir())) == 4  # no temporary files


def _refused(path, *words):
    with pytest.raises(FileFormatError) as caught:
        Interactions.load(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in (path.name, *words):
        assert word in message


def test_files_that_are_no_interactions_are_one_line(tmp_path):
    path = made().save(tmp_path / "found.json")
    whole = path.read_bytes()
    _refused(tmp_path / "missing.json", "no such file")
    _refused(tmp_path, "can't be read")
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        _refused(path, "damaged")
    path.write_bytes(b"\xff\xfe" + whole)
    _refused(path, "not UTF-8")
    for other in (b"[]", b"3", b'{"format": "other"}', b"null"):
        path.write_bytes(other)
        _refused(path, "format")
    path.write_text(json.dumps(json.loads(whole) | {"version": 2}))
    _refused(path, "version 2")


@pytest.mark.parametrize(
    "change",
    [
        {"terms": [[9]] * 6},
        {"terms": [[-1]] * 6},
        {"terms": [[], [3, 0], [1], [2], [4], [5]]},
        {"terms": [[], [0, 0], [1], [2], [4], [5]]},
        {"terms": [[0]] * 6},
        {"terms": 3},
        {"coefficients": [1.0]},
        {"coefficients": [[1.0]] * 6},
        {"coefficients": [None] * 6},
        {"coefficients": ["x"] * 6},
        {"coefficients": [10**400] * 6},
        {"standard_errors": [float("nan")] * 6},
        {"names": None},
        {"names": ["a"] * 6},
        {"keep": "half"},
        {"keep": 7},
        {"cross_validated": [1, 2]},
        {"cross_validated": ["good", 1, 1, 1]},
        {"n_ablations": None},
        {"seed": {}},
        {"seed": True},
        {"terms": [[True], [0], [1], [2], [4], [5]]},
        {"terms": [["1"], [0], [1], [2], [4], [5]]},
        {"terms": [[1.0], [0], [1], [2], [4], [5]]},
        {"terms": [list(range(51))] * 6},
        {"coefficients": [True] * 6},
        {"coefficients": ["1"] * 6},
        {"standard_errors": [-1] * 6},
        {"names": ["a" * 5000, *"bcdef"]},
        {"names": [1, 2, 3, 4, 5, 6]},
        {"cross_validated": [0.5, 0.6, 0.9, 10]},
        {"cross_validated": [1.5, 0.6, 1.9, 10]},
        {"cross_validated": [0.5, 0.4, 0.9, 1.5]},
        {"seconds": -1},
        {"method": 3},
        {"more": 1},
    ],
    ids=lambda change: f"{next(iter(change))}={str(next(iter(change.values())))[:20]}",
)
def test_damaged_contents_are_one_line(tmp_path, change):
    path = made().save(tmp_path / "found.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    _refused(path, "damaged")


@pytest.mark.parametrize("key", ["names", "terms", "coefficients", "standard_errors", "keep", "method", "seed"])
def test_missing_contents_are_one_line(tmp_path, key):
    path = made().save(tmp_path / "found.json")
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    _refused(path, "damaged", key)


def test_places_that_can_not_be_written_to_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    places = [tmp_path / "file" / "found.json", tmp_path / "folder"]
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        places.append(tmp_path / "locked" / "found.json")
    for place in places:
        with pytest.raises(UserError, match="can't write") as caught:
            made().save(place)
        assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) in (["file", "folder"], ["file", "folder", "locked"])


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = made().save(tmp_path / "found.json")
    before = path.read_bytes()
    with pytest.raises(ValueError):
        replace(made(), standard_errors=np.full(6, np.nan)).save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["found.json"]

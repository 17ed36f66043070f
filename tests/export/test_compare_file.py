"""Files of comparisons and series: exact round trips, and one clear line for whatever is wrong with a file."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_circuits import estimate
from drawn_comparisons import comparison, measured, series, unchanged
from jsonschema import Draft202012Validator

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.comparison import Comparison, Point, Series
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.files import comparison as compare_file
from circuitspex.export.files import comparison_check as compare_check


@pytest.mark.parametrize(
    "made", [comparison(0), *(comparison(15, seed=s) for s in range(3)), unchanged(), unchanged(True)]
)
def test_comparisons_survive_a_round_trip(made, tmp_path):
    path = made.save(tmp_path / "new" / "comparison.json")
    again = Comparison.load(path)
    assert again == made
    assert again.save(tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("made", [series(seed=1), series(1, 1), Series((), ())])
def test_series_survive_a_round_trip(made, tmp_path):
    path = made.save(tmp_path / "series.json")
    assert compare_file.read_series(path) == made == formats.read(Series, path)


def test_half_a_surrogate_pair_survives(tmp_path):
    made = replace(comparison(3), run={"note": "\ud83d"})
    assert Comparison.load(made.save(tmp_path / "c.json")) == made


def test_the_schema_is_a_schema_and_accepts_what_is_written():
    schema = compare_check.schema()
    Draft202012Validator.check_schema(schema)
    data = compare_file.to_json(comparison(8))
    assert set(data) == set(schema["required"]) == set(schema["properties"])
    Draft202012Validator(schema).validate(data)
    inner = schema["$defs"]["series"]
    assert set(compare_file.series_to_json(series())) == set(inner["required"]) == set(inner["properties"])


def _set(data, path, value):
    for step in path[:-1]:
        data = data[step]
    if value is None:
        del data[path[-1]]
    else:
        data[path[-1]] = value


DAMAGE = [
    (("format",), "circuitspex.circuit", "not a comparison file"),
    (("version",), 3, "was written by a newer circuitspex (version 3; this one reads up to 2)"),
    (("version",), True, '"version" must be a whole number'),
    (("changes", 0, "kind"), "grown", "changes[0].kind must be one of"),
    (("changes", 1, "q"), -0.5, "changes[1].q must be at least 0"),
    (("changes", 0, "before"), None, "changes[0] lacks 'before'"),
    (("changes", 0, "components"), ["X"], "changes[0]: 'X' is not a component"),
    (("changes", 0, "extra"), 1, "changes[0] has the unknown field 'extra'"),
    (("changes", 2, "after", "low"), 1e6, "changes[2].after: the interval's low end"),
    (("metric_before", "high"), -1e6, "metric_before: the interval's low end"),
    (("before", "nodes", 0, "layer"), 99, "before: nodes[0] is named"),
    (("difference", "version"), 99, "difference: version must be one of"),
    (("after",), [], "after must be object"),
    (("least",), "much", "least must be number"),
    (("identical",), 1, "identical must be boolean"),
]


@pytest.mark.parametrize(("path", "value", "said"), DAMAGE)
def test_damaged_comparisons_are_refused_in_one_line(path, value, said, tmp_path):
    data = compare_file.to_json(comparison(6, seed=9))
    _set(data, path, value)
    file = tmp_path / "c.json"
    file.write_text(json.dumps(data))
    with pytest.raises(FileFormatError) as caught:
        Comparison.load(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("format",), "circuitspex.comparison", "not a series file"),
        (("version",), 3, "newer circuitspex (version 3"),
        (("points", 1, "effects"), [], "points[1].effects has 0 effects; there are 5 sets"),
        (("points", 0, "metric", "low"), 50, "points[0].metric: the interval's low end"),
        (("same_as", "step1"), "step2", "same_as names 'step1', which is not one of the checkpoints"),
        (("sets", 0), [], "sets[0] must have at least 1 component"),
    ],
)
def test_damaged_series_are_refused_in_one_line(path, value, said, tmp_path):
    data = compare_file.series_to_json(series(4, 5))
    _set(data, path, value)
    file = tmp_path / "s.json"
    file.write_text(json.dumps(data))
    with pytest.raises(FileFormatError) as caught:
        compare_file.read_series(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[]", "not a comparison file"),
        (b'{"format": NaN}', "only finite numbers"),
        (b'{"format": 1e999}', "only finite numbers"),
        (b'{"a": ' * 3000, "c.json: "),
    ],
)
def test_what_is_not_a_comparison_is_refused(data, said, tmp_path):
    file = tmp_path / "c.json"
    file.write_bytes(data)
    with pytest.raises(FileFormatError, match=said):
        Comparison.load(file)
    with pytest.raises(FileFormatError, match="no such file"):
        Comparison.load(tmp_path / "other.json")


def test_cut_short_files_are_refused(tmp_path):
    whole = comparison(4).save(tmp_path / "c.json").read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "c.json").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(FileFormatError, match="cut short"):
            Comparison.load(tmp_path / "c.json")


def test_what_has_no_file_form_is_not_written(tmp_path):
    made = comparison(5)
    nan = replace(made.changes[0], difference=Estimate(float("nan"), 0.0, 0.0))
    for bad in (
        replace(made, changes=(nan, *made.changes[1:])),
        replace(made, changes=(made.changes[0], *made.changes)),
        replace(made, run={"model": object()}),
    ):
        with pytest.raises(UserError) as caught:
            bad.save(tmp_path / "c.json")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="effects; there are"):
        Series((("L1H1",),), (Point("a", "b", estimate(1.0), ()),)).save(tmp_path / "s.json")
    assert not list(tmp_path.iterdir())


def test_the_csv_of_a_comparison_reads_back_exactly(tmp_path):
    made = comparison(12, seed=8)
    path = made.export("csv", tmp_path / "c.csv")
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") == len(made.changes) + 1
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, change in zip(rows, made.changes, strict=True):
        members = [row[key] for key in row if key.startswith("component_") and row[key]]
        assert (tuple(members), row["kind"], int(row["order"])) == (change.components, change.kind, change.order)
        for side, one in zip(("before", "after", "difference"), measured(change), strict=True):
            assert [float(row[side + end]) for end in ("", "_low", "_high")] == [one.value, one.low, one.high]
        assert (float(row["decoded"]), float(row["q"])) == (change.decoded, change.q)


def test_the_csv_of_a_series_is_long_and_safe(tmp_path):
    made = series(4, 3)
    made = replace(made, points=(replace(made.points[0], name='=cmd|"x"!A1, "b"'), *made.points[1:]), same_as={})
    with made.export("csv", tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * (1 + 3)
    assert rows[0]["checkpoint"] == '\'=cmd|"x"!A1, "b"'
    assert [row["what"] for row in rows[:4]] == ["metric", "effect", "effect", "effect"]
    assert float(rows[-1]["high"]) == made.points[-1].effects[-1].high
    assert rows[-1]["components"] == " × ".join(made.sets[-1])


def test_every_form_is_registered(tmp_path):
    for form in ("json", "csv", "html", "svg", "png", "pdf", "text"):
        assert comparison(4).export(form, tmp_path / f"c.{form}") == Path(tmp_path / f"c.{form}")
    for form, ending in (("json", "json"), ("csv", "csv"), ("plot", "svg"), ("text", "txt")):
        assert series(3, 2).export(form, tmp_path / f"s.{ending}").stat().st_size > 0
    with pytest.raises(UserError, match="unknown format 'gif' of a comparison; known: csv, html, json, notebook"):
        comparison(1).export("gif", tmp_path / "c.gif")

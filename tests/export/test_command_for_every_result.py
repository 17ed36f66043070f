"""``circuitspex export`` reads every result that can be saved and read back, and says what each can be written as."""

from __future__ import annotations

import json

import pytest
from drawn_circuits import described, realistic
from drawn_comparisons import comparison, series
from prompt_maps import prompt_map

from circuitspex.circuits import formats
from circuitspex.cli.export import KINDS
from circuitspex.cli.main import main
from circuitspex.export.files.kinds import FORMS

RESULTS = {
    "Circuit": lambda: realistic(5, 3),
    "Comparison": lambda: comparison(6),
    "Series": lambda: series(3, 4),
    "PromptMap": prompt_map,
    "Description": lambda: described(realistic(4, 2)).description,
}


def test_these_are_all_that_are_read():
    assert set(KINDS) == set(RESULTS) == {form.kind.__name__ for form in FORMS}


@pytest.mark.parametrize("kind", sorted(RESULTS))
def test_every_format_of_every_result_is_written(kind, tmp_path, capsys):
    source = RESULTS[kind]().save(tmp_path / "result.json")
    names = formats.names(kind)
    assert main(["export", str(source), "--to", ",".join(names), "--out", str(tmp_path / "out"), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {f"result.{formats.ending(kind, name)}" for name in names} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert sorted(files) == sorted(map(str, (tmp_path / "out").iterdir()))
    assert (tmp_path / "out" / "result.json").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("kind", "wanted", "said"),
    [
        ("Comparison", "dot", "a comparison can't be written as 'dot'; its formats: csv, html, json"),
        ("Series", "svg", "a series can't be written as 'svg'; its formats: csv, json, plot, text"),
        ("Circuit", "plot", "a circuit can't be written as 'plot'; its formats: csv, dot"),
        ("Description", "mib", "a description can't be written as 'mib'; its formats: json, text"),
        ("PromptMap", "svg,gexf", "a prompt can't be written as 'gexf'"),
        ("PromptMap", "gif", "unknown format 'gif'"),
    ],
)
def test_what_a_result_has_no_format_for_is_one_line(kind, wanted, said, tmp_path, capsys):
    source = RESULTS[kind]().save(tmp_path / "result.json")
    assert main(["export", str(source), "--to", wanted, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["[]", '{"format": 3}', '{"format": "circuitspex.report"}', "{", ""])
def test_what_is_no_result_is_one_line(text, tmp_path, capsys):
    (tmp_path / "result.json").write_text(text)
    assert main(["export", str(tmp_path / "result.json"), "--to", "svg"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1

"""Names that hold anything reach pictures, pages, terminals and spreadsheets in a harmless form only."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import circuitspex as cx
from circuitspex import text
from circuitspex.circuits import formats
from circuitspex.circuits.about import (
    About,
    At,
    Breakdown,
    Description,
    Feed,
    Firing,
    Looks,
    Role,
    Scored,
    Share,
    Writes,
)
from circuitspex.circuits.circuit import Estimate, Interaction, Node
from circuitspex.circuits.comparison import Series
from circuitspex.circuits.prompt_map import Word
from circuitspex.cli.terminal import Harmless
from circuitspex.errors import UserError
from circuitspex.export.files.report import REPORT

FOLDER = Path(__file__).parents[1] / "fixtures" / "formats"
HOSTILE = (
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\u00a0=1",
    "\ufeff=1",
    "\u200b=1",
    "＝1＋1",
    "－1",
    "＠x",
    "a;=1",
    "a;\u3000＝1",
    "a\r\nb",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31m",
    "\x00\x08\x7f",
    "\ud83d",
    "a\udcffb",
    "\ufffe\uffff",
    "\u202eright to left",
    "\u2066x\u2069",
    "\u2028line",
    "</script><script>alert(1)</script>",
    '"><svg onload="alert(1)">',
    "]]>&amp;&#60;<!--",
    '"]; } digraph {',
    "$\\frac{1}{0$ $x^$",
    "%s {0} {{x}}",
    "]:::evil[",
    "x" * 900,
    "🧑\u200d🚀 नमस्\u200dते",
)
QUIET = frozenset("\u200c\u200d")


def circuit(name: str) -> cx.Circuit:
    """A circuit in which all texts are that one."""
    members = tuple(f"{name}{end}" for end in ("1", "2", "3"))
    estimate = Estimate(-1.0, -2.0, 0.5)
    whole = cx.Circuit.load(FOLDER / "circuit.json")
    nodes = tuple(Node(each, 0, name[:100], -1.0, estimate, (1.0, 2.0)) for each in members)
    edges = (Interaction(members[:2], 2.0, estimate), Interaction(members, -1.0))
    example = dict.fromkeys(("prompt", "counterfactual", "answer", "wrong_answer"), name) | {"tokens": [name, name]}
    share, scored = Share(name, estimate), (Scored(name, 1.0),)
    abouts = tuple(
        About(
            each,
            name[:100],
            Role(name, 0.1, (name,)),
            Looks((share,), (share,), (share,), estimate, ((0.5, 0.5),) * 2),
            Writes(estimate, (1.0, 2.0), scored, scored),
            (At(name, estimate),),
            fires=(Firing(name, 0, 1, name, 1.0),),
            feeds=(Feed(each, members[0], estimate),),
            lacks=(name,),
        )
        for each in members
    )
    about = Description(abouts, Breakdown(estimate, (share,), estimate), 2, name, name)
    return replace(
        whole,
        nodes=nodes,
        interactions=edges,
        dropped=(Interaction(members[1:], 0.1, estimate),),
        model={"name": name, "identity": name, "architecture": name, "dtype": name, "n_layers": 1},
        task={
            "name": name,
            "metric": name,
            "n_prompts": 2,
            "example": example,
            "prompts": [{**example, "positions": {name: [0, 1]}}] * 2,
        },
        run=dict.fromkeys(("components", "baseline", "method", "executor"), name)
        | {"lens": "game", "versions": {name: name}},
        description=about,
    )


def comparison(name: str) -> cx.Comparison:
    """A comparison of models of that name."""
    whole = cx.Comparison.load(FOLDER / "comparison.json")
    sides = {
        side: replace(
            getattr(whole, side),
            model={**getattr(whole, side).model, "name": f"{name}{side}"},
            task={**getattr(whole, side).task, "name": name, "metric": name},
        )
        for side in ("before", "after", "difference")
    }
    return replace(whole, **sides, run={"baseline": name, "components": name})


def series(name: str) -> Series:
    """A series of checkpoints of that name."""
    whole = formats.read(Series, FOLDER / "series.json")
    points = tuple(replace(point, name=f"{name}{i}", identity=name) for i, point in enumerate(whole.points))
    return replace(whole, points=points, same_as={f"{name}1": f"{name}0"}, run={"task": name, "metric": name})


def prompt(name: str) -> cx.PromptMap:
    """A prompt in which every word is that one."""
    words = " ".join([name] * 3)
    found = circuit(name)
    at = [i * (len(name) + 1) for i in range(3)]
    parts = tuple(
        Word(node.name, start, start + len(name), node.decoded, node.measured)
        for node, start in zip(found.nodes, at, strict=True)
    )
    return cx.PromptMap(words, words, parts, replace(found, run={**found.run, "lens": "tokens"}))


RESULTS = {
    "circuit": (circuit, ("svg", "html", "text", "csv", "dot", "mermaid", "graphml", "gexf", "neuronpedia", "shapiq")),
    "comparison": (comparison, ("svg", "html", "csv", "text")),
    "series": (series, ("csv", "text")),
    "prompt": (prompt, ("svg", "html")),
}


class Strict(HTMLParser):
    """Collects the names of elements, and of attributes that run scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.data, self.scripts, self.handlers = [], 0, []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count scripts that run, those that are data, and handlers."""
        is_data = tag == "script" and dict(attrs).get("type") == "application/json"
        self.scripts += tag == "script" and not is_data
        self.data += [dict(attrs).get("id")] if is_data else []
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def _check_quiet(shown: str) -> None:
    bad = {c for c in shown if not c.isprintable() and c not in QUIET | {"\n"}}
    assert not bad, ascii(bad)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", cell) is not None


def _check(form: str, raw: bytes) -> None:
    shown = raw.decode("utf-8")  # no half surrogates
    if form in ("svg", "graphml", "gexf"):
        whole = ET.fromstring(raw)
        if form == "svg":
            _check_quiet("".join(whole.itertext()) + "".join(v for each in whole.iter() for v in each.attrib.values()))
            assert "script" not in {each.tag.rpartition("}")[2] for each in whole.iter()}
    elif form == "html":
        parser = Strict()
        parser.feed(shown)
        assert parser.handlers == []
        assert parser.scripts <= 1
        assert len(parser.data) == len(set(parser.data))
        assert set(parser.data) <= {"data", "words"}
        assert "alert(1)</script>" not in shown
        _check_quiet(re.sub(r"<script.*?</script>|<style.*?</style>", "", shown, flags=re.S))
    elif form in ("text", "dot", "mermaid"):
        _check_quiet(shown)
    elif form == "csv":
        for row in csv.reader(io.StringIO(shown, newline="")):
            for cell in row:
                first = unicodedata.normalize("NFKC", cell.strip("\u200c\u200d\ufffd \u00a0\u3000"))[:1]
                assert first not in tuple("=+-@\t") or _is_number(cell), ascii(cell)
                assert not re.search(r"\w[;\t]\s*[=+\-@＝＋－＠]", cell), ascii(cell)
                _check_quiet(cell.replace("\r", "").replace("\t", "").replace("\u00a0", ""))
    else:
        json.loads(shown)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.some(8)
def test_what_is_written_is_harmless(kind: str, name: str, tmp_path: Path) -> None:
    make, forms = RESULTS[kind]
    if kind == "prompt" and not name.strip():
        return
    result = make(name)
    for form in forms:
        path = tmp_path / f"file.{form}"
        formats.write(result, form, path)
        for written in tmp_path.glob("file*"):
            _check(form, written.read_bytes())
            written.unlink()
    _check_quiet(str(result))
    try:
        saved = result.save(tmp_path / "again.json")
    except UserError as error:
        assert "has a space or line end around it" in str(error)  # noqa: PT017
    else:
        assert type(result).load(saved) == result


FEW = ("\ud83d$x^$\u202e\x1b[31m\0", "x" * 900)
"""For pictures, which take long."""


@pytest.mark.some(2)
@pytest.mark.parametrize("name", FEW, ids=["mixed", "long"])
@pytest.mark.parametrize("form", ["png", "pdf"])
def test_pictures_are_drawn(form: str, name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks
        for make in (circuit, comparison, prompt):
            raw = formats.write(make(name), form, tmp_path / f"p.{form}").read_bytes()
            assert raw.startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[form])
        assert series(name).plot(tmp_path / f"s.{form}").stat().st_size > 1000


def test_a_series_as_svg_is_well_formed(tmp_path: Path) -> None:
    for name in FEW:
        found = series(name).plot(tmp_path / "series.svg").read_text(encoding="utf-8")
        ET.fromstring(found.encode())


def test_names_that_are_numbers_stay_apart_from_numbers_in_tables(tmp_path: Path) -> None:
    formats.write(circuit("plain"), "csv", tmp_path / "c.csv")
    rows = list(csv.DictReader((tmp_path / "c.csv").open(newline="")))
    assert [float(row["effect"]) for row in rows] == [-1.0] * 3  # -1.0, not '-1.0
    assert text.cell("-1") == "'-1"
    assert text.cell("3.5") == "3.5"


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_errors_and_tables_of_interactions_are_printed_as_they_are(name: str) -> None:
    error = str(UserError(f"no component {name}"))
    _check_quiet(error)
    assert len(error.splitlines()) == 1
    masks = cx.sample_masks(2, 4, seed=0)
    names = [name, "other"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cx.decode(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool), [0.0, 1.0, 3.0, 5.0], names=names)
    assert masks.shape == (4, 2)
    _check_quiet(repr(found.top(3)))
    assert len(repr(found.top(3)).splitlines()) == 1 + len(found.top(3))
    assert "<script" not in found.top(3)._repr_html_()


def test_the_terminal_gets_no_commands() -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    print("a\x1b[31m − \ud800\nb", file=Harmless(plain))
    plain.flush()
    assert plain.buffer.getvalue() == b"a\\x1b[31m \\u2212 \\ud800\nb\n"
    assert not Harmless(plain).isatty()


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_report_is_harmless(name: str) -> None:
    whole = REPORT.from_json(json.loads((FOLDER / "report.json").read_text()))
    parts = tuple(replace(part, name=f"{name}{i}") for i, part in enumerate(whole.parts))
    found = replace(whole, parts=parts, about=dict.fromkeys(("model", "task", "metric"), name))
    _check_quiet(str(found))


def test_the_figure_of_a_report_is_well_formed(tmp_path: Path) -> None:
    whole = REPORT.from_json(json.loads((FOLDER / "report.json").read_text()))
    for name in FEW:
        parts = tuple(replace(part, name=f"{name}{i}") for i, part in enumerate(whole.parts))
        found = replace(whole, parts=parts, about=dict.fromkeys(("model", "task", "metric"), name))
        ET.fromstring(found.plot(tmp_path / "report.svg").read_bytes())

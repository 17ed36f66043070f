"""Damaged and hostile files: every reader gives one clear line, or a result that is written and read again as itself.

Five thousand mutations and more, from a fixed seed, over all readers; what is accepted is also drawn or shown.
"""

from __future__ import annotations

import json
import os
import random
import time
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import pytest

import circuitspex as cx
from circuitspex import strict_json
from circuitspex.circuits import formats
from circuitspex.circuits.comparison import Series
from circuitspex.components import Latents
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.graphs import eap
from circuitspex.export.graphs.eap_nodes import Blocks
from circuitspex.tasks import jsonl

FOLDER = Path(__file__).parents[1] / "fixtures" / "formats"
PER_READER = 720
SHOWN = ("svg", "html", "text", "csv", "dot", "mermaid", "graphml", "gexf", "neuronpedia", "shapiq", "json")


@dataclass(frozen=True)
class Reader:
    """How a kind of file is read, written again, and shown; ``texts`` are valid files."""

    texts: tuple[str, ...]
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], Any]
    show: Callable[[Any, Path, int], None]


def _fixture(*names: str) -> tuple[str, ...]:
    return tuple((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _of(kind: type[Any], *names: str, shown: tuple[str, ...]) -> Reader:
    def show(result: Any, folder: Path, turn: int) -> None:
        form = shown[turn % len(shown)]
        path = folder / f"shown.{form}"
        formats.write(result, form, path)
        if form in ("svg", "graphml", "gexf"):
            ET.fromstring(path.read_bytes())

    return Reader(_fixture(*names), kind.load, lambda result, path: result.save(path), show)


def _show_interactions(found: Any, folder: Path, turn: int) -> None:
    assert np.isfinite(found.predict(np.ones((2, found.n_players), dtype=bool))).all()
    str(found.top(5)), found.top(5)._repr_html_(), repr(found)
    if found.terms:
        found.effect(*found.terms[-1])


def _write_lines(lines: Any, path: Path) -> None:
    jsonl.write(path, [example for _, example in lines])


def _small_graph() -> str:
    scored = {name: {"in_graph": i % 2 == 0, "score": 0.5 - i} for i, name in enumerate(["a0.h0", "a0.h1", "m0", "m1"])}
    edges = {f"{a}->{b}": {"in_graph": True, "score": 0.5} for a, b in eap.edges(Blocks.uniform(2, 2), False)}
    nodes = {"input": {"in_graph": True}, **scored, "logits": {"in_graph": True}}
    return json.dumps({"cfg": {"n_layers": 2, "n_heads": 2, "d_model": 8}, "nodes": nodes, "edges": edges})


_LINE = json.dumps(
    {"prompt": "The sky", "counterfactual": "The sea", "answer": " is", "wrong_answer": " was", "positions": {"s": 1}}
)
READERS = {
    "circuit": _of(cx.Circuit, "circuit.json", "circuit_version_1.json", "circuit_version_2.json", shown=SHOWN),
    "comparison": _of(cx.Comparison, "comparison.json", shown=("svg", "html", "csv", "text")),
    "series": _of(Series, "series.json", shown=("csv", "text")),
    "prompt": _of(cx.PromptMap, "prompt.json", shown=("svg", "html", "json")),
    "interactions": Reader(
        _fixture("interactions.json"), cx.Interactions.load, lambda found, path: found.save(path), _show_interactions
    ),
    "eap": Reader(
        (_small_graph(),),
        lambda path: formats.read(cx.Circuit, path, "eap"),
        lambda found, path: formats.write(found, "eap", path),
        lambda found, folder, turn: None,
    ),
    "task": Reader((_LINE,), jsonl.read_lines, _write_lines, lambda lines, folder, turn: None),
}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, cx.Interactions):
        return repr(vars(one)) == repr(vars(other)) or (
            one.terms == other.terms
            and one.names == other.names
            and np.array_equal(one.coefficients, other.coefficients)
            and np.array_equal(one.standard_errors, other.standard_errors)
            and (one.cross_validated, one.keep, one.seed) == (other.cross_validated, other.keep, other.seed)
        )
    if isinstance(one, cx.Circuit) and "effects" in one.run:  # of an EAP graph, which holds no more than this
        return {(node.name, abs(node.effect)) for node in one.nodes} == {
            (node.name, abs(node.effect)) for node in other.nodes
        }
    if isinstance(one, list):
        return [example for _, example in one] == [example for _, example in other]
    return bool(one == other)


def _read(reader: Reader, path: Path) -> Any:
    """What a file holds, or None where it is refused in one line that is not long."""
    try:
        return reader.read(path)
    except UserError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, message
        assert len(message) < len(str(path)) + 900, message
        assert message.isprintable(), message
        return None


@pytest.mark.some(3)
@pytest.mark.parametrize("name", READERS)
def test_mutations_are_refused_in_one_line_or_are_files_of_their_own(name: str, tmp_path: Path) -> None:
    reader, rng = READERS[name], random.Random(f"hostile {name}")
    file, again = tmp_path / "file.json", tmp_path / "again.json"
    accepted = 0
    started = time.process_time()
    for turn in range(PER_READER):
        change = mutations.DAMAGE[turn % len(mutations.DAMAGE)]
        raw = change(rng, reader.texts[turn % len(reader.texts)])
        file.write_bytes(raw)
        before = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = _read(reader, file)
                if found is None:
                    continue
                accepted += 1
                assert change not in mutations.NEVER_VALID
                try:
                    reader.write(found, again)
                except UserError:
                    assert name == "eap"  # reads graphs of more than the heads and MLPs that it writes
                    continue
                assert _same(reader.read(again), found)
                try:
                    reader.show(found, tmp_path, turn)
                except UserError as error:  # a format that can't say it
                    assert len(str(error).splitlines()) == 1  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"{name}, turn {turn}, {change.__name__}: {raw[:3000]!r}") from error
        assert time.process_time() - before < 5, (name, turn, change.__name__)
    assert accepted > PER_READER // 50  # the mutations reach what is behind the checks
    assert time.process_time() - started < 20


@pytest.mark.parametrize("name", READERS)
def test_changes_that_say_the_same_are_read_as_the_same(name: str, tmp_path: Path) -> None:
    reader, rng = READERS[name], random.Random(f"harmless {name}")
    for text in reader.texts:
        file = tmp_path / "file.json"
        file.write_text(text, encoding="utf-8")
        whole = reader.read(file)
        for change in mutations.SAME * 5:
            raw = change(rng, text)
            file.write_bytes(raw.replace(b"\n", b"") + b"\n" if name == "task" else raw)
            assert _same(reader.read(file), whole), change.__name__


def test_bytes_of_latents_are_refused_in_one_line_or_read(tmp_path: Path) -> None:
    rng, raw = random.Random("latents"), (FOLDER / "latents.safetensors").read_bytes()
    file = tmp_path / "file.safetensors"
    for _ in range(300):
        damaged = bytearray(raw)
        for _ in range(rng.choice([1, 2, 5])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        file.write_bytes(bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]))
        try:
            found = Latents.load(file)
        except UserError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
            continue
        assert Latents.load(found.save(tmp_path / "again.safetensors")).identity == found.identity


@pytest.mark.parametrize("name", [*READERS, "latents"])
def test_what_is_no_file_is_one_line_at_once(name: str, tmp_path: Path) -> None:
    read = Latents.load if name == "latents" else READERS[name].read
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "spaces").write_bytes(b" \n ")
    (tmp_path / "utf16").write_bytes("{}".encode("utf-16"))
    for place, said in {
        "pipe": "is a pipe or a device",
        "none": "there is no such file",
        ".": "there is no such file" if name == "latents" else "Is a directory",  # SAELens saves folders
        "empty": "",
        "spaces": "",
        "utf16": "" if name == "latents" else "UTF-",
        "a\0b": "that no file name can have",
    }.items():
        with pytest.raises(UserError, match=said) as caught:
            read(tmp_path / place)
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate(strict_json.MAX_BYTES + 1)  # takes no room on the disk
    for reader in READERS.values():
        with pytest.raises(UserError, match="bytes; at most"):
            reader.read(tmp_path / "large.json")


def _changed(*path: Any, value: Any, text: str | None = None) -> Any:
    data = json.loads(READERS["circuit"].texts[0] if text is None else text)
    holder = data
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return data


NODE = {"layer": 0, "kind": "head", "decoded": 0.5, "measured": None}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_changed("nodes", value=[{"name": f"L0H{i}", **NODE} for i in range(100_000)]), "at most 50,000 are read"),
        (_changed("nodes", 0, "measured", value={"value": 5, "low": 1, "high": 2}), "5 is not in its interval"),
        (_changed("nodes", 0, "measured", value={"value": 5, "low": 7, "high": 2}), "above its high end"),
        (_changed("model", "n_layers", value=3), "the file's model has 3 layers"),
        (_changed("model", "n_heads", value=1), "the file's model has 1 heads"),
        (_changed("edges", 0, "components", value=[f"L0H{i}" for i in range(300)]), "at most 50 are read"),
        (_changed("nodes", 0, "name", value="L" + "1" * 4999), "has 5,000 characters; at most 1,000"),
        (_changed("nodes", 0, "name", value="L023H3"), "is written L23H3"),
        (_changed("faithfulness", "r2", value=1.5), "faithfulness.r2 must be at most 1"),
        (_changed("faithfulness", "r2", value=-3), "R² -3 is not in its interval"),
        (_changed("edges", 0, "q", value=2), "must be at most 1"),
        (_changed("run", "keep", value=1.5), "run.keep must be at most 1"),
        (_changed("run", "seed", value=10**399), "too large"),
        (_changed("edges", 0, "table", value=[{"kept": [True, True], "value": 1}] * 2), "a combination twice"),
    ],
)
def test_what_contradicts_itself_or_a_limit_is_named(data: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(data))
    started = time.process_time()
    with pytest.raises(FileFormatError) as caught:
        cx.Circuit.load(tmp_path / "c.json")
    assert said in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 300
    assert time.process_time() - started < 5


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    whole = cx.Circuit.load(FOLDER / "circuit.json")
    deep: Any = 1
    for _ in range(strict_json.MAX_DEPTH + 1):
        deep = [deep]
    for run, said in (({"more": deep}, "deep"), ({"more": 10**400}, "too large"), ({"keep": 2}, "at most 1")):
        with pytest.raises(UserError, match=said):
            replace(whole, run=run).save(tmp_path / "c.json")
    assert not list(tmp_path.iterdir())

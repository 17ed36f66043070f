"""A prompt's picture, page, table and file: nothing overlaps, nothing runs off, everything is escaped and read back."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_maps import prompt_map

from circuitspex.circuits.prompt_map import PromptMap, Word
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.drawing.geometry import Box, sample
from circuitspex.export.drawing.prompt_layout import LABEL_SIZE, layout
from circuitspex.export.drawing.style import text_width
from circuitspex.export.pages.prompt import render_cell, render_page


def _first_member(data: dict[str, Any]) -> dict[str, Any]:
    """The word that the first interaction begins with."""
    name = data["circuit"]["edges"][0]["components"][0]
    return next(word for word in data["words"] if word["name"] == name)


SIZES = [(1, 0), (12, 5), (40, 12), (300, 24)]


@pytest.mark.parametrize(("n_words", "n_edges"), SIZES)
def test_words_stand_apart_and_arcs_end_on_their_words(n_words: int, n_edges: int) -> None:
    found = prompt_map(n_words, n_edges)
    placed = layout(found)
    boxes = [box for word in placed.words for box in word.boxes]
    assert len(placed.words) == n_words
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    sheet = Box(0, 0, placed.width, placed.height)
    assert all(sheet.contains(box) for box in boxes)
    for arc in placed.arcs:
        points = [point for path in arc.paths for point in sample(path)]
        assert all(0 <= x <= placed.width and 0 <= y <= placed.height for x, y in points)
        for member in arc.members:
            box = placed.words[member].boxes[0]
            assert any(box.left <= x <= box.right and abs(y - (box.top - 1)) < 0.01 for x, y in points)


@pytest.mark.parametrize(("n_words", "n_edges"), SIZES)
def test_labels_never_cover_each_other_or_a_word(n_words: int, n_edges: int) -> None:
    placed = layout(prompt_map(n_words, n_edges, seed=3))
    labels = []
    for arc in placed.arcs:
        half = text_width(arc.label, LABEL_SIZE) / 2
        labels.append(Box(arc.x - half, arc.y - 6, arc.x + half, arc.y + 6))
    assert not any(one.overlaps(other) for one, other in combinations(labels, 2))
    boxes = [box for word in placed.words for box in word.boxes]
    assert not any(label.overlaps(box) for label in labels for box in boxes)


def test_no_line_runs_through_a_word() -> None:
    placed = layout(prompt_map(300, 24, seed=5))
    inner = [Box(b.left, b.top + 0.5, b.right, b.bottom) for word in placed.words for b in word.boxes]
    for arc in placed.arcs:
        for path in arc.paths:
            for x, y in sample(path, 20):
                assert not any(b.left < x < b.right and b.top < y < b.bottom for b in inner)


@pytest.mark.parametrize(("n_words", "n_edges"), SIZES)
def test_the_file_gives_the_same_map_back(n_words: int, n_edges: int, tmp_path: Path) -> None:
    found = prompt_map(n_words, n_edges)
    again = PromptMap.load(found.save(tmp_path / "prompt.json"))
    assert again == found
    assert again.table() == found.table()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(format="other"), "\"format\" must be 'circuitspex.prompt'"),
        (lambda data: data.update(version=9), "newer circuitspex"),
        (lambda data: data.update(version=True), "whole number"),
        (lambda data: data.update(words={}), '"words" a list'),
        (lambda data: data["words"][0].pop("start"), r"words\[0\] must have"),
        (lambda data: data["words"][0].update(decoded=None), r"words\[0\] must have"),
        (lambda data: data["words"][1].update(start=0), "is not in its place"),
        (lambda data: data["words"][-1].update(end=10**6), "is not in its place"),
        (lambda data: data["words"].remove(_first_member(data)), "is no word of this prompt"),
        (lambda data: data.update(circuit=None), "not a circuit file"),
    ],
)
def test_a_damaged_file_is_one_clear_line(change: object, message: str, tmp_path: Path) -> None:
    path = prompt_map(12, 12, seed=1).save(tmp_path / "prompt.json")
    data = json.loads(path.read_text())
    change(data)  # type: ignore[operator]
    path.write_text(json.dumps(data))
    with pytest.raises(FileFormatError, match=message) as caught:
        PromptMap.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_cut_file(tmp_path: Path) -> None:
    path = tmp_path / "prompt.json"
    with pytest.raises(FileFormatError, match="there is no such file"):
        PromptMap.load(path)
    prompt_map().save(path)
    path.write_text(path.read_text()[:200])
    with pytest.raises(FileFormatError, match="not JSON, or cut short"):
        PromptMap.load(path)


def test_words_must_be_in_their_places() -> None:
    found = prompt_map()
    with pytest.raises(UserError, match="not in its place"):
        dataclasses.replace(found, words=(Word("x", 5, 3, 0.0),))


def test_the_pictures_are_written(tmp_path: Path) -> None:
    found = prompt_map(40, 12)
    svg = found.to_svg(tmp_path / "prompt.svg").read_text()
    texts = ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    shown = " ".join(texts)
    for piece in found.text.split():
        assert piece in shown
    assert found.to_svg(tmp_path / "again.svg").read_text() == svg
    assert found.to_png(tmp_path / "prompt.png").read_bytes().startswith(b"\x89PNG")


def test_sign_is_told_by_dashes_too() -> None:
    found = prompt_map(12, 6)
    page = render_page(found)
    for index, arc in enumerate(layout(found).arcs):
        mark = re.search(rf'<g class="edge" data-index="{index}".*?</g>', page)
        assert mark is not None
        assert ("stroke-dasharray" in mark[0]) == (arc.edge.effect < 0)


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and "\x00" not in text))
def test_any_text_can_be_drawn_and_is_escaped(text: str) -> None:
    found = prompt_map(text=text, n_edges=0)
    for html in (render_page(found), render_cell(found)):
        drawing = re.search(r'<svg [^>]*class="cx-prompt".*?</svg>', html, re.DOTALL)
        assert drawing is not None
        ElementTree.fromstring(drawing[0])
    assert max(map(len, found.table().split("\n"))) <= 100


def test_markup_in_a_prompt_stays_text() -> None:
    nasty = "<script>alert(1)</script> \"quoted\" & 'more' </svg>"
    page = render_page(prompt_map(text=nasty, n_edges=1))
    assert "alert(1)</script>" not in page
    assert page.count("<script") == 2  # its words and what it does


def test_a_table_shows_the_strongest_first() -> None:
    lines = prompt_map(30, 8).table().split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("Main effects"))
    effects = [abs(float(line.split()[1])) for line in lines[start + 3 : start + 13]]
    assert effects == sorted(effects, reverse=True)
    assert any("… and 10 weaker" in line for line in lines)

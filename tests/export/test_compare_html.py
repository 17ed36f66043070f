"""The page of a comparison and its notebook output as text: self-contained, safe, and with everything in its place."""

import re
from dataclasses import replace

import pytest
from drawn_comparisons import comparison, measured, unchanged
from test_html import EVIL, Reader

from circuitspex.circuits.circuit import Direction, Estimate
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, KINDS_OF_CHANGE, union_layout
from circuitspex.export.pages.comparison import render_cell, render_page
from circuitspex.export.words.saying import say

SIDES = ("before", "after", "difference")
SEEDS = [0, 1, 2]


@pytest.mark.parametrize(
    "made", [comparison(0), comparison(14), comparison(60), unchanged(), unchanged(identical=True)]
)
def test_nothing_is_loaded_from_anywhere(made):
    text = render_page(made)
    page = Reader(text)
    for _, attributes in page.tags:
        for key in ("src", "srcset", "action", "background", "poster", "data"):
            assert key not in attributes
        assert attributes.get("href", "#").startswith(("#", "data:,"))
        assert not any(key.startswith("on") or key == "style" for key in attributes)
    urls = re.findall(r"https?://[^\"'<\s]+", text) + re.findall(r"url\(|@import|fetch\(|XMLHttp|import\(", text)
    assert set(urls) <= {"http://www.w3.org/2000/svg"}
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert len(page.all("script")) == 3  # its data, its words and what it does


@pytest.mark.parametrize("seed", SEEDS)
def test_the_three_diagrams_have_the_same_places(seed):
    made = comparison(20, seed=seed)
    placed = union_layout(made)
    drawn = [getattr(placed, side) for side in SIDES]
    for one in drawn[1:]:
        assert (one.width, one.height, one.bands) == (drawn[0].width, drawn[0].height, drawn[0].bands)
        assert [(m.node.name, m.x, m.y, m.label.left) for m in one.nodes] == [
            (m.node.name, m.x, m.y, m.label.left) for m in drawn[0].nodes
        ]
        assert [(m.edge.components, m.paths, m.label) for m in one.edges] == [
            (m.edge.components, m.paths, m.label) for m in drawn[0].edges
        ]
    for side, one in zip(SIDES, drawn, strict=True):
        circuit = getattr(made, side)
        assert {m.node.name for m in one.nodes if not m.faint} == {node.name for node in circuit.nodes}
        assert {m.edge.components for m in one.edges if not m.faint} == {
            edge.components for edge in circuit.interactions
        }
    assert placed == union_layout(made)
    shuffled = replace(
        made, before=replace(made.before, nodes=made.before.nodes[::-1], interactions=made.before.interactions[::-1])
    )
    assert union_layout(shuffled) == placed


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [10, 30, 100])
def test_texts_have_room_in_every_diagram(n, seed):
    from circuitspex.export.drawing.style import DETAIL_SIZE, NAME_SIZE, text_width

    placed = union_layout(comparison(n, seed=seed))
    for side in SIDES:
        drawn = getattr(placed, side)
        for mark in drawn.nodes:
            widths = [text_width(t, DETAIL_SIZE if i else NAME_SIZE, bold=i == 0) for i, t in enumerate(mark.lines)]
            assert max(widths) <= mark.label.right - mark.label.left + 0.1
            assert mark.radius <= (mark.symbol.right - mark.symbol.left) / 2
        for mark in drawn.edges:
            if mark.label is not None:
                assert text_width(mark.text, DETAIL_SIZE) <= mark.label.right - mark.label.left
        boxes = [box for mark in drawn.nodes for box in (mark.symbol, mark.label)]
        boxes += [mark.label for mark in drawn.edges if mark.label is not None]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_absent_parts_show_what_was_measured_and_kinds_have_a_shape():
    made = comparison(16, seed=4)
    placed = union_layout(made)
    by_set = {frozenset(change.components): change for change in made.changes}
    seen = 0
    for which, side in enumerate(SIDES):
        for mark in getattr(placed, side).nodes:
            change = by_set[frozenset((mark.node.name,))]
            assert mark.node.measured == measured(change)[which]
            seen += mark.faint
            if side == "difference" and change.kind != "unchanged":
                assert mark.lines[0] == f"{mark.node.name} {KIND_MARKS[change.kind]} {change.kind}"
            else:
                assert mark.lines[0] == mark.node.name
        for mark in getattr(placed, side).edges:
            kind = by_set[frozenset(mark.edge.components)].kind
            assert mark.text.startswith(KIND_MARKS[kind]) == (side == "difference" and kind != "unchanged")
    assert seen


def test_directions_are_drawn_where_they_were_measured():
    made = comparison(14, seed=1)
    pair = next(edge for edge in made.after.interactions if edge.order == 2)
    directed = replace(pair, direction=Direction(*pair.components, Estimate(0.5, 0.3, 0.7)))
    after = replace(
        made.after, interactions=tuple(directed if edge == pair else edge for edge in made.after.interactions)
    )
    placed = union_layout(replace(made, after=after))
    assert [m.edge.components for m in placed.after.edges if m.arrow] == [pair.components]
    assert not any(m.arrow for m in (*placed.before.edges, *placed.difference.edges))


def test_the_page_says_what_was_found():
    made = comparison(14, seed=2)
    page = Reader(render_page(made))
    text = " ".join(page.text)
    for said in (
        "model-step1000 → model-step9000",
        "+1.20",
        "+3.10",
        "+1.90",
        "[+1.78, +2.02]",
        "0.91",
        "[0.88, 0.94]",
    ):
        assert said in text
    for kind in KIND_MARKS:
        assert f"{len(made.of(kind))} {kind}" in text
    rows = [a for a in page.all("tr") if a.get("data-kind") == "change"]
    assert len(rows) == len(made.changes) == len(page.data["changes"])
    marks = [a for a in page.all("g") if a.get("role") == "button"]
    assert len(marks) == 3 * (len(page.data["nodes"]) + len(page.data["edges"]))
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in marks)
    faint = [a for a in marks if a["class"].endswith(" absent")]
    assert faint
    assert all(a["aria-label"].endswith("not part of this circuit") == (a in faint) for a in marks)
    for index, change in enumerate(page.data["changes"]):
        for part in ("node", "edge"):
            if part in change:
                assert page.data[f"{part}s"][change[part]]["change"] == index
                assert set(page.data[f"{part}s"][change[part]]["components"]) == set(change["components"])


def test_identical_models_and_no_changes_are_one_sentence():
    page = render_page(unchanged(identical=True))
    assert "Identical: a and b have the same weights" in page
    assert 'class="pane"' not in page
    assert "No change:" in render_page(unchanged())
    made = comparison(8)
    same = replace(made, changes=tuple(replace(c, kind="unchanged") for c in made.changes))
    text = " ".join(Reader(render_page(same)).text)
    assert f"No change shown: of {len(made.changes)} components and interactions tested, none is shown to differ" in (
        text
    )


def test_hostile_text_stays_text():
    made = comparison(6)
    hostile = {"model": {"name": EVIL, "identity": EVIL}, "task": {"name": EVIL, "metric": EVIL}}
    sides = {side: replace(getattr(made, side), **hostile) for side in SIDES}
    made = replace(made, **sides, run={"baseline": EVIL, "versions": {EVIL: EVIL}})
    for text in (render_page(made), render_cell(made), render_page(replace(made, identical=True))):
        text.encode("utf-8")
        page = Reader(text)
        assert not page.all("img")
        assert len(page.all("script")) in (0, 3)
        assert any("<script>alert(1)</script>" in part for part in page.text)


def test_the_legend_says_what_colours_mean_in_the_difference():
    made = comparison(14, seed=2)
    text = render_page(made)
    assert say("comparison.increased") in text
    assert say("comparison.decreased") in text
    kinds = {change.kind for change in made.changes}
    explained = {kind for kind in KINDS_OF_CHANGE if f"</b> {say(f'comparison.kind.{kind}')}</li>" in text}
    assert explained == kinds - {"unchanged"}


def test_the_picture_in_a_notebook_needs_no_script():
    made = comparison(14)
    page = Reader(made.show(static=True)._repr_html_())
    assert not page.all("script")
    assert not page.all("style")
    assert not page.all("iframe")
    assert not any("id" in attributes for _, attributes in page.tags)
    assert len(page.all("svg")) == 3
    assert "Identical" in render_cell(unchanged(identical=True))


def test_the_same_comparison_gives_the_same_bytes(tmp_path):
    pages = [comparison(12).to_html(tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]
    assert len(pages[0]) < 400_000


def test_checkpoints_of_one_name_are_told_apart():
    made = comparison(6)
    named = {side: replace(getattr(made, side), model={"name": "m", "identity": f"{side}-hash"}) for side in SIDES}
    text = render_page(replace(made, **named))
    assert "m (before-h) → m (after-ha)" in text

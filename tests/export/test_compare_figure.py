"""The figure of a comparison: one place for each component, real text, equal bytes, and sentences where it is empty."""

import random
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import pytest
from drawn_circuits import related
from drawn_comparisons import comparison, unchanged
from matplotlib.backends.backend_agg import FigureCanvasAgg

from circuitspex.circuits.circuit import Faithfulness
from circuitspex.export.drawing.comparison_layout import KINDS_OF_CHANGE, union_layout
from circuitspex.export.drawing.style import DETAIL_SIZE, text_width
from circuitspex.export.figures.comparison import draw
from circuitspex.export.words.saying import say

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("n", [6, 14, 30])
def test_labels_do_not_overlap_and_stay_inside(n):
    made = comparison(n, seed=n)
    figure = draw(made)
    renderer = FigureCanvasAgg(figure).get_renderer()
    panels = figure.axes[1:4]
    for axes, side in zip(panels, ("before", "after", "difference"), strict=True):
        wanted = {line for mark in getattr(union_layout(made), side).nodes for line in mark.lines}
        shown = [(t.get_text(), t.get_window_extent(renderer)) for t in axes.texts if t.get_text() in wanted]
        assert len(shown) >= len(wanted)
        for i, (text, box) in enumerate(shown):
            for other, other_box in shown[i + 1 :]:
                width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
                height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
                assert min(width, height) < 1.5, (text, other)
    for axes in figure.axes:
        for artist in axes.texts:
            box = artist.get_window_extent(renderer)
            assert figure.bbox.x0 <= box.x0
            assert box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0
            assert box.y1 <= figure.bbox.y1


def test_names_stand_in_the_same_place_in_every_panel():
    made = comparison(12, seed=7)
    panels = draw(made).axes[1:4]
    places = []
    for axes in panels:
        at = {t.get_text().split(" ")[0]: t.get_position() for t in axes.texts if t.get_fontweight() == "bold"}
        places.append({name: place for name, place in at.items() if name.startswith("L")})
    assert places[0] == places[1] == places[2]
    assert len(places[0]) == len(union_layout(made).before.nodes)


def test_diagrams_stand_one_below_the_other_with_a_legend_of_their_own():
    made = comparison(14, seed=2)
    figure = draw(made)
    whole, *panels = figure.axes
    places = [axes.get_position() for axes in panels[:3]]
    assert len({round(place.x0, 6) for place in places}) == 1
    assert places[0].y0 > places[1].y1 - 1e-9
    assert places[1].y0 > places[2].y1 - 1e-9
    assert figure.get_figwidth() * 72 < 800
    said = {text.get_text() for text in whole.texts}
    assert {say("comparison.increased"), say("comparison.decreased")} <= said
    kinds = {change.kind for change in made.changes}
    explained = {kind: say(f"comparison.kind.{kind}") for kind in KINDS_OF_CHANGE}
    assert {kind for kind, words in explained.items() if words in said} == kinds - {"unchanged"}
    few = replace(made, changes=tuple(change for change in made.changes if change.kind in ("lost", "unchanged")))
    said = {text.get_text() for text in draw(few).axes[0].texts}
    assert said & set(explained.values()) == {explained["lost"]}
    assert "faint: not part of that circuit" in said


@pytest.mark.some(3)
@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_the_same_comparison_gives_the_same_bytes(form, tmp_path):
    first = comparison(8).export(form, tmp_path / "a").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        assert comparison(8).export(form, tmp_path / "b").read_bytes() == first
    assert comparison(8, seed=1).export(form, tmp_path / "c").read_bytes() != first


def test_svg_has_its_text_as_text(tmp_path):
    made = comparison(12, seed=3)
    root = ElementTree.parse(made.export("svg", tmp_path / "c.svg")).getroot()
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    for said in ("Before", "After", "Difference", "model-step1000", "model-step9000"):
        assert said in texts
    change = next(change for change in made.found if change.order == 1)
    assert any(text.startswith(change.components[0]) and text.endswith(change.kind) for text in texts)
    assert any("+1.90 [+1.78, +2.02]" in text for text in texts)
    assert any("0.91 [0.88, 0.94]" in text for text in texts)


def test_a_negative_r2_has_a_true_minus_and_a_missing_one_is_not_said(tmp_path):
    made = comparison(5)
    for found, said in (
        (Faithfulness(-0.1, -0.5, 0.2, 30), "R² of the decoded difference −0.10 [−0.50, 0.20] on 30"),
        (Faithfulness(None, None, None, 30), None),
    ):
        text = replace(made, faithfulness=found).export("svg", tmp_path / "c.svg").read_text(encoding="utf-8")
        assert ("R² of the decoded difference" in text) == (said is not None)
        assert said is None or said in text


def test_identical_and_unchanged_say_so(tmp_path):
    for made, said in ((unchanged(identical=True), "Identical: a and b"), (unchanged(), "No change")):
        root = ElementTree.parse(made.export("svg", tmp_path / "c.svg")).getroot()
        assert any((element.text or "").startswith(said) for element in root.iter(f"{SVG}text"))


def test_hostile_names_are_text(tmp_path):
    evil = {"name": "</text><script>alert(1)</script> $\\frac{1}{0}$ & \x00 \ud83d"}
    made = comparison(4)
    made = replace(made, before=replace(made.before, model=evil), after=replace(made.after, model=evil))
    root = ElementTree.parse(made.export("svg", tmp_path / "c.svg")).getroot()
    assert not list(root.iter(f"{SVG}script"))
    assert any("$\\frac" in (element.text or "") for element in root.iter(f"{SVG}text"))


def test_dark_is_dark():
    assert max(draw(comparison(4), dark=True).get_facecolor()[:3]) < 0.2


def test_places_of_labels_are_as_wide_as_what_stands_in_them():
    """What a pair is called is not said in a comparison, so that it must not take up room either."""
    made = comparison(14, seed=3)

    def named(circuit):
        pairs = [
            replace(edge, pair=related(edge, random.Random(str(edge)))) if edge.order == 2 else edge
            for edge in circuit.interactions
        ]
        return replace(circuit, interactions=tuple(pairs))

    with_names = replace(made, before=named(made.before), after=named(made.after), difference=named(made.difference))
    layouts = union_layout(with_names)
    sides = [getattr(layouts, side).edges for side in ("before", "after", "difference")]
    seen = 0
    for marks in zip(*sides, strict=True):
        box = marks[0].label
        if box is not None:
            seen += 1
            assert box.right - box.left < max(text_width(mark.text, DETAIL_SIZE) for mark in marks) + 10
    assert seen > 5

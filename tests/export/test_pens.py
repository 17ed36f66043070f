"""Both pens draw the same marks; the one that writes text says what a page's script and a screen reader need."""

from __future__ import annotations

from xml.etree import ElementTree

import matplotlib.text
import pytest
from drawn_circuits import realistic, with_evidence
from drawn_comparisons import comparison
from prompt_maps import prompt_map

from circuitspex.export.drawing.geometry import Box, straight
from circuitspex.export.drawing.matplotlib_pen import MatplotlibPen
from circuitspex.export.drawing.pen import Look
from circuitspex.export.drawing.style import DARK, LIGHT
from circuitspex.export.drawing.svg_pen import BUTTON, SvgPen
from circuitspex.export.figures import circuit as circuit_figure
from circuitspex.export.figures import comparison as comparison_figure
from circuitspex.export.figures import prompt as prompt_figure

SVG = "{http://www.w3.org/2000/svg}"
MARKS = {f"{SVG}{name}" for name in ("circle", "rect", "polygon", "path")}
SHEETS = [
    circuit_figure.sheet(with_evidence(realistic(12, seed=2), seed=2)),
    circuit_figure.sheet(realistic(60)),
    comparison_figure.sheet(comparison(10, seed=3)),
    prompt_figure.sheet(prompt_map(40, 12, seed=1)),
]


def root_of(sheet, dark=False):
    return ElementTree.fromstring(sheet.svg(dark).encode())


@pytest.mark.parametrize("sheet", SHEETS)
def test_both_pens_draw_the_same(sheet):
    root, figure = root_of(sheet), sheet.figure()
    texts = [artist.get_text() for axes in figure.axes for artist in axes.texts]
    assert sorted(texts) == sorted(element.text for element in root.iter(f"{SVG}text"))
    patches = sum(len(axes.patches) for axes in figure.axes)
    assert patches == sum(element.tag in MARKS for element in root.iter()) - 1  # the paper itself
    width, height = (float(root.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert (figure.get_size_inches() * 72).tolist() == pytest.approx([width, height], abs=0.1)


@pytest.mark.parametrize("sheet", SHEETS)
def test_everything_in_a_file_stays_on_its_paper(sheet):
    root = root_of(sheet)
    _, above, width, height = map(float, root.get("viewBox").split())

    def check(element, left, top):
        if element.get("transform"):
            dx, dy = map(float, element.get("transform").removeprefix("translate(").removesuffix(")").split())
            left, top = left + dx, top + dy
        if element.tag == f"{SVG}text":
            assert 0 <= left + float(element.get("x")) <= width
            assert above <= top + float(element.get("y")) <= above + height
        for child in element:
            check(child, left, top)

    check(root, 0, 0)


def test_dark_files_have_the_dark_colours_only():
    light, dark = SHEETS[0].svg(), SHEETS[0].svg(dark=True)
    assert LIGHT.positive in light
    assert DARK.positive in dark
    assert LIGHT.positive not in dark
    assert LIGHT.background not in dark
    assert "var(" not in light + dark


def test_faint_marks_are_fainter_in_each_pen():
    for pen in (SvgPen(LIGHT), MatplotlibPen(10, 10, 0, LIGHT)):
        assert pen.faint.positive == "#b8d8e9"
        assert pen.faint.background == LIGHT.background
    inline = SvgPen()
    with inline.group("node", faint=True):
        inline.circle(0, 0, 1, Look(inline.faint.positive))
    assert inline.parts[0] == '<g class="node absent" opacity="0.45">'
    assert inline.parts[1] == f'<circle cx="0" cy="0" r="1" fill="var(--cx-positive,{LIGHT.positive})"/>'


def test_groups_can_be_chosen_where_the_page_is_interactive_only():
    for pen, chosen in ((SvgPen(button=BUTTON), True), (SvgPen(), False), (SvgPen(LIGHT), False)):
        with pen.group("node", 'a "name" <b>', hit=Box(0, 0, 5, 5), data_node=3):
            pen.text(1, 1, "x", 10, pen.palette.text)
        (group,) = ElementTree.fromstring(pen.element("drawing", 10, 10, "all"))
        assert group.get("data-node") == "3"
        assert group.get("tabindex") == ("0" if chosen else None)
        assert group.get("aria-label") == ('a "name" <b>' if chosen else None)
        assert [child.get("class") for child in group] == (["hit", None] if chosen else [None])


def test_matplotlib_draws_looks_as_they_are():
    pen = MatplotlibPen(100, 50, 0, LIGHT)
    pen.curves([straight((0, 0), (9, 9)), straight((1, 1), (5, 9))], Look(line="#0072B2", width=2.0, dash=(5.0, 3.0)))
    pen.box(Box(10, 10, 30, 20), Look("#D55E00", opacity=0.5), 2.5)
    with pen.panel(40, 20, 30, 30):
        pen.text(15, 15, "here", 8, LIGHT.text, "center", bold=True)
    line, box = pen.figure.axes[0].patches
    assert line._dash_pattern == (0, [5.0, 3.0])
    assert line.get_linewidth() == 2
    assert len(line.get_path().vertices) == 8
    assert box.get_facecolor()[3] == 0.5
    (text,) = pen.figure.axes[1].texts
    assert isinstance(text, matplotlib.text.Text)
    assert text.get_weight() == "bold"
    at = text.get_transform().transform(text.get_position()) * 72 / pen.figure.dpi
    assert at.tolist() == pytest.approx([55, 50 - 35])

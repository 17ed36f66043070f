"""Figures: text that does not overlap as it is really drawn, real text in files, equal bytes for equal circuits."""

import re
import sys
from xml.etree import ElementTree

import matplotlib
import pytest
from drawn_circuits import empty, realistic, with_evidence
from matplotlib.backends.backend_agg import FigureCanvasAgg

from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.style import DETAIL_SIZE, NAME_SIZE, text_width
from circuitspex.export.figures.circuit import draw, write_png_dark, write_svg_dark

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = {"name": "</text><script>alert(1)</script> $\\frac{1}{0}$ & \x00\x1b \ud83d"}


@pytest.mark.parametrize("n", [10, 30, 100])
def test_labels_do_not_overlap_as_drawn(n):
    circuit = realistic(n)
    figure = draw(circuit)
    renderer = FigureCanvasAgg(figure).get_renderer()
    known = {mark.node.name for mark in layout(circuit).nodes}
    wanted = known | {line for mark in layout(circuit).nodes for line in mark.lines}
    shown = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.axes[0].texts if t.get_text() in wanted]
    assert known <= {text for text, _ in shown}
    for i, (text, box) in enumerate(shown):
        for other, other_box in shown[i + 1 :]:
            width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert min(width, height) < 1.5, (text, other)  # a pixel of the two lines of one label may touch
    edges = figure.bbox
    for artist in figure.axes[0].texts:
        box = artist.get_window_extent(renderer)
        assert edges.x0 <= box.x0
        assert box.x1 <= edges.x1
        assert edges.y0 <= box.y0
        assert box.y1 <= edges.y1


@pytest.mark.parametrize("bold", [False, True])
def test_widths_are_estimated_from_above(bold):
    figure = draw(empty())
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in (
        "L23H3",
        "L29N1024:1088@-1",
        "L0M",
        "+2.90 [+2.78, +3.02]",
        "−0.20 est.",
        "MMWW",
        "+0.000012 [−1, +1]",
    ):
        size = NAME_SIZE if bold else DETAIL_SIZE
        drawn = figure.text(0, 0, text, fontsize=size, fontweight="bold" if bold else "normal", family="DejaVu Sans")
        real = drawn.get_window_extent(renderer).width * 72 / figure.dpi
        assert real <= text_width(text, size, bold) <= 1.45 * real + 2


def test_svg_has_its_text_as_text(tmp_path):
    circuit = realistic(30)
    root = ElementTree.parse(circuit.to_svg(tmp_path / "c.svg")).getroot()
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {node.name for node in circuit.nodes} <= set(texts)
    assert any(text.startswith("R² 0.961 [0.944, 0.973]") for text in texts)
    assert "smollm2-135m · ioi (logit_diff)" in texts
    assert "−1.98 [−2.10, −1.86]" in texts


def test_large_circuits_print_names_only(tmp_path):
    root = ElementTree.parse(realistic(60).to_svg(tmp_path / "c.svg")).getroot()
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert "L23H3" in texts
    assert not any("[−" in text or "est." in text for text in texts)


@pytest.mark.some(3)
@pytest.mark.parametrize("form", ["svg", "png", "pdf", "html", "json", "text"])
def test_the_same_circuit_gives_the_same_bytes(form, tmp_path):
    first = realistic(12).export(form, tmp_path / "a").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path", "text.color": "red"}):
        assert realistic(12).export(form, tmp_path / "b").read_bytes() == first
        assert matplotlib.rcParams["font.size"] == 30  # the reader's settings stay


def test_pdf_embeds_fonts_as_text(tmp_path):
    data = realistic(10).to_pdf(tmp_path / "c.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert b"/Type0" in data or b"/CIDFontType2" in data
    assert b"CreationDate" not in data


def test_png_has_200_dots_an_inch(tmp_path):
    circuit = realistic(10)
    from matplotlib.image import imread

    height, width, _ = imread(circuit.to_png(tmp_path / "c.png")).shape
    assert width == pytest.approx(layout(circuit).width * 200 / 72, abs=2)
    assert height > 500


def test_hostile_names_are_text(tmp_path):
    path = empty(model=HOSTILE, task=HOSTILE).to_svg(tmp_path / "c.svg")
    root = ElementTree.parse(path).getroot()
    assert not list(root.iter(f"{SVG}script"))
    assert any("$\\frac" in (element.text or "") for element in root.iter(f"{SVG}text"))


def test_empty_circuits_say_so():
    texts = {t.get_text() for t in draw(empty()).axes[0].texts}
    assert "Empty circuit: no component was kept." in texts
    assert "R² not measured: no held-out masks" in texts
    alone = {t.get_text() for t in draw(realistic(5, n_edges=0)).axes[0].texts}
    assert "No interactions: every component acts on its own." in alone


def test_dark_and_light_differ_and_pyplot_is_not_touched():
    loaded = "matplotlib.pyplot" in sys.modules
    light, dark = draw(realistic(5)), draw(realistic(5), dark=True)
    assert light.get_facecolor() == (1, 1, 1, 1)
    assert max(dark.get_facecolor()[:3]) < 0.2
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_long_titles_are_shortened_to_the_page(tmp_path):
    circuit = empty(model={"name": "/a/very/long/folder/" * 12}, task={"name": "ioi"})
    text = circuit.to_svg(tmp_path / "c.svg").read_text()
    assert re.search(r">/a/very/long[^<]*…<", text)


def test_arrowheads_and_their_legend():
    def arrows(circuit):
        return [p for p in draw(circuit).axes[0].patches if type(p).__name__ == "Polygon" and len(p.get_xy()) == 4]

    plain = realistic(12, seed=2)
    directed = with_evidence(plain, seed=2)
    wanted = sum(edge.direction is not None and edge.direction.share.low > 0 for edge in directed.interactions)
    assert wanted
    assert len(arrows(directed)) - len(arrows(plain)) == wanted + 1  # one is the sample of the legend
    assert "arrow: travels that way" in {t.get_text() for t in draw(directed).axes[0].texts}
    assert "arrow: travels that way" not in {t.get_text() for t in draw(plain).axes[0].texts}


def test_dark_files_are_dark_and_hold_the_same_text(tmp_path):
    circuit = with_evidence(realistic(10))
    from matplotlib.image import imread

    assert imread(write_png_dark(circuit, tmp_path / "d.png"))[0, 0, :3].max() < 0.2
    assert imread(circuit.to_png(tmp_path / "l.png"))[0, 0, :3].min() > 0.9
    texts = [
        [element.text for element in ElementTree.parse(path).getroot().iter(f"{SVG}text")]
        for path in (write_svg_dark(circuit, tmp_path / "d.svg"), circuit.to_svg(tmp_path / "l.svg"))
    ]
    assert texts[0] == texts[1]

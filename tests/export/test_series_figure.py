"""The timeline: lines where the numbers are, names that do not overlap, more than colour to tell lines apart."""

import itertools
import random
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from drawn_circuits import estimate
from drawn_comparisons import series
from matplotlib.backends.backend_agg import FigureCanvasAgg

from circuitspex.circuits.comparison import Point, Series
from circuitspex.errors import UserError
from circuitspex.export.figures.series import MAX_HIGHLIGHTED, draw, spread, strongest, write

SVG = "{http://www.w3.org/2000/svg}"


def _crowded(seed):
    """Twelve sets that all end within a hair of each other, at points with long names."""
    rng = random.Random(seed)
    sets = tuple((f"L{i}N{i * 64}:{i * 64 + 64}@-1", f"L{i + 1}H{i}") for i in range(12))
    points = tuple(
        Point(f"pythia-2.8b-deduped/step{i}000", "a", estimate(1.0), tuple(estimate(rng.gauss(1, 0.01)) for _ in sets))
        for i in range(10)
    )
    return Series(sets, points, {points[4].name: points[3].name}, {"task": "ioi"})


@pytest.mark.parametrize("made", [series(seed=1), series(3, 2), series(1, 4), series(150, 9), _crowded(0), _crowded(1)])
def test_texts_do_not_overlap_and_stay_inside(made):
    figure = draw(made)
    renderer = FigureCanvasAgg(figure).get_renderer()
    lower = figure.axes[0]
    labels = [text for text in lower.texts if text.get_text()]
    assert len(labels) == min(MAX_HIGHLIGHTED, len(made.sets))
    boxes = [text.get_window_extent(renderer) for text in labels]
    for a, b in itertools.combinations(boxes, 2):
        assert a.y1 <= b.y0 + 0.5 or b.y1 <= a.y0 + 0.5
    named = [text for text in lower.get_xticklabels() if text.get_text()]
    places = [text.get_position()[0] for text in named]
    unit = 520 / max(1, len(made.points) - 0.5)
    if len(named) > 1 and named[0].get_rotation():
        assert min(b - a for a, b in itertools.pairwise(places)) * unit > 13  # turned texts stand beside each other
    else:
        ticks = [text.get_window_extent(renderer) for text in named]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(ticks))
    upper = figure.axes[1].get_tightbbox(renderer)
    assert lower.get_window_extent(renderer).y1 <= upper.y0
    for box in [*boxes, *(text.get_window_extent(renderer) for text in (*lower.get_xticklabels(), *figure.texts))]:
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("seed", range(20))
def test_spread_keeps_the_order_and_the_distance(seed):
    rng = np.random.default_rng(seed)
    wanted = rng.normal(150, rng.choice([1, 40, 200]), size=int(rng.integers(1, 9))).tolist()
    places = spread(wanted, 12.0, 300.0)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(np.array(places)[order]) >= 12 - 1e-9).all()
    assert min(places) >= 0
    assert max(places) <= 300 + 1e-9
    inside = [100.0, 150.0, 200.0]
    assert spread(inside, 12.0, 300.0) == inside
    assert spread([100.0, 100.0, 100.0], 12.0, 300.0) == pytest.approx([88.0, 100.0, 112.0])  # as near as can be
    assert spread([0.0, 299.0, 300.0], 12.0, 300.0) == pytest.approx([0.0, 288.0, 300.0])


def test_lines_and_bands_are_at_the_numbers():
    made = series(6, 10, seed=4)
    lower, upper = draw(made).axes
    assert upper.lines[0].get_ydata() == pytest.approx([point.metric.value for point in made.points])
    drawn = [tuple(line.get_ydata()) for line in lower.lines if len(line.get_ydata()) == len(made.points)]
    for i in range(len(made.sets)):
        values = tuple(point.effects[i].value for point in made.points)
        assert any(values == pytest.approx(ys) for ys in drawn)
    chosen = strongest(made)
    assert len(lower.collections) == len(chosen) == MAX_HIGHLIGHTED
    highest = max(point.effects[i].high for i in chosen for point in made.points)
    assert max(path.vertices[:, 1].max() for band in lower.collections for path in band.get_paths()) == pytest.approx(
        highest
    )


def test_the_strongest_are_told_apart_by_more_than_colour():
    made = series(5, 12, seed=2)
    largest = [max(abs(point.effects[i].value) for point in made.points) for i in range(12)]
    assert strongest(made) == sorted(range(12), key=lambda i: -largest[i])[:MAX_HIGHLIGHTED]
    lines = [line for line in draw(made).axes[0].lines if line.get_marker() not in ("None", "", None)]
    assert len(lines) == MAX_HIGHLIGHTED
    assert len({line.get_color() for line in lines}) == MAX_HIGHLIGHTED
    assert len({line.get_marker() for line in lines}) == MAX_HIGHLIGHTED
    assert len({line.get_linestyle() for line in lines}) > 1


@pytest.mark.some(2)
@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_ending_says_the_form_and_bytes_repeat(ending, tmp_path):
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    first = series().plot(tmp_path / f"a.{ending}").read_bytes()
    assert first.startswith(starts[ending])
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert series().plot(tmp_path / f"b.{ending.upper()}").read_bytes() == first


def test_text_is_text_and_repeated_weights_are_named(tmp_path):
    made = series()
    root = ElementTree.parse(write(made, tmp_path / "s.svg")).getroot()
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {point.name for point in made.points} <= set(texts)
    assert f"= {made.points[2].name}" in texts
    assert " × ".join(made.sets[strongest(made)[0]]) in texts


def test_what_can_not_be_drawn_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"ending must be one of \.png, \.svg, \.pdf"):
        series().plot(tmp_path / "s.gif")
    with pytest.raises(UserError, match="no checkpoint"):
        Series((), ()).plot(tmp_path / "s.png")
    assert not list(tmp_path.iterdir())


def test_hostile_names_are_text(tmp_path):
    made = series(4, 3)
    evil = "</text><script>alert(1)</script> $\\frac{1}{0}$ \x00 \ud83d"
    points = (replace(made.points[0], name=evil), *made.points[1:])
    root = ElementTree.parse(write(replace(made, points=points, run={"task": evil}), tmp_path / "s.svg")).getroot()
    assert not list(root.iter(f"{SVG}script"))


def test_what_all_names_share_is_said_once():
    figure = draw(_crowded(2))
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()][:2] == ["step0000", "step1000"]
    assert any("pythia-2.8b-deduped" in text.get_text() for text in figure.texts)
    same = replace(series(3, 2), points=series(1, 2).points * 2)
    assert [text.get_text() for text in draw(same).axes[0].get_xticklabels()] == ["step1000", "step1000"]

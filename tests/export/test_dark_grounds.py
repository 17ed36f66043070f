"""Every picture can be drawn on a dark ground: the ground is dark, and no word is as dark as it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from drawn_circuits import realistic
from drawn_comparisons import comparison, series
from drawn_reports import mechanisms, mib_report, report
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from prompt_maps import prompt_map

from circuitspex.export.drawing.style import DARK, LIGHT
from circuitspex.export.figures import mechanisms as of_mechanisms
from circuitspex.export.figures import mib
from circuitspex.export.figures import report as reports
from circuitspex.export.figures import series as timelines

PLOTTED: dict[str, tuple[Any, Callable[..., Any]]] = {
    "report": (report(), reports.draw),
    "mib": (mib_report(), mib.draw),
    "timeline": (series(6, 14), timelines.draw),
    "mechanisms": (mechanisms((0, 1), (2,)), of_mechanisms.draw),
}
DIAGRAMS = {"circuit": realistic(8), "comparison": comparison(8), "prompt": prompt_map()}


def luminance(colour: Any) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = np.array(to_rgb(colour))
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def contrast(one: Any, other: Any) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def corner(path: Path) -> tuple[float, ...]:
    return tuple(matplotlib.image.imread(path)[2, 2, :3].tolist())


@pytest.mark.parametrize("name", PLOTTED)
def test_plot_takes_dark(name: str, tmp_path: Path) -> None:
    made, draw = PLOTTED[name]
    for dark, palette in ((False, LIGHT), (True, DARK)):
        path = made.plot(tmp_path / f"{dark}.png", dark=dark)
        assert corner(path) == pytest.approx(to_rgb(palette.background), abs=0.01)
        figure = draw(made, dark)
        for text in figure.findobj(Text):
            on = text.get_bbox_patch()
            ground = palette.background if on is None else on.get_facecolor()
            if text.get_text().strip() and text.axes not in _with_fields(figure):
                assert contrast(text.get_color(), ground) > 4.5, text.get_text()


def _with_fields(figure: Any) -> list[Any]:
    """Axes whose words stand on fields of colour."""
    return [axes for axes in figure.axes if axes.images or (axes.collections and axes.get_label() == "<colorbar>")]


@pytest.mark.parametrize("name", DIAGRAMS)
def test_diagrams_have_formats_for_dark_pages(name: str, tmp_path: Path) -> None:
    made = DIAGRAMS[name]
    path = made.export("png-dark", tmp_path / "dark.png")
    assert corner(path) == pytest.approx(to_rgb(DARK.background), abs=0.01)
    svg = made.export("svg-dark", tmp_path / "dark.svg").read_text(encoding="utf-8")
    assert DARK.background in svg
    assert LIGHT.background not in svg

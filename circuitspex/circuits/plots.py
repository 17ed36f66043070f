"""Plots as methods of results: each gives a matplotlib figure outside pyplot, and writes it where a path is given.

All take ``path`` (PNG, SVG or PDF by its ending) and ``dark``. What they show, and what they need, stands with the
function that draws it, in ``circuitspex.export.figures``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.registry import Later

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Where = str | Path | None


def _figure(place: str) -> Later:
    return Later(f"circuitspex.export.figures.{place}")


_heatmap, _heatmap_of_found = _figure("heatmap:draw"), _figure("heatmap:draw_found")
_waterfall, _pair, _sets = _figure("waterfall:draw"), _figure("pair:draw"), _figure("sets:draw")
_attention = _figure("attention:draw")
_breakdown, _breakdown_of_description = _figure("breakdown:draw"), _figure("breakdown:draw_description")
_curve, _curve_of_found = _figure("learning_curve:draw"), _figure("learning_curve:draw_found")


class CircuitPlots:
    """The plots of a circuit."""

    def plot_heatmap(self, path: Where = None, *, dark: bool = False) -> Figure:
        """The effects of its components by layer and head, with a column for MLPs and every other kind.

        Raises:
            UserError: it has no components, or they are in no layers.
        """
        return _drawn(_heatmap(self, path, dark=dark))

    def plot_waterfall(self, path: Where = None, *, dark: bool = False) -> Figure:
        """From the metric with nothing kept to that with everything kept: what each component adds on its own, what
        their interactions add, and the remainder. The bars add up.

        Raises:
            UserError: it does not say what the metric is with everything ablated.
        """
        return _drawn(_waterfall(self, path, dark=dark))

    def plot_pair(self, first: str, second: str, path: Where = None, *, dark: bool = False) -> Figure:
        """The metric with both of a pair ablated, either kept, and both kept, beside what they would do if they only
        added up; the title says what they do to each other.

        Raises:
            UserError: it has no measured interaction of these two.
        """
        return _drawn(_pair(self, first, second, path, dark=dark))

    def plot_sets(self, path: Where = None, *, order: int = 3, dark: bool = False) -> Figure:
        """The interactions of at least ``order`` components as an UpSet plot.

        Raises:
            UserError: it has none.
        """
        return _drawn(_sets(self, path, order=order, dark=dark))

    def plot_attention(self, name: str, path: Where = None, *, prompt: int = 0, dark: bool = False) -> Figure:
        """What a head attends to: the tokens of one prompt, shaded, and the named positions over all prompts.

        Raises:
            UserError: it is not described, or has no such head or prompt.
        """
        return _drawn(_attention(self, name, path, prompt=prompt, dark=dark))

    def plot_breakdown(self, path: Where = None, *, dark: bool = False) -> Figure:
        """The logit difference as a sum of what each component writes straight into it.

        Raises:
            UserError: it is not described, or the description has no breakdown.
        """
        return _drawn(_breakdown(self, path, dark=dark))

    def plot_learning_curve(self, path: Where = None, *, dark: bool = False) -> Figure:
        """R² after each stage of the search, with intervals, and how many ablations the target would likely take.

        Raises:
            UserError: the search had one stage only.
        """
        return _drawn(_curve(self, path, dark=dark))


class FoundPlots:
    """The plots of what a search gives, beside those of its circuit."""

    def plot_heatmap(self, path: Where = None, *, dark: bool = False) -> Figure:
        """The effects of all components that were searched, by layer and head; see ``Circuit.plot_heatmap``."""
        return _drawn(_heatmap_of_found(self, path, dark=dark))

    def plot_learning_curve(self, path: Where = None, *, dark: bool = False) -> Figure:
        """R² after each stage; see ``Circuit.plot_learning_curve``."""
        return _drawn(_curve_of_found(self, path, dark=dark))


class DescriptionPlots:
    """The plots of a description."""

    def plot_breakdown(self, path: Where = None, *, dark: bool = False) -> Figure:
        """The logit difference as a sum; see ``Circuit.plot_breakdown``."""
        return _drawn(_breakdown_of_description(self, path, dark=dark))


def _drawn(figure: Any) -> Figure:
    made: Figure = figure
    return made

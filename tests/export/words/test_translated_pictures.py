"""All words of pictures are in the tables: in a made-up translation nothing but data is without its marks."""

from __future__ import annotations

import html
import re

import pytest
from drawn_circuits import PIECES, empty
from drawn_comparisons import comparison, series, unchanged
from drawn_reports import mechanisms, mib_report, report
from edge_circuits import edge_circuit
from marked import left, marked
from prompt_maps import prompt_map
from test_examples import circuit as trained
from test_examples import game
from test_plots import PLOTS, _full
from test_translated_pages import DATA as OF_PAGES
from test_translated_pages import DOUBTFUL, FULL, SCORES, groups  # noqa: F401

from circuitspex.export import examples_figure
from circuitspex.export.figures import circuit as circuits
from circuitspex.export.figures import comparison as comparisons
from circuitspex.export.figures import mechanisms as of_mechanisms
from circuitspex.export.figures import mib
from circuitspex.export.figures import prompt as prompts
from circuitspex.export.figures import report as reports
from circuitspex.export.figures import series as timelines
from circuitspex.export.words.saying import translated

DATA = {*OF_PAGES, "a", "b", "model-step1000", "model-step9000", "small", "q", "k", "v"}


def said_in_svg(text: str) -> list[str]:
    """Lines of one text that was wrapped are one again."""
    shown = re.findall(r">([^<]+)</(?:text|title)>", text)
    return [html.unescape(said) for said in (" ".join(shown), *re.findall(r'aria-label="([^"]*)"', text))]


def said_in(figure) -> list[str]:
    from matplotlib.text import Text

    return [each.get_text() for each in figure.findobj(Text)]


@pytest.mark.parametrize("made", [FULL, DOUBTFUL, SCORES, empty(), edge_circuit()], ids=range(5))
def test_a_diagram(made):
    with translated(marked()):
        assert left(said_in_svg(circuits.render_svg(made)), DATA) == set()


@pytest.mark.parametrize("made", [comparison(12), unchanged(), unchanged(identical=True)], ids=range(3))
def test_a_comparison(made):
    with translated(marked()):
        assert left(said_in_svg(comparisons.render_svg(made)), DATA) == set()


def test_a_prompt():
    made = prompt_map(n_words=14, n_edges=6)
    with translated(marked()):
        data = {*made.text.split(), *DATA, "linear", "tiny", "prompt", "good", "bad"}
        assert left(said_in_svg(prompts.render_svg(made)), data) == set()


def test_a_timeline():
    made = series(8, 14)
    with translated(marked()):
        assert left(said_in(timelines.draw(made)), {*DATA, *(point.name for point in made.points)}) == set()


@pytest.mark.some(3)
@pytest.mark.parametrize("name", PLOTS)
def test_a_plot(name):
    for made in (_full(), _full(40, n_edges=40)):
        with translated(marked()):
            assert (
                left(said_in(PLOTS[name](made)), {*DATA, "John", "When", "Mary", *(p.strip() for p in PIECES)}) == set()
            )


def test_a_heat_map_of_neurons_names_their_column():
    with translated(marked()):
        said = said_in(_full().plot_heatmap())
    assert any("«" in text and "neurons" in text for text in said)


@pytest.mark.parametrize("level", ["nodes", "edges"])
def test_the_reports(level):
    with translated(marked()):
        assert left(said_in(reports.draw(report())), DATA) == set()
        assert left(said_in(mib.draw(mib_report(level))), DATA) == set()


def test_mechanisms_and_examples():
    with translated(marked()):
        for kinds in (((0, 1, 2),), ((0, 1), (2,))):
            assert left(said_in(of_mechanisms.draw(mechanisms(*kinds))), DATA) == set()
        data = {"training data", "accuracy", "net", "first", "<b>second</b>"}
        assert left(said_in(examples_figure(trained(), game())), data) == set()

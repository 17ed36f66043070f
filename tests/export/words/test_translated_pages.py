"""All words of a page are in the tables: in a made-up translation nothing but data is without its marks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn_circuits import described, empty, judged, realistic, with_evidence
from drawn_comparisons import comparison, unchanged
from edge_circuits import edge_circuit
from marked import Visible, left, marked
from prompt_maps import prompt_map
from test_examples import circuit as trained
from test_examples import game

from circuitspex.circuits.circuit import Circuit, Faithfulness
from circuitspex.circuits.group import Group
from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.pages import circuit as circuits
from circuitspex.export.pages import comparison as comparisons
from circuitspex.export.pages import notebook, prompt
from circuitspex.export.pages.examples import examples_page
from circuitspex.export.words.saying import say, translated
from circuitspex.text import printable

FULL = described(judged(with_evidence(realistic(12))))
DOUBTFUL = replace(
    realistic(5, 2),
    faithfulness=Faithfulness(0.3, 0.2, 0.4, 90),
    verification=None,
    task={**FULL.task, "accuracy": 0.5, "n_prompts": 4},
)
SCORES = replace(realistic(5, 0), run={"effects": "a file of scores", "looked_for_interactions": False})
DATA = {
    *("smollm2-135m", "ioi", "logit_diff", "a3f1", "float32", "gradspex", "circuitspex 0.1.0", "ablate", "mean"),
    *("John gave a drink to", "Mary", "John", "heads", "circuit.json", "circuitspex describe", "0.1.0"),
    *("IO", "S1", "S2", "END", "embedding", "attends to IO with", "A"),
}


@pytest.fixture(autouse=True)
def groups(monkeypatch):
    found = (Group("L23H3 · backs up", ("L23H3", "L24H4"), "backs up", 2.0, 1.0),)
    monkeypatch.setattr(Circuit, "groups", lambda self: found if "L24H4" in str(self.nodes) else ())


@pytest.mark.parametrize("made", [FULL, DOUBTFUL, SCORES, empty(), realistic(40, 30)], ids=range(5))
def test_the_page_and_the_cell_of_a_circuit(made):
    with translated(marked()):
        for document in (circuits.render_page(made), circuits.render_cell(made)):
            assert left(Visible(document).texts, DATA) == set()


@pytest.mark.parametrize("changes", [{}, {"measured": 1.0}, {"measured": 0.0, "n_interactions": 0}])
def test_the_page_of_edges(changes):
    with translated(marked()):
        made = edge_circuit(**changes)
        data = {*DATA, "small", "resample", "edges", "q", "k", "v"}
        for document in (circuits.render_page(made), circuits.render_cell(made)):
            assert left(Visible(document).texts, data) == set()


@pytest.mark.parametrize("made", [comparison(12), unchanged(), unchanged(identical=True)], ids=range(3))
def test_the_page_of_a_comparison(made):
    with translated(marked()):
        for document in (comparisons.render_page(made), comparisons.render_cell(made)):
            assert (
                left(Visible(document).texts, {*DATA, "a", "b", "model-step1000", "model-step9000", "0af3", "1af3"})
                == set()
            )


def test_the_page_of_a_prompt():
    made = prompt_map(n_words=14, n_edges=6)
    task = {**made.circuit.task, "top_predictions": [{"token": " good", "probability": 0.4}]}
    words = (replace(made.words[0], decoded=9.0, measured=None), *made.words[1:])
    made = PromptMap(
        made.text, made.text, words, replace(made.circuit, task=task, run={**made.circuit.run, "first": "ablate"})
    )
    assert made.warning
    data = {*made.text.split(), *DATA, "linear", "tiny", "prompt", "words", "good", "bad"}
    with translated(marked()):
        for document in (prompt.render_page(made), prompt.render_cell(made)):
            assert left(Visible(document).texts, data) == set()


def test_the_page_of_training_examples(tmp_path):
    data = {"training data", "accuracy", "net", "first", "<b>second</b>", "group"}
    with translated(marked()):
        path = examples_page(trained(), game(), tmp_path / "page.html")
        assert left(Visible(path.read_text("utf-8")).texts, data) == set()


def test_a_notebook_says_it_too(monkeypatch):
    monkeypatch.setattr(notebook, "LARGEST", 10)
    with translated(marked()):
        assert left(Visible(notebook.render_circuit(DOUBTFUL)).texts, DATA) == set()


def test_a_word_that_is_in_no_table_is_seen():
    with translated(marked()):
        assert left(Visible(f"<p title='One hint'>{say('circuit.sound')} and more</p>").texts, DATA) == {
            "One",
            "hint",
            "and",
            "more",
        }
    assert left(["«Sound» L23H3 +2.90 [1, 3] John", "L3N0:64@-1"], {"John"}) == set()


def test_a_translation_is_escaped_like_everything_else():
    nasty = "</script><script>alert(1)</script>\"'"
    with translated({"circuit.empty": nasty, "circuit.sound": nasty, "circuit.skip": nasty}):
        page = circuits.render_page(FULL)
    assert "<script>alert(1)" not in page
    assert page.count("<script") == 3
    assert printable(nasty) in Visible(page).texts

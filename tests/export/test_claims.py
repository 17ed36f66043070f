"""What results say of their doubt: few prompts, little explained, what can't be told from 0, what was selected."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from drawn_circuits import judged, realistic, with_evidence
from drawn_comparisons import comparison

from circuitspex.circuits.circuit import Direction, Estimate, Faithfulness, Node
from circuitspex.circuits.formats import render
from circuitspex.export.drawing.claims import doubt_text, interval_note, measured_label
from circuitspex.export.drawing.style import direction_text
from circuitspex.export.graphs.csv import components_table
from circuitspex.export.pages.circuit import render_cell, render_page


def over(circuit, count, **run):
    """The circuit as measured on so many prompts."""
    return replace(circuit, task={**circuit.task, "n_prompts": count}, run={**circuit.run, **run})


@pytest.mark.parametrize(
    ("count", "run", "said"),
    [
        (16, {}, "95 % intervals over contexts and 16 prompts."),
        (6, {}, "95 % intervals over contexts and 6 prompts, which are few: with fewer than 12,"),
        (1, {}, "95 % intervals over contexts only: one of the prompts shows nothing"),
        (8, {"exact_over_masks": True}, "Exact over masks: all were run. 95 % intervals over 8 prompts, which are few"),
        (1, {"exact_over_masks": True}, "Exact over masks: all were run. One of the prompts shows nothing"),
        (3, {"lens": "training"}, "over contexts and 3 numbers a mask, which are few"),
    ],
)
def test_what_intervals_hold_is_said_wherever_they_are(count, run, said):
    circuit = over(realistic(8), count, **run)
    words = " ".join(circuit.table().split())
    assert said in words
    assert said in render_page(circuit)
    assert said in render_cell(circuit)
    assert measured_label(circuit) in render_page(circuit)
    assert ("few" in measured_label(circuit)) == (1 < count < 12)
    assert measured_label(circuit) in render(circuit, "svg")


def test_few_held_out_prompts_are_called_few():
    circuit = realistic(8)
    few = replace(circuit, verification=replace(circuit.verification, n_prompts=5))
    assert "5 held-out prompts, few" in few.table()
    assert "5 held-out prompts, few" in render_page(few)
    assert "held-out prompts, few" not in circuit.table()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Faithfulness(0.31, 0.2, 0.4, 24), "explains little: try a budget of about 310, or keep a larger share"),
        (Faithfulness(0.55, 0.41, 0.66, 24), "may explain little: 0.41 is within its interval"),
        (Faithfulness(0.31, None, None, 64, exact=True), "explains little: what is left are interactions"),
    ],
)
def test_where_little_is_explained_a_remedy_stands_beside_it(found, said):
    circuit = over(replace(realistic(8), faithfulness=found), 16, likely_budget=310)
    assert said in " ".join(circuit.table().split())
    assert said in render_page(circuit)
    assert said in render_cell(circuit)
    assert said.partition(":")[0] in render(circuit, "svg")
    assert doubt_text(realistic(8)) == ""


def test_all_masks_are_not_held_out_masks():
    circuit = replace(realistic(8), faithfulness=Faithfulness(0.98, None, None, 64, exact=True))
    for text in (circuit.table(), render_cell(circuit), render(circuit, "svg")):
        assert "exact over all 64 masks" in text
        assert "held-out masks" not in text
    assert "R² over all ablations" in render_page(circuit)


def test_what_is_not_told_from_zero_is_hollow_and_apart():
    circuit = judged(with_evidence(realistic(10)))
    hollow = [node.name for node in circuit.nodes if not node.is_distinct]
    assert len(hollow) == 1
    table = circuit.table()
    first, apart = table.index("Components (9)"), table.index("Not distinguishable from 0 by themselves (2)")
    assert first < apart < table.index(f"  {hollow[0]} ") < table.index("  L1H0 ")
    assert "left out" in next(line for line in table.splitlines() if line.startswith("  L1H0 "))
    svg = render(circuit, "svg")
    assert "grey, hollow: not told from 0" in svg
    assert "L1H0" not in svg
    page = render_page(circuit)
    assert f"component {hollow[0]}: " in page
    assert page.count("; not distinguishable from 0 by itself") >= 1
    assert "Measured and left out: <span>L1H0 " in page
    assert "not told from 0" not in render(judged(realistic(3, 0)), "dot")


def test_selected_parts_show_the_interval_that_says_so():
    circuit = judged(with_evidence(realistic(10)))
    node = next(node for node in circuit.nodes if node.adjusted)
    row = next(line for line in circuit.table().splitlines() if line.startswith(f"  {node.name} "))
    assert f"[{node.adjusted.low:+.2f}, {node.adjusted.high:+.2f}]" in row
    assert "selected from 11 components and" in " ".join(circuit.table().split())
    assert "selected" not in interval_note(realistic(10))


def test_an_older_file_without_tests_goes_by_its_intervals():
    assert Node("L0H1", 0, "head", 1.0, Estimate(1.0, 0.5, 1.5)).is_distinct
    assert not Node("L0H1", 0, "head", 0.1, Estimate(0.1, -0.5, 0.7)).is_distinct
    assert Node("L0H1", 0, "head", 0.1).is_distinct


def test_more_than_all_of_it_is_explained():
    over_all = direction_text(Direction("L1H0", "L2H0", Estimate(1.3, 1.1, 1.6)))
    assert over_all == "L1H0 → L2H0: 130 % [110, 160], more than all of it: what arises elsewhere has the opposite sign"
    assert "opposite sign of the whole" in direction_text(Direction("L1H0", "L2H0", Estimate(-0.3, -0.5, -0.1)))
    assert direction_text(Direction("L1H0", "L2H0", Estimate(0.8, 0.6, 1.1))).endswith("[60, 110]")


def test_nothing_is_written_as_minus_nothing():
    """Effects, intervals, R² and shares that round to 0, from below."""
    tiny = Estimate(-1e-9, -0.0009, -0.0)
    circuit = with_evidence(realistic(4))
    nodes = (*circuit.nodes, Node("L0H0", 0, "head", -1e-9, tiny), Node("L0H1", 0, "head", -0.0))
    checked = replace(
        circuit.verification, empty=-0.0001, circuit_removed=Estimate(-0.0001, -0.001, 0.2), circuit_kept=tiny
    )
    circuit = replace(circuit, nodes=nodes, faithfulness=Faithfulness(-1e-5, -1e-4, 1e-3, 20), verification=checked)
    wrong = re.compile(r"[-−]0(\.0+)?(?![\d.])\s*(%|\]|,|<|\[|$)", re.MULTILINE)
    texts = [circuit.table(), render_cell(circuit), render(circuit, "svg"), render(circuit, "dot")]
    texts += [render(circuit, "mermaid"), str(circuit.verification), str(circuit.faithfulness), comparison(4).table()]
    for text in texts:
        assert wrong.search(text) is None
    assert re.search(r",-0\.0[,\r]", components_table(circuit)) is None

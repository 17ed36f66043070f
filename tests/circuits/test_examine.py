"""The examination of a circuit: what it says is what plain ablations give."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import Circuit, Faithfulness, Node, examine, find_circuit, refine
from circuitspex.circuits.evidence.curve import area, sizes_of
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[1] / "ground_truth"))
import plants


@pytest.fixture(scope="module")
def planted():
    model = plants.build(plants.USUAL)
    task = plants.task(model)
    game = cx.ComponentGame(model, task)
    other = plants.heldout(model)
    found = find_circuit(model, task, budget=96, n_heldout=40, max_interactions=12, heldout=other, progress=False)
    return game, other, found


@pytest.fixture(scope="module")
def report(planted):
    game, task, found = planted
    return examine(game, found.circuit, found.interactions, task, n_random=6, stability=2, progress=False)


def metric_of(game, names):
    masks = np.array([[name in names for name in game.names]])
    return float(game.evaluate(masks, progress=False).values[0])


def test_full_empty_kept_and_left_are_those_of_the_model(planted, report):
    game, _, found = planted
    names = {node.name for node in found.circuit.nodes}
    full, empty = metric_of(game, set(game.names)), metric_of(game, set())
    assert report.full == pytest.approx(full)
    assert report.empty == pytest.approx(empty, abs=1e-6)
    assert report.kept.value == pytest.approx((metric_of(game, names) - empty) / (full - empty))
    assert report.left.value == pytest.approx((metric_of(game, set(game.names) - names) - empty) / (full - empty))
    assert report.kept.value == pytest.approx(1)  # the circuit is all there is
    assert report.left.value == pytest.approx(0, abs=1e-5)


def test_minimality_is_what_the_circuit_loses(planted, report):
    game, _, found = planted
    names = {node.name for node in found.circuit.nodes}
    loss = {part.name: part.loss.value for part in report.parts}
    assert set(loss) == names
    for name, value in loss.items():
        assert value == pytest.approx(metric_of(game, names) - metric_of(game, names - {name}), abs=1e-5)
    needed = {part.name for part in report.parts if part.needed}
    assert needed == names - {"L0H0", "L1H0"}  # each of the backups can be spared


def test_the_curves_are_those_of_the_circuits_and_the_areas_those_of_the_curves(planted, report):
    game, _, _ = planted
    assert report.sizes == sizes_of(game.n_players)
    for curve in report.curves.values():
        values = np.array([point.value for point in curve.values])
        assert values[-1] == pytest.approx(1)
        assert curve.cpr.value == pytest.approx(float(area(values)))
        assert curve.cmd.value == pytest.approx(float(area(np.abs(1 - values))))
    nap_order = report.curves["NAP"].values[-2].value  # half of the heads, without the backups that NAP can't see
    assert report.curves["chosen"].values[-2].value > nap_order


def test_gains_are_differences_of_the_areas(report):
    others = {gain.other for gain in report.gains if gain.way == "chosen"}
    assert others == set(report.curves) - {"chosen", "matched"}
    for gain in report.gains:
        one, other = report.curves[gain.way], report.curves[gain.other]
        assert gain.cpr.value == pytest.approx(one.cpr.value - other.cpr.value)
        assert gain.cmd.value == pytest.approx(other.cmd.value - one.cmd.value)


def test_a_planted_circuit_comes_again(report):
    assert report.stability.nodes == (1.0, 1.0)
    assert min(report.stability.interactions) >= 0.8


def test_it_prints_saves_and_draws_itself(report, tmp_path):
    text = str(report)
    assert max(map(len, text.splitlines())) <= 110
    for said in ("Faithfulness by number of components", "CPR", "Minimality", "Stability"):
        assert said in text
    data = json.loads(report.save(tmp_path / "report.json").read_text())
    assert data["curves"]["chosen"]["cpr"]["value"] == pytest.approx(report.curves["chosen"].cpr.value)
    for form in ("png", "svg", "pdf"):
        assert report.plot(tmp_path / f"report.{form}").stat().st_size > 5000
    assert "<text" in (tmp_path / "report.svg").read_text()
    with pytest.raises(UserError, match="ending must be one of"):
        report.plot(tmp_path / "report.gif")


def test_wrong_circuits_are_one_line(planted):
    game, task, found = planted
    none = Faithfulness(None, None, None, 0)
    with pytest.raises(UserError, match="has no components"):
        examine(game, Circuit((), (), none), found.interactions, task, progress=False)
    foreign = Circuit((Node("L9H9", 9, "head", 1.0),), (), none)
    with pytest.raises(UserError, match="L9H9 is not among the 10 components"):
        examine(game, foreign, found.interactions, task, progress=False)
    other = cx.ComponentGame(game.model, game.task, "heads+mlps")
    with pytest.raises(UserError, match="of 10 other components"):
        examine(other, found.circuit, found.interactions, task, progress=False)


def test_prompts_that_the_circuit_was_found_on_are_not_held_out(planted, report):
    game, other, found = planted
    with pytest.raises(UserError, match="found on all 8 held-out prompts of 'planted': none is held out"):
        examine(game, found.circuit, found.interactions, game.task, progress=False)
    examples = (*game.task.examples[:3], *other.examples)
    mixed = cx.Task.from_examples(game.model, examples, prepend_bos=True, reference=other.reference)
    with pytest.warns(UserWarning, match="found on 3 of the 11 held-out prompts of 'custom'.* 8 are held out"):
        again = examine(game, found.circuit, found.interactions, mixed, n_random=6, progress=False)
    assert (again.n_prompts, again.kept, again.full) == (8, report.kept, report.full)
    elsewhere = cx.ComponentGame(game.model, other)  # the circuit's record knows its prompts, whatever the game's are
    with pytest.raises(UserError, match="none is held out"):
        examine(elsewhere, found.circuit, found.interactions, game.task, progress=False)


def test_refinement_runs_what_it_chooses_and_learns_from_it(planted):
    game, _, _ = planted
    masks = cx.sample_masks(game.n_players, 24, seed=5)
    run = game.evaluate(masks, gradients=True, progress=False)

    def decode(run):
        return cx.decode(run.masks, run.values, gradients=run.gradients, names=game.names)

    found = refine(game, run, decode, [2, 5, 7], rounds=6, progress=False)
    assert len(found.run) > len(run)
    for tried in found.rounds[-1]:
        assert tried.value == pytest.approx(metric_of(game, {game.names[i] for i in tried.members}), abs=1e-5)
    assert found.agreed
    best = max(plants.USUAL.ands().values())
    assert found.highest(7).value >= found.highest(5).value > best
    assert found.nearest(7, 2.0).size == 7
    with pytest.raises(UserError, match="no circuit of 3 components was run"):
        found.highest(3)
    with pytest.raises(UserError, match="at least one round"):
        refine(game, run, decode, [2], rounds=0)


def test_refinement_ends_where_nothing_new_is_chosen(planted):
    game, _, _ = planted
    run, calls = game.evaluate(cx.sample_masks(game.n_players, 24, seed=5), progress=False), []

    def stubborn(run):
        calls.append(len(run))
        return cx.decode(run.masks[:24], run.values[:24], names=game.names, method="linear")

    found = refine(game, run, stubborn, [2, 5, 7], rounds=6, tolerance=1e-9, progress=False)
    assert not found.agreed
    assert len(found.rounds) == 2  # the second chooses what the first has run
    assert calls == [24, len(found.run)]


def test_find_circuit_refines_when_asked(planted):
    game, other, _ = planted
    found = find_circuit(
        game.model, game.task, budget=48, n_heldout=20, heldout=other, refine=2, directions=False, progress=False
    )
    assert found.refined is not None
    assert len(found.run) == found.circuit.run["gradient_ablations"] > 48
    assert found.circuit.run["refined"]["rounds"] == len(found.refined.rounds)

"""Circuits of edges at every size: what is chosen, by which prompts, and that it is what the model gives."""

from __future__ import annotations

import json
import warnings
from itertools import combinations

import numpy as np
import pytest

from circuitspex.circuits import find_circuit, find_edges
from circuitspex.circuits.edge_circuits import EdgeCircuit, largest_connected
from circuitspex.circuits.search.edges.search_edges import search_edges
from circuitspex.circuits.search.rounds.matching import matched
from circuitspex.circuits.search.rounds.slopes import Slopes, ranked
from circuitspex.components.connection import connected
from circuitspex.errors import ComponentError, UserError
from circuitspex.games import EdgeGame


@pytest.fixture(scope="module")
def found(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 8)
    return model, task, find_edges(model, task, budget=30, progress=False)


def test_every_circuit_is_connected_and_no_larger_than_asked(found):
    _, _, edges = found
    for circuit in (*edges.highest, *edges.nearest, edges.chosen(7), edges.matched(50)):
        numbers = edges.selection.numbers[circuit.columns]
        assert len(connected(edges.selection.graph, numbers)) == circuit.size <= circuit.budget
        assert circuit.names == tuple(edges.names[i] for i in circuit.columns)


def test_values_are_those_of_the_model_on_prompts_left_out(found):
    model, task, edges = found
    _, left_out = task.split(0.375, seed=0)
    game = EdgeGame(model, left_out, "edges", "resample", executor="hooks")
    given = game.evaluate(edges.masks(edges.highest), progress=False).per_prompt
    np.testing.assert_allclose(given, [each.per_prompt for each in edges.highest], atol=1e-4)
    np.testing.assert_allclose(game.evaluate(np.ones((1, 190), bool)).per_prompt[0], edges.whole, atol=1e-4)


def test_circuits_are_chosen_by_the_slopes_on_all_prompts(found):
    """With passes for the start alone: slopes of the whole task, found at once and ordered by hand."""
    model, task, _ = found
    edges = find_edges(model, task, budget=6, progress=False)
    assert (edges.passes, edges.n_prompts, len(edges.whole)) == (5, 8, 3)
    shares = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    gates = np.repeat(shares[:, None], 190, axis=1)
    slopes = EdgeGame(model, task).evaluate(gates, gradients=True, progress=False).gradients
    np.testing.assert_allclose(edges.scores, slopes.mean(0), atol=1e-5)
    toward = np.sign(edges.whole.mean() - edges.empty.mean())
    for circuit in edges.highest:
        weights = np.exp(-np.abs(np.log(shares / (circuit.budget / 190))))
        order = np.argsort(-toward * (weights @ slopes), kind="stable")
        columns = largest_connected(edges.selection, order, circuit.budget)
        assert set(circuit.columns.tolist()) == set(columns.tolist())


def test_rounds_say_how_they_went(found):
    _, _, edges = found
    kept = [each.kept for each in edges.rounds]
    assert kept[0]
    assert edges.passes <= 30
    assert edges.passes > edges.rounds[0].passes
    areas = [each.area for each in edges.rounds]
    assert areas == sorted(areas)


def test_the_whole_model_is_the_last_of_both(found):
    _, _, edges = found
    assert edges.chosen(190).size == edges.matched(190).size == 190
    assert edges.share(edges.chosen(190)) == pytest.approx(1)


def test_a_circuit_of_another_size_extends_or_is_part_of_its_neighbour(found):
    _, _, edges = found
    larger, smaller = edges.chosen(45), edges.chosen(30)
    near = set(edges.chosen(38).columns.tolist())
    assert near <= set(larger.columns.tolist())
    assert set(smaller.columns.tolist()) <= near
    assert larger.value is None


def test_it_finds_more_of_the_behaviour_than_slopes_of_the_whole_model(found):
    """On the prompts that it sees: random weights have no behaviour that carries over to others."""
    model, task, _ = found
    edges = find_edges(model, task, budget=30, left_out=task, progress=False)
    game = EdgeGame(model, task, "edges", "resample")
    slope = np.asarray(game.evaluate(np.ones((1, 190), bool), gradients=True, progress=False).gradients)[0]
    toward = np.sign(edges.whole.mean() - edges.empty.mean())
    masks = edges.masks(edges.highest)
    other = np.zeros_like(masks)
    for row, circuit in zip(other, edges.highest, strict=True):
        row[np.argsort(-toward * slope)[: circuit.budget]] = True
    gain = toward * (game(masks) - game(other))
    assert gain.sum() > 0


def test_circuits_of_all_sizes_are_written(found, tmp_path):
    _, _, edges = found
    data = json.loads(edges.save(tmp_path / "edges.json").read_text())
    assert data["chosen"][-1]["edges"] == list(edges.highest[-2].names)
    assert data["matched"][0]["share"] == pytest.approx(edges.share(edges.nearest[0]))
    np.testing.assert_allclose(list(data["scores"].values()), edges.scores, rtol=1e-5)
    assert tuple(data["scores"]) == edges.names


def test_the_same_call_gives_the_same_circuits(found):
    model, task, edges = found
    again = find_edges(model, task, budget=30, progress=False)
    assert [each.names for each in again.highest] == [each.names for each in edges.highest]
    np.testing.assert_array_equal(again.scores, edges.scores)


def test_rounds_stop_by_prompts_left_out(tiny):
    """Of prompts left out on which every circuit is worse than nothing, no round is better than the first."""
    model = tiny.bridge("gpt2")
    task = tiny.task(model, (5,) * 2)
    game = EdgeGame(model, task)

    class Opposite(EdgeGame):
        def _play(self, gates, gradients, done):
            values, slopes = super()._play(gates, gradients, done)
            inside = gates.mean(1, keepdims=True)
            values = np.where(inside == 1, 1.0, np.where(inside == 0, 0.0, -np.abs(values)))
            return values, slopes

    edges = search_edges(game, Opposite(model, task), budget=60, progress=False)
    assert edges.passes < 30
    assert not edges.rounds[-1].kept
    assert not edges.rounds[-2].kept


def test_main_effects_at_a_size_are_those_of_masks_near_it():
    rng = np.random.default_rng()
    rows, shares = rng.normal(size=(5, 7)), np.array([0.01, 0.1, 0.2, 0.5, 0.9])
    slopes = Slopes(7)
    slopes.add(rows, shares)
    weights = np.array([np.exp(-abs(np.log(share / 0.15))) for share in shares])
    expected = sum(weight * row for weight, row in zip(weights, rows, strict=True)) / weights.sum()
    # Rows are kept in float32: sums of numbers of about 1 are right to 1e-6, however small they are themselves.
    np.testing.assert_allclose(slopes.near(0.15), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes.mean(2), rows[:2].mean(0), rtol=1e-5, atol=1e-6)


def test_orders_run_from_helping_ones_alone_to_the_largest_of_either_sign():
    scores = np.array([3.0, -4.0, 1.0, 0.0, -2.0])
    assert np.argsort(-ranked(scores), kind="stable").tolist() == [0, 2, 3, 4, 1]
    assert np.argsort(-ranked(scores, 1.0), kind="stable").tolist() == [1, 0, 4, 2, 3]
    assert np.argsort(-ranked(scores, 0.125), kind="stable").tolist() == [0, 2, 1, 4, 3]


def test_what_is_most_like_the_model_is_the_nearest_of_all_that_was_run():
    """Of ten edges, five help by 1 and five oppose by .9: the whole is .5, and few opposing ones are enough."""
    effects = np.array([1.0] * 5 + [-0.9] * 5)
    ran = {}

    def choose(scores, size):
        columns = np.sort(np.argsort(-scores, kind="stable")[:size])
        return EdgeCircuit(columns, tuple(map(str, columns)), size)

    def values(circuits):
        for each in circuits:
            ran[each.names] = effects[each.columns].sum()
        return np.array([effects[each.columns].sum() for each in circuits])

    highest = [choose(effects, size) for size in (1, 4, 8, 10)]
    found = matched(highest, effects, 0.5, choose, values)
    for circuit, high in zip(found, highest, strict=True):
        of_size = [value for names, value in ran.items() if len(names) == high.budget]
        assert abs(effects[circuit.columns].sum() - 0.5) == min(abs(value - 0.5) for value in of_size)


def test_the_largest_connected_beginning_is_that_of_trying_every_length(tiny):
    selection = EdgeGame(tiny.bridge("gpt2"), tiny.task(tiny.bridge("gpt2"))).selection
    rng = np.random.default_rng()
    for size in (1, 5, 20, 60):
        order = rng.permutation(len(selection))
        parts = [connected(selection.graph, selection.numbers[order[:length]]) for length in range(len(order) + 1)]
        longest = max(length for length, part in enumerate(parts) if len(part) <= size)
        assert largest_connected(selection, order, size).tolist() == sorted(parts[longest].tolist())


def test_edges_of_some_layers_are_chosen_while_others_stay_open(tiny):
    model = tiny.bridge("llama")
    edges = find_edges(model, tiny.task(model, (5,) * 4), "edges->logits", budget=12, progress=False)
    assert all(name.endswith("->logits") for name in edges.names)
    assert edges.chosen(3).size == 3


def test_bad_arguments_are_one_line_before_a_model_is_loaded():
    with pytest.raises(UserError, match="budget of a search among edges must be at least 6"):
        find_edges("no such model", "ioi", budget=3)
    with pytest.raises(ComponentError, match="put the selector into quotes"):
        find_circuit("no such model", "ioi", "L5H1-")
    with pytest.raises(UserError, match="not for edges"):
        find_circuit("no such model", "ioi", "edges", refine=2)
    with pytest.raises(UserError, match="edges take the baselines"):
        find_circuit("no such model", "ioi", "edges", "median")
    with pytest.raises(UserError, match="sums over all sources"):
        find_circuit("no such model", "ioi", "edges", precision="bfloat16")


def test_sizes_that_there_are_not_are_refused(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    with pytest.raises(UserError, match="a size must be at most 190"):
        find_edges(model, task, sizes=[191], budget=6, progress=False)


def test_a_circuit_of_edges_is_an_ordinary_circuit(tiny, tmp_path):
    model = tiny.bridge("llama")
    task, other = tiny.task(model, (5,) * 6), tiny.task(model, (5,) * 3, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = find_circuit(
            model, task, "edges", budget=24, n_heldout=20, n_contexts=4, max_nodes=6, heldout=other, progress=False
        )
    circuit = result.circuit
    assert circuit.run["lens"] == "edges"
    assert circuit.run["baseline"] == "resample"
    assert result.interactions.n_players == 12
    measured = (*circuit.nodes, *circuit.dropped_nodes)
    assert measured
    assert {node.kind for node in measured} == {"edge"}
    assert all("->" in node.name for node in measured)
    game = EdgeGame(model, task, list(result.interactions.names))
    full = game(np.ones((1, 12), bool))[0]
    assert circuit.task["unablated"] == pytest.approx(full, abs=1e-4)
    assert result.edges.passes == circuit.run["edges"]["gradient_passes"]
    unseen = EdgeGame(model, other)
    for way, found in (("chosen", result.edges.highest), ("matched", result.edges.nearest)):
        whole, empty, *values = unseen(
            np.concatenate([np.ones((1, 190), bool), np.zeros((1, 190), bool), result.edges.masks(found)])
        )
        shares = getattr(result.edges.heldout, way)
        np.testing.assert_allclose(shares, (np.array(values) - empty) / (whole - empty), atol=1e-4)
        assert list(circuit.run["edges"]["heldout"][way]) == list(shares)
    assert "share of the behaviour on 3 held-out prompts" in str(result.edges)
    written = json.loads(result.edges.save(tmp_path / "edges.json").read_text())
    assert written["chosen"][0]["heldout"] == pytest.approx(result.edges.heldout.chosen[0])
    read = type(circuit).load(circuit.save(tmp_path / "circuit.json"))
    assert read == circuit
    assert len(list(combinations(measured, 2))) >= len(circuit.interactions) + len(circuit.dropped)

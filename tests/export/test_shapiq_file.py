"""The shapiq file: read by the rules of its ``from_json_file``, and by shapiq itself where it is installed."""

import importlib
import json
from dataclasses import replace
from itertools import combinations

import pytest
from any_circuits import circuits
from drawn_circuits import empty, realistic
from hypothesis import given, settings
from test_dot import HOSTILE, damaged, hostile, mixed, refused

from circuitspex.circuits import explain
from circuitspex.export.graphs import shapiq as shapiq_file

TOP = {"object_name", "data_type", "version", "created_from", "description", "parameters", "timestamp"}
METADATA = {"n_players", "index", "max_order", "min_order", "estimated", "estimation_budget", "baseline_value"}


def read(path):
    """What shapiq's reader takes from a file: metadata, and values by set of players."""
    data = json.loads(path.read_text(encoding="utf-8"))
    assert set(data) == TOP | {"metadata", "data"}
    assert set(data["metadata"]) | {"baseline_value"} == METADATA
    values = {tuple(map(int, key.split(","))): value for key, value in data["data"].items()}
    assert len(values) == len(data["data"])
    for key in values:
        assert list(key) == sorted(set(key))
        assert 0 <= key[0] <= key[-1] < data["metadata"]["n_players"]
        assert data["metadata"]["min_order"] <= len(key) <= data["metadata"]["max_order"]
    return data["metadata"], data["parameters"]["players"], values


@pytest.mark.parametrize("seed", range(8))
def test_every_effect_is_there(seed, tmp_path):
    circuit = mixed(seed)
    about, players, values = read(shapiq_file.write(circuit, tmp_path / "c.shapiq.json"))
    by_name = {frozenset(players[i] for i in key): value for key, value in values.items()}
    wanted = {frozenset((n.name,)): n.effect for n in circuit.nodes}
    wanted |= {frozenset(e.components): e.effect for e in circuit.interactions}
    assert by_name == wanted
    assert (about["n_players"], about["index"], about["max_order"]) == (len(circuit.nodes), "BII", 4)
    assert (about["estimated"], about["estimation_budget"]) == (True, 100)
    assert "baseline_value" not in about  # which nobody has measured


def test_the_baseline_is_the_metric_with_everything_ablated(tmp_path):
    circuit = realistic(8)
    about, *_ = read(shapiq_file.write(circuit, tmp_path / "c.shapiq.json"))
    assert about["baseline_value"] == circuit.verification.empty


def test_the_baseline_is_that_of_the_game_where_nothing_kept_was_played(tmp_path):
    class Game:
        n_players = 4

        def __call__(self, masks):
            return 7.0 + masks[:, 0] - 2.0 * (masks[:, 1] & masks[:, 2])

    circuit = explain(Game(), budget=16, progress=False).circuit
    assert circuit.task["ablated"] == 7.0
    about, *_ = read(shapiq_file.write(circuit, tmp_path / "c.shapiq.json"))
    assert about["baseline_value"] == 7.0
    verified = replace(realistic(8), task={"ablated": 0.5})
    about, *_ = read(shapiq_file.write(verified, tmp_path / "c.shapiq.json"))
    assert about["baseline_value"] == 0.5  # of the prompts that the effects were measured on


def test_without_interactions_the_index_is_the_banzhaf_value(tmp_path):
    circuit = realistic(5, 0)
    about, _, values = read(shapiq_file.write(circuit, tmp_path / "c.shapiq.json"))
    assert (about["index"], about["max_order"], len(values)) == ("BV", 1, 5)


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_has_a_file(tmp_path_factory, circuit):
    _, players, values = read(shapiq_file.write(circuit, tmp_path_factory.mktemp("shapiq") / "c.json"))
    assert sorted(players) == sorted(n.name for n in circuit.nodes)
    assert len(values) == len(circuit.nodes) + len({frozenset(e.components) for e in circuit.interactions})


def test_names_of_any_kind(tmp_path):
    _, players, _ = read(shapiq_file.write(hostile(), tmp_path / "c.json"))
    assert sorted(players) == sorted(HOSTILE)


def test_an_empty_circuit(tmp_path):
    about, players, values = read(shapiq_file.write(empty(), tmp_path / "c.json"))
    assert (about["n_players"], players, values) == (0, [], {})


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_has_no_file_is_refused(circuit, said, tmp_path):
    refused(shapiq_file.write, tmp_path / "c.json", circuit, said)


@pytest.mark.skipif(importlib.util.find_spec("shapiq") is None, reason="shapiq is not installed")
@pytest.mark.parametrize("circuit", [mixed(0), realistic(5, 0), empty(), hostile()])
def test_shapiq_reads_it(circuit, tmp_path):
    values = importlib.import_module("shapiq").InteractionValues
    path = shapiq_file.write(circuit, tmp_path / "c.json")
    about, _, wanted = read(path)
    if "baseline_value" not in about:  # nobody has measured it: who reads the file must say what it is
        path.write_text(path.read_text().replace('"estimated":', '"baseline_value": 0.0, "estimated":'))
    found = values.from_json_file(path)
    assert (found.index, found.n_players, found.max_order) == (about["index"], about["n_players"], about["max_order"])
    for order in range(1, 5):
        for key in combinations(range(found.n_players), order):
            assert found[key] == wanted.get(key, 0.0)

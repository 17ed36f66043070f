"""circuit.json: exact round trips, and one clear line for whatever is wrong with a file."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from any_circuits import circuits
from drawn_circuits import described, edge, empty, judged, node, realistic, with_evidence
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction
from circuitspex.circuits.relation import RELATIONS
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.files import circuit as json_file
from circuitspex.export.files import circuit_check


@given(circuits(numbers=st.floats(allow_nan=False, allow_infinity=False)))
@settings(max_examples=60, deadline=None)
def test_round_trip_is_exact(circuit):
    text = json_file.dumps(circuit)
    again = json_file.from_json(json.loads(text))
    assert again == circuit
    assert json_file.dumps(again) == text


def test_round_trip_through_a_file(tmp_path):
    circuit = realistic(30)
    path = circuit.save(tmp_path / "new" / "folder" / "circuit.json")
    assert Circuit.load(path) == circuit
    assert Circuit.load(str(path)) == circuit
    assert os.listdir(path.parent) == ["circuit.json"]


def test_the_schema_is_a_schema_and_describes_every_field():
    schema = circuit_check.schema()
    Draft202012Validator.check_schema(schema)
    data = json_file.to_json(judged(realistic(10)))
    assert set(data) == {*schema["required"], "dropped_nodes"}
    assert set(schema["properties"]) == {*data, "description"}
    assert {*data["nodes"][0], "signed"} == set(schema["$defs"]["node"]["properties"])
    edges = json_file.to_json(judged(with_evidence(realistic(10))))["edges"]
    assert set().union(*edges) == set(schema["$defs"]["edge"]["properties"])
    for part in ("model", "task", "run"):
        assert set(data[part]) <= set(schema["properties"][part]["properties"])


def test_a_description_is_in_the_file_and_comes_back(tmp_path):
    circuit = described(with_evidence(realistic(12)))
    again = Circuit.load(circuit.save(tmp_path / "circuit.json"))
    assert again == circuit
    assert again.description["L23H3"] == circuit.description["L23H3"]
    assert again.description["L23H3"].role.word == "answer mover"


def test_what_tests_said_is_in_the_file_and_left_out_where_there_was_none():
    plain, found = realistic(10), judged(with_evidence(realistic(10)))
    assert json_file.from_json(json.loads(json_file.dumps(found))) == found
    assert found.nodes[0].adjusted is not None
    text = json_file.dumps(plain)
    assert "adjusted" not in text
    assert "dropped_nodes" not in text
    assert '"q"' not in json.dumps(json_file.to_json(plain)["nodes"])


def test_a_component_is_in_the_circuit_or_left_out_of_it():
    found = judged(realistic(10))
    twice = replace(found, dropped_nodes=(found.nodes[0],))
    with pytest.raises(UserError, match=r"dropped_nodes\[0\].name: 'L23H3' is there twice"):
        json_file.dumps(twice)
    renamed = replace(found, dropped_nodes=(replace(found.dropped_nodes[0], layer=3),))
    with pytest.raises(UserError, match=r"dropped_nodes\[0\] is named"):
        json_file.dumps(renamed)


def test_key_order_does_not_change_the_bytes(tmp_path):
    first = empty(run={"seed": 0, "budget": 5, "timings": {"b": 1.0, "a": 2.0}})
    second = empty(run={"timings": {"a": 2.0, "b": 1.0}, "budget": 5, "seed": 0})
    assert json_file.dumps(first) == json_file.dumps(second)


def test_numpy_numbers_are_written_as_numbers():
    circuit = empty(run={"seed": np.int64(3), "keep": np.float32(0.5)})
    assert json_file.from_json(json.loads(json_file.dumps(circuit))).run == {"seed": 3, "keep": 0.5}


def test_half_a_surrogate_pair_survives(tmp_path):
    circuit = empty(task={"name": "\ud83d"})
    assert Circuit.load(circuit.save(tmp_path / "c.json")) == circuit


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(bad, tmp_path):
    circuits_ = {
        "run.timings.ablate": empty(run={"timings": {"ablate": bad}}),
        "faithfulness.r2": Circuit((), (), Faithfulness(bad, 0.0, 0.0, 1)),
        "nodes[0].decoded": Circuit((node("L1H1", bad, False),), (), Faithfulness(None, None, None, 0)),
    }
    for where, circuit in circuits_.items():
        with pytest.raises(UserError) as caught:
            circuit.save(tmp_path / "c.json")
        assert where in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("circuit", "said"),
    [
        (empty(run={1: "a"}), "the key 1 of run is not text"),
        (empty(run={"model": object()}), "run.model is a object"),
        (Circuit((), (edge(("L1H1", "L2H2"), 1.0),), Faithfulness(None, None, None, 0)), "names 'L1H1', which is not"),
        (Circuit((node("L1H1", 1.0),) * 2, (), Faithfulness(None, None, None, 0)), "'L1H1' is there twice"),
    ],
)
def test_circuits_without_a_file_form_are_refused(circuit, said, tmp_path):
    with pytest.raises(UserError, match=r"can.t be written as circuit\.json") as caught:
        circuit.save(tmp_path / "c.json")
    assert said in str(caught.value)


def _change(data, path, value):
    *steps, last = path
    for step in steps:
        data = data[step]
    if value is ...:
        del data[last]
    else:
        data[last] = value


DAMAGE = [
    (("format",), "something.else", "\"format\" must be 'circuitspex.circuit'"),
    (("version",), 6, "was written by a newer circuitspex (version 6; this one reads up to 5)"),
    (("version",), "1", '"version" must be a whole number'),
    (("version",), True, '"version" must be a whole number'),
    (("nodes",), ..., "the top level lacks 'nodes'"),
    (("extra",), 1, "the top level has the unknown field 'extra'"),
    (("nodes", 0, "kind"), "heads", "nodes[0] is named 'L23H3' (layer 23, head) but says layer 23, heads"),
    (("nodes", 0, "kind"), "", "nodes[0].kind is empty"),
    (("run", "lens"), 3, "run.lens must be string"),
    (("nodes", 0, "decoded"), "big", "nodes[0].decoded must be number, not 'big'"),
    (("nodes", 0, "decoded"), None, "nodes[0].decoded must be number, not None"),
    (("nodes", 0, "layer"), -1, "nodes[0].layer must be at least 0, not -1"),
    (("nodes", 0, "layer"), 7, "nodes[0] is named 'L23H3' (layer 23, head) but says layer 7, head"),
    (("nodes", 0, "name"), "head 3", "nodes[0].name: 'head 3' is not a component; components are written"),
    (("nodes", 0, "name"), "L23H3\n", "nodes[0].name"),
    (("nodes", 0, "colour"), "red", "nodes[0] has the unknown field 'colour'; allowed are name, layer"),
    (("nodes", 0, "measured"), {"value": 1, "low": 2}, "nodes[0].measured lacks 'high'"),
    (("nodes", 0, "measured"), {"value": 1, "low": 2, "high": 1}, "low end 2 is above its high end 1"),
    (("edges", 0, "components"), ["L23H3"], "edges[0].components must have at least 2 components"),
    (("edges", 0, "components"), ["L23H3", "L23H3"], "edges[0].components names a component twice"),
    (("edges", 0, "components", 1), "L99H9", "edges[0].components[1] names 'L99H9', which is not one of the nodes"),
    (("faithfulness", "r2"), [], "faithfulness.r2 must be number or null, not []"),
    (("run", "budget"), 1.5, "run.budget must be integer or null, not 1.5"),
    (("verification", "full"), None, "verification.full must be number"),
    (("nodes", 0, "decoded"), 10**400, "too large"),
]


@pytest.mark.parametrize(("path", "value", "said"), DAMAGE)
def test_damaged_content_is_one_clear_line(path, value, said, tmp_path):
    data = json_file.to_json(realistic(10))
    _change(data, path, value)
    file = tmp_path / "circuit.json"
    file.write_text(json.dumps(data))
    _refused(file, said)


RELATED = [
    (("relation", "word"), "redundant", "word must be one of 'no interaction claimed', 'reverses'"),
    (("relation", "source"), None, "relation.source and .target are None and 'L24H4', not the two components"),
    (("relation", "source"), "L29H1", "relation.source and .target are 'L29H1' and 'L24H4', not the two components"),
    (("relation",), {"word": "opposes", "source": None, "target": None}, "is what one component does to the other"),
    (("relation", "word"), "backs up", "relation.source must be null: 'backs up' is about both components"),
    (("conditional", 1, "component"), "L23H3", "conditional must have each of the two components"),
    (("conditional", 0, "kept", "low"), 9.0, "low end 9.0 is above its high end"),
]


@pytest.mark.parametrize(("path", "value", "said"), RELATED)
def test_damaged_relations_are_one_clear_line(path, value, said, tmp_path):
    data = json_file.to_json(with_evidence(realistic(10)))
    pair = next(edge for edge in data["edges"] if edge["components"] == ["L23H3", "L24H4"])["pair"]
    pair["relation"] = {"word": "opposes", "source": "L23H3", "target": "L24H4"}
    _change(pair, path, value)
    (tmp_path / "c.json").write_text(json.dumps(data))
    _refused(tmp_path / "c.json", said)


def test_the_words_of_relations_are_those_of_the_schema():
    pair = circuit_check.schema()["$defs"]["edge"]["properties"]["pair"]["properties"]
    assert pair["relation"]["properties"]["word"]["enum"] == list(RELATIONS)


def test_relations_are_for_pairs_and_tables_for_all_their_combinations(tmp_path):
    data = json_file.to_json(with_evidence(realistic(10)))
    three = next(edge for edge in data["edges"] if len(edge["components"]) == 3)
    two = next(edge for edge in data["edges"] if edge.get("pair"))
    three["pair"] = two["pair"]
    (tmp_path / "c.json").write_text(json.dumps(data))
    _refused(tmp_path / "c.json", "pair.relation is that of two components; the interaction has 3")
    three["pair"], two["unablated"] = None, [{"kept": [True, False, True], "value": 1.0}]
    (tmp_path / "c.json").write_text(json.dumps(data))
    _refused(tmp_path / "c.json", "unablated has a row for 3 components; the interaction has 2")


def test_an_interaction_that_is_there_twice_is_refused(tmp_path):
    data = json_file.to_json(realistic(10))
    data["edges"].append({**data["edges"][0], "components": data["edges"][0]["components"][::-1]})
    (tmp_path / "c.json").write_text(json.dumps(data))
    _refused(tmp_path / "c.json", "is there twice")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON, or cut short (it is empty)"),
        (b"PK\x03\x04\xff\xfe", "not UTF-8 text"),
        (b"[1, 2]", "not a circuit file"),
        (b"null", "not a circuit file"),
        (b'{"format": "circuitspex.circuit", "version": NaN}', "holds the number 'NaN'"),
        (b'{"format": "circuitspex.circuit", "version": 1e999}', "holds the number '1e999'"),
        (b"[" * 100_000, ""),
    ],
)
def test_files_that_are_no_circuit(content, said, tmp_path):
    (tmp_path / "c.json").write_bytes(content)
    _refused(tmp_path / "c.json", said)


def test_every_truncation_is_refused(tmp_path):
    whole = json_file.dumps(realistic(7)).encode()
    for length in range(0, len(whole) - 2, 97):
        (tmp_path / "c.json").write_bytes(whole[:length])
        _refused(tmp_path / "c.json", "not JSON, or cut short")


def test_missing_files_and_folders(tmp_path):
    _refused(tmp_path / "none.json", "there is no such file")
    _refused(tmp_path, "can't be read")


def _refused(path, said):
    with pytest.raises(FileFormatError) as caught:
        Circuit.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400


@pytest.mark.parametrize("form", ["json", "svg", "html", "text"])
def test_places_that_can_not_be_written_are_named(form, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "circuit", tmp_path):
        with pytest.raises(UserError) as caught:
            realistic(3).export(form, path)
        assert str(caught.value).startswith(f"can't write {path}: ")
        assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = realistic(3).save(tmp_path / "c.json")
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(UserError, match="No space left on device"):
        realistic(4).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["c.json"]


def test_a_link_stays_a_link(tmp_path):
    target = realistic(3).save(tmp_path / "target.json")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    realistic(4).save(link)
    assert link.is_symlink()
    assert len(Circuit.load(target).nodes) == 4


def test_dropped_interactions_may_name_components_outside_the_circuit():
    circuit = empty(dropped=(Interaction(("L1H1", "L2M"), 0.1, Estimate(0.0, -0.1, 0.1)),))
    assert json_file.from_json(json_file.to_json(circuit)) == circuit

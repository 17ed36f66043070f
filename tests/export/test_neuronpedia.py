"""Attribution graphs: valid by the schema, every effect in its place, nothing that the viewer would mix up."""

import json

import pytest
from any_circuits import circuits
from drawn_circuits import empty, node, realistic
from hypothesis import given, settings
from jsonschema import Draft7Validator
from test_dot import damaged, hostile, mixed, refused

from circuitspex.circuits.circuit import Circuit, Faithfulness
from circuitspex.export.graphs import neuronpedia


def graph_of(circuit):
    """The graph, checked for what the viewer needs beyond the schema."""
    data = neuronpedia.to_json(circuit)
    Draft7Validator(neuronpedia.schema()).validate(data)
    ids = [n["node_id"] for n in data["nodes"]]
    assert len(set(ids)) == len(ids)
    same = [(n["layer"], n["feature"], n["ctx_idx"]) for n in data["nodes"]]
    assert len(set(same)) == len(same), "the viewer takes these for one node"
    assert all(n["feature"] < 0 for n in data["nodes"])
    assert max(int(n["layer"]) for n in data["nodes"]) >= 1, "the viewer refuses a graph in layer 0 only"
    assert all(n["ctx_idx"] < max(1, len(data["metadata"]["prompt_tokens"])) for n in data["nodes"])
    assert {end for link in data["links"] for end in (link["source"], link["target"])} <= set(ids)
    assert set(data["qParams"]["pinnedIds"]) == set(ids)
    grouped = [i for _, *members in data["qParams"]["supernodes"] for i in members]
    assert len(grouped) == len(set(grouped)), "the viewer shows a node in one supernode only"
    assert set(grouped) <= set(ids)
    for n in data["nodes"]:
        assert not set(n["clerp"]) & set("<>\n\x00")
        assert n["feature_type"] != "logit", "the viewer wants a probability in the label of these"
    return data


@pytest.mark.some(3)
@pytest.mark.parametrize("seed", range(8))
def test_effects_are_links_and_interactions_are_links_or_supernodes(seed):
    circuit = mixed(seed)
    data = graph_of(circuit)
    names = {n["node_id"]: n["clerp"].split(" ")[0] for n in data["nodes"]}
    layers = {n["node_id"]: int(n["layer"]) for n in data["nodes"]}
    effects = {names[x["source"]]: x["weight"] for x in data["links"] if x["target"] == "metric"}
    assert effects == {n.name: n.effect for n in circuit.nodes}
    pairs = {
        frozenset((names[x["source"]], names[x["target"]])): x["weight"]
        for x in data["links"]
        if x["target"] != "metric"
    }
    assert pairs == {frozenset(e.components): e.effect for e in circuit.interactions if e.order == 2}
    assert all(layers[x["source"]] <= layers[x["target"]] for x in data["links"])
    larger = sorted((e for e in circuit.interactions if e.order > 2), key=lambda e: -abs(e.effect))
    groups = [{names[i] for i in members} for _, *members in data["qParams"]["supernodes"]]
    found = circuit.groups()
    assert groups[: len(found)] == [set(group.members) for group in found]
    assert [label for label, *_ in data["qParams"]["supernodes"]][: len(found)] == [group.name for group in found]
    assert all(group in [set(e.components) for e in larger] for group in groups[len(found) :])
    assert {name for e in larger for name in e.components} & set().union(*groups)
    said = data["metadata"]["generation_settings"]["groups"]
    assert [(each["name"], each["strength"], tuple(each["members"])) for each in said] == [
        (group.name, group.strength, group.members) for group in found
    ]
    all_ = data["metadata"]["generation_settings"]["interactions"]
    assert sorted(x["effect"] for x in all_) == sorted(e.effect for e in circuit.interactions)
    assert sum("low" in x for x in all_) == sum(e.measured is not None for e in circuit.interactions)


def test_words_stand_for_tokens_and_the_file_says_so():
    data = graph_of(mixed(1))["metadata"]
    assert data["prompt_tokens"] == [" When", " John", " and", " Mary", "  went", " home", " "]
    assert data["prompt"] == "".join(data["prompt_tokens"])
    assert "words, not the model's tokens" in data["info"]["description"]


def _at(name, example):
    return Circuit((node(name, 1.0),), (), Faithfulness(None, None, None, 0), task={"example": example})


@pytest.mark.parametrize(
    ("name", "example", "tokens", "place"),
    [
        ("L1H1", {"prompt": "a b c"}, 3, 2),
        ("L1H1@-1", {"prompt": "a b c"}, 3, 2),
        ("L1H1@1", {"prompt": "a b c"}, 1, 0),
        ("L1H1@1", {"prompt": "a bc", "tokens": ["<s>", "a", " b", "c"]}, 4, 1),
        ("L1H1@-2", {"prompt": "a bc", "tokens": ["<s>", "a", " b", "c"]}, 4, 2),
        ("L1H1", {"prompt": "a bc", "tokens": ["<s>", "a", " b", "c"]}, 4, 3),
        ("L1H1", {"prompt": None}, 0, 0),
        ("L1H1@5", None, 0, 0),
    ],
)
def test_positions(name, example, tokens, place):
    data = graph_of(_at(name, example))
    assert len(data["metadata"]["prompt_tokens"]) == tokens
    assert data["nodes"][0]["ctx_idx"] == place


def test_a_position_outside_the_tokens_is_refused(tmp_path):
    circuit = _at("L1H1@7", {"prompt": "a", "tokens": ["<s>", "a"]})
    refused(neuronpedia.write, tmp_path / "c.json", circuit, "the prompt of 2 tokens does not have")


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_is_a_valid_graph(circuit):
    data = graph_of(circuit)
    assert len(data["nodes"]) == len(circuit.nodes) + 1


def test_names_of_any_kind(tmp_path):
    data = graph_of(hostile())
    assert json.loads(neuronpedia.write(hostile(), tmp_path / "c.json").read_text(encoding="utf-8"))
    assert all(i.isascii() and not set(i) & set("\"'<>& \\") for i in (n["node_id"] for n in data["nodes"]))


def test_an_empty_circuit_is_a_graph_of_the_metric_alone():
    data = graph_of(empty())
    assert [n["node_id"] for n in data["nodes"]] == ["metric"]
    assert data["links"] == []


def test_the_same_circuit_gives_the_same_file(tmp_path):
    first, second = (neuronpedia.write(realistic(20), tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


def test_the_schema_refuses_what_the_format_does():
    validator = Draft7Validator(neuronpedia.schema())
    Draft7Validator.check_schema(neuronpedia.schema())
    for path, value in (
        (("nodes", 0, "feature"), "3"),
        (("nodes", 0, "ctx_idx"), None),
        (("links", 0, "weight"), "1"),
        (("metadata", "prompt_tokens"), "a b"),
        (("qParams", "supernodes"), [[1]]),
    ):
        data = json.loads(json.dumps(neuronpedia.to_json(mixed(0))))
        *steps, last = path
        at = data
        for step in steps:
            at = at[step]
        at[last] = value
        assert not validator.is_valid(data), path


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_has_no_graph_is_refused(circuit, said, tmp_path):
    refused(neuronpedia.write, tmp_path / "c.json", circuit, said)

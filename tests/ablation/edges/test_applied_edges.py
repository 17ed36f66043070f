"""A circuit of edges put to use: the model's own passes with the other edges closed, on any prompt."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from plain_llama_edges import plain_logits, plain_mean

import circuitspex as cx
from circuitspex.ablation.edges.graph import edge_graph
from circuitspex.circuits import EdgeCircuit, Node
from circuitspex.components import model_structure
from circuitspex.components._select_edges import select_edges
from circuitspex.errors import ComponentError, UserError

DENSE = ["llama", "gpt2", "gpt_neox", "qwen3", "gemma2", "phi3"]
TEXTS = ["w1 w2 w3 w4", "w9 w8 w7 w6 w5 w4", "w11"]
TOLERANCE = 1e-4
"""Of logits of size 1 to 5 in float32."""


def names_of(model):
    return select_edges(edge_graph(model, model_structure(model)), "edges").names


def some_of(model, share, seed=0):
    """A circuit with this share of a model's edges, and the gates of all of them."""
    names = names_of(model)
    kept = np.random.default_rng(seed).random(len(names)) < share
    columns = np.flatnonzero(kept)
    return EdgeCircuit(columns, tuple(names[i] for i in columns), len(columns)), kept


def tokens_of(n, length, seed=3):
    return torch.randint(3, 60, (n, length), generator=torch.Generator().manual_seed(seed))


def logits_of(model, tokens):
    with torch.no_grad():
        return model(tokens.to(next(model.parameters()).device)).cpu()


@pytest.mark.some(4)
@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize(("keep", "scale"), [(True, None), (False, None), (None, 1.7), (True, -0.5)])
def test_logits_are_those_of_the_plain_way_by_hooks(tiny, edge_task, family, keep, scale):
    model = tiny.bridge(family)
    circuit, kept = some_of(model, 0.6)
    task = edge_task(model)
    game = cx.EdgeGame(model, task, "edges", "zero", executor="hooks")
    own = 0.0 if keep is False else 1.0 if scale is None else scale
    gates = np.where(kept, own, 0.0 if keep else 1.0)
    engine = game._engine
    before = logits_of(model, task.tokens)
    with circuit.applied(model, keep=keep, scale=scale, baseline="zero") as same:
        assert same is model
        found = logits_of(model, task.tokens)
    rows = torch.arange(len(task.tokens))
    with torch.no_grad():
        wanted = [
            group.forward(torch.tensor(gates[None], dtype=torch.float32), slice(None))[:, 0] for group in engine._groups
        ]
    places = torch.cat([group.task.indices for group in engine._groups])
    read = found[rows, task.lengths - 1][places]
    torch.testing.assert_close(read, torch.cat(wanted), atol=TOLERANCE, rtol=0)
    assert (found - before).abs().max() > 100 * TOLERANCE
    assert torch.equal(logits_of(model, task.tokens), before)


@pytest.mark.parametrize("keep", [True, False])
def test_means_are_those_of_a_plain_llama(tiny, keep):
    model, llama = tiny.bridge("llama"), tiny.hf_model("llama")
    circuit, kept = some_of(model, 0.5, seed=1)
    texts = [torch.tensor([tiny.tokenizer(text, add_special_tokens=False)["input_ids"]]) for text in TEXTS]
    base = plain_mean(llama, texts)
    gates = dict(zip(names_of(model), (kept if keep else ~kept).astype(float).tolist(), strict=True))
    tokens = tokens_of(1, 6)
    with circuit.applied(model, keep=keep, prompts=TEXTS):
        found = logits_of(model, tokens)
    torch.testing.assert_close(found, plain_logits(llama, tokens, None, gates, base), atol=TOLERANCE, rtol=0)


@pytest.mark.some(3)
@pytest.mark.parametrize("family", DENSE)
def test_text_is_the_same_with_a_cache_and_without(tiny, family):
    model = tiny.bridge(family)
    circuit, _ = some_of(model, 0.7)
    tokens = tokens_of(1, 5, seed=4)
    whole, one_by_one = logits_of(model, tokens), tokens
    options = {"max_new_tokens": 6, "do_sample": False}
    with circuit.applied(model, prompts=TEXTS):
        found = [
            model.generate(tokens, verbose=False, stop_at_eos=False, use_past_kv_cache=cache, **options)[0].tolist()
            for cache in (True, False)
        ]
        hf = model.original_model.generate(tokens, eos_token_id=None, pad_token_id=2, **options)
        for _ in range(6):
            one_by_one = torch.cat([one_by_one, logits_of(model, one_by_one)[:, -1:].argmax(-1)], dim=1)
        at_once = logits_of(model, one_by_one)
    assert found[0] == found[1] == one_by_one[0].tolist() == hf[0].tolist()
    assert (at_once[:, :5] - whole).abs().max() > 100 * TOLERANCE


def test_a_circuit_of_edges_is_applied_among_those_it_was_searched_in(tiny):
    model = tiny.bridge("llama")
    names = ["emb->L0M", "L0H1->L1H2.q", "L1M->logits"]
    found = {}
    tokens = tokens_of(2, 6)
    for searched in ("edges", "edges->logits"):
        circuit = cx.Circuit(
            nodes=tuple(Node(name, 0, "edge", 1.0) for name in names),
            interactions=(),
            faithfulness=cx.circuits.Faithfulness(None, None, None, 0),
            run={"lens": "edges", "baseline": "zero", "edges": {"searched": searched}},
        )
        with circuit.applied(model, keep=True):
            found[searched] = logits_of(model, tokens)
        columns = np.flatnonzero([name in names for name in names_of(model)])
        alone = EdgeCircuit(columns, tuple(names), 3)
        with alone.applied(model, keep=True, baseline="zero", among=searched):
            assert torch.equal(logits_of(model, tokens), found[searched])
    assert (found["edges"] - found["edges->logits"]).abs().max() > 100 * TOLERANCE


def test_circuits_are_read_from_the_file_of_all_sizes(tiny, edge_task, tmp_path):
    model = tiny.bridge("llama")
    found = cx.circuits.find_edges(model, edge_task(model), budget=12, sizes=[20, 60], progress=False)
    path = found.save(tmp_path / "edges.json")
    for way, circuits in (("chosen", found.highest), ("matched", found.nearest)):
        for each in circuits:
            read = EdgeCircuit.load(path, each.budget, way)
            assert read.names == each.names
            np.testing.assert_array_equal(read.columns, each.columns)
    with pytest.raises(UserError, match="has circuits of 20, 60 edges, none of 21"):
        EdgeCircuit.load(path, 21)
    with pytest.raises(UserError, match="'chosen' or 'matched'"):
        EdgeCircuit.load(path, 20, "best")
    for text in ("{}", "[1]", json.dumps({"scores": {}, "chosen": [{"size": 2, "edges": ["a->b"]}]})):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(UserError, match="has no circuits of edges"):
            EdgeCircuit.load(tmp_path / "other.json", 20)
    with pytest.raises(UserError, match="there is no such file"):
        EdgeCircuit.load(tmp_path / "none.json", 20)


def test_wrong_calls_get_one_line(tiny):
    model = tiny.bridge("llama")
    circuit, _ = some_of(model, 0.5)
    cases = [
        ({}, "means are over prompts"),
        ({"baseline": "resample"}, "holds for no other prompts"),
        ({"baseline": "zero", "keep": False, "scale": 2.0}, "nothing to scale"),
        ({"prompts": []}, "at least one"),
        ({"baseline": "zero", "among": "edges:ungrouped"}, "several query heads share"),
        ({"baseline": "zero", "among": "L9M->logits"}, "has 3 layers"),
        ({"baseline": "zero", "among": "heads->nowhere"}, "nowhere"),
    ]
    before = logits_of(model, tokens_of(1, 5))
    for options, message in cases:
        with pytest.raises(UserError, match=message), circuit.applied(model, **options):
            pass
    for names, message in (
        (("L0H1->L1H1.q@-1",), "one token position"),
        (("L0H1->L1H1.k",), "share"),
        ((), "no edges"),
    ):
        other = EdgeCircuit(np.arange(len(names)), names, 1)
        with pytest.raises((UserError, ComponentError), match=message), other.applied(model, baseline="zero"):
            pass
    with (
        circuit.applied(model, baseline="zero"),
        pytest.raises(UserError, match="applied to this model already"),
        circuit.applied(model, baseline="zero"),
    ):
        pass
    assert torch.equal(logits_of(model, tokens_of(1, 5)), before)


def test_models_that_are_taken_apart_by_hooks_only_are_refused(tiny):
    for family in ("mixtral", "granite"):
        model = tiny.bridge(family)
        circuit, _ = some_of(model, 0.5)
        with pytest.raises(UserError, match="can't be applied"), circuit.applied(model, baseline="zero"):
            pass
    half = tiny.fresh_bridge("llama", dtype=torch.bfloat16)
    with pytest.raises(UserError, match="load the model in float32"), circuit.applied(half, baseline="zero"):
        pass


def test_a_circuit_of_edges_is_not_pruned(tiny, tmp_path):
    circuit = cx.Circuit(
        nodes=(Node("emb->L0M", 0, "edge", 1.0),),
        interactions=(),
        faithfulness=cx.circuits.Faithfulness(None, None, None, 0),
        run={"lens": "edges", "baseline": "zero"},
    )
    with pytest.raises(UserError, match="no plain checkpoint can do without"):
        circuit.prune(tiny.bridge("llama"), tmp_path / "pruned")
    assert not (tmp_path / "pruned").exists()

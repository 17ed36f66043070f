"""Models and wishes for which there are no edges, each refused in one line."""

from __future__ import annotations

import pytest
import torch
import transformers

import circuitspex as cx
from circuitspex import EdgeGame
from circuitspex.errors import ComponentError, UserError


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("qwen3_next", "layer 1 has no queries with a hook"),
        ("deepseek_v3", "share latents .* 'edges:ungrouped'"),
    ],
)
def test_models_without_queries_or_with_shared_latents(tiny, edge_task, family, said):
    model = tiny.bridge(family)
    with pytest.raises(ComponentError, match=said):
        EdgeGame(model, edge_task(model))


def test_shared_latents_are_read_by_each_head_alone(tiny, edge_task, some_gates):
    model = tiny.bridge("deepseek_v3")
    task = edge_task(model)
    game = EdgeGame(model, task, "edges:ungrouped")
    values = game.evaluate(some_gates(game.n_players)[:2]).per_prompt
    with torch.no_grad():
        logits = [model.original_model(tokens).logits[:, -1, 7] for tokens in (task.tokens, task.counterfactual_tokens)]
    assert values == pytest.approx(torch.stack(logits).numpy(), abs=1e-4)


def test_a_stream_that_is_no_sum(tiny, edge_task):
    """BLOOM's variant adds what comes out of the norm, and not what went in."""
    config = transformers.BloomConfig(
        vocab_size=len(tiny.tokenizer),
        hidden_size=32,
        n_layer=3,
        n_head=4,
        apply_residual_connection_post_layernorm=True,
    )
    torch.manual_seed(0)
    model = cx.load_model(transformers.BloomForCausalLM(config).eval(), tokenizer=tiny.tokenizer)
    with pytest.raises(ComponentError, match="not the sum of what the parts before it write"):
        EdgeGame(model, edge_task(model))


def test_half_precision(tiny, edge_task):
    model = tiny.fresh_bridge("llama", dtype=torch.bfloat16)
    with pytest.raises(UserError, match="load the model in float32"):
        EdgeGame(model, edge_task(model))


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ("edges-", "a shell takes '>' for itself; put the selector into quotes"),
        ("L5E3->L9M", "edges are between the embeddings, heads, MLPs and the logits, not 'L5E3'"),
        ("neurons->mlps", "not 'neurons'"),
        ("L1H0.q->L2M", "destinations of edges, not sources"),
        ("L2H0->L1M", "an edge goes from a part to one that is computed after it"),
        ("L0H9->L1M", "layer 0 of tiny-llama has 4 heads, H0 to H3"),
        ("L7M->logits", "tiny-llama has 3 layers, L0 to L2"),
        ("L0M->L1KV2.k", "2 key/value heads, KV0 to KV1"),
        ("nonsense", "is no selector of edges"),
        ("L0M->L1M+L0M->L1M@-1", "at every position and at single ones"),
        ("L0M->L1M@-1+L0M->L1M@2", "counted from the start and from the end"),
        ("L0M->L1M@40", "the prompt has 5 tokens"),
        (3, "is not a selector of edges"),
        ([3], "is not an edge or a selector"),
    ],
)
def test_selectors_that_name_no_edges(tiny, edge_task, edges, said):
    model = tiny.bridge("llama")
    with pytest.raises(ComponentError, match=said):
        EdgeGame(model, edge_task(model), edges)


def test_spelling_is_refused_before_the_model_is_loaded():
    with pytest.raises(ComponentError, match="quotes"):
        EdgeGame("no-such-model", "ioi", "edges-")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"baseline": "median"}, "edges take the baselines mean, resample, zero"),
        ({"executor": "batched"}, "unknown executor 'batched' for edges; allowed: auto, fused, hooks"),
        ({"batch_rows": 0}, "batch_rows must be at least 1"),
    ],
)
def test_options(tiny, edge_task, options, said):
    model = tiny.bridge("llama")
    with pytest.raises(UserError, match=said):
        EdgeGame(model, edge_task(model), **options)


def test_the_fast_way_where_it_is_not_possible(tiny, edge_task):
    model = tiny.bridge("mixtral")
    with pytest.raises(UserError, match="executor 'fused' is not for this model"):
        EdgeGame(model, edge_task(model), executor="fused")
    assert "not fused" in EdgeGame(model, edge_task(model)).executor


def test_answers_of_several_tokens_are_read_too(tiny):
    model = tiny.bridge("llama")
    examples = [
        cx.Example("w1 w2 w3", "w4 w5 w6", "w7 w8 w9", "w10 w11 w9"),
        cx.Example("w3 w2 w1", "w5 w4 w6", "w12", "w7 w9 w10"),
    ]
    task = cx.Task.from_examples(model, examples, metric="logprob_diff")
    game = EdgeGame(model, task)
    plain = EdgeGame(model, task, executor="hooks")
    gates = [[1.0] * game.n_players, [0.0] * game.n_players]
    fast = game.evaluate(torch.tensor(gates).numpy()).per_prompt
    assert fast == pytest.approx(plain.evaluate(torch.tensor(gates).numpy()).per_prompt, abs=1e-4)
    assert fast[0] == pytest.approx([task.subset([i]).report(model).mean_metric for i in range(2)], abs=1e-4)


def test_more_memory_than_there_is(tiny, edge_task, monkeypatch):
    model = tiny.bridge("llama")
    monkeypatch.setattr("circuitspex.ablation.edges.engine.free_memory", lambda device: 20_000)
    with pytest.raises(UserError, match=r"need 0\.0 GB .* and 0\.0 GB are free; take fewer or shorter prompts"):
        EdgeGame(model, edge_task(model))

"""Routers with a correction bias, what a router must not do, and neurons of experts, each beside the plain model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from circuitspex import ComponentGame
from circuitspex.components import model_structure, select
from circuitspex.errors import ComponentError

SIGMOID = ["deepseek_v3", "glm4_moe", "glm4_moe_lite"]


def raw_logit(logits: torch.Tensor, rows: Any) -> torch.Tensor:
    return logits[:, 11]


def biased(model: Any, family: str) -> Any:
    """The model with correction biases that decide the choice for many tokens; the same each time."""
    hf = model if family is None else getattr(model, "original_model", model)
    generator = torch.Generator().manual_seed(4)
    for name, buffer in hf.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(0.4 * torch.randn(buffer.shape, generator=generator))
    return model


def routed_by_hand(gate: Any, x: torch.Tensor, gates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a sigmoid router with a correction bias gives, token by token, with gates ``(tokens, experts)``."""
    weights, indices = [], []
    for token, g in zip(x.reshape(-1, x.shape[-1]), gates, strict=True):
        scores = torch.sigmoid(gate.weight @ token + (g + 1e-30).log())
        choice = scores + gate.e_score_correction_bias + torch.where(g == 0, -1e9, (g + 1e-30).log())
        groups = choice.reshape(gate.num_group, -1)
        best = groups.topk(2).values.sum(-1).topk(gate.topk_group).indices
        allowed = torch.full_like(groups, -torch.inf)
        allowed[best] = groups[best]
        chosen = allowed.flatten().topk(gate.top_k).indices
        weight = scores[chosen]
        if gate.norm_topk_prob:
            weight = weight / (weight.sum() + 1e-20)
        weights.append(weight * gate.routed_scaling_factor * (1 - (1 - g).prod()))
        indices.append(chosen)
    return torch.stack(weights), torch.stack(indices)


@pytest.mark.some(2)
@pytest.mark.parametrize("family", SIGMOID)
def test_experts_of_sigmoid_routers_with_a_correction_bias(tiny, family):
    model, original = biased(tiny.fresh_bridge(family), family), biased(tiny.hf_model(family), family)
    task = tiny.task(model, metric=raw_logit)
    games = [ComponentGame(model, task, "experts", executor=executor) for executor in ("auto", "hooks")]
    assert games[0].names == tuple(f"L{layer}E{expert}" for layer in (1, 2) for expert in range(4))
    rng = np.random.default_rng(0)
    gates = np.concatenate([np.ones((1, 8)), rng.random((8, 8)) < 0.6, rng.random((3, 8)), 1 - np.eye(8)])
    gates[2, :4] = 0
    expected = []
    for row in gates:
        handles = []
        for layer in (1, 2):
            of_tokens = torch.tensor(row[4 * (layer - 1) : 4 * layer], dtype=torch.float32).expand(15, 4)

            def put(gate: Any, args: Any, returned: Any, of_tokens: torch.Tensor = of_tokens) -> Any:
                return returned[0], *routed_by_hand(gate, args[0], of_tokens)

            handles.append(original.model.layers[layer].mlp.gate.register_forward_hook(put))
        with torch.no_grad():
            expected.append(original(task.tokens).logits[:, -1, 11].numpy())
        for handle in handles:
            handle.remove()
    assert np.abs(np.array(expected) - expected[0]).max() > 1e-2
    for game in games:
        np.testing.assert_allclose(game.evaluate(gates).per_prompt, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["deepseek_v2", "qwen3_next"])
def test_an_expert_that_is_off_is_as_if_its_router_ruled_it_out(tiny, family):
    """Softmax routers: the logit of the expert is as good as minus infinity."""
    model, original = tiny.bridge(family), tiny.hf_model(family)
    task = tiny.task(model, metric=raw_logit)
    found = ComponentGame(model, task, ["L1E2"]).evaluate(np.array([[0], [1]])).per_prompt
    gate = original.model.layers[1].mlp.gate
    linear = F.linear

    def without(x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
        result = linear(x, weight, bias)
        return result.index_fill(-1, torch.tensor([2]), -1e9) if weight.shape == gate.weight.shape else result

    forward = gate.forward

    def masked(*args: Any, **kwargs: Any) -> Any:
        torch.nn.functional.linear = without
        try:
            return forward(*args, **kwargs)
        finally:
            torch.nn.functional.linear = linear

    gate.forward = masked
    with torch.no_grad():
        expected = original(task.tokens).logits[:, -1, 11].numpy()
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_router_that_keeps_an_expert_for_some_tokens_is_caught_in_the_batch(tiny, monkeypatch):
    """It leaves out what is off on the tokens of the proof, and chooses expert 0 for one token of the task."""
    model = tiny.fresh_bridge("mixtral")
    task = tiny.task(model)
    inner = model.blocks[1].mlp.gate.original_component
    forward, seen = type(inner).forward, []

    def sometimes(x: torch.Tensor) -> Any:
        logits, weights, indices = forward(inner, x)
        if len(seen) and x.shape[0] % 5 == 0:
            indices = indices.clone()
            indices[3] = torch.tensor([0, 1])
            weights = weights.clone()
            weights[3] = 0.5
        return logits, weights, indices

    monkeypatch.setattr(inner, "forward", sometimes)
    game = ComponentGame(model, task, ["L1E0", "L1E3"])
    seen.append(True)
    game.evaluate(np.array([[True, False]]))
    with pytest.raises(ComponentError) as caught:
        game.evaluate(np.array([[False, True]]))
    why = "it goes on choosing expert 0, which is off, at 1 of 15 tokens"
    assert str(caught.value) == f"layer 1 has experts whose router can't be masked: {why}"


def test_the_reason_is_that_of_the_layer(tiny, monkeypatch):
    """Where the first layer is dense, another layer's experts are refused for their own reason."""
    model = tiny.fresh_bridge("glm4_moe")
    inner = model.blocks[2].mlp.gate.original_component
    forward = type(inner).forward

    def stubborn(x: torch.Tensor) -> Any:
        logits, weights, indices = forward(inner, x)
        return logits, weights, torch.zeros_like(indices) + torch.arange(indices.shape[-1])

    monkeypatch.setattr(inner, "forward", stubborn)
    structure = model_structure(model)
    for selector in ("experts", "L2E0"):
        with pytest.raises(ComponentError, match=r"layer 2 of tiny-glm4_moe has experts whose router can't be masked"):
            select(structure, selector)
    with pytest.raises(ComponentError, match="layer 0 of tiny-glm4_moe has no experts: its MLP is dense"):
        select(structure, "L0E0")
    assert len(select(structure, "L1.experts")) == 4


# Neurons of experts

WRITTEN = ["L1E2N3:9", "L1E0N0:24", "L2E1N5", "L2E3N0:20@-1"]
GATES = np.array(
    [[1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0], [0.3, 0.6, 0.2, 0.7], [0, 0, 0, 0]]
)


def written_by_hand(experts: Any, x: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """``[tokens, experts, neurons]``: activations times the weight of the choice, 0 where an expert was not chosen."""
    of_token = torch.zeros(len(x), len(experts.down_proj), dtype=x.dtype)
    of_token = of_token.scatter_add(1, indices, weights.to(x.dtype))
    gate, up = torch.einsum("td,end->ten", x, experts.gate_up_proj).chunk(2, dim=-1)
    return of_token[..., None] * F.silu(gate) * up


@pytest.mark.some(4)
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.parametrize("family", ["qwen2_moe", "glm4_moe", "deepseek_v3"])
def test_neurons_of_experts_are_those_of_the_plain_model(tiny, family, baseline):
    model, original = biased(tiny.fresh_bridge(family), family), biased(tiny.hf_model(family), family)
    task = tiny.task(model, metric=raw_logit)
    games = [ComponentGame(model, task, WRITTEN, baseline, executor=executor) for executor in ("auto", "hooks")]
    tokens = {"mean": task.reference_tokens, "resample": task.counterfactual_tokens, "zero": task.tokens}[baseline]
    other: dict[int, torch.Tensor] = {}

    def note(layer: int) -> Any:
        def hook(experts: Any, args: Any, output: Any) -> None:
            f = written_by_hand(experts, *args).reshape(len(tokens), 5, *experts.down_proj.shape[::2])
            f = f.mean(0, keepdim=True) if baseline == "mean" else f * (baseline != "zero")
            other[layer] = f.expand(len(task.tokens), *f.shape[1:])

        return hook

    modules = {layer: original.model.layers[layer].mlp.experts for layer in (1, 2)}
    handles = [module.register_forward_hook(note(layer)) for layer, module in modules.items()]
    with torch.no_grad():
        original(tokens)
    for handle in handles:
        handle.remove()
    expected = []
    for row in GATES:

        def gate(layer: int, row: np.ndarray = row) -> Any:
            def hook(experts: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
                f = written_by_hand(experts, *args).reshape(other[layer].shape)
                change = torch.zeros_like(f)
                for c, g in zip(games[0].components, row, strict=True):
                    if c.layer == layer:
                        where = slice(None) if c.position is None else [c.position]
                        at = (slice(None), where, c.expert, slice(c.start, c.stop))
                        change[at] = (float(g) - 1) * (f - other[layer])[at]
                added = torch.einsum("ren,edn->rd", change.flatten(0, 1), experts.down_proj)
                return output + added.reshape(output.shape)

            return hook

        handles = [module.register_forward_hook(gate(layer)) for layer, module in modules.items()]
        with torch.no_grad():
            expected.append(original(task.tokens).logits[:, -1, 11].numpy())
        for handle in handles:
            handle.remove()
    assert (np.abs(np.array(expected) - expected[0]).max(1)[1:] > 1e-3).sum() > 3
    for game in games:
        np.testing.assert_allclose(game.evaluate(GATES).per_prompt, expected, atol=2e-4, rtol=1e-4)


def test_slopes_of_neurons_of_experts(tiny, request):
    model = tiny.bridge("qwen2_moe", torch.float64)
    request.getfixturevalue("exact")
    game = ComponentGame(model, tiny.task(model, lengths=(5, 5)), "L1E0.neurons:8+L2E1.neurons:8+L1.heads", "mean")
    step = 1e-6
    gates = 0.1 + 0.8 * np.random.default_rng(3).random((1, game.n_players))
    slopes = game.evaluate(gates, gradients=True).gradients[0]
    steps = step * np.eye(game.n_players)
    values = game.evaluate(np.concatenate([gates + steps, gates - steps])).values
    differences = (values[: game.n_players] - values[game.n_players :]) / (2 * step)
    np.testing.assert_allclose(slopes, differences, atol=1e-6, rtol=1e-5)
    assert np.abs(slopes[:6]).max() > 1e-4


def test_all_neurons_of_all_experts_resampled_write_what_they_write_on_the_counterfactual(tiny):
    """With what comes before the same, the whole mixture is: here all of the stream at its layer is resampled too."""
    model = tiny.bridge("mixtral")
    task = tiny.task(model, metric=raw_logit)
    game = ComponentGame(model, task, "L2A+L2.experts.neurons:48", "resample")
    assert game.n_players == 1 + 4
    of_block = ComponentGame(model, task, ["L2A", "L2M"], "resample")
    np.testing.assert_allclose(
        game.evaluate(np.zeros((1, 5), dtype=bool)).per_prompt,
        of_block.evaluate(np.zeros((1, 2), dtype=bool)).per_prompt,
        atol=1e-4,
    )


def test_names_and_selectors_of_neurons_of_experts(tiny):
    structure = model_structure(tiny.bridge("qwen2_moe"))
    assert [str(c) for c in select(structure, "L1E3.neurons:10")] == ["L1E3N0:10", "L1E3N10:20", "L1E3N20:24"]
    assert len(select(structure, "experts.neurons:24")) == 3 * 4
    assert len(select(structure, "L0.experts.neurons")) == 4 * 24
    assert [str(c) for c in select(structure, "L1E3N4+L1E2N4@-1")] == ["L1E3N4", "L1E2N4@-1"]
    dense = model_structure(tiny.bridge("llama"))
    for of, wrong, why in (
        (structure, "L1E4N0", "layer 1 of tiny-qwen2_moe has 4 experts, E0 to E3"),
        (structure, "L1E4.neurons", "layer 1 of tiny-qwen2_moe has 4 experts, E0 to E3"),
        (structure, "L1E0N24", "has 24 neurons in each expert, N0 to N23"),
        (structure, "L1E0N3+L1E0N2:5", "overlap"),
        (structure, "L1N0", "or neurons of an expert, L1E0N0"),
        (structure, "L1E0M", "is neither a selector"),
        (dense, "L1E0N0", "layer 1 of tiny-llama has no experts: its MLP is dense"),
        (dense, "experts.neurons", "layer 0 of tiny-llama has no experts: its MLP is dense"),
    ):
        with pytest.raises(ComponentError) as caught:
            select(of, wrong)
        assert why in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

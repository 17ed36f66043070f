"""Multi-head latent attention and gated queries, beside the plain Hugging Face model with plain PyTorch hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex import ComponentGame
from circuitspex.components import Component

LATENT = ["deepseek_v3", "deepseek_v2", "glm4_moe_lite", "youtu"]
GATED = ["qwen3_next", "qwen3_5"]
NOPE, ROPE, VALUE, HEAD = 6, 4, 8, 8
ROWS = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [0.5, 1], [0.3, 0.6]])
Place = tuple[str, int, int]
"""A linear map within attention, and which of its numbers: of what it reads for ``o_proj``, else of what it gives."""


def place(model: str, c: Component) -> Place:
    """Where a head, its query, its value are in the plain model."""
    if c.kind == "head":
        return "o_proj", c.start * VALUE, c.stop * VALUE
    if model in GATED:
        width = 2 * HEAD if c.kind == "query" else HEAD
        return f"{c.kind[0]}_proj", c.start * width, c.start * width + HEAD
    if c.kind == "query":
        return "q_b_proj", c.start * (NOPE + ROPE), c.stop * (NOPE + ROPE)
    return "kv_b_proj", c.start * (NOPE + VALUE) + NOPE, c.stop * (NOPE + VALUE)


def at(original: Any, layer: int, name: str, edit: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A plain hook on what the map reads or gives."""
    module = getattr(original.model.layers[layer].self_attn, name)
    if name == "o_proj":
        return module.register_forward_pre_hook(lambda module, args: (edit(args[0]), *args[1:]))
    return module.register_forward_hook(lambda module, args, output: edit(output))


def by_hand(original: Any, family: str, task: Any, components: Any, baseline: str) -> np.ndarray:
    places = [(c.layer, *place(family, c)) for c in components]
    tokens = {"mean": task.reference_tokens, "resample": task.counterfactual_tokens, "zero": task.tokens}[baseline]
    other: dict[Any, torch.Tensor] = {}
    handles = [
        at(original, layer, name, lambda x, key=(layer, name): other.setdefault(key, x.detach().clone()) * 0 + x)
        for layer, name in {p[:2] for p in places}
    ]
    with torch.no_grad():
        original(tokens)
    for handle in handles:
        handle.remove()
    found = []
    for row in ROWS:
        handles = []
        for (layer, name, start, stop), gate in zip(places, row, strict=True):

            def edit(x: torch.Tensor, key: Any = (layer, name), s: int = start, e: int = stop, g: float = gate) -> Any:
                base = other[key].mean(0, keepdim=True) if baseline == "mean" else other[key] * (baseline != "zero")
                x = x.clone()
                x[..., s:e] = base[..., s:e] + g * (x[..., s:e] - base[..., s:e])
                return x

            handles.append(at(original, layer, name, edit))
        with torch.no_grad():
            found.append(original(task.tokens).logits[:, -1, 11].numpy())
        for handle in handles:
            handle.remove()
    return np.array(found)


def raw_logit(logits: torch.Tensor, rows: Any) -> torch.Tensor:
    return logits[:, 11]


@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.parametrize(
    ("family", "names"),
    [
        *((family, names) for family in LATENT for names in ("L0H1+L2H3", "L0H1.q+L2H0.q", "L1H2.v+L2H3.v")),
        *((family, names) for family in GATED for names in ("L0H1+L2H3", "L0H1.q+L2H0.q", "L0H1.k+L2H1.v")),
    ],
)
@pytest.mark.some(9)
def test_heads_queries_and_values_are_those_of_the_plain_model(tiny, family, names, baseline):
    model, original = tiny.bridge(family), tiny.hf_model(family)
    # As many tokens as heads: the axes can't be told apart by their length.
    task = tiny.task(model, lengths=(4, 4, 4), metric=raw_logit)
    games = [
        ComponentGame(model, task, names, baseline, executor=executor) for executor in ("auto", "hooks", "batched")
    ]
    expected = by_hand(original, family, task, games[0].components, baseline)
    assert np.abs(expected - expected[0]).max() > 1e-2
    for game in games:
        np.testing.assert_allclose(game.evaluate(ROWS).per_prompt, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", LATENT)
def test_a_latent_key_of_zero_attends_evenly(tiny, family):
    """Without its key a head gives the mean of the values so far."""
    model, original = tiny.bridge(family), tiny.hf_model(family)
    task = tiny.task(model, lengths=(4, 4), metric=raw_logit)
    layer, head = 1, 2
    attention = original.model.layers[layer].self_attn
    values: list[torch.Tensor] = []
    _, start, stop = place(family, Component(layer, "value", head, head + 1))

    def keep(module: Any, args: Any, output: torch.Tensor) -> None:
        values.append(output[..., start:stop].reshape(2, 4, VALUE))

    handles = [attention.kv_b_proj.register_forward_hook(keep)]

    def even(module: Any, args: Any) -> tuple[torch.Tensor]:
        z = args[0].clone()
        z[..., head * VALUE : (head + 1) * VALUE] = values[0].cumsum(1) / torch.arange(1, 5)[:, None]  # by position
        return (z,)

    handles.append(attention.o_proj.register_forward_pre_hook(even))
    with torch.no_grad():
        expected = original(task.tokens).logits[:, -1, 11].numpy()
    for handle in handles:
        handle.remove()
    found = ComponentGame(model, task, f"L{layer}H{head}.k", "zero").evaluate(np.array([[False], [True]])).per_prompt
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("family", GATED)
def test_linear_attention_beside_gated_attention_is_the_models_own(tiny, family):
    model, original = tiny.bridge(family), tiny.hf_model(family)
    tokens = tiny.task(model).tokens
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), original(tokens).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("family", "n_layers"), [("deepseek_v3", 3), ("qwen3_5", 2)])
def test_every_head_query_key_and_value_is_counted(tiny, family, n_layers):
    model = tiny.bridge(family)
    task = tiny.task(model)
    serving = 2 if family in GATED else 4
    for selector, each in (("heads", 4), ("heads.q", 4), ("heads.k", serving), ("heads.v", serving)):
        assert ComponentGame(model, task, selector).n_players == each * n_layers


@pytest.mark.parametrize(("family", "names"), [("deepseek_v3", "L1.heads+L1.heads.q+L2.heads.k+L1.heads.v")])
def test_slopes_are_those_of_finite_differences(tiny, family, names, request):
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    game = ComponentGame(model, tiny.task(model, lengths=(4, 4)), names, "resample")
    step = 1e-6
    gates = 0.1 + 0.8 * np.random.default_rng(3).random((1, game.n_players))
    slopes = game.evaluate(gates, gradients=True).gradients[0]
    steps = step * np.eye(game.n_players)
    values = game.evaluate(np.concatenate([gates + steps, gates - steps])).values
    differences = (values[: game.n_players] - values[game.n_players :]) / (2 * step)
    np.testing.assert_allclose(slopes, differences, atol=1e-6, rtol=1e-5)
    assert np.abs(slopes).max() > 1e-3


def test_paths_end_at_queries_of_latent_attention(tiny):
    """The query is what it is in a pass without the earlier head, and nothing else is."""
    model, original = tiny.bridge("deepseek_v3"), tiny.hf_model("deepseek_v3")
    task = tiny.task(model, lengths=(4, 4), metric=raw_logit)
    source, target = Component(0, "head", 1, 2), Component(1, "query", 2, 3)
    seen: list[torch.Tensor] = []

    def zero(x: torch.Tensor) -> torch.Tensor:
        _, start, stop = place("deepseek_v3", source)
        x = x.clone()
        x[..., start:stop] = 0
        return x

    def put(x: torch.Tensor) -> torch.Tensor:
        _, start, stop = place("deepseek_v3", target)
        x = x.clone()
        x[..., start:stop] = seen[0][..., start:stop]
        return x

    handles = [at(original, 0, "o_proj", zero), at(original, 1, "q_b_proj", lambda x: seen.append(x.clone()))]
    with torch.no_grad():
        original(task.tokens)
    for handle in handles:
        handle.remove()
    handle = at(original, 1, "q_b_proj", put)
    with torch.no_grad():
        expected = original(task.tokens).logits[:, -1, 11].numpy()
    handle.remove()
    game = ComponentGame(model, task, [source, target], "zero")
    both = np.ones((1, 2), dtype=bool)
    found = game.patched(both, 0, 1)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - game.evaluate(both).per_prompt[0]).max() > 1e-3

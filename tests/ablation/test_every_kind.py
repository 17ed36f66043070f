"""Every kind of component beyond heads, MLPs and neurons does what the definition says, on several families."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kinds_reference import plain_kinds, routed

from circuitspex import ComponentGame, Latents
from circuitspex.components import model_structure, select
from circuitspex.errors import ComponentError, UserError

FAMILIES = ["llama", "gpt2", "gpt_neox", "gemma2", "mixtral"]
BASELINES = ["zero", "mean", "resample"]
# Every family, and every baseline, but not every pair of them: a baseline is the same code for all families.
PAIRS = [*(("llama", baseline) for baseline in BASELINES), ("gpt2", "mean"), ("gpt_neox", "resample")]
PAIRS += [("gemma2", "zero"), ("mixtral", "resample")]
SELECTORS = [
    "attns",
    "attns@-1+L1.heads",
    "heads.q+heads.k+heads.v",
    "layers[1:].heads.v@2+L0.heads.k",
    "residuals@-1",
    "L1R+L2R+mlps",
    "L1.heads+L1.heads.q+L1A+L1M",
]
TOKEN = 7


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, TOKEN]


def autoencoder(activation: str = "relu", hook: str = "blocks.1.hook_resid_post", d: int = 32, m: int = 20) -> Latents:
    """A random one, of which about half of the latents are active."""
    generator = torch.Generator().manual_seed(4)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Latents(
        hook=hook,
        encoder=0.2 * draw(d, m),
        decoder=0.3 * draw(m, d),
        encoder_bias=0.1 * draw(m),
        decoder_bias=0.1 * draw(d),
        activation=activation,
        thresholds=draw(m).abs() if activation == "jumprelu" else None,
        subtract_decoder_bias=activation != "relu",
    )


LATENTS = [
    ("latents", autoencoder()),
    ("latents:3@-1+heads", autoencoder("topk:4")),
    ("L1S2+L1S5:9+L1S0+L2R", autoencoder("jumprelu", "blocks.1.hook_mlp_out")),
    ("latents@2", autoencoder("relu", "blocks.1.attn.hook_z")),
    ("latents:2+L1.heads.q", autoencoder("relu", "blocks.1.hook_resid_pre")),
]
CASES = [(selector, None) for selector in SELECTORS] + LATENTS


def some_gates(n: int, seed: int = 0) -> np.ndarray:
    """Everything kept, everything ablated, one ablated, a random mask, and interior gates."""
    rng = np.random.default_rng(seed)
    gates = np.stack([np.ones(n), np.zeros(n), np.ones(n), rng.random(n) < 0.6, rng.random(n)]).astype(float)
    gates[2, n // 2] = 0
    return gates


@pytest.mark.some(6)
@pytest.mark.parametrize(("family", "baseline"), PAIRS)
def test_batches_are_the_plain_loop(tiny, family, baseline):
    model = tiny.bridge(family)
    task = tiny.task(model, metric=raw_logit)
    for selector, latents in CASES:
        components = select(model_structure(model, latents), selector)
        gates = some_gates(len(components))
        plain = plain_kinds(model, task, components, baseline, gates, latents)[:, :, TOKEN].double().numpy()
        for executor in ("auto", "hooks"):
            game = ComponentGame(model, task, selector, baseline, latents=latents, executor=executor)
            np.testing.assert_allclose(game.evaluate(gates).per_prompt, plain, atol=1e-4, err_msg=selector)
        assert plain.mean(1).std() > 1e-3, selector
        with torch.no_grad():
            own = model(task.tokens)[:, -1, TOKEN].double().numpy()
        np.testing.assert_allclose(game.evaluate(gates[:1]).per_prompt[0], own, atol=1e-5)


@pytest.mark.some(2)
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_in_double_precision_the_two_are_one(tiny, family, request):
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    task = tiny.task(model, metric=raw_logit)
    for selector, latents in CASES:
        components = select(model_structure(model, latents), selector)
        gates = some_gates(len(components), seed=1)
        plain = plain_kinds(model, task, components, "mean", gates, latents)[:, :, TOKEN].numpy()
        run = ComponentGame(model, task, selector, "mean", latents=latents).evaluate(gates)
        np.testing.assert_allclose(run.per_prompt, plain, atol=1e-11, err_msg=selector)


@pytest.mark.some(2)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2"])
def test_slopes_are_central_differences(tiny, family, request):
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    task = tiny.task(model, lengths=(5, 5))
    step = 1e-5
    for selector, latents in (
        ("L1A+L2A@-1+L1.heads.q+L2.heads.k+L0.heads.v@2", None),
        ("residuals@-1+L2.heads.v", None),
        ("latents:4", autoencoder()),
        ("latents:4@-1", autoencoder("topk:4")),
    ):
        game = ComponentGame(model, task, selector, "resample", latents=latents)
        gates = 0.05 + 0.9 * np.random.default_rng(5).random((1, game.n_players))
        slopes = game.evaluate(gates, gradients=True).gradients[0]
        steps = step * np.eye(game.n_players)
        values = game.evaluate(np.concatenate([gates + steps, gates - steps])).values
        differences = (values[: game.n_players] - values[game.n_players :]) / (2 * step)
        np.testing.assert_allclose(slopes, differences, atol=1e-6, rtol=1e-5, err_msg=selector)
        assert np.abs(slopes).max() > 1e-3


def projected(layer: Any, path: str, head: int, value: Any, grouped: bool) -> Any:
    """A hook of PyTorch on the original model that sets one head's query, key or value."""
    attention = next(getattr(layer, name) for name in ("self_attn", "attention", "attn") if hasattr(layer, name))
    place = "qkv".index(path)
    if hasattr(attention, "q_proj"):
        module, at = getattr(attention, f"{path}_proj"), slice(8 * head, 8 * head + 8)
    elif hasattr(attention, "c_attn"):
        module, at = attention.c_attn, slice(32 * place + 8 * head, 32 * place + 8 * head + 8)
    else:  # each head's query, key and value beside each other
        module, at = attention.query_key_value, slice(24 * head + 8 * place, 24 * head + 8 * place + 8)

    def put(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[..., at] = value
        return output

    return module.register_forward_hook(put)


@pytest.mark.parametrize("path", ["q", "k", "v"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2"])
def test_queries_keys_and_values_are_those_of_the_original_model(tiny, family, path):
    model, original = tiny.bridge(family), tiny.hf_model(family)
    layers = getattr(original.base_model, "layers", None) or original.base_model.h
    task = tiny.task(model, metric=raw_logit)
    game = ComponentGame(model, task, f"heads.{path}", "zero")
    grouped = family in ("llama", "gemma2")
    assert game.n_players == tiny.n_layers * (2 if grouped and path != "q" else tiny.n_heads)
    for player in (0, 1, game.n_players - 1):
        component = game.components[player]
        mask = np.ones((1, game.n_players), dtype=bool)
        mask[0, player] = False
        handle = projected(layers[component.layer], path, component.start, 0.0, grouped)
        with torch.no_grad():
            expected = original(task.tokens).logits[:, -1, TOKEN]
        handle.remove()
        np.testing.assert_allclose(game.evaluate(mask).per_prompt[0], expected.numpy(), atol=1e-4)


def test_a_resampled_residual_stream_is_the_counterfactual_from_there_on(tiny):
    """At every position of layer 1 the model goes on as on the counterfactual prompt."""
    for family in FAMILIES:
        model = tiny.bridge(family)
        task = tiny.task(model, metric=raw_logit)
        game = ComponentGame(model, task, "L1R", "resample")
        with torch.no_grad():
            other = model(task.counterfactual_tokens)[:, -1, TOKEN]
        found = game.evaluate(np.zeros((1, 1), dtype=bool)).per_prompt[0]
        np.testing.assert_allclose(found, other.numpy(), atol=1e-4)


def test_ablating_every_path_of_a_value_head_is_ablating_what_it_serves(tiny):
    """A head whose value is zero everywhere has a z of zero: with grouped queries, every head it serves."""
    model = tiny.bridge("llama")
    task = tiny.task(model, metric=raw_logit)
    of_value = ComponentGame(model, task, "L1.heads.v", "zero").evaluate(np.array([[True, False]]))
    of_heads = ComponentGame(model, task, "L1.heads", "zero").evaluate(np.array([[True, True, False, False]]))
    np.testing.assert_allclose(of_value.per_prompt, of_heads.per_prompt, atol=1e-5)


# Families with experts: whether the weights of the chosen add up to one, whether there is a shared expert.
MIXTURES = {"mixtral": (True, False), "qwen2_moe": (False, True), "olmoe": (False, False)}


def by_hand(original: Any, family: str, task: Any, game: ComponentGame, gates: np.ndarray) -> np.ndarray:
    """The original model with its mixtures replaced by a loop over tokens and experts."""
    renormalised, shared = MIXTURES[family]
    found = []
    n_prompts, n_positions = task.tokens.shape
    for row in gates:
        handles = []
        for index, layer in enumerate(original.model.layers):
            of_layer = torch.ones(n_prompts, n_positions, 4, dtype=torch.float64)
            for c, g in zip(game.components, row, strict=True):
                if c.layer == index and c.kind == "expert":
                    of_layer[:, slice(None) if c.position is None else c.position, c.start] = float(g)

            def put(module: Any, inputs: Any, output: Any, of_layer: Any = of_layer) -> torch.Tensor:
                x = inputs[0].reshape(-1, inputs[0].shape[-1])
                return routed(module, x, of_layer.reshape(-1, 4), 2, renormalised, shared).reshape(inputs[0].shape)

            handles.append(layer.mlp.register_forward_hook(put))
        with torch.no_grad():
            found.append(original(task.tokens).logits[:, -1, TOKEN].numpy())
        for handle in handles:
            handle.remove()
    return np.array(found)


@pytest.mark.some(4)
@pytest.mark.parametrize("selector", ["experts", "experts@-1", "L1E2+L2E0@1+L2E3@1"])
@pytest.mark.parametrize("family", MIXTURES)
def test_experts_out_of_the_choice(tiny, family, selector, request):
    model, original = tiny.bridge(family, torch.float64), tiny.hf_model(family, torch.float64)
    original.set_experts_implementation("eager")
    request.getfixturevalue("exact")
    task = tiny.task(model, metric=raw_logit)
    games = [
        ComponentGame(model, task, selector, baseline, executor=executor)
        for baseline, executor in (("mean", "auto"), ("zero", "hooks"), ("resample", "batched"))
    ]
    gates = some_gates(games[0].n_players)
    rng = np.random.default_rng(9)
    gates = np.concatenate([gates, rng.random((3, games[0].n_players)) < 0.4])
    expected = by_hand(original, family, task, games[0], gates)
    assert expected.std(0).max() > 1e-3
    for game in games:  # the baseline does not apply
        np.testing.assert_allclose(game.evaluate(gates).per_prompt, expected, atol=1e-10, rtol=0)


@pytest.mark.some(2)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("family", "selector", "latents"),
    [("mixtral", "experts+attns", None), ("llama", "latents+heads.v", autoencoder())],
)
def test_half_precision_keeps_values_and_slopes(tiny, family, selector, latents, dtype):
    """Within what numbers of eight or eleven bits allow, small gates and gates of 0 included."""
    runs = []
    for precision in (torch.float32, dtype):
        model = tiny.bridge(family, precision)
        game = ComponentGame(model, tiny.task(model, lengths=(5, 5)), selector, latents=latents)
        gates = np.random.default_rng(0).random((6, game.n_players))
        gates[:3] = gates[:3] < 0.6
        gates[4] *= 1e-3
        gates[5] = 0
        runs.append(game.evaluate(gates, gradients=True))
    slopes = [run.gradients for run in runs]
    assert np.isfinite(slopes[1]).all()
    for row in (0, 1, 2, 3, 5):
        assert np.corrcoef(slopes[0][row], slopes[1][row])[0, 1] > 0.98
    np.testing.assert_allclose(runs[1].values, runs[0].values, atol=0.2)


@pytest.mark.parametrize("family", MIXTURES)
def test_slopes_of_experts(tiny, family, request):
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    task = tiny.task(model, lengths=(5, 5))
    game = ComponentGame(model, task, "experts+L1.heads")
    step = 1e-6
    gates = 0.1 + 0.8 * np.random.default_rng(3).random((1, game.n_players))
    slopes = game.evaluate(gates, gradients=True).gradients[0]
    steps = step * np.eye(game.n_players)
    values = game.evaluate(np.concatenate([gates + steps, gates - steps])).values
    differences = (values[: game.n_players] - values[game.n_players :]) / (2 * step)
    np.testing.assert_allclose(slopes, differences, atol=1e-6, rtol=1e-5)
    assert np.abs(slopes[:12]).max() > 1e-3
    masks = np.random.default_rng(0).random((6, game.n_players)) < 0.4
    masks[0], masks[1] = False, True
    assert np.isfinite(game.evaluate(masks, gradients=True).gradients).all()
    # At 0 the slope is the one from above, where as many experts are left as the router chooses.
    ends = np.array([[1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0]], dtype=float)
    off = np.flatnonzero(ends[0] == 0)
    up = np.repeat(ends, len(off), axis=0)
    up[np.arange(len(off)), off] = step
    one_sided = (game.evaluate(up).values - game.evaluate(ends).values) / step
    np.testing.assert_allclose(game.evaluate(ends, gradients=True).gradients[0, off], one_sided, atol=1e-4, rtol=1e-4)


def test_the_fused_executor_says_what_it_does_not_serve(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    for selector, latents, name in (
        ("heads+L1R@-1", None, r"L1R@-1 \(residual\)"),
        ("attns", None, r"L0A \(attention\)"),
        ("L1.heads.v", None, r"L1H0.v \(value\)"),
        ("L1S0", autoencoder(), r"L1S0 \(latents\)"),
    ):
        why = f"only heads, MLP layers and neurons are fused, not {name}"
        assert ComponentGame(model, task, selector, latents=latents).executor.startswith("batched hooks, shared prefix")
        with pytest.raises(UserError, match=f"executor 'fused' is not for these components: {why}"):
            ComponentGame(model, task, selector, latents=latents, executor="fused")
        with pytest.raises(UserError, match=f"precision 'bfloat16' is not for these components: {why}"):
            ComponentGame(model, task, selector, latents=latents, precision="bfloat16")


def test_positions_outside_the_prompt_are_refused(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    for selector in ("residuals@9", "attns@-6", "heads.q@5", "L1S0@7"):
        with pytest.raises(ComponentError, match="the prompt has 5 tokens, positions -5 to 4"):
            ComponentGame(model, task, selector, latents=autoencoder())


def test_nothing_is_left_on_the_model(tiny, hooks_left):
    for family, selector, latents in (
        ("mixtral", "experts+attns", None),
        ("llama", "layers[:2].residuals@-1+heads.k+latents", autoencoder()),
    ):
        model = tiny.bridge(family)
        task = tiny.task(model)
        with torch.no_grad():
            before = model(task.tokens)
        game = ComponentGame(model, task, selector, latents=latents)
        game.evaluate(np.random.default_rng(0).random((3, game.n_players)) < 0.5, gradients=True)
        assert hooks_left(model) == {}
        with torch.no_grad():
            torch.testing.assert_close(model(task.tokens), before, atol=0, rtol=0)


def test_paths_end_at_activations_only(tiny):
    mixture, dense = tiny.bridge("mixtral"), tiny.bridge("llama")
    for model, selector, latents, target in (
        (mixture, "L0.heads+L2E1", None, "L2E1"),
        (dense, "L0.heads+L1S3", autoencoder(), "L1S3"),
    ):
        game = ComponentGame(model, tiny.task(model), selector, latents=latents)
        masks = np.ones((2, game.n_players), dtype=bool)
        with pytest.raises(UserError, match=f"path patching can't end at {target}"):
            game.patched(masks, 0, game.n_players - 1)
    game = ComponentGame(dense, tiny.task(dense), "L0.heads+L2R", "mean")
    masks = np.random.default_rng(1).random((3, 5)) < 0.7
    masks[:, 4] = True
    without = masks.copy()
    without[:, 0] = False
    # All that travels from the first layer's heads goes through the residual stream that enters the last one.
    np.testing.assert_allclose(game.patched(masks, 0, 4), game.evaluate(without).per_prompt, atol=1e-5)


def test_values_of_other_latents_are_never_taken_from_the_store(tiny, tmp_path):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    first = autoencoder()
    changed = first.decoder.clone()
    changed[3, 3] += 1
    others = [
        first,
        Latents(**{**vars_of(first), "decoder": changed}),
        Latents(**{**vars_of(first), "activation": "topk:20"}),
        Latents(**{**vars_of(first), "hook": "blocks.1.hook_mlp_out"}),
        Latents(**{**vars_of(first), "encoder_bias": None}),
    ]
    assert len({latents.identity for latents in others}) == len(others)
    masks = np.random.default_rng(0).random((4, 20)) < 0.5
    for again in (False, True):
        for latents in others:
            game = ComponentGame(model, task, "latents", latents=latents, store=tmp_path / "runs.sqlite")
            game.evaluate(masks)
            assert (game.n_stored, game.n_run) == ((4, 0) if again else (0, 4))


def vars_of(latents: Latents) -> dict[str, Any]:
    return {name: getattr(latents, name) for name in type(latents).__dataclass_fields__}

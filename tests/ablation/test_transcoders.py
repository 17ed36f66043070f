"""Transcoders and cross-layer transcoders, against the Hugging Face model itself with plain hooks of PyTorch."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex import ComponentGame, Latents
from circuitspex.circuits import Node
from circuitspex.components import model_structure, select
from circuitspex.errors import ComponentError, FileFormatError

TOKEN = 7
M = 20
FAMILIES = ["llama", "gpt2", "gpt_neox"]  # norms with and without bias; attention and MLP side by side


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, TOKEN]


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def transcoder(layer: int = 1, activation: str = "relu", writes: tuple[int, ...] | None = None, **more: Any) -> Latents:
    """A random one from what the MLP reads to what it writes, or to what several MLPs write."""
    hooks = None if writes is None else [f"blocks.{at}.hook_mlp_out" for at in writes]
    shape = (M, 32) if writes is None else (len(writes), M, 32)
    given: dict[str, Any] = {
        "hook": f"blocks.{layer}.mlp.hook_in",
        "output_hook": hooks or f"blocks.{layer}.hook_mlp_out",
        "encoder": 0.3 * draw(layer, 32, M),
        "decoder": 0.5 * draw(layer + 10, *shape),
        "encoder_bias": 0.1 * draw(layer + 20, M),
        "decoder_bias": draw(layer + 30, *shape[:-2], 32),
        "activation": activation,
        "thresholds": 0.3 * draw(layer + 40, M).abs() if activation == "jumprelu" else None,
    }
    return Latents(**{**given, **more})


CASES: list[tuple[str, list[Latents]]] = [
    ("latents", [transcoder()]),
    ("latents:3@-1+L2.heads", [transcoder(activation="topk:4")]),
    ("L1S2+L1S5:9+L1S0+L2M", [transcoder(activation="jumprelu")]),
    ("latents:4", [transcoder(0, writes=(0, 1, 2)), transcoder(1, "topk:6", (1, 2)), transcoder(2, writes=(2,))]),
    ("latents:5+L1.heads", [transcoder(0, "jumprelu", (1, 2))]),
]


def mlps(original: Any) -> list[Any]:
    layers = getattr(original.base_model, "layers", None)
    return [layer.mlp for layer in (original.base_model.h if layers is None else layers)]


def latents_by_hand(about: Latents, x: torch.Tensor) -> torch.Tensor:
    before = x @ about.encoder.to(x) + about.encoder_bias.to(x)
    if about.activation == "jumprelu":
        return torch.where(before > about.thresholds.to(x), before, 0.0).clamp_min(0)
    if about.activation == "relu":
        return before.clamp_min(0)
    least = before.sort(dim=-1, descending=True).values[..., int(about.activation[5:]) - 1, None]
    return torch.where(before >= least, before, 0.0).clamp_min(0)


def read_on(original: Any, tokens: torch.Tensor, given: list[Latents]) -> dict[int, torch.Tensor]:
    """All latents ``[prompts, pos, M]`` on other prompts, by layer."""
    seen: dict[int, torch.Tensor] = {}
    with ExitStack() as stack, torch.no_grad():
        for about in given:

            def look(module: Any, inputs: Any, about: Latents = about) -> None:
                seen[about.layer] = latents_by_hand(about, inputs[0])

            stack.callback(mlps(original)[about.layer].register_forward_pre_hook(look).remove)
        original(tokens)
    return seen


def by_hand(
    original: Any, task: Any, game: ComponentGame, gates: np.ndarray, given: list[Latents], baseline: str
) -> np.ndarray:
    """The last logits of one token ``(masks, prompts)``, with the gates on the Hugging Face model's own modules."""
    tokens = {"mean": task.reference_tokens, "resample": task.counterfactual_tokens, "zero": task.tokens}[baseline]
    other = read_on(original, tokens, given)
    found = []
    for row in gates:
        changes: dict[int, torch.Tensor] = {}
        with ExitStack() as stack, torch.no_grad():
            for about in given:

                def look(
                    module: Any, inputs: Any, about: Latents = about, row: np.ndarray = row, changes: Any = changes
                ) -> None:
                    f, b = latents_by_hand(about, inputs[0]), other[about.layer]
                    b = {"zero": 0 * b, "mean": b.mean(0, keepdim=True), "resample": b}[baseline]
                    change = torch.zeros_like(f)
                    for c, g in zip(game.components, row, strict=True):
                        if c.kind == "latents" and c.layer == about.layer:
                            at = slice(None) if c.position is None else [c.position]
                            change[:, at, c.start : c.stop] += (float(g) - 1) * (f - b)[:, at, c.start : c.stop]
                    changes[about.layer] = change

                stack.callback(mlps(original)[about.layer].register_forward_pre_hook(look).remove)
                for hook, decoder in zip(about.output_hooks, about.decoders(), strict=True):

                    def write(
                        module: Any,
                        inputs: Any,
                        output: Any,
                        of: int = about.layer,
                        by: Any = decoder,
                        changes: Any = changes,
                    ) -> Any:
                        return output + changes[of] @ by.to(output)

                    stack.callback(mlps(original)[int(hook.split(".")[1])].register_forward_hook(write).remove)
            found.append(original(task.tokens).logits[:, -1, TOKEN].double().numpy())
    return np.array(found)


def some_gates(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    gates = np.stack([np.ones(n), np.zeros(n), np.ones(n), rng.random(n) < 0.6, rng.random(n)]).astype(float)
    gates[2, n // 2] = 0
    return gates


@pytest.mark.some(6)
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_are_those_of_plain_hooks_on_the_original_model(tiny, family, baseline):
    model, original = tiny.bridge(family), tiny.hf_model(family)
    task = tiny.task(model, metric=raw_logit)
    for selector, given in CASES:
        only = "+".join(part for part in selector.split("+") if "latents" in part or "S" in part)
        gates = some_gates(len(select(model_structure(model, given), only)))
        for executor in ("auto", "hooks"):
            game = ComponentGame(model, task, only, baseline, latents=given, executor=executor)
            expected = by_hand(original, task, game, gates, given, baseline)
            np.testing.assert_allclose(game.evaluate(gates).per_prompt, expected, atol=1e-4, err_msg=selector)
        assert np.ptp(expected, axis=0).min() > 1e-3, selector


@pytest.mark.some(2)
@pytest.mark.parametrize("family", FAMILIES)
def test_other_kinds_beside_them_give_the_same_in_batches_and_one_by_one(tiny, family):
    model = tiny.bridge(family)
    task = tiny.task(model)
    for selector, given in CASES:
        n = len(select(model_structure(model, given), selector))
        one, many = (
            ComponentGame(model, task, selector, "mean", latents=given, executor=executor).evaluate(some_gates(n))
            for executor in ("hooks", "batched")
        )
        np.testing.assert_allclose(one.per_prompt, many.per_prompt, atol=1e-4, err_msg=selector)


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_slopes_are_central_differences(tiny, family, request):
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    task = tiny.task(model, lengths=(5, 5))
    step = 1e-5
    for selector, given in CASES:
        game = ComponentGame(model, task, selector, "resample", latents=given)
        gates = 0.05 + 0.9 * np.random.default_rng(5).random((1, game.n_players))
        slopes = game.evaluate(gates, gradients=True).gradients[0]
        steps = step * np.eye(game.n_players)
        values = game.evaluate(np.concatenate([gates + steps, gates - steps])).values
        differences = (values[: game.n_players] - values[game.n_players :]) / (2 * step)
        np.testing.assert_allclose(slopes, differences, atol=1e-6, rtol=1e-5, err_msg=selector)
        assert np.abs(slopes).max() > 1e-3


def test_an_exact_transcoder_of_an_mlp_that_is_off_is_the_mlp_that_is_off(tiny):
    """GPT-2's MLP with ReLU is a transcoder of its own neurons: without all latents it writes its bias alone."""
    model = tiny.fresh_bridge("gpt2")
    original = model.blocks[1].mlp.original_component
    original.act = torch.nn.ReLU()
    latents = Latents(
        "blocks.1.mlp.hook_in",
        original.c_fc.weight if hasattr(original.c_fc, "weight") else original.c_fc.original_component.weight,
        original.c_proj.weight if hasattr(original.c_proj, "weight") else original.c_proj.original_component.weight,
        original.c_fc.bias if hasattr(original.c_fc, "bias") else original.c_fc.original_component.bias,
        output_hook="blocks.1.hook_mlp_out",
    )
    task = tiny.task(model, metric=raw_logit)
    game = ComponentGame(model, task, "latents", "zero", latents=latents)
    neurons = ComponentGame(model, task, "L1.neurons", "zero")
    masks = np.random.default_rng(0).random((6, game.n_players)) < 0.5
    np.testing.assert_allclose(game.evaluate(masks).per_prompt, neurons.evaluate(masks).per_prompt, atol=1e-4)


def test_encode_and_decode_are_the_definition():
    x = draw(3, 2, 5, 32)
    for activation in ("relu", "topk:4", "jumprelu"):
        one = transcoder(activation=activation)
        f = one.encode(x)
        torch.testing.assert_close(f, latents_by_hand(one, x), atol=1e-6, rtol=0)
        torch.testing.assert_close(one.decode(f), f @ one.decoder + one.decoder_bias, atol=1e-6, rtol=0)
    several = transcoder(0, writes=(0, 2))
    f = several.encode(x)
    written = several.decode(f)
    assert written.shape == (2, 2, 5, 32)
    for part, decoder, bias in zip(written, several.decoder, several.decoder_bias, strict=True):
        torch.testing.assert_close(part, f @ decoder + bias, atol=1e-6, rtol=0)


def test_they_are_found_saved_and_used(tiny, tmp_path, hooks_left):
    model = tiny.bridge("llama")
    task = tiny.task(model, lengths=(5,) * 8)
    given = [transcoder(0, "jumprelu", (0, 1, 2)), transcoder(1)]
    read = [Latents.load(each.save(tmp_path / f"{each.layer}.safetensors")) for each in given]
    assert [each.identity for each in read] == [each.identity for each in given]
    assert [each.output_hook for each in read] == [tuple(given[0].output_hooks), "blocks.1.hook_mlp_out"]
    found = cx.find_circuit(
        model, task, "latents:5+L2.heads", latents=given, budget=40, baseline="zero", n_heldout=8, progress=False
    )
    record = found.circuit.run["latents"]
    assert [each.get("output_hooks") for each in record] == [list(each.output_hooks) for each in given]
    assert cx.Circuit.load(found.circuit.save(tmp_path / "circuit.json")) == found.circuit
    chosen = tuple(Node(name, 0, "latents", 1.0) for name in ("L0S0:5", "L1S10:15"))
    with replace(found.circuit, nodes=chosen).applied(model, latents=given), torch.no_grad():
        logits = model(task.tokens)[:, -1]
    game = ComponentGame(model, task, "latents:5+L2.heads", "zero", latents=given)
    mask = np.array([[name in ("L0S0:5", "L1S10:15") for name in game.names]])
    rows = range(len(task.tokens))
    values = logits[rows, task.answers] - logits[rows, task.wrong_answers]
    np.testing.assert_allclose(values.numpy(), game.evaluate(mask, progress=False).per_prompt[0], atol=1e-4)
    assert hooks_left(model) == {}


def test_identities_tell_where_it_writes():
    one = transcoder()
    others = [one, transcoder(output_hook="blocks.2.hook_mlp_out"), transcoder(1, writes=(1,))]
    assert len({each.identity for each in others}) == 3


REFUSED = {
    "which comes before it": {"output_hook": "blocks.0.hook_mlp_out"},
    "are an autoencoder's: no output_hook": {"output_hook": "blocks.1.mlp.hook_in"},
    "must be one hook or a list of different ones": {"output_hook": []},
    "must be one hook or a list of them": {"output_hook": 3},
    r"must have the shape \(2, 20, 32\)": {"output_hook": ["blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"]},
    "a transcoder's decoder_bias": {"subtract_decoder_bias": True},
    "their hook is written like": {"output_hook": "mlp_out"},
}


@pytest.mark.parametrize(("words", "given"), REFUSED.items())
def test_what_is_no_transcoder_is_refused(words, given):
    with pytest.raises(ComponentError, match=words) as caught:
        transcoder(**given)
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_model_can_not_do_with_them_is_refused(tiny, tmp_path):
    model = tiny.bridge("llama")
    before = transcoder(output_hook="blocks.1.hook_attn_out")
    missing = transcoder(output_hook="blocks.1.hook_nothing")
    narrow = transcoder(decoder=draw(0, M, 30), decoder_bias=None)
    for latents, words in (
        (before, "can't write at 'blocks.1.hook_attn_out', which comes before it"),
        (missing, "has no such hook"),
        (narrow, "their decoder writes 30 numbers a token, and there the model has 32"),
    ):
        with pytest.raises(ComponentError, match=words):
            model_structure(model, latents)
    structure = model_structure(model, transcoder())
    with pytest.raises(ComponentError, match=r"L1M and L1S0 change the same activation|L1S0 and L1M change the same"):
        select(structure, "L1S0+L1M")
    path = transcoder(0, writes=(0, 1)).save(tmp_path / "one.safetensors")
    damaged = path.read_bytes().replace(b'[\\"blocks.0', b'{\\"blocks.0')
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(FileFormatError, match=r"one.safetensors: not JSON") as caught:
        Latents.load(path)
    assert len(str(caught.value).splitlines()) == 1

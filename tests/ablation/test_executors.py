"""Every way to run an ablation gives what the definition gives, on every family of models."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation.executors import prefix
from circuitspex.components import model_structure, select
from circuitspex.errors import ComponentError, TaskError, UserError
from circuitspex.games import ComponentGame

TOKEN = 7
SELECTORS = [
    "heads",
    "heads+mlps",
    "mlps+neurons:8",
    "heads@-1+mlps@2",
    "layers[-1].heads+layers[-1].mlps",
]
BASELINES = ["zero", "mean", "resample"]


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, TOKEN]


def some_masks(n: int, seed: int = 0) -> np.ndarray:
    """Random masks with both ends, one component off, and two masks that leave the first layers alone."""
    masks = np.random.default_rng(seed).random((6, n)) < 0.6
    masks[0], masks[1], masks[2] = True, False, True
    masks[2, n // 2] = False
    masks[3, : n // 2] = masks[4, : n - 1] = True
    return masks


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.some(9)
def test_batched_and_hooks_and_the_plain_loop_agree(tiny, reference, family, model, baseline):
    for selector in SELECTORS:
        if family == "mixtral" and "neurons" in selector:
            continue
        task = tiny.task(model, metric=raw_logit)
        diff = tiny.task(model, metric="logit_diff")
        components = select(model_structure(model), selector)
        masks = some_masks(len(components))
        plain = reference(model, task, components, baseline, masks).double()
        answers, wrong = (plain[:, range(3), ids].numpy() for ids in (task.answers, task.wrong_answers))
        for executor in ("auto", "batched", "hooks"):
            run = ComponentGame(model, task, selector, baseline, executor=executor).evaluate(masks)
            np.testing.assert_allclose(run.per_prompt, plain[:, :, TOKEN].numpy(), atol=1e-4, err_msg=selector)
        if selector == "heads+mlps":
            difference = ComponentGame(model, diff, selector, baseline).evaluate(masks)
            np.testing.assert_allclose(difference.per_prompt, answers - wrong, atol=1e-4)
        assert run.values.std() > 1e-3, "these ablations change nothing, so the comparison says nothing"


@pytest.mark.some(4)
@pytest.mark.parametrize("baseline", ["zero", "resample"])
def test_interior_gates_agree(tiny, reference, family, model, baseline):
    task = tiny.task(model, metric=raw_logit)
    components = select(model_structure(model), "heads+mlps")
    gates = np.random.default_rng(3).random((4, len(components)))
    plain = reference(model, task, components, baseline, gates).double()[:, :, TOKEN].numpy()
    for executor in ("auto", "batched", "hooks"):
        game = ComponentGame(model, task, "heads+mlps", baseline, executor=executor)
        np.testing.assert_allclose(game.evaluate(gates).per_prompt, plain, atol=1e-4)


# Where each family keeps what a head's z, a neuron's activation and an MLP's output are, in its own code: the input of
# the attention's output projection, the input of the MLP's last projection, and what the MLP returns.
OUTPUT_PROJECTIONS = ("o_proj", "dense")
LAST_PROJECTIONS = ("down_proj", "dense_4h_to_h")


def parts_of_layer(layer: Any) -> tuple[Any, Any, Any]:
    attention = next(getattr(layer, name) for name in ("self_attn", "attention", "attn") if hasattr(layer, name))
    mlp = layer.mlp
    if hasattr(attention, "c_proj"):
        return attention.c_proj, mlp.c_proj, mlp
    project = next(getattr(attention, name) for name in OUTPUT_PROJECTIONS if hasattr(attention, name))
    return project, next((getattr(mlp, name) for name in LAST_PROJECTIONS if hasattr(mlp, name)), None), mlp


def test_components_are_what_their_names_say_in_the_original_model(tiny, family, model):
    """Zero ablation without TransformerLens: hooks of PyTorch on the Hugging Face model itself."""
    original = tiny.hf_model(family)
    layers = getattr(original.base_model, "layers", None) or original.base_model.h
    selector = "heads+mlps" if family == "mixtral" else "heads+mlps+neurons:8"
    task = tiny.task(model, metric=raw_logit)
    game = ComponentGame(model, task, selector, "zero")
    masks = some_masks(game.n_players, seed=1)
    run = game.evaluate(masks)
    width = original.config.hidden_size // tiny.n_heads
    for k, mask in enumerate(masks):
        with ExitStack() as stack, torch.no_grad():
            for component, kept in zip(game.components, mask, strict=True):
                if kept:
                    continue
                project, last, mlp = parts_of_layer(layers[component.layer])
                if component.kind == "mlp":
                    handle = mlp.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
                else:
                    scale = width if component.kind == "head" else 1
                    off = slice(component.start * scale, component.stop * scale)

                    def silence(module: Any, inputs: Any, off: slice = off) -> Any:
                        z = inputs[0].clone()
                        z[..., off] = 0
                        return (z, *inputs[1:])

                    handle = (project if component.kind == "head" else last).register_forward_pre_hook(silence)
                stack.callback(handle.remove)
            expected = original(task.tokens).logits[:, -1, TOKEN]
        np.testing.assert_allclose(run.per_prompt[k], expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.some(6)
def test_all_kept_is_the_model_itself(tiny, family, model, baseline):
    task = tiny.task(model, metric=raw_logit)
    with torch.no_grad():
        own = model(task.tokens)[:, -1, TOKEN].numpy()
        original = tiny.hf_model(family)(task.tokens).logits[:, -1, TOKEN].numpy()
    np.testing.assert_allclose(own, original, atol=1e-4)
    for selector in ("heads+mlps", "heads@-1"):
        for executor in ("auto", "batched", "hooks"):
            game = ComponentGame(model, task, selector, baseline, executor=executor)
            run = game.evaluate(np.ones((2, game.n_players), dtype=bool))
            np.testing.assert_allclose(run.per_prompt, [own, own], atol=1e-4)


def test_all_resampled_is_the_counterfactual_up_to_the_embeddings(tiny, family, model):
    """The residual stream at the end is the counterfactual's, with the prompt's embeddings in place of its own."""
    task = tiny.task(model, metric=raw_logit)
    game = ComponentGame(model, task, "heads+mlps", "resample")
    ends: dict[str, torch.Tensor] = {}

    def look(tokens: torch.Tensor, which: str) -> None:
        names = ("blocks.0.hook_in", "ln_final.hook_in")
        hooks = [(name, lambda z, hook, name=name: ends.update({f"{which} {name}": z.clone()})) for name in names]
        model.run_with_hooks(tokens, fwd_hooks=hooks)

    with torch.no_grad():
        look(task.tokens, "prompt")
        look(task.counterfactual_tokens, "other")
        end = ends["other ln_final.hook_in"] - ends["other blocks.0.hook_in"] + ends["prompt blocks.0.hook_in"]
        logits = model.run_with_hooks(task.tokens, fwd_hooks=[("ln_final.hook_in", lambda z, hook: end)])
    run = game.evaluate(np.zeros((1, game.n_players), dtype=bool))
    np.testing.assert_allclose(run.per_prompt[0], logits[:, -1, TOKEN].numpy(), atol=1e-4)


def test_a_head_of_a_key_value_group_is_ablated_alone(tiny):
    """Two query heads share a key/value head; the ablated one must not take it away from the other."""
    model = tiny.bridge("llama")
    task = tiny.task(model)
    seen: dict[str, torch.Tensor] = {}

    def silence(z: torch.Tensor, hook: Any) -> torch.Tensor:
        seen["before"] = z.clone()
        z = z.clone()
        z[:, :, 0] = 0
        return z

    def keep(out: torch.Tensor, hook: Any) -> None:
        seen["out"] = out.clone()

    project = tiny.hf_model("llama").model.layers[0].self_attn.o_proj
    hooks = [("blocks.0.attn.hook_z", silence), ("blocks.0.attn.hook_out", keep)]
    with torch.no_grad():
        logits = model.run_with_hooks(task.tokens, fwd_hooks=hooks)[:, -1]
        z = seen["before"]
        others = project(torch.cat([torch.zeros_like(z[:, :, :1]), z[:, :, 1:]], dim=2).flatten(2))
    torch.testing.assert_close(seen["out"], others, atol=1e-5, rtol=1e-5)
    run = ComponentGame(model, task, "L0.heads", "zero").evaluate(np.array([[False, True, True, True]]))
    rows = range(task.n_prompts)
    difference = logits[rows, task.answers] - logits[rows, task.wrong_answers]
    np.testing.assert_allclose(run.per_prompt[0], difference.numpy(), atol=1e-4)


@pytest.mark.some(3)
def test_kl_against_the_clean_model(tiny, family, model, reference):
    task = tiny.task(model, metric="kl")
    components = select(model_structure(model), "heads")
    masks = some_masks(len(components))
    logits = reference(model, task, components, "mean", masks).log_softmax(-1)
    expected = (logits[:1].exp() * (logits[:1] - logits)).sum(-1).numpy()
    for executor in ("auto", "batched", "hooks"):
        run = ComponentGame(model, task, "heads", "mean", executor=executor, batch_rows=4).evaluate(masks)
        np.testing.assert_allclose(run.per_prompt, expected, atol=1e-4)
        assert run.per_prompt[0].max() < 1e-6


@pytest.mark.parametrize("baseline", ["mean", "resample"])
@pytest.mark.some(6)
def test_padding_changes_no_value(tiny, family, model, baseline):
    """Prompts of several lengths in one task give what each of them gives alone, whatever fills the shorter ones."""
    task = tiny.task(model, lengths=(4, 6, 4, 7), metric=raw_logit)
    for task_used in (task, _padded_with(task, 11)):
        game = ComponentGame(model, task_used, "heads+mlps", baseline)
        masks = some_masks(game.n_players)
        together = game.evaluate(masks).per_prompt
        for length in (4, 6, 7):
            rows = [i for i in range(4) if task.lengths[i] == length]
            alone = game.on(task.subset(rows)).evaluate(masks).per_prompt
            np.testing.assert_allclose(together[:, rows], alone, atol=1e-5)


def _padded_with(task: Any, token: int) -> Any:
    import dataclasses

    inside = torch.arange(task.tokens.shape[1]) < task.lengths[:, None]
    beyond = torch.arange(task.reference_tokens.shape[1]) < task.reference_lengths[:, None]
    return dataclasses.replace(
        task,
        tokens=torch.where(inside, task.tokens, token),
        counterfactual_tokens=torch.where(inside, task.counterfactual_tokens, token),
        reference_tokens=torch.where(beyond, task.reference_tokens, token),
    )


def test_the_note_says_what_runs(tiny, model):
    task = tiny.task(model)
    assert ComponentGame(model, task, "heads", executor="batched").executor == "batched hooks, shared prefix"
    assert ComponentGame(model, task, "heads", executor="hooks").executor == "hooks: one mask at a time"


def wrong_residual(monkeypatch: pytest.MonkeyPatch) -> None:
    right = prefix.Prefix.residual
    monkeypatch.setattr(prefix.Prefix, "residual", lambda self, layer: right(self, layer).flip(-1))


def failing_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, layer: int) -> None:
        raise AttributeError("no such\nthing")

    monkeypatch.setattr(prefix.Prefix, "residual", fail)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("spoil", "why"),
    [(wrong_residual, "a shortened pass gave other logits"), (failing_pass, "failed (AttributeError: no such thing)")],
)
def test_without_a_sound_prefix_whole_passes_are_run(tiny, model, monkeypatch, spoil, why, hooks_left):
    task = tiny.task(model, metric=raw_logit)
    masks = some_masks(4)
    selector = "L2.heads"
    expected = ComponentGame(model, task, selector, executor="hooks").evaluate(masks).per_prompt
    spoil(monkeypatch)
    game = ComponentGame(model, task, selector, executor="batched")
    assert game.executor.startswith("batched hooks, no shared prefix: ")
    assert why in game.executor
    assert "\n" not in game.executor
    np.testing.assert_allclose(game.evaluate(masks).per_prompt, expected, atol=1e-4)
    assert hooks_left(model) == {}


def test_the_prefix_is_computed_once_and_blocks_before_it_are_passed_over(tiny, model):
    task = tiny.task(model, metric=raw_logit)
    game = ComponentGame(model, task, "L2.heads", "mean", executor="batched")
    masks = np.eye(4, dtype=bool)
    game.evaluate(masks)
    ran = [0, 0, 0]
    for layer in range(3):
        model.blocks[layer].register_forward_hook(lambda *args, layer=layer: ran.__setitem__(layer, ran[layer] + 1))
    attention = []
    handle = model.blocks[0].attn.register_forward_hook(lambda *args: attention.append(1))
    try:  # the engine's own passes: with such hooks, which can't be read, a game looks at the whole model anew first
        game._engine.evaluate(masks[:2].astype(float))
    finally:
        handle.remove()
        for block in model.blocks:
            block._forward_hooks.clear()
    assert attention == []
    assert ran[2] == 1


def test_refusals_are_one_clear_line(tiny):
    model = tiny.bridge("gpt2")
    task = tiny.task(model)
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (UserError, "unknown baseline 'median'; allowed: zero, mean, mean_vector, resample", {"baseline": "median"}),
        (UserError, "unknown executor 'fast'; allowed: auto, fused, batched, hooks", {"executor": "fast"}),
        (UserError, "unknown precision 'int8'; allowed: model, bfloat16", {"precision": "int8"}),
        (UserError, "precision 'bfloat16' needs the executor 'fused'", {"precision": "bfloat16", "executor": "hooks"}),
        (UserError, "batch_rows must be at least 1, not 0", {"batch_rows": 0}),
        (ComponentError, "the prompt has 5 tokens, positions -5 to 4", {"components": "heads@5"}),
        (ComponentError, "the prompt has 5 tokens, positions -5 to 4", {"components": "heads@-6"}),
    ]
    for kind, message, options in cases:
        with pytest.raises(kind) as caught:
            ComponentGame(model, task, **options)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_mean_needs_reference_prompts_of_each_length(tiny):
    model = tiny.bridge("gpt2")
    with pytest.raises(TaskError, match="no reference prompt"):
        tiny.task(model, reference=["w1 w2 w3"])

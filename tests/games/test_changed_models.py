"""A model that is changed, by whatever way, has the values that it has now; and changed back, those of before."""

from __future__ import annotations

import contextlib
import ctypes
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame, RememberingGame, TokenGame

PROMPT = "w1 w2 w3 w4 w2 w5 w6 w7"


def plain(model: Any, path: str) -> torch.nn.Module:
    """The Hugging Face module at a path, below what TransformerLens wraps around it."""
    module = model.original_model
    for name in path.split("."):
        module = getattr(module, "_original_component", module)
        module = module._modules[name]
    return module._modules.get("_original_component", module)


def handles(*made: Any) -> Callable[[], None]:
    return lambda: [handle.remove() for handle in made] and None


def first(output: Any, change: Callable[[Any], Any]) -> Any:
    return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)


def hook_on_a_block(model: Any) -> Callable[[], None]:
    block = model.original_model.model.layers[1]
    return handles(block.register_forward_hook(lambda module, given, out: first(out, lambda x: x * 2)))


def hook_below_the_wrapper(model: Any) -> Callable[[], None]:
    return handles(plain(model, "model.layers.1.mlp").register_forward_hook(lambda module, given, out: out * 0.3))


def hook_before_a_module(model: Any) -> Callable[[], None]:
    mlp = plain(model, "model.layers.0.mlp.down_proj")
    return handles(mlp.register_forward_pre_hook(lambda module, given: (given[0] * 1.5,)))


def hook_that_mixes_rows(model: Any) -> Callable[[], None]:
    def roll(module: Any, given: Any, out: Any) -> Any:
        return first(out, lambda x: x + 0.5 * x[:1])

    return handles(model.original_model.model.layers[1].register_forward_hook(roll))


def hook_on_every_module(model: Any) -> Callable[[], None]:
    def scale(module: Any, given: Any, out: Any) -> Any:
        return out * 1.4 if type(module).__name__ == "LlamaMLP" else None

    return handles(torch.nn.modules.module.register_module_forward_hook(scale))


def hook_of_transformer_lens(model: Any) -> Callable[[], None]:
    model.add_hook("blocks.1.hook_mlp_out", lambda z, hook: z * 3)
    return lambda: model.reset_hooks()


def replaced_forward(model: Any) -> Callable[[], None]:
    mlp = plain(model, "model.layers.1.mlp")
    old = mlp.forward
    mlp.__dict__["forward"] = lambda *given, **more: 2.5 * old(*given, **more)
    return lambda: mlp.__dict__.__delitem__("forward")


def replaced_forward_of_a_class(model: Any) -> Callable[[], None]:
    kind = type(plain(model, "model.layers.1.mlp"))
    old = kind.forward
    kind.forward = lambda self, *given, **more: 2.5 * old(self, *given, **more)

    def undo() -> None:
        kind.forward = old

    return undo


def attribute(path: str, name: str, value: Any) -> Callable[[Any], Callable[[], None]]:
    def change(model: Any) -> Callable[[], None]:
        module = plain(model, path)
        old = getattr(module, name)
        setattr(module, name, value)
        return lambda: setattr(module, name, old)

    return change


def written(path: str, name: str, write: Callable[[torch.Tensor], None]) -> Callable[[Any], Callable[[], None]]:
    def change(model: Any) -> Callable[[], None]:
        tensor = getattr(plain(model, path), name)
        kept = tensor.detach().clone()
        with torch.no_grad():
            write(tensor)

        def undo() -> None:
            tensor.data.copy_(kept)

        return undo

    return change


def by_address(tensor: torch.Tensor) -> None:
    """One number in the middle, as code outside of PyTorch would write it."""
    at = tensor.data_ptr() + tensor.element_size() * (tensor.numel() // 2)
    ctypes.c_float.from_address(at).value = 40.0


def other_module(model: Any) -> Callable[[], None]:
    mlp = plain(model, "model.layers.1.mlp")
    old = mlp._modules["act_fn"]
    mlp._modules["act_fn"] = torch.nn.Tanh()
    return lambda: mlp._modules.__setitem__("act_fn", old)


MLP = "model.layers.1.mlp"
CHANGES: dict[str, Callable[[Any], Callable[[], None]]] = {
    "a hook on a block": hook_on_a_block,
    "a hook below the wrapper": hook_below_the_wrapper,
    "a hook before a module": hook_before_a_module,
    "a hook that mixes rows": hook_that_mixes_rows,
    "a hook on every module": hook_on_every_module,
    "a hook of TransformerLens": hook_of_transformer_lens,
    "a replaced forward": replaced_forward,
    "a class with a replaced forward": replaced_forward_of_a_class,
    "a norm's epsilon": attribute("model.layers.1.input_layernorm", "variance_epsilon", 5.0),
    "the scale of attention": attribute("model.layers.1.self_attn", "scaling", 2.0),
    "a rotary buffer": written("model.rotary_emb", "inv_freq", lambda t: t.mul_(9)),
    "a rotary buffer past the counter": written("model.rotary_emb", "inv_freq", lambda t: t.data.mul_(9)),
    "a weight": written(f"{MLP}.down_proj", "weight", lambda t: t.mul_(-3)),
    "a weight past the counter": written(f"{MLP}.down_proj", "weight", lambda t: t.data.mul_(-3)),
    "one number by its address": written(f"{MLP}.down_proj", "weight", by_address),
    "another module": other_module,
}
UNREADABLE = ("hook", "forward")  # what these do can't be hashed


def heads(model: Any, tiny: Any, **options: Any) -> ComponentGame:
    return ComponentGame(model, tiny.task(model), "heads", **options)


def words(model: Any, tiny: Any, **options: Any) -> TokenGame:
    return TokenGame(model, PROMPT, " w9", " w10", **options)


def draw(n: int, seed: int) -> Any:
    masks = np.random.default_rng(seed).random((6, n)) < 0.5
    masks[0] = True
    return masks


def expected(make: Any, model: Any, tiny: Any, masks: Any) -> Any:
    """What a new game gives that keeps nothing and runs one mask at a time."""
    game = make(model, tiny, executor="hooks")
    return np.concatenate([game(mask[None]) for mask in masks])


@pytest.fixture
def changing(tiny) -> Any:
    return tiny.fresh_bridge("llama")


EXECUTORS = ("auto", "batched")
_CLEAN: dict[Any, Any] = {}


def clean_values(make: Any, model: Any, tiny: Any, parts: Any) -> Any:
    """What is expected of the model as it was made, which is always the same."""
    if make not in _CLEAN:
        _CLEAN[make] = [expected(make, model, tiny, masks) for masks in parts]
    return _CLEAN[make]


@pytest.mark.filterwarnings("ignore:the model has")
@pytest.mark.parametrize("make", [heads, words])
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.some(12)
def test_values_are_those_of_the_model_as_it_is(changing, tiny, tmp_path, make, change):
    allowed = [each for each in EXECUTORS if not (each == "batched" and change is hook_that_mixes_rows)]
    stores = {executor: tmp_path / f"{executor}.sqlite" for executor in allowed}

    def made(executor: str) -> Any:
        return make(changing, tiny, executor=executor, store=stores[executor])

    games = {executor: made(executor) for executor in allowed}
    parts = [draw(games["auto"].n_players, seed) for seed in range(3)]
    clean = clean_values(make, changing, tiny, parts)
    for game in games.values():
        np.testing.assert_allclose(game(parts[0]), clean[0], atol=1e-4)
    undo = change(changing)
    try:
        changed = [expected(make, changing, tiny, masks) for masks in parts[:2]]
        assert np.abs(changed[0] - clean[0]).max() > 1e-3, "the change matters"
        if make is heads:
            report = games["auto"].task.report(changing)
            np.testing.assert_allclose(changed[0][0], report.mean_metric, atol=1e-4)
        for executor, game in games.items():
            for masks, values in zip(parts[:2], changed, strict=True):
                np.testing.assert_allclose(game(masks), values, atol=1e-4, err_msg="the game of before")
            np.testing.assert_allclose(made(executor)(parts[1]), changed[1], atol=1e-4, err_msg="a new game")
    finally:
        undo()
    for executor, game in games.items():
        for each in (game, made(executor)):
            for masks, values in zip(parts, clean, strict=True):
                np.testing.assert_allclose(each(masks), values, atol=1e-4, err_msg="changed back")
        again = made(executor)
        again(np.concatenate(parts))
        assert again.n_run == 0, "values of the clean model are found again"


@pytest.mark.filterwarnings("ignore:the model has")
@pytest.mark.parametrize("make", [heads, words])
def test_a_hook_that_mixes_rows_lets_nothing_run_in_batches(changing, tiny, make):
    with contextlib.ExitStack() as undoing:
        undoing.callback(hook_that_mixes_rows(changing))
        with pytest.raises(UserError, match="executor 'batched' is not for this model"):
            make(changing, tiny, executor="batched")


@pytest.mark.some(4)
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_changed_model_has_an_identity_of_its_own(changing, tiny, change):
    before = cx.model_identity(changing)
    undo = change(changing)
    try:
        during = cx.model_identity(changing)
    finally:
        undo()
    assert during != before == cx.model_identity(changing)
    twin = tiny.fresh_bridge("llama")
    undo = change(twin)
    try:
        readable = not any(word in name for word in UNREADABLE for name, each in CHANGES.items() if each is change)
        assert (cx.model_identity(twin) == during) == readable, "the same change by value is the same model"
    finally:
        undo()


def test_gradients_see_backward_hooks(changing, tiny):
    game = heads(changing, tiny)
    masks = draw(game.n_players, 0)
    clean = game.evaluate(masks, gradients=True).gradients
    norm = plain(changing, "model.layers.2.input_layernorm")
    handle = norm.register_full_backward_hook(lambda module, given, out: (given[0] * 7,))
    hooked = game.evaluate(masks, gradients=True).gradients
    one_by_one = heads(changing, tiny, executor="hooks").evaluate(masks, gradients=True).gradients
    handle.remove()
    np.testing.assert_allclose(hooked, one_by_one, atol=1e-4)
    assert np.abs(hooked - clean).max() > 1e-3
    np.testing.assert_allclose(game.evaluate(masks, gradients=True).gradients, clean, atol=1e-6)


@pytest.mark.long
def test_a_hook_with_a_state_of_its_own_is_asked_each_time(changing, tiny):
    scale = [1.0]
    block = changing.original_model.model.layers[0]
    handle = block.register_forward_hook(lambda module, given, out: first(out, lambda x: x * scale[0]))
    game = heads(changing, tiny)
    masks = draw(game.n_players, 0)
    for scale[0] in (1.0, 2.0, 0.5):
        np.testing.assert_allclose(game(masks), expected(heads, changing, tiny, masks), atol=1e-4)
    handle.remove()


@contextlib.contextmanager
def half_products() -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield


def test_values_under_autocast_are_kept_apart(changing, tiny, tmp_path):
    path = tmp_path / "runs.sqlite"
    masks = draw(heads(changing, tiny).n_players, 0)
    with half_products():
        coarse = heads(changing, tiny, store=path)(masks)
    fine = heads(changing, tiny, store=path)
    np.testing.assert_allclose(fine(masks), expected(heads, changing, tiny, masks), atol=1e-4)
    assert fine.n_stored == 0
    assert np.abs(coarse - fine(masks)).max() > 1e-4


def test_dropout_that_is_on_is_never_kept(changing, tiny, tmp_path):
    plain(changing, "model.layers.1.self_attn").attention_dropout = 0.5
    changing.train()
    with pytest.warns(UserWarning, match=r"dropout of model\.layers\.1\.self_attn, which is in training mode"):
        game = heads(changing, tiny, store=tmp_path / "runs.sqlite")
    assert game.store is None


def test_a_store_is_used_again_when_a_hook_is_gone(changing, tiny, tmp_path):
    game = heads(changing, tiny, store=tmp_path / "runs.sqlite")
    masks = draw(game.n_players, 0)
    handle = changing.original_model.model.layers[1].register_forward_hook(lambda module, given, out: None)
    with pytest.warns(UserWarning, match="a forward hook on model.layers.1; what that does can't be read"):
        game(masks)
    assert game.n_stored == 0
    handle.remove()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the model has .*what that does can.t be read")
        game(masks)
        game(masks)
    assert game.n_stored == len(np.unique(masks, axis=0))


def test_a_model_that_is_changed_during_a_search_ends_it(changing, tiny):
    asked = RememberingGame(heads(changing, tiny))
    asked.evaluate(draw(asked.n_players, 0))
    plain(changing, "model.layers.1.mlp.down_proj").weight.data.mul_(-3)
    with pytest.raises(UserError, match=r"the model was changed .* since the search began"):
        asked.evaluate(draw(asked.n_players, 1))


def test_identical_is_said_of_weights_that_were_read_anew(tiny):
    one, two = tiny.fresh_bridge("llama"), tiny.fresh_bridge("llama")
    task = tiny.task(one)
    assert cx.compare(one, two, task, budget=4, n_heldout=4, progress=False).identical
    plain(two, "model.layers.0.mlp.down_proj").weight.data.mul_(-3)
    assert not cx.compare(one, two, task, budget=4, n_heldout=4, progress=False).identical

"""How masks are put together changes no value, also when memory runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import BatchedForward, HooksForward
from circuitspex.components import model_structure
from circuitspex.games import ComponentGame
from circuitspex.models.free_memory import free_memory
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.pass_memory import rows_that_fit

KINDS = {"fused": FusedForward, "batched": BatchedForward}
MESSAGES = ["CUDA out of memory. Tried to allocate 2 GiB", "[enforce fail] DefaultCPUAllocator: can't allocate memory"]


def masks_for(n: int, size: int = 9) -> np.ndarray:
    masks = np.random.default_rng(2).random((size, n)) < 0.6
    masks[: size // 2, : n // 2] = True
    return masks


@pytest.mark.some(6)
def test_the_size_of_batches_changes_nothing(tiny, model):
    task = tiny.task(model, lengths=(5, 4, 5, 5))
    masks = masks_for(15, 5)
    expected = ComponentGame(model, task, "heads+mlps").evaluate(masks)
    for executor, batch_rows in (("auto", 1), ("auto", 3), ("auto", 64), ("batched", 3), ("hooks", 2), ("hooks", 64)):
        game = ComponentGame(model, task, "heads+mlps", executor=executor, batch_rows=batch_rows)
        np.testing.assert_allclose(game.evaluate(masks).per_prompt, expected.per_prompt, atol=1e-4)


@pytest.mark.some(3)
def test_order_and_repetition_of_masks_change_nothing(tiny, model):
    game = ComponentGame(model, tiny.task(model), "heads+mlps", batch_rows=6)
    masks = masks_for(game.n_players)
    expected = game.evaluate(masks)
    rng = np.random.default_rng(0)
    for order in (rng.permutation(9), rng.integers(9, size=20), np.zeros(4, dtype=int)):
        run = game.evaluate(masks[order])
        np.testing.assert_allclose(run.per_prompt, expected.per_prompt[order], atol=1e-5)
        np.testing.assert_array_equal(run.masks, masks[order])
    for k in range(3):
        np.testing.assert_allclose(game.evaluate(masks[k : k + 1]).per_prompt[0], expected.per_prompt[k], atol=1e-5)


def test_a_run_is_the_same_bit_for_bit_when_repeated(tiny, model):
    game = ComponentGame(model, tiny.task(model), "heads")
    again = ComponentGame(model, tiny.task(model), "heads")
    masks = masks_for(game.n_players)
    first = game.evaluate(masks, gradients=True)
    for run in (game.evaluate(masks, gradients=True), again.evaluate(masks, gradients=True)):
        np.testing.assert_array_equal(run.per_prompt, first.per_prompt)
        np.testing.assert_array_equal(run.gradients, first.gradients)


@pytest.mark.parametrize("executor", KINDS)
def test_repeated_masks_run_once(tiny, monkeypatch, executor):
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "heads", executor=executor)
    seen = count_masks(monkeypatch, KINDS[executor])
    masks = masks_for(game.n_players)
    game.evaluate(np.concatenate([masks, masks, masks[:2]]))
    assert sum(seen) == len(np.unique(masks, axis=0))


def count_masks(monkeypatch: pytest.MonkeyPatch, kind: type) -> list[int]:
    seen: list[int] = []
    forward = kind.__call__

    def counted(self: Any, gates: Any, *where: Any, **known: Any) -> Any:
        seen.append(len(gates))
        return forward(self, gates, *where, **known)

    monkeypatch.setattr(kind, "__call__", counted)
    return seen


def memory_for(
    monkeypatch: pytest.MonkeyPatch, rows: int, kind: type, message: str, error: type = RuntimeError
) -> list:
    """Make every pass over more than ``rows`` rows fail; the list fills with the sizes that were tried."""
    forward = kind.__call__
    tried: list[int] = []

    def limited(self: Any, gates: Any, prompts: slice, *where: Any, **known: Any) -> Any:
        every = self.tokens if kind is not FusedForward else self._given.clean.entry
        size = len(gates) * len(every[prompts])
        tried.append(size)
        if size > rows:
            raise error(message)
        return forward(self, gates, prompts, *where, **known)

    monkeypatch.setattr(kind, "__call__", limited)
    return tried


@pytest.mark.some(6)
@pytest.mark.parametrize("executor", KINDS)
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_a_failed_allocation_halves_the_batch(tiny, monkeypatch, rows, gradients, executor):
    model = tiny.bridge("qwen2")
    task = tiny.task(model, lengths=(5, 4, 5, 5))
    masks = masks_for(12)
    expected = ComponentGame(model, task, "heads").evaluate(masks, gradients=gradients)
    game = ComponentGame(model, task, "heads", executor=executor)
    tried = memory_for(monkeypatch, rows, KINDS[executor], MESSAGES[rows % 2])
    done: list[float] = []
    per_prompt, slopes = game._engine.evaluate(masks.astype(float), gradients=gradients, done=done.append)
    np.testing.assert_allclose(per_prompt, expected.per_prompt, atol=1e-5)
    if gradients:
        np.testing.assert_allclose(slopes, expected.gradients, atol=1e-4)
    assert sum(done) == pytest.approx(len(masks))
    failed = [size for size in tried if size > rows]
    assert len(failed) <= 6, "batches shrink by halves and don't grow back"
    tried.clear()
    game.evaluate(masks)
    assert all(size <= rows for size in tried), "what was learnt is kept"


def test_the_hooks_executor_splits_prompts_when_memory_runs_out(tiny, monkeypatch):
    model = tiny.bridge("qwen2")
    task = tiny.task(model)
    masks = masks_for(12)
    expected = ComponentGame(model, task, "heads", executor="hooks").evaluate(masks).per_prompt
    game = ComponentGame(model, task, "heads", executor="hooks")
    memory_for(monkeypatch, 1, HooksForward, "", MemoryError)
    np.testing.assert_allclose(game.evaluate(masks).per_prompt, expected, atol=1e-5)


def test_one_failure_that_passes(tiny, monkeypatch):
    model = tiny.bridge("gpt2")
    game = ComponentGame(model, tiny.task(model), "heads")
    masks = masks_for(game.n_players)
    expected = game.evaluate(masks).per_prompt
    forward, failures = FusedForward.__call__, [MESSAGES[0]]

    def once(self: Any, *args: Any, **known: Any) -> Any:
        if failures:
            raise RuntimeError(failures.pop())
        return forward(self, *args, **known)

    monkeypatch.setattr(FusedForward, "__call__", once)
    np.testing.assert_allclose(game.evaluate(masks).per_prompt, expected, atol=1e-5)
    assert failures == []


def test_too_little_memory_for_one_row_and_other_errors_are_raised(tiny, monkeypatch, hooks_left):
    model = tiny.bridge("gpt2")
    game = ComponentGame(model, tiny.task(model), "heads")
    masks = masks_for(game.n_players)
    with monkeypatch.context() as patch:
        memory_for(patch, 0, FusedForward, MESSAGES[0])
        with pytest.raises(RuntimeError, match="out of memory"):
            game.evaluate(masks)
    with monkeypatch.context() as patch:
        tried = memory_for(patch, 0, FusedForward, "sizes of tensors must match")
        with pytest.raises(RuntimeError, match="sizes of tensors"):
            game.evaluate(masks)
        assert len(tried) == 1
    assert hooks_left(model) == {}


def test_what_counts_as_out_of_memory():
    for message in MESSAGES:
        assert is_out_of_memory(RuntimeError(message))
        assert not is_out_of_memory(ValueError(message))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("no"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_rows_that_fit_follow_the_free_memory(tiny, model, monkeypatch):
    import psutil

    sizes = []
    for free in (0, 10**6, 10**7, 10**12):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: type("Memory", (), {"available": free}))
        plain = rows_that_fit(model, 5, gradients=False)
        assert 1 <= rows_that_fit(model, 5, gradients=True) <= plain
        assert rows_that_fit(model, 500, gradients=False) <= plain
        sizes.append(plain)
    assert sizes == sorted(sizes)
    assert sizes[0] == 1


def test_blocks_that_pytorch_keeps_for_itself_are_free(monkeypatch):
    """After a first batch PyTorch holds nearly all of a card: the driver alone would say that nothing is left."""
    card = torch.device("cuda", 1)
    numbers = {"mem_get_info": (2 * 10**9, 80 * 10**9), "memory_reserved": 70 * 10**9, "memory_allocated": 9 * 10**9}
    asked = []
    for name, number in numbers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, number=number: asked.append(device) or number)
    assert free_memory(card) == (2 + 70 - 9) * 10**9
    assert asked == [card] * 3
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 71 * 10**9)
    assert free_memory(card) == 2 * 10**9


@pytest.mark.some(2)
@pytest.mark.parametrize("baseline", ["mean", "resample"])
@pytest.mark.parametrize("message", MESSAGES)
def test_baselines_and_the_clean_pass_take_what_memory_there_is(tiny, monkeypatch, baseline, message):
    task = tiny.task(tiny.bridge("qwen2"), lengths=(5, 5, 5, 5, 5))
    masks = masks_for(12)
    expected = ComponentGame(tiny.bridge("qwen2"), task, "heads", baseline).evaluate(masks).per_prompt
    model = tiny.fresh_bridge("qwen2")
    model_structure(model)  # the trial of its components, on few tokens, is one pass that can't be halved
    run, tried = type(model).run_with_hooks, []

    def limited(self, tokens, *args, **options):
        tried.append(len(tokens))
        if len(tokens) > 2:
            raise RuntimeError(message)
        return run(self, tokens, *args, **options)

    monkeypatch.setattr(type(model), "run_with_hooks", limited)
    game = ComponentGame(model, task, "heads", baseline, executor="fused")
    found = game.evaluate(masks).per_prompt
    assert max(tried) > 2
    np.testing.assert_allclose(found, expected, atol=1e-5)

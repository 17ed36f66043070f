"""Recorded passes: replayed on other numbers they give what running them gives, and a failure costs one warning."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation.executors.card import forward
from circuitspex.ablation.executors.card.graphs import Graphs
from circuitspex.errors import KernelWarning, UserError
from circuitspex.games import ComponentGame

CPU = torch.device("cpu")


class Recording:
    """A pass that is run when it is recorded and when it is replayed, into the same place, as a CUDA graph does."""

    made = 0

    def __init__(self, given: torch.Tensor, work: Any) -> None:
        type(self).made += 1
        self.given = given.clone()
        self._work = work
        self.result = work(self.given).clone()

    def replay(self) -> None:
        self.result.copy_(self._work(self.given))


def test_a_pass_is_recorded_when_it_comes_again_and_replayed_with_other_numbers():
    Recording.made = 0
    graphs = Graphs(Recording)
    calls: list[int] = []

    def work(given: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return given * 2

    found = [graphs.run("plan", torch.tensor([number]), CPU, work) for number in range(5)]
    assert [int(each) for each in found] == [0, 2, 4, 6, 8], "a result is not overwritten by the next"
    assert Recording.made == 1
    for key in range(20):
        for _ in range(2):
            assert int(graphs.run(key, torch.tensor([key]), CPU, work)) == 2 * key
    assert len(graphs._kept) <= 6


def test_a_recording_that_fails_costs_one_warning():
    def broken(given: Any, work: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = Graphs(broken)
    run = lambda number: int(graphs.run("plan", torch.tensor([number]), CPU, lambda given: given + 1))  # noqa: E731
    assert run(1) == 2
    with pytest.warns(KernelWarning, match=r"could not be recorded as a CUDA graph \(RuntimeError: operation not perm"):
        assert run(2) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        assert run(3) == 4


def test_no_memory_for_a_recording_is_no_warning():
    def full(given: Any, work: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    graphs = Graphs(full)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        assert [int(graphs.run(0, torch.tensor([n]), CPU, lambda given: given)) for n in (1, 2, 3)] == [1, 2, 3]


def test_no_memory_and_what_cuda_says_of_it_in_the_end_is_no_warning():
    def full(given: Any, work: Any) -> Any:
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    graphs = Graphs(full)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        assert [int(graphs.run(0, torch.tensor([n]), CPU, lambda given: given)) for n in (1, 2)] == [1, 2]


def test_a_pass_that_broke_off_is_not_recorded_before_it_has_run_once():
    Recording.made = 0
    graphs = Graphs(Recording)

    def broken(given: torch.Tensor) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        graphs.run("plan", torch.tensor([1]), CPU, broken)
    assert int(graphs.run("plan", torch.tensor([2]), CPU, lambda given: given)) == 2
    assert Recording.made == 0
    assert int(graphs.run("plan", torch.tensor([3]), CPU, lambda given: given)) == 3
    assert Recording.made == 1


def test_what_recorded_passes_read_stays_where_it_is(tiny):
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "heads@-1+mlps@-1", "mean", executor="fused")
    group = game._engine._groups[0].forward
    group.share([0], positions=True)
    given = group._given

    def places() -> dict[Any, list[int]]:
        tensors = {**{("kept", layer): each for layer, each in given.kept.items()}}
        tensors |= {("residual", layer): (each,) for layer, each in given.residuals.items()}
        return {key: [part.data_ptr() for part in each] for key, each in tensors.items()}

    before, held = places(), (dict(given.kept), dict(given.residuals))
    assert sum(kind == "kept" for kind, _ in before) == tiny.n_layers
    group.share([0, 1, 2], positions=True)
    after = places()
    assert {key: after[key] for key in before} == before
    assert ("residual", 2) in after
    del held


def test_recording_can_be_switched_off(monkeypatch):
    Recording.made = 0
    monkeypatch.setenv("CIRCUITSPEX_GRAPHS", "off")
    graphs = Graphs(Recording)
    for number in range(4):
        graphs.run("plan", torch.tensor([number]), CPU, lambda given: given)
    assert Recording.made == 0
    monkeypatch.setenv("CIRCUITSPEX_GRAPHS", "maybe")
    with pytest.raises(UserError, match="CIRCUITSPEX_GRAPHS is 'maybe'; allowed: on, off"):
        graphs.on(CPU)


def test_few_numbers_of_masks_are_recorded():
    for n in range(1, 3000):
        assert n <= forward.bucket(n) <= max(n, 1.125 * n + 1)
    assert len({forward.bucket(n) for n in range(1, 1025)}) < 70


@pytest.mark.parametrize("selector", ["heads+mlps", "neurons:16", "heads@-1+mlps"])
def test_recorded_passes_give_what_hooks_give(tiny, selector, monkeypatch):
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    monkeypatch.setattr(forward, "runs_on", lambda weight: True)
    monkeypatch.setattr(forward, "Graphs", lambda: Graphs(Recording))
    Recording.made = 0
    model = tiny.bridge("llama")
    task = tiny.task(model, metric=lambda logits: logits[:, 7])
    fast = ComponentGame(model, task, selector, "mean", executor="fused")
    slow = ComponentGame(model, task, selector, "mean", executor="hooks")
    rng = np.random.default_rng(0)
    for n_masks in (13, 13, 13, 12, 5, 5, 5):
        gates = (rng.random((n_masks, fast.n_players)) < 0.5).astype(float)
        gates[:, 0] = 0  # every batch starts where the first does
        found, expected = fast.evaluate(gates), slow.evaluate(gates)
        np.testing.assert_allclose(found.per_prompt, expected.per_prompt, atol=1e-4)
    assert Recording.made > 0

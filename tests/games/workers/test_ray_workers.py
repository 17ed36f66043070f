"""Games of every lens on workers give what they give in this process, also where workers are killed on the way."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from saved_models import saved
from training_by_workers import Deadly, MaskSum, kept_share

import circuitspex as cx
from circuitspex.ablation import Store
from circuitspex.games import TrainFunction
from circuitspex.games.chunks import ChunkedGame

Kill = Callable[..., None]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As each worker has it: sums in the same order."""
    torch.set_num_threads(1)


def in_parts(game: ChunkedGame, masks: Any, gradients: bool, size: int = 8) -> tuple[np.ndarray, Any]:
    """What the game gives in this process for the chunks that workers are given."""
    order = game._order(masks.astype(float), gradients)
    played = [
        game._play(masks[order[i : i + size]].astype(float), gradients, print) for i in range(0, len(order), size)
    ]
    back = np.argsort(order)
    slopes = np.concatenate([slope for _, slope in played])[back] if gradients else None
    return np.concatenate([values for values, _ in played])[back], slopes


def test_a_sweep_of_trainings_loses_a_worker(workers: cx.RayWorkers, kill: Kill, tmp_path: Path) -> None:
    function = TrainFunction(kept_share, workers=0, name="share")
    far = cx.TrainingGame(function, 6, seeds=2, store=tmp_path / "runs.sqlite", workers=workers)
    masks = np.unique(cx.sample_masks(6, 30, seed=4), axis=0)
    done: list[float] = []

    def one_ends(count: float) -> None:
        done.append(count)
        if len(done) == len(masks) + 5:
            kill(workers)

    values, _ = far._in_chunks(masks, False, one_ends)
    assert np.array_equal(values, cx.TrainingGame(function, 6, seeds=2).evaluate(masks, progress=False).per_prompt)
    assert far.n_run == len(masks)


@pytest.mark.long
def test_a_training_that_ends_every_worker_fails_alone(workers: cx.RayWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers._crew, "_retries", 1)
    game = cx.TrainingGame(TrainFunction(Deadly(), workers=0), 3, workers=workers)
    masks = np.array([[True, True, False], [False, True, True], [True, False, True]])
    with pytest.raises(cx.UserError, match=r"1 of 3 trainings failed.*without p?g?0") as caught:
        game.evaluate(masks, progress=False)
    assert sorted(caught.value.finished.masks.tolist()) == sorted(masks[[0, 2]].tolist())


def test_a_chunk_that_ends_every_worker_is_said(workers: cx.RayWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers._crew, "_retries", 0)
    game = cx.FunctionGame(lambda masks: [Deadly()(mask) for mask in masks], 2, workers=workers)
    with pytest.raises(cx.UserError, match=r"1 of 1 ablations were given up: .* lost 1 times, at last worker \d+"):
        game(np.array([[False, True]]))


@pytest.mark.long
def test_stacked_trainings(workers: cx.RayWorkers) -> None:
    x = torch.arange(12.0).reshape(6, 2)
    data = ((x, x.sum(1, keepdim=True)), (x[:2], x[:2].sum(1, keepdim=True)))
    training = cx.Training(lambda: torch.nn.Linear(2, 1), *data, loss="mse", metric="negative_mse", steps=5)
    masks = np.unique(cx.sample_masks(6, 12, seed=5), axis=0)
    near, far = (cx.TrainingGame(training, gradients=True, workers=each) for each in (None, workers))
    one, two = (game.evaluate(masks, gradients=True, progress=False) for game in (near, far))
    assert np.allclose(one.per_prompt, two.per_prompt, atol=1e-5)
    assert np.allclose(one.gradients, two.gradients, atol=1e-4)


def test_a_game_of_the_users_own(workers: cx.RayWorkers) -> None:
    found, wanted = (cx.explain(MaskSum(), 60, workers=each, progress=False) for each in (workers, None))
    assert np.array_equal(found.run.values, wanted.run.values)
    assert [str(node) for node in found.circuit.nodes] == [str(node) for node in wanted.circuit.nodes]
    weights = np.array([1.0, 2.0, 4.0])  # of this test alone: what can't be imported is sent as it is
    game = cx.FunctionGame(lambda masks: np.stack([masks @ weights, masks @ weights + 1], 1), 3, workers=workers)
    assert game(np.array([[True, False, True]])).tolist() == [5.5]
    assert game.n_samples == 2


def test_what_a_game_raises_comes_back(workers: cx.RayWorkers) -> None:
    def play(masks: Any) -> Any:
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        cx.FunctionGame(play, 3, workers=workers)(np.ones((1, 3), dtype=bool))

    class ApiError(Exception):
        """As clients of services have them: it can't be put together again from its arguments."""

        def __init__(self, message: str, *, status: int) -> None:
            super().__init__(message)
            self.status = status

    def ask(masks: Any) -> Any:
        raise ApiError("quota used up", status=429)

    started = workers.done
    with pytest.raises(RuntimeError, match=r"^ApiError: quota used up$"):
        cx.FunctionGame(ask, 3, workers=workers)(np.ones((1, 3), dtype=bool))
    assert workers.done == started  # none was lost to it
    with pytest.raises(cx.UserError, match="shape"):
        cx.FunctionGame(lambda masks: np.ones((1, 2, 3)), 3, workers=workers)(np.ones((1, 3), dtype=bool))
    lock = threading.Lock()
    with pytest.raises(cx.UserError, match=r"can't be sent to workers: cannot pickle .*lock"):
        cx.FunctionGame(lambda masks: lock and masks.sum(1), 3, workers=workers)(np.ones((1, 3), dtype=bool))
    assert cx.FunctionGame(lambda masks: masks.sum(1), 3, workers=workers)(np.ones((1, 3), dtype=bool)) == [3]


def test_components_bit_for_bit(workers: cx.RayWorkers, model: Any, task: cx.Task, tmp_path: Path) -> None:
    local = cx.ComponentGame(model, task, "heads+mlps")
    far = cx.ComponentGame(model, task, "heads+mlps", store=tmp_path / "runs.sqlite", workers=workers)
    masks = np.unique(cx.sample_masks(local.n_players, 60, seed=1), axis=0)
    wanted = in_parts(local, masks, True)
    kept: list[int] = []

    def done(count: float) -> None:
        kept.append(sum(game.n_ablations for game in far.store.games()))

    values, slopes = far._in_chunks(masks, True, done)
    assert np.array_equal(values, wanted[0])
    assert np.array_equal(slopes, wanted[1])
    assert np.abs(local.evaluate(masks, progress=False).per_prompt - values).max() < 1e-5
    assert far.n_run == len(masks)
    assert kept[-1] == len(masks)
    assert sorted(kept) == kept
    assert kept[-2] < len(masks), "finished chunks are kept at once"
    again = cx.ComponentGame(model, task, "heads+mlps", store=tmp_path / "runs.sqlite", workers=workers)
    assert np.array_equal(again.evaluate(masks, gradients=True, progress=False).per_prompt, values)
    assert (again.n_run, again.n_stored) == (0, len(masks))
    assert all(rate > 0 for rate in workers.rates.values())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:the decoded function")
def test_a_search_on_workers_loses_one_and_finds_the_same_circuit(
    workers: cx.RayWorkers, model: Any, task: cx.Task, kill: Kill
) -> None:
    options: dict[str, Any] = {"budget": 40, "n_heldout": 30, "n_contexts": 8, "max_nodes": 6, "progress": False}
    n_started = len(workers._crew._members)
    played = sum(member.ablations for member in workers._crew._members)

    def end_one() -> None:
        deadline = time.monotonic() + 60
        while sum(member.ablations for member in workers._crew._members) < played + 10:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        kill(workers, -1)

    killer = threading.Thread(target=end_one)
    killer.start()
    far = cx.find_circuit(model, task, "heads", workers=workers, **options)
    killer.join()
    assert len(workers._crew._members) == n_started + 1, "another worker takes the place of the dead one"
    near = cx.find_circuit(model, task, "heads", **options)
    assert len(near.circuit.nodes)
    for one, two in ((near.circuit.nodes, far.circuit.nodes), (near.circuit.interactions, far.circuit.interactions)):
        assert [str(each) for each in one] == [str(each) for each in two]
        for a, b in zip(one, two, strict=True):
            assert a.effect == pytest.approx(b.effect, abs=1e-4)


def test_edges(workers: cx.RayWorkers, model: Any, task: cx.Task) -> None:
    local, far = (cx.EdgeGame(model, task, "edges->logits", workers=each) for each in (None, workers))
    masks = np.unique(cx.sample_masks(local.n_players, 20, seed=2), axis=0)
    run = far.evaluate(masks, gradients=True, progress=False)
    wanted = in_parts(local, masks, True)
    assert np.array_equal(run.per_prompt, wanted[0])
    assert np.array_equal(run.gradients, wanted[1])
    some = far.of([0, 3]).evaluate(np.array([[True, False]]), progress=False).values
    assert some == pytest.approx(local.of([0, 3])(np.array([[True, False]])), abs=1e-5)


def test_words_of_a_prompt(workers: cx.RayWorkers, model: Any) -> None:
    given = (model, "w1 w2 w3 w4 w5", " w6", " w7")
    local, far = (cx.TokenGame(*given, ablate="attention", workers=each) for each in (None, workers))
    masks = np.unique(cx.sample_masks(5, 20, seed=3), axis=0)
    assert np.array_equal(far.evaluate(masks, progress=False).per_prompt, in_parts(local, masks, False)[0])
    pairs = cx.GroupedGame(far, [[0, 1], [2, 4]])
    assert pairs.workers is workers
    two = np.array([[True, False]])
    assert pairs(two) == pytest.approx(cx.GroupedGame(local, [[0, 1], [2, 4]])(two), abs=1e-5)


def test_path_patching(workers: cx.RayWorkers, model: Any, task: cx.Task) -> None:
    local, far = (cx.ComponentGame(model, task, "heads", workers=each) for each in (None, workers))
    masks = cx.sample_masks(local.n_players, 11, seed=6)
    given: dict[str, Any] = {"source": 0, "target": 9, "progress": False}
    assert np.allclose(far.patched(masks, **given), local.patched(masks, **given), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*was refused")
def test_another_checkpoint_is_refused_by_name(
    workers: cx.RayWorkers, tiny: SimpleNamespace, task: cx.Task, tmp_path: Path
) -> None:
    changing = saved(tiny, tmp_path / "model")
    here = cx.load_model(changing)
    saved(tiny, tmp_path / "model", seed=1)
    game = cx.ComponentGame(here, task, "heads", workers=workers)
    masks = np.ones((1, game.n_players), dtype=bool)
    with pytest.raises(cx.UserError, match=r"no worker is left: worker \d+ \(.*\) was refused: the weights of .*model"):
        game(masks)


@pytest.mark.long
def test_compare_and_a_series_of_checkpoints(
    workers: cx.RayWorkers, tiny: SimpleNamespace, folder: Path, task: cx.Task, tmp_path: Path
) -> None:
    other = saved(tiny, tmp_path / "other", seed=1)
    options: dict[str, Any] = {"budget": 24, "max_nodes": 2, "max_interactions": 1, "n_contexts": 4, "progress": False}
    models = cx.load_model(folder), cx.load_model(other)
    near, far = (cx.compare(*models, task, workers=each, n_heldout=10, **options) for each in (None, workers))
    assert len(near.changes)
    assert [(each.components, each.kind) for each in near.changes] == [(c.components, c.kind) for c in far.changes]
    differences = [[each.difference.value for each in found.changes] for found in (near, far)]
    assert differences[0] == pytest.approx(differences[1], abs=1e-4)
    # A name, a model that was loaded, a function that loads one, and the first once more.
    series = {"a": str(folder), "b": models[1], "c": functools.partial(cx.load_model, other), "d": str(folder)}
    given = (series, task)
    far_store = tmp_path / "runs.sqlite"
    one = cx.compare_series(*given, decode_at=["a", "b"], **options)
    two = cx.compare_series(*given, decode_at=["a", "b"], workers=workers, store=far_store, **options)
    assert two.same_as == one.same_as == {"c": "b", "d": "a"}
    assert two.sets == one.sets
    for a, b in zip(one.points, two.points, strict=True):
        assert (a.name, a.identity) == (b.name, b.identity)
        assert [e.value for e in a.effects] == pytest.approx([e.value for e in b.effects], abs=1e-5)
    kept = sum(game.n_ablations for game in Store(far_store).games())
    assert kept > 2 * options["budget"], "what workers finish is in the driver's store"


@pytest.mark.long
def test_a_checkpoint_of_another_shape(
    workers: cx.RayWorkers, tiny: SimpleNamespace, folder: Path, task: cx.Task, tmp_path: Path
) -> None:
    tiny.hf_model("llama", num_hidden_layers=2).save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        cx.UserError, match="a and b can't be compared component by component: layers 3 in the first, 2"
    ):
        cx.compare_series({"a": folder, "b": tmp_path}, task, decode_at=["a"], budget=8, workers=workers)

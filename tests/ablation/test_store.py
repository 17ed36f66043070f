"""What is kept is given back exactly, for the same game only, and a spoiled file or row is never trusted."""

from __future__ import annotations

import errno
import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation import Store, engine, store_at
from circuitspex.ablation.store import store as store_module
from circuitspex.errors import FileFormatError, UserError
from circuitspex.games import ComponentGame


def masks_for(n: int, size: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((size, n)) < 0.5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "runs.sqlite"


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many masks each call of the engine was given."""
    seen: list[int] = []
    evaluate = engine.AblationEngine.evaluate

    def counted(self: Any, gates: Any, **options: Any) -> Any:
        seen.append(len(gates))
        return evaluate(self, gates, **options)

    monkeypatch.setattr(engine.AblationEngine, "evaluate", counted)
    return seen


def test_numbers_come_back_exactly(path):
    store = Store(path)
    rng = np.random.default_rng(0)
    gates = np.concatenate([rng.random((3, 5)), masks_for(5, 3).astype(float)])
    values = rng.normal(size=(6, 2)) * 1e30
    for slopes in (
        rng.normal(size=(6, 5)),
        rng.normal(size=(6, 5)).astype(np.float32),
        masks_for(5, 6),
        -np.zeros((6, 5)),
    ):
        game = store.game({"of": str(slopes.dtype) + str(slopes[0, 0])}, {"model": "m"})
        store.keep(game, gates, values, slopes.astype(float))
        store.close()
        store = Store(path)
        found = store.find(game, gates, gradients=True)
        assert sorted(found) == list(range(6))
        for place, (kept, gradient) in found.items():
            assert kept.tobytes() == values[place].tobytes()
            assert gradient.tobytes() == slopes[place].astype(float).tobytes()
    assert store.find("another", gates, gradients=False) == {}


def test_a_row_with_gradients_serves_both_and_is_never_lost(path):
    store = Store(path)
    game, gates = store.game({}, {}), masks_for(4, 2).astype(float)
    store.keep(game, gates, np.ones((2, 1)), None)
    assert store.find(game, gates, gradients=True) == {}
    assert len(store.find(game, gates, gradients=False)) == 2
    store.keep(game, gates, np.full((2, 1), 2.0), np.ones((2, 4)))
    store.keep(game, gates, np.full((2, 1), 3.0), None)
    for gradients in (False, True):
        found = store.find(game, gates, gradients=gradients)
        assert [found[0][0][0], found[0][1].tolist()] == [2.0, [1.0] * 4]


@pytest.mark.parametrize("gradients", [False, True])
def test_a_second_run_runs_nothing_and_gives_the_same(tiny, path, evaluated, gradients):
    model = tiny.bridge("llama")
    task = tiny.task(model, lengths=(5, 4, 5))
    masks = masks_for(12)
    game = ComponentGame(model, task, "heads", store=path)
    first = game.evaluate(np.concatenate([masks, masks[:3]]), gradients=gradients)
    n = sum(evaluated)
    again = ComponentGame(model, task, "heads", store=Store(path))
    second = again.evaluate(np.concatenate([masks, masks[:3]]), gradients=gradients)
    assert sum(evaluated) == n == again.n_stored == game.n_run
    np.testing.assert_array_equal(first.per_prompt, second.per_prompt)
    if gradients:
        np.testing.assert_array_equal(first.gradients, second.gradients)
    plain = ComponentGame(model, task, "heads").evaluate(masks)
    np.testing.assert_allclose(first.per_prompt[:40], plain.per_prompt, atol=1e-5)


def test_an_interrupted_run_goes_on_with_the_same_batches(tiny, path, monkeypatch, evaluated):
    model = tiny.bridge("qwen2")
    task = tiny.task(model)
    masks = masks_for(12, 60)
    whole = ComponentGame(model, task, "heads", batch_rows=12, store=path.with_name("whole.sqlite")).evaluate(masks)
    chunks = list(evaluated)
    evaluated.clear()
    keep, left = Store.keep, [5]

    def interrupted(self: Any, *args: Any) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        keep(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ComponentGame(model, task, "heads", batch_rows=12, store=path).evaluate(masks)
    assert evaluated == chunks[:6]
    evaluated.clear()
    game = ComponentGame(model, task, "heads", batch_rows=12, store=path)
    run = game.evaluate(masks)
    assert evaluated == chunks[5:]
    assert game.n_stored == sum(chunks[:5])
    np.testing.assert_array_equal(run.per_prompt, whole.per_prompt)


def test_another_game_never_reuses_a_value(tiny, path):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    masks = masks_for(12, 4)
    settings: list[tuple[Any, Any, dict[str, Any]]] = [
        (model, task, {"components": "heads"}),
        (model, task, {"components": "heads", "baseline": "zero"}),
        (model, task, {"components": list(reversed(ComponentGame(model, task, "heads").components))}),
        (model, task, {"components": "heads", "executor": "hooks"}),
        (model, task, {"components": "heads", "precision": "bfloat16"}),
        (model, task.with_metric("answer_logprob"), {"components": "heads"}),
        (model, task.subset([1, 0, 2]), {"components": "heads"}),
        (model, tiny.task(model, seed=1), {"components": "heads"}),
        (tiny.bridge("llama", seed=1), task, {"components": "heads"}),
        (tiny.bridge("llama", dtype=torch.float64), task, {"components": "heads"}),
    ]
    for model_, task_, options in settings:
        game = ComponentGame(model_, task_, store=path, **options)
        game.evaluate(masks)
        assert (game.n_stored, game.n_run) == (0, 4), options
    for model_, task_, options in settings:
        game = ComponentGame(model_, task_, store=path, **options)
        game.evaluate(masks)
        assert (game.n_stored, game.n_run) == (4, 0), options
    assert len(Store(path).games()) == len(settings)


def test_weights_written_to_are_another_model(tiny, path):
    model = tiny.fresh_bridge("gpt2")
    masks = masks_for(12, 4)
    before = ComponentGame(model, tiny.task(model), "heads", store=path)(masks)
    with torch.no_grad():
        model.blocks[0].mlp.out.original_component.weight.mul_(1.5)
    game = ComponentGame(model, tiny.task(model), "heads", store=path)
    assert np.abs(game(masks) - before).max() > 1e-4
    assert game.n_stored == 0


def test_a_model_with_hooks_of_its_own_does_without(tiny, path):
    model = tiny.fresh_bridge("gpt2")
    model.add_hook("blocks.1.hook_mlp_out", lambda z, hook: z * 3)
    with pytest.warns(
        UserWarning, match=r"has a forward hook on transformer\.h\.1\.mlp.*the store of finished ablations is not used"
    ):
        game = ComponentGame(model, tiny.task(model), "heads", store=path)
    assert game.store is None
    model.reset_hooks()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"not a database at all", "not an SQLite file"), ("truncated", ""), ("scribbled", "")],
)
def test_a_damaged_file_is_set_aside_and_named(path, content, why):
    store = Store(path)
    game, gates = store.game({}, {}), masks_for(64, 400).astype(float)
    store.keep(game, gates, np.random.default_rng(0).random((400, 16)), None)
    store.close()
    data = path.read_bytes()
    if content == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif content == "scribbled":
        path.write_bytes(data[:4096] + b"\xff" * 8192 + data[12288:])
    else:
        path.write_bytes(content)
    spoiled = path.read_bytes()
    (path.parent / "runs.sqlite.damaged-1").write_text("an earlier one")
    with pytest.warns(UserWarning, match=r"runs\.sqlite is damaged .*renamed to runs\.sqlite\.damaged-2") as caught:
        store = Store(path)
    assert why in str(caught[0].message)
    assert (path.parent / "runs.sqlite.damaged-2").read_bytes() == spoiled
    assert (path.parent / "runs.sqlite.damaged-1").read_text() == "an earlier one"
    assert store.games() == []
    store.keep(store.game({}, {}), gates[:1], np.ones((1, 1)), None)
    assert len(Store(path).games()) == 1


@pytest.mark.parametrize("column", ["per_prompt", "gradient"])
def test_a_flipped_byte_is_noticed_and_the_row_run_again(path, column):
    store = Store(path)
    game, gates = store.game({}, {}), masks_for(6, 3).astype(float)
    values, slopes = np.ones((3, 2)), np.random.default_rng(0).random((3, 6))
    store.keep(game, gates, values, slopes)
    store.close()
    connection = sqlite3.connect(path)
    (key, data), *_ = connection.execute(f"SELECT key, {column} FROM ablations").fetchall()
    spoiled = bytearray(data)
    spoiled[5] ^= 1
    connection.execute(f"UPDATE ablations SET {column} = ? WHERE key = ?", (bytes(spoiled), key))
    connection.commit()
    connection.close()
    store = Store(path)
    with pytest.warns(UserWarning, match="1 ablations in the store .* are damaged; they are run again"):
        found = store.find(game, gates, gradients=True)
    assert len(found) == 2
    store.keep(game, gates, values, None)
    assert len(store.find(game, gates, gradients=False)) == 3


def test_files_that_are_not_ours_are_left_alone(path, tmp_path):
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.commit()
    connection.close()
    with pytest.raises(FileFormatError, match=r"written by a newer circuitspex \(store version 99"):
        Store(path)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    before = other.read_bytes()
    with pytest.raises(FileFormatError, match="the database of another program"):
        Store(other)
    assert other.read_bytes() == before
    with pytest.raises(UserError, match="is a folder"):
        Store(tmp_path)


def test_a_store_that_fails_while_it_is_written_costs_one_warning(tiny, path):
    model = tiny.bridge("gpt2")
    game = ComponentGame(model, tiny.task(model), "heads", batch_rows=6, store=path)
    game.evaluate(masks_for(12, 2))
    assert game.store is not None
    game.store._connection.execute("PRAGMA query_only=ON")  # as on a disk that can't be written to
    masks = masks_for(12, 10, seed=1)
    with pytest.warns(UserWarning, match="can't write to the store") as caught:
        run = game.evaluate(masks)
    assert len([w for w in caught if "store" in str(w.message)]) == 1
    np.testing.assert_allclose(run.values, ComponentGame(model, tiny.task(model), "heads")(masks), atol=1e-5)


def _write_many(path: str, seed: int) -> None:
    store = Store(path)
    game = store.game({"shared": 1}, {})
    gates = np.random.default_rng(0).random((60, 8))
    for row in np.random.default_rng(seed).permutation(60):
        store.keep(game, gates[row : row + 1], gates[row : row + 1, :2], None)
    store.close()


def test_two_processes_write_one_store(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(path), seed)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = Store(path)
    assert [game.n_ablations for game in store.games()] == [60]
    gates = np.random.default_rng(0).random((60, 8))
    found = store.find(store.games()[0].identity, gates, gradients=False)
    assert all(np.array_equal(found[row][0], gates[row, :2]) for row in range(60))


def test_what_auto_means(monkeypatch, tmp_path):
    assert store_at("auto") is store_at(None) is store_at("off") is None  # the tests switch it off
    monkeypatch.setenv("CIRCUITSPEX_STORE", str(tmp_path / "own.sqlite"))
    assert store_at("auto").path == tmp_path / "own.sqlite"
    monkeypatch.delenv("CIRCUITSPEX_STORE")
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "cache"))
    store = store_at("auto")
    assert store.path == tmp_path / "cache" / "runs.sqlite"
    assert store_at(store) is store
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="can't make the cache folder .* going on without the store"):
        assert store_at("auto") is None
    with pytest.raises(UserError, match="can't make the folder of the store"):
        store_at(tmp_path / "file" / "runs.sqlite")


def test_a_new_store_on_a_read_only_disk_costs_a_warning(monkeypatch, tmp_path):
    def refused(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.warns(UserWarning, match="Permission denied; going on without the store"):
        assert store_at(tmp_path / "new" / "runs.sqlite") is None
    monkeypatch.undo()
    monkeypatch.setattr("circuitspex.ablation.store.file.os.access", lambda path, mode: False)
    monkeypatch.setattr("circuitspex.ablation.store.file._connect", _cannot_open)
    with pytest.warns(UserWarning, match="unable to open database file; going on without the store"):
        assert store_at(tmp_path / "runs.sqlite") is None


def _cannot_open(path):
    raise sqlite3.OperationalError("unable to open database file")


def test_a_new_value_version_is_another_game(path, monkeypatch):
    store = Store(path)
    before = store.game({"a": 1}, {})
    assert store.game({"a": 1}, {"model": "renamed"}) == before
    monkeypatch.setattr(store_module, "VALUES_VERSION", 2)
    assert store.game({"a": 1}, {}) != before

"""The game of training data: its store, its failures, its processes, and small planted truths."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from training_functions import additive, deadly, moody, threads, with_seed

import circuitspex as cx
from circuitspex.errors import NoGradientError, TrainingError, UserError
from circuitspex.games import SGD, Adam, TrainFunction
from circuitspex.games.training.one_by_one import train_one

ALL = np.array([[m >> i & 1 for i in range(4)] for m in range(16)], dtype=bool)


def network():
    return nn.Sequential(nn.Linear(6, 4)).double()


def classes(n_each=6, n_classes=4, seed=0):
    """Examples of classes that are told by one input each."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n_each)
    x = 0.3 * random.normal(size=(len(y), 6))
    x[np.arange(len(y)), y] += 2
    return x, y


def make(**options):
    options = {"optimizer": Adam(0.05), "steps": 12, "batch_size": 8, **options}
    return cx.Training(network, classes(), classes(3, seed=1), **options)


def test_columns_are_seeds_or_tests():
    training = make()
    groups = [[0, 1, 2], [3, 4], list(range(6, 12)), [20]]
    both = {name: cx.TrainingGame(training, groups, seeds=[2, 5], columns=name) for name in ("seeds", "tests")}
    weights = torch.as_tensor(both["seeds"].players.weights(ALL.astype(float)))
    wanted = np.array([[train_one(training, row, seed).numpy() for seed in (2, 5)] for row in weights])
    for name, axis in (("seeds", 2), ("tests", 1)):
        run = both[name].evaluate(ALL, progress=False)
        assert run.per_prompt.shape == (16, both[name].n_samples)
        assert np.allclose(run.per_prompt, wanted.mean(axis), atol=1e-11)
        assert np.allclose(run.values, wanted.mean((1, 2)))
    assert cx.TrainingGame(training, groups).columns == "tests"
    assert cx.TrainingGame(training, groups, seeds=2).columns == "seeds"


def test_how_many_run_at_once_changes_nothing():
    training = make()
    games = [cx.TrainingGame(training, seeds=2, runs_at_once=size) for size in (1, 5, None)]
    masks = cx.sample_masks(training.n_examples, 11, seed=0)
    values = [game.evaluate(masks, progress=False).per_prompt for game in games]
    assert np.allclose(values[0], values[1], atol=1e-12)
    assert np.allclose(values[0], values[2], atol=1e-12)
    again = cx.TrainingGame(training, seeds=2).evaluate(masks, progress=False).per_prompt
    assert np.array_equal(values[2], again)


def test_gradients_are_sums_over_the_examples_of_a_player():
    training, gates = make(steps=6, batch_size=None), np.random.default_rng(0).random((3, 4))
    groups = [list(range(i, 24, 4)) for i in range(4)]
    game = cx.TrainingGame(training, groups, seeds=2, gradients=True)
    run = game.evaluate(gates, gradients=True, progress=False)
    for i in range(4):
        step = np.eye(4)[i] * 1e-5
        numeric = (game.evaluate(gates + step, progress=False).values - game.evaluate(gates - step).values) / 2e-5
        assert np.allclose(run.gradients[:, i], numeric, atol=1e-5)
    with pytest.raises(NoGradientError, match="gradients=True"):
        cx.TrainingGame(training, groups).evaluate(gates, gradients=True)
    with pytest.raises(UserError, match="accuracy has no gradient"):
        cx.TrainingGame(make(metric="accuracy"), groups, gradients=True)


def test_store_goes_on_where_it_stopped_and_knows_what_changed(tmp_path):
    path, masks = tmp_path / "runs.sqlite", ALL
    first = cx.TrainingGame(make(), [[0], [1], [7], [13]], seeds=2, store=path)
    values = first(masks)
    again = cx.TrainingGame(make(), [[0], [1], [7], [13]], seeds=2, store=path)
    assert np.array_equal(again(masks), values)
    assert (again.n_run, again.n_stored) == (0, 16)
    groups = [[0], [1], [7], [13]]
    others = [
        cx.TrainingGame(make(steps=13), groups, seeds=2, store=path),
        cx.TrainingGame(make(optimizer=Adam(0.06)), groups, seeds=2, store=path),
        cx.TrainingGame(make(optimizer=SGD(0.05)), groups, seeds=2, store=path),
        cx.TrainingGame(make(metric="accuracy"), groups, seeds=2, store=path),
        cx.TrainingGame(make(), [[0], [1], [7], [14]], seeds=2, store=path),
        cx.TrainingGame(make(), groups, seeds=[0, 2], store=path),
        cx.TrainingGame(make(), groups, seeds=2, columns="tests", store=path),
    ]
    for other in others:
        other(masks[:2])
        assert other.n_run == 2


def test_a_store_needs_a_name_for_code_of_ones_own(tmp_path):
    training = make(loss=lambda outputs, y: nn.functional.cross_entropy(outputs, y, reduction="none"))
    with pytest.raises(UserError, match="name it"):
        cx.TrainingGame(training, store=tmp_path / "a")
    with pytest.raises(UserError, match="name it"):
        cx.TrainingGame(additive, 4, store=tmp_path / "a")
    game = cx.TrainingGame(TrainFunction(additive, workers=0, name="additive 1"), 4, store=tmp_path / "a")
    assert np.array_equal(game(ALL), game(ALL))
    assert (game.n_run, game.n_stored) == (16, 16)


def test_processes_give_what_this_process_gives():
    pooled = cx.TrainingGame(TrainFunction(with_seed, n_values=2, workers=2), 4, seeds=3, columns="tests")
    here = cx.TrainingGame(TrainFunction(with_seed, n_values=2, workers=0), 4, seeds=3, columns="tests")
    assert np.array_equal(pooled.evaluate(ALL).per_prompt, here.evaluate(ALL).per_prompt)
    assert np.allclose(here.evaluate(ALL).values, [additive(mask) for mask in ALL])


def test_runs_that_fail_are_tried_again_named_and_the_others_kept(tmp_path):
    function = TrainFunction(functools.partial(moody, str(tmp_path)), workers=2, name="moody")
    game = cx.TrainingGame(function, ["a", "b", "c", "d"], store=tmp_path / "runs.sqlite")
    with pytest.raises(TrainingError) as caught:
        game(ALL)
    error, message = caught.value, str(caught.value)
    fails = ~(ALL[:, 0] & ALL[:, 2])
    assert sorted(map(tuple, error.masks.tolist())) == sorted(map(tuple, ALL[fails].tolist()))
    assert len(error.finished) == (~fails).sum()
    assert "12 of 16 trainings failed after 2 attempts (the others are kept)" in message
    assert "with nothing: ValueError: the disk is on fire (training_functions.py, line " in message
    assert "\n" not in message
    assert np.allclose(error.finished.values, [additive(mask) for mask in error.finished.masks])
    assert (tmp_path / "tried").exists()
    assert np.allclose(game(ALL[~fails]), [additive(mask) for mask in ALL[~fails]])
    assert game.n_stored == 4
    with pytest.raises(TrainingError, match="without c: gave nan"):
        game(np.array([[1, 1, 0, 1]], dtype=bool))


def test_a_process_that_dies_takes_no_other_run_with_it():
    game = cx.TrainingGame(TrainFunction(deadly, workers=2, retries=0), 4)
    with pytest.raises(TrainingError, match=r"2 of 6 trainings failed \(.*finished\).*its process died") as caught:
        game(ALL[[0, 1, 3, 5, 9, 14]])
    assert np.allclose(caught.value.finished.values, [additive(mask) for mask in caught.value.finished.masks])


@pytest.mark.long
def test_one_thread_a_process():
    run = cx.TrainingGame(TrainFunction(threads, n_values=2, workers=1), 4).evaluate(ALL[:1])
    assert run.per_prompt.tolist() == [[1.0, 1.0]]


def test_a_training_that_diverges_is_named(tmp_path):
    x, y = classes()
    x[6] *= -1e200  # what a step on it leads to overflows
    training = cx.Training(network, (x, y), classes(3, seed=1), optimizer=SGD(1e10), steps=5)
    game = cx.TrainingGame(training, [[6], [7], [13]], store=tmp_path / "a")
    masks = np.array([[0, 1, 1], [1, 1, 1], [1, 0, 1]], dtype=bool)
    with pytest.raises(TrainingError, match=r"2 of 3 trainings failed .*it diverged to NaN") as caught:
        game(masks)
    assert caught.value.finished.masks.tolist() == [[False, True, True]]
    assert game.store.games()[0].n_ablations == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cx.TrainingGame(lambda mask: 1.0, 3), "can't be sent to other processes"),
        (lambda: cx.TrainingGame(TrainFunction(additive, workers=-1), 3), "workers must be at least 0"),
        (lambda: cx.TrainingGame(TrainFunction(3), 3), "must be a function of a mask, not int"),
        (lambda: cx.TrainingGame(additive), "players of a training function"),
        (lambda: cx.TrainingGame(additive, ["a", "a"]), "different names"),
        (lambda: cx.TrainingGame(make(), seeds=0), "seeds must be at least 1, not 0"),
        (lambda: cx.TrainingGame(make(), seeds=[1, 1]), "all different"),
        (lambda: cx.TrainingGame(make(), columns="prompts"), "'seeds' or 'tests'"),
        (lambda: cx.TrainingGame(make(), runs_at_once=0), "runs_at_once"),
        (lambda: cx.TrainingGame(additive, 3, gradients=True), "no gradients"),
        (lambda: cx.TrainingGame(make())(np.ones((2, 5), dtype=bool)), "5 columns, but there are 24"),
        (lambda: cx.TrainingGame(TrainFunction(additive, workers=0), 4)(np.full((1, 4), 0.5)), "True or False"),
        (
            lambda: cx.TrainingGame(
                cx.Training(network(), classes(), classes(), optimizer=Adam(), batch_size=None), seeds=2
            ),
            "seeds make no difference",
        ),
        (
            lambda: cx.TrainingGame(TrainFunction(additive, n_values=2, workers=0), 4)(ALL[:1]),
            "gave 1 values, not 2",
        ),
    ],
)
def test_wrong_calls_are_one_clear_line(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_functions_of_a_prompt_are_told_from_those_of_a_module(monkeypatch):

    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(additive, "__module__", "__main__")
    monkeypatch.setattr(pickle, "dumps", lambda function: b"")
    with pytest.raises(UserError, match="notebook or a prompt"):
        TrainFunction(additive)
    assert TrainFunction(additive, workers=0).n_workers == 0


def test_planted_groups_are_found():
    """Duplicates back each other up, wrong labels do harm, and the graph says so."""
    x, y = classes(8)
    rows = {c: np.flatnonzero(y == c).tolist() for c in range(4)}
    copies = range(len(x), len(x) + 8)
    wrong = range(len(x) + 8, len(x) + 24)
    train_x = np.concatenate([x, x[rows[0]], x[rows[3]], x[rows[3]]])
    train_y = np.concatenate([y, y[rows[0]], np.full(16, 2)])
    groups = {"first": rows[0], "copy": list(copies), "second": rows[1], "wrong": list(wrong)}
    groups |= {f"spare{i}": rows[2][2 * i : 2 * i + 2] for i in range(3)}
    training = cx.Training(
        network, (train_x, train_y), classes(10, seed=2), metric="accuracy", optimizer=Adam(0.1), steps=40
    )
    game = cx.TrainingGame(training, groups, seeds=3)
    found = cx.explain(game, budget=60, n_heldout=30, n_contexts=8, max_interactions=4, progress=False)
    strongest = found.circuit.interactions[0]
    assert set(strongest.components) == {"first", "copy"}
    assert strongest.relation.word == "backs up"
    assert len(strongest.per_prompt) == 3
    assert found.circuit.node("wrong").measured.high < 0
    assert {node.kind for node in found.circuit.nodes} == {"group"}


def test_a_script_ends_quietly(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, circuitspex as cx\n"
        "from circuitspex.games import TrainFunction\n"
        "def train(mask):\n    return float(mask.sum())\n"
        "if __name__ == '__main__':\n"
        "    game = cx.TrainingGame(TrainFunction(train, workers=1), 3)\n"
        "    print(game(np.eye(3, dtype=bool)).tolist())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == ("[1.0, 1.0, 1.0]\n", "", 0)

"""Arguments that once were misread, taken as they came, or met by a traceback: each is one line now, or is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import Faithfulness, Node, Series, examine
from circuitspex.errors import UserError
from circuitspex.games import GroupedGame, TrainFunction
from circuitspex.games.training import Adam

QUICK: dict[str, Any] = {"budget": 16, "n_heldout": 8, "n_contexts": 4, "progress": False}


def play(masks: Any) -> Any:
    return masks[:, 0] * 1.0


GAME = cx.FunctionGame(play, 3)
MASKS = cx.sample_masks(3, 20, seed=0)
DECODED = cx.decode(MASKS, play(MASKS), method="linear")
CIRCUIT = cx.Circuit((), (), Faithfulness(None, None, None, 0))

REFUSED: dict[str, tuple[Any, str]] = {
    "keep as text in an array": (lambda: cx.explain(play, n_players=3, keep=np.array([0.2, 0.8])), "keep"),
    "workers as a number": (lambda: cx.FunctionGame(play, 3, workers=2), "workers are a cx.RayWorkers, not '2'"),
    "directions": (lambda: cx.explain(play, n_players=3, workers=2), "workers are a cx.RayWorkers"),
    "store": (lambda: cx.FunctionGame(play, 3, store=4, identity="a"), "a store is a path"),
    "gradients": (lambda: cx.FunctionGame(play, 3, gradients=5), "gradients are a function"),
    "kind": (lambda: cx.FunctionGame(play, 3, kind=5), "texts"),
    "names of players": (lambda: cx.explain(play, names=8), "names are a list of texts"),
    "names": (lambda: cx.decode(MASKS, play(MASKS), names=6), "names are a list of texts"),
    "method": (lambda: cx.decode(MASKS, play(MASKS), method=["gp"]), "unknown method"),
    "half a component": (lambda: DECODED.coefficient(1.5), "must be a whole number"),
    "a truth value": (lambda: DECODED.coefficient(True), "must be a whole number"),
    "a tuple": (lambda: DECODED.effect((1, 2)), "must be a whole number"),
    "no players": (lambda: GroupedGame(GAME, [["a"], ["b"]]), "must be a whole number"),
    "no groups": (lambda: GroupedGame(GAME, [0, 1]), "groups are lists of players"),
    "groups of halves": (lambda: GroupedGame(GAME, [[0.9, 1], [2.5]]), "must be a whole number"),
    "groups": (lambda: GroupedGame(GAME, None), "groups are a list"),
    "names of groups": (lambda: GroupedGame(GAME, [[0], [1]], names=["", " "]), "different texts"),
    "seed of a design": (lambda: cx.CodedDesign.choose(6, 60, seed=-1), "seed"),
    "players of a design": (lambda: cx.CodedDesign.choose(6.0, 60), "must be a whole number"),
    "order of a design": (lambda: cx.CodedDesign.choose(20, 600, order=2.5), "must be a whole number"),
    "masks of a design": (lambda: cx.CodedDesign.choose(6, 10**12), "too many"),
    "cpus": (lambda: cx.RayWorkers("local:1", cpus="a"), "cpus must be a number"),
    "address": (lambda: cx.RayWorkers(5), "an address of workers is a text"),
    "patience": (lambda: cx.RayWorkers("local:1", patience=None), "patience must be a number"),
    "rate": (lambda: Adam("x"), "must be a number"),
    "values": (lambda: TrainFunction(play, n_values="a"), "must be a whole number"),
    "description": (lambda: CIRCUIT.described(None), "a description is what circuit.describe gives"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_line(name: str) -> None:
    call, line = REFUSED[name]
    with pytest.raises(UserError, match=line) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.fixture
def task(tiny: SimpleNamespace) -> Any:
    return tiny.task(tiny.bridge("llama"), (5, 4, 6))


def test_prompts_are_chosen_by_a_mask_or_by_whole_numbers(task: cx.Task) -> None:
    wanted = [task.prompts[1], task.prompts[2]]
    for chosen in ([1, 2], np.array([False, True, True]), [False, True, True], torch.tensor([1, 2]), np.arange(1, 3)):
        assert list(task.subset(chosen).prompts) == wanted
    for wrong in ([0.7], ["1"], [True], [3], [], [-1]):
        with pytest.raises(UserError):
            task.subset(wrong)


def test_seeds_of_numpy_are_seeds(tiny: SimpleNamespace, task: cx.Task) -> None:
    model = tiny.bridge("llama")
    for one, other in zip(task.split(0.4, seed=np.int64(3)), task.split(0.4, seed=3), strict=True):
        assert one.prompts == other.prompts
    for wrong in (None, -1, 1.5, "a"):
        with pytest.raises(UserError, match="seed"):
            task.split(0.4, seed=wrong)
    with pytest.raises(UserError, match="holdout must be a number"):
        task.split("a")
    found = [cx.find_circuit(model, task, "L0.heads", seed=seed, **QUICK) for seed in (3, np.int64(3))]
    assert found[0].run == found[1].run
    few = {"budget": None, "baseline": None, "timed": 2}
    assert cx.plan(model, task, "L0.heads", seed=np.int64(3), **few).stages[0].ablations == 100


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_of_a_search(tiny: SimpleNamespace, tmp_path: Path) -> None:
    model = tiny.bridge("llama")
    both = tiny.task(model, (5, 4, 6, 5, 4))
    task, heldout = both.subset([0, 1, 2]), both.subset([3, 4])
    found = cx.find_circuit(model, task, "L0.heads", directions=np.True_, **QUICK)
    found.circuit.save(tmp_path / "circuit.json")
    circuit = replace(found.circuit, nodes=(Node("L0H1", 0, "head", 1.0),))
    with pytest.raises(UserError, match="directions must be True or False"):
        cx.find_circuit(model, task, "L0.heads", directions="no", **QUICK)
    game = cx.ComponentGame(model, task, "L0.heads")
    for wrong in (None, "ioi"):
        with pytest.raises(UserError, match="heldout is a task"):
            examine(game, circuit, found.interactions, wrong)
    for what in ("components", "baseline"):
        with pytest.raises(UserError, match=f"a game has its own {what}"):
            cx.attribution_scores(game, **{what: "mlps" if what == "components" else "zero"})
    for rows in (2.5, "x", True, 0):
        with pytest.raises(UserError, match="batch_rows"):
            cx.ComponentGame(model, task, "L0.heads", batch_rows=rows)
    one = cx.ComponentGame(model, task.subset([0]), "L0.heads")
    with pytest.raises(UserError, match="with one prompt there is no part"):
        examine(one, circuit, found.interactions, heldout, stability=1)
    assert examine(game, circuit, found.interactions, heldout, stability=1, seed=2**63 - 1, progress=False).stability


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_of_a_series(tiny: SimpleNamespace, task: cx.Task, tmp_path: Path) -> None:
    models = {1000: tiny.bridge("llama"), 2000: tiny.bridge("llama", seed=1)}
    quick = {name: value for name, value in QUICK.items() if name != "n_heldout"}
    found = cx.compare_series(models, task, "L0.heads", decode_at=[1000], **quick)
    assert [point.name for point in found.points] == ["1000", "2000"]
    assert Series.load(found.save(tmp_path / "series.json")) == found
    found.plot(tmp_path / "series.png")
    with pytest.raises(UserError, match="a mapping from the names of checkpoints"):
        cx.compare_series(list(models.values()), task, "L0.heads", **quick)
    for wrong in ("1000", []):
        with pytest.raises(UserError, match="decode_at is a list"):
            cx.compare_series(models, task, "L0.heads", decode_at=wrong, **quick)


def test_of_words(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    game = cx.TokenGame(model, "w1 w2 w3", " w4", ablate="token", token=np.int64(5))
    assert game(np.zeros((1, 3), dtype=bool)) == cx.TokenGame(model, "w1 w2 w3", " w4", ablate="token", token=5)(
        np.zeros((1, 3), dtype=bool)
    )
    with pytest.raises(UserError, match="at least 1"):
        game.top_predictions(-1)
    with pytest.raises(UserError, match="part is a piece"):
        cx.TokenGame(model, "w1 w2 w3", " w4", part=3)
    with pytest.raises(UserError, match="batch_rows"):
        cx.TokenGame(model, "w1 w2 w3", " w4", batch_rows=2.5)

"""What an earlier process proved of the same weights is not tried again; of others, and by other versions, it is."""

from __future__ import annotations

import copy
import importlib

import pytest
import torch

import circuitspex as cx
from circuitspex.ablation.executors import agreement
from circuitspex.components import model_structure
from circuitspex.components.proof.what_is_proved import as_text, from_text
from circuitspex.models import first_run, remembered

proofs = importlib.import_module("circuitspex.components.proof.proofs")


@pytest.fixture
def memory(monkeypatch, tmp_path):
    """An empty memory, switched on."""
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "on")
    return tmp_path / "cache" / remembered.FOLDER


@pytest.fixture
def tried(monkeypatch):
    """The names of the trials that were run."""
    found = []

    def counted(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kwargs: (found.append(name), real(*args, **kwargs))[1])

    for module, name in ((proofs, "_prove"), (agreement, "_reason"), (first_run, "check_runs")):
        counted(module, name)
    return found


def game_values(model, tiny):
    """A few values, played by a game that is made ready now."""
    game = cx.ComponentGame(model, tiny.task(model), "heads", executor="fused")
    return game(cx.sample_masks(game.n_players, 6, seed=0)).tolist()


@pytest.fixture
def folder(tiny, tmp_path):
    """A model on disk."""
    tiny.hf_model("llama").save_pretrained(tmp_path / "model")
    tiny.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_second_start_tries_nothing_and_gives_the_same(memory, tried, folder, tiny, monkeypatch) -> None:
    first = game_values(cx.load_model(folder), tiny)
    assert sorted(tried) == ["_prove", "_reason", "check_runs"]
    tried.clear()
    assert game_values(cx.load_model(folder), tiny) == first
    assert tried == []
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "off")
    assert game_values(cx.load_model(folder), tiny) == first
    assert sorted(tried) == ["_prove", "_reason", "check_runs"]


def test_other_weights_and_other_versions_are_tried(memory, tried, folder, tiny, monkeypatch) -> None:
    model = cx.load_model(folder)
    game_values(model, tiny)
    tried.clear()
    with torch.no_grad():
        model.original_model.get_input_embeddings().weight[3] += 0.5
    game_values(model, tiny)
    assert sorted(tried) == ["_prove", "_reason"]
    for package in ("torch", "transformers", "transformer-lens", "circuitspex"):
        tried.clear()
        with monkeypatch.context() as patched:
            here = {**remembered.surroundings(), package: "0.0"}
            patched.setattr(remembered, "surroundings", lambda here=here: here)
            game_values(cx.load_model(folder), tiny)
        assert sorted(tried) == ["_prove", "_reason", "check_runs"], package


def test_damaged_findings_are_found_anew(memory, tried, folder, tiny) -> None:
    first = game_values(cx.load_model(folder), tiny)
    for file in memory.iterdir():
        file.write_bytes(file.read_bytes()[:-3])
    tried.clear()
    assert game_values(cx.load_model(folder), tiny) == first
    assert sorted(tried) == ["_prove", "_reason", "check_runs"]
    tried.clear()
    assert game_values(cx.load_model(folder), tiny) == first
    assert tried == []


def test_a_model_with_a_hook_is_always_tried(memory, tried, folder, tiny) -> None:
    game_values(cx.load_model(folder), tiny)
    model = cx.load_model(folder)
    tried.clear()
    model.original_model.register_forward_hook(lambda module, args, output: None)
    cx.ComponentGame(model, tiny.task(model), "heads")
    assert "_prove" in tried


@pytest.mark.parametrize("family", ["llama", "gpt2", "deepseek_v3", "mixtral", "gemma2"])
def test_proofs_come_back_from_text(family, tiny) -> None:
    model = tiny.fresh_bridge(family)
    model_structure(model)
    for _, found in proofs._known[model].values():
        assert from_text(as_text(found), found.mixtures) == found


def test_baselines_and_the_report_come_back(memory, folder, tiny, monkeypatch) -> None:
    from circuitspex.ablation import baseline_activations
    from circuitspex.tasks import task as tasks

    def found():
        model = cx.load_model(folder)
        task = tiny.task(model)
        report = copy.deepcopy(task.report(model))
        values = {}
        for baseline in ("mean", "resample"):
            game = cx.ComponentGame(model, task, "heads+neurons:16", baseline)
            values[baseline] = game(cx.sample_masks(game.n_players, 6, seed=0)).tolist()
        return report, values

    first = found()

    def never(*args, **kwargs):
        raise AssertionError("run again")

    monkeypatch.setattr(baseline_activations, "_passed", never)
    monkeypatch.setattr(tasks, "run_plain", never)
    assert found() == first

"""Compiled programs: the files are the programs, their circuit is what the compiler says, and ``auto`` finds it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import circuitspex as cx

sys.path.insert(0, str(Path(__file__).parent))
import compiled
import known

BUDGET, KEEP = 128, 0.6


@pytest.fixture(scope="module", params=sorted(compiled.PROGRAMS))
def program(request):
    """Its name, its game, and the components that the compiler put something in."""
    model = compiled.build(request.param)
    game = cx.ComponentGame(model, compiled.task(request.param, model), "heads+mlps")
    return request.param, game, set(compiled.PROGRAMS[request.param]["circuit"])


def test_the_model_computes_what_the_program_means(program):
    name, game, _ = program
    said, words = compiled.outputs(name), compiled.PROGRAMS[name]["vocabulary"]
    tokens = torch.tensor([game.model.tokenizer(f"bos {text}")["input_ids"] for text in said])
    outputs = [place for place, word in enumerate(words) if word.startswith("=")]
    with torch.no_grad():
        best = game.model(tokens)[:, -1, outputs].argmax(-1)
    assert [words[outputs[i]] for i in best] == list(said.values())


@pytest.mark.some(3)
def test_a_component_matters_under_some_mask_if_and_only_if_the_compiler_used_it(program):
    _, game, circuit = program
    n = game.n_players
    masks = known.all_masks(n) if n <= 9 else cx.sample_masks(n, 200, keep=0.8, seed=0)
    values = game(np.concatenate([masks, *(masks ^ (np.arange(n) == i) for i in range(n))])).reshape(n + 1, -1)
    changes = np.abs(values[1:] - values[0]).max(1)
    assert {name for name, change in zip(game.names, changes, strict=True) if change > 0.01} == circuit
    assert changes[[name not in circuit for name in game.names]].max(initial=0.0) < 1e-5


@pytest.mark.some(3)
@pytest.mark.parametrize("seed", range(4))
def test_auto_names_the_components_of_the_program(program, seed):
    _, game, circuit = program
    score = known.Score.of(known.recovered(known.decoded(game, "auto", BUDGET, seed, KEEP)).nodes, circuit)
    assert score.precision >= 0.95
    assert score.recall >= 0.95


def test_attribution_patching_misses_steps_that_only_work_together():
    model = compiled.build("rare")
    game = cx.ComponentGame(model, compiled.task("rare", model), "heads+mlps")
    assert known.patched(game) < set(compiled.PROGRAMS["rare"]["circuit"])

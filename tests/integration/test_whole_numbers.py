"""What counts something takes whole numbers only, and says so in one line before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits.evidence._verify import verify
from circuitspex.errors import UserError


@pytest.mark.parametrize("wrong", [2.5, "3", True, 0, -1, 10**40])
@pytest.mark.parametrize("name", ["ioi", "capitals", "greater_than"])
def test_prompts(tiny, wrong: Any, name: str):
    with pytest.raises(UserError, match="n_prompts must be"):
        getattr(cx.tasks, name)(tiny.bridge("llama"), n_prompts=wrong)


@pytest.mark.parametrize("wrong", [2.5, "3", -1])
def test_seeds(tiny, wrong: Any):
    with pytest.raises(UserError, match="seed must be"):
        cx.tasks.ioi(tiny.bridge("llama"), seed=wrong)


@pytest.mark.parametrize("wrong", [2.5, "3", 0])
def test_random_circuits(wrong: Any):
    with pytest.raises(UserError, match="n_random must be"):
        verify(lambda masks: np.zeros((len(masks), 2)), 4, [0], n_random=wrong)


def trained(mask: Any, seed: int) -> float:
    return 0.0


@pytest.mark.parametrize("wrong", [2.5, "12", 0, [1, 1], [0, 1.5], []])
def test_seeds_of_trainings(wrong: Any):
    with pytest.raises(UserError, match="seed"):
        cx.TrainingGame(trained, 3, seeds=wrong)


@pytest.mark.parametrize("wrong", [1.5, "2", 0])
def test_trainings_at_once(wrong: Any):
    with pytest.raises(UserError, match="runs_at_once must be"):
        cx.TrainingGame(trained, 3, runs_at_once=wrong)

"""Games of edges on tiny random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

TOKEN = 7


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    """One logit: a metric with a slope everywhere."""
    return logits[:, TOKEN]


@pytest.fixture
def edge_task(tiny: Any) -> Any:
    """A task of random words for a model, with that metric."""
    return lambda model, **options: tiny.task(model, metric=raw_logit, **options)


@pytest.fixture
def some_gates() -> Any:
    """Everything open, everything closed, random masks of several shares, and interior gates."""

    def gates(n: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        rows = [np.ones(n), np.zeros(n), rng.random(n) < 0.9, rng.random(n) < 0.3, rng.random(n)]
        return np.stack(rows).astype(float)

    return gates


@pytest.fixture
def exact_bridge(tiny: Any, request: pytest.FixtureRequest) -> Any:
    """From a family to its tiny model in float64, norms and softmaxes in double precision too."""

    def make(family: str) -> Any:
        model = tiny.fresh_bridge(family, dtype=torch.float64)
        request.getfixturevalue("exact")
        return model

    return make

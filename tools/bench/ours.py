"""This library's decoders, as a worker fits them."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import circuitspex as cx


@dataclass(frozen=True)
class Fit:
    """A fitted function, and its own estimate of its R²: the estimate and the ends of its interval."""

    predict: Callable[..., Any]
    estimate: list[float] | None


def available() -> tuple[list[str], str]:
    """Which columns can be fitted here, and with what."""
    keys = ["linear", "proxyspex", "auto", "gradspex", "auto+gradients"]
    try:
        from circuitspex import spex  # noqa: F401

        keys.append("spex")
    except ImportError:
        pass
    _warm_up()
    return keys, f"circuitspex {cx.__version__} on Python {platform.python_version()}"


def fit(key: str, budget: int, seed: int, **given: Any) -> Fit:
    """Fit one column on ``masks``, ``values`` and perhaps ``gradients``, or on a ``game``."""
    if key == "spex":
        from circuitspex import spex

        found = spex(given["game"], budget, seed=seed)
    else:
        found = cx.decode(**given, method=key.removesuffix("+gradients"), seed=seed)
    score = getattr(found, "cross_validated", None)
    estimate = None if score is None or score.r2 is None else [score.r2, score.low, score.high]
    return Fit(found.predict, estimate)


def _warm_up() -> None:
    """One small fit, so that no column is charged for imports."""
    masks = np.random.default_rng(0).random((40, 6)) < 0.5
    cx.decode(masks, masks[:, 0] + masks[:, 1] * masks[:, 2], gradients=masks.astype(float))

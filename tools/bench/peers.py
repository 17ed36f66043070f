"""The peers' decoders, as a worker fits them: shapiq's ProxySPEX, and its SPEX, which is sparse-transform's.

Needs numpy, shapiq 1.8 or later (for Python 3.12 or later) and lightgbm, and not this library.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import shapiq
from shapiq.approximator import SPEX, ProxySPEX
from shapiq.approximator.sparse import base as sparse_base

Coefficients = dict[tuple[int, ...], float]


class _FittedError(Exception):
    """Carries the Fourier coefficients out of an approximator.

    Raised in place of its conversion to an interaction index: that leaves out orders above ``max_order`` and is not
    needed for predictions, fails at n >= 1024, and isn't counted as its time.
    """

    def __init__(self, coefficients: Coefficients) -> None:
        super().__init__()
        self.coefficients = coefficients


@dataclass(frozen=True)
class Fit:
    """Fourier coefficients: a sum of parities, in which each kept component counts as -1."""

    coefficients: Coefficients
    estimate: None = None

    def predict(self, masks: np.ndarray) -> np.ndarray:
        signs = np.where(masks, -1.0, 1.0)
        out = np.zeros(len(masks))
        for members, weight in self.coefficients.items():
            out += weight * signs[:, list(members)].prod(1)
        return out


def available() -> tuple[list[str], str]:
    """Which columns can be fitted here, and with what."""
    import lightgbm  # without it ProxySPEX quietly becomes a single decision tree

    _warm_up()
    about = f"shapiq {shapiq.__version__} with LightGBM {lightgbm.__version__} on Python {platform.python_version()}"
    return ["shapiq", "shapiq-search", "shapiq-spex"], about


def fit(key: str, budget: int, seed: int, **given: Any) -> Fit:
    """Fit one column on ``masks`` and ``values``, or on a ``game``."""
    if key == "shapiq-spex":
        return _spex(given["game"], budget, seed)
    return _proxyspex(given["masks"], given["values"], seed, search=key == "shapiq-search")


def _warm_up() -> None:
    """One small fit, so that no column is charged for imports and compiling. (SPEX compiles anew for each n.)"""
    masks = np.random.default_rng(0).random((80, 6)) < 0.5
    _proxyspex(masks, masks[:, 0] + masks[:, 1] * masks[:, 2], 0, search=False)


def _raise_fitted(coefficients: Coefficients, *_: object) -> Any:
    raise _FittedError(dict(coefficients))


def _coefficients(approximate: Callable[[], object]) -> Fit:
    try:
        approximate()
    except _FittedError as fitted:
        return Fit(fitted.coefficients)
    raise RuntimeError("this version of shapiq does not convert Fourier coefficients where it is expected to")


def _proxyspex(masks: np.ndarray, values: np.ndarray, seed: int, *, search: bool) -> Fit:
    n = masks.shape[1]
    # The weights of coalition sizes are not used; their default, binomials, overflows at n >= 1024.
    peer = ProxySPEX(n=n, max_order=1, hpo=search, random_state=seed, sampling_weights=np.ones(n + 1))
    # One thread: LightGBM takes as many as there are cores, whatever the environment says, and they fight each other.
    prefix = "estimator__" if search else ""
    peer.proxy_model.set_params(**{f"{prefix}n_jobs": 1, f"{prefix}verbose": -1})
    # It samples through this object: given masks instead of its own. Both are uniform.
    peer._sampler = SimpleNamespace(sample=lambda _: None, coalitions_matrix=masks)
    peer.fourier_to_moebius = _raise_fitted
    return _coefficients(lambda: peer.approximate(len(masks), lambda _: values))


def _spex(game: Callable[[np.ndarray], np.ndarray], budget: int, seed: int) -> Fit:
    # It ignores its random state and draws from the global generators.
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    convert, sparse_base.fourier_to_moebius = sparse_base.fourier_to_moebius, _raise_fitted
    try:
        return _coefficients(lambda: SPEX(n=game.n_players, max_order=1, random_state=seed).approximate(budget, game))
    finally:
        sparse_base.fourier_to_moebius = convert

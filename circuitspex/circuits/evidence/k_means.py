"""k-means of many samples at once, without chance: each k starts from the k - 1 before, its widest cluster cut in two.

The test of clusters needs it thousands of times on a few dozen points, for which a library's call costs more than the
work; clusters are cut along their first principal direction, as in Boley's principal direction divisive partitioning
(1998), and then follow Lloyd's iteration.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from circuitspex.typing import FloatArray, IntArray

_STEPS = 12


def k_means(samples: Float[FloatArray, "S P T"], most: int) -> list[Int[IntArray, "S P"]]:
    """The clusters of each point, for each number of clusters from 2 to ``most``; a cluster may become empty."""
    labels, found = np.zeros(samples.shape[:2], dtype=np.int64), []
    for k in range(2, most + 1):
        widest = _within(samples, labels, k - 1).argmax(1)
        members = labels == widest[:, None]
        centred = samples - _means(samples, labels, k - 1)[np.arange(len(samples)), widest][:, None]
        along = _along(np.where(members[:, :, None], centred, 0.0))
        labels = _lloyd(samples, np.where(members & (along > 0), k - 1, labels), k)
        found.append(labels)
    return found


def _along(centred: FloatArray) -> FloatArray:
    """The place of each point along the first principal direction, ``(S, P)``, by power iteration."""
    farthest = (centred**2).sum(2).argmax(1)
    direction = centred[np.arange(len(centred)), farthest]
    for _ in range(_STEPS):
        direction = ((centred @ direction[:, :, None]).swapaxes(1, 2) @ centred)[:, 0]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-300
    return np.asarray((centred @ direction[:, :, None])[:, :, 0])


def _lloyd(samples: FloatArray, labels: Int[IntArray, "S P"], k: int) -> Int[IntArray, "S P"]:
    for _ in range(_STEPS):
        means = _means(samples, labels, k)
        # |x - m|² without the part that is the same for all clusters.
        far = (means**2).sum(2)[:, None] - 2 * samples @ means.swapaxes(1, 2)
        empty = ~(labels[:, :, None] == np.arange(k)).any(1)
        new = np.where(empty[:, None], np.inf, far).argmin(2)
        if np.array_equal(new, labels):
            break
        labels = new
    return labels


def _means(samples: FloatArray, labels: Int[IntArray, "S P"], k: int) -> FloatArray:
    inside = (labels[:, None] == np.arange(k)[:, None]).astype(np.float64)
    return np.asarray(inside @ samples / np.maximum(inside.sum(2, keepdims=True), 1.0))


def _within(samples: FloatArray, labels: Int[IntArray, "S P"], k: int) -> FloatArray:
    """The sum of squares around its mean of each cluster, ``(S, k)``."""
    inside = (labels[:, None] == np.arange(k)[:, None]).astype(np.float64)
    squares = (inside @ (samples**2).sum(2)[:, :, None])[:, :, 0]
    return np.asarray(squares - inside.sum(2) * (_means(samples, labels, k) ** 2).sum(2))

"""Interactions measured on the model itself, by paired ablations.

For a set S in a context (a random mask of all components) the model is run with every on/off combination of S. With
``s_i = +1`` where the context keeps i and ``-1`` where not, and ``f(x^T)`` the metric with T flipped,

    D_S = prod over i in S of s_i * sum over T subset of S of (-1)^|T| f(x^T)

is the |S|-fold difference between kept and ablated. Its mean over contexts is the effect. Flips are shared: a pair in a
context needs its two single flips, which are the main effects of its members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import t as student

from circuitspex.circuits.circuit import Estimate
from circuitspex.errors import UserError
from circuitspex.typing import FloatArray, Masks, PerPrompt, Term

PerPromptGame = Callable[[Masks], PerPrompt]


def measure(evaluate: PerPromptGame, sets: Sequence[Term], contexts: Masks) -> dict[Term, FloatArray]:
    """The |S|-fold difference of each set, in each context and on each prompt.

    Args:
        evaluate: masks ``(K, n)`` in, the metric ``(K, P)`` out.
        sets: component indices of each set; at least one component each.
        contexts: bool ``(C, n)``, the masks around which the sets are switched.

    Returns:
        For each set an array ``(C, P)``.

    Raises:
        UserError: no contexts, or an empty set.
    """
    if len(contexts) == 0 or any(len(members) == 0 for members in sets):
        raise UserError("measuring needs at least one context, and sets of at least one component")
    flips = {subset for members in sets for size in range(len(members) + 1) for subset in combinations(members, size)}
    places = {subset: place for place, subset in enumerate(sorted(flips, key=lambda subset: (len(subset), subset)))}
    masks = np.repeat(contexts[:, None], len(places), axis=1)
    for subset, place in places.items():
        masks[:, place, list(subset)] ^= True
    flat = masks.reshape(-1, contexts.shape[1])
    results = evaluate(flat).reshape(len(contexts), len(places), -1)
    out = {}
    for members in sets:
        sign = np.where(contexts[:, list(members)], 1.0, -1.0).prod(1)[:, None]
        total = np.zeros_like(results[:, 0])
        for size in range(len(members) + 1):
            for subset in combinations(members, size):
                total += (-1) ** size * results[:, places[subset]]
        out[tuple(members)] = sign * total
    return out


def estimate(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """The mean of ``(C, P)`` numbers over contexts and prompts, with an interval for both being samples.

    The variance is that of the means over contexts plus that of the means over prompts (Owen, 'The pigeonhole
    bootstrap', 2007; a little wide rather than narrow), the degrees of freedom Satterthwaite's. With one prompt only
    contexts count, with one context only prompts.

    Raises:
        UserError: one context and one prompt; nothing tells how much the number varies.
    """
    n_contexts, n_prompts = differences.shape
    parts = []
    for axis, count in ((1, n_contexts), (0, n_prompts)):
        if count > 1:
            parts.append((float(differences.mean(axis).var(ddof=1)) / count, count - 1))
    if not parts:
        raise UserError("an interval needs at least two contexts or two prompts")
    variance = sum(part for part, _ in parts)
    mean = float(differences.mean())
    if variance == 0:
        return Estimate(mean, mean, mean)
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    half = float(student.ppf(0.5 + confidence / 2, freedom)) * variance**0.5
    return Estimate(mean, mean - half, mean + half)

"""Interactions measured on the model itself, by paired ablations.

For a set S in a context (a random mask of all components) the model is run with every on/off combination of S. With
``s_i = +1`` where the context keeps i and ``-1`` where not, and ``f(x^T)`` the metric with T flipped,

    D_S = prod over i in S of s_i * sum over T subset of S of (-1)^|T| f(x^T)

is the |S|-fold difference between kept and ablated. Its mean over contexts is the effect. Flips are shared: a pair in a
context needs its two single flips, which are the main effects of its members.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Literal, overload

import numpy as np
from scipy.stats import t as student

from circuitspex.circuits.circuit import Estimate
from circuitspex.errors import UserError
from circuitspex.typing import FloatArray, Masks, PerPrompt, Term

PerPromptGame = Callable[[Masks], PerPrompt]


@overload
def measure(evaluate: PerPromptGame, sets: Sequence[Term], contexts: Masks) -> dict[Term, FloatArray]: ...
@overload
def measure(
    evaluate: PerPromptGame, sets: Sequence[Term], contexts: Masks, *, tables: Literal[True]
) -> tuple[dict[Term, FloatArray], dict[Term, FloatArray]]: ...
def measure(
    evaluate: PerPromptGame, sets: Sequence[Term], contexts: Masks, *, tables: bool = False
) -> dict[Term, FloatArray] | tuple[dict[Term, FloatArray], dict[Term, FloatArray]]:
    """The |S|-fold difference of each set, in each context and on each prompt.

    Args:
        evaluate: masks ``(K, n)`` in, the metric ``(K, P)`` out.
        sets: component indices of each set; at least one component each.
        contexts: bool ``(C, n)``, the masks around which the sets are switched.
        tables: also give the mean metric of each on/off combination.

    Returns:
        For each set an array ``(C, P)``; with ``tables`` also, for each set, the ``2^|S|`` means in the order of
        ``itertools.product((False, True), repeat=|S|)``, False = ablated.

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
    out, means = {}, {}
    for members in sets:
        sign = np.where(contexts[:, list(members)], 1.0, -1.0).prod(1)[:, None]
        total = np.zeros_like(results[:, 0])
        for size in range(len(members) + 1):
            for subset in combinations(members, size):
                total += (-1) ** size * results[:, places[subset]]
        out[tuple(members)] = sign * total
        if tables:
            means[tuple(members)] = _table(results, places, tuple(members), contexts)
    return (out, means) if tables else out


def _table(results: FloatArray, places: dict[Term, int], members: Term, contexts: Masks) -> FloatArray:
    """The mean metric of each on/off combination over contexts and prompts."""
    here = contexts[:, list(members)]
    rows = np.arange(len(contexts))
    means = []
    for kept in product((False, True), repeat=len(members)):
        flips = here != np.array(kept)
        place = [places[tuple(itertools.compress(members, flip))] for flip in flips]
        means.append(float(results[rows, place].mean()))
    return np.array(means)


def estimate(differences: FloatArray, confidence: float = 0.95) -> Estimate:
    """The mean of ``(C, P)`` numbers over contexts and prompts, with an interval for both being samples.

    The variance is that of the means over contexts plus that of the means over prompts (Owen, 'The pigeonhole
    bootstrap', 2007; a little wide rather than narrow), the degrees of freedom Satterthwaite's. With one prompt only
    contexts count, with one context only prompts.

    Raises:
        UserError: one context and one prompt; nothing tells how much the number varies.
    """
    mean, error, freedom = moments(differences)
    half = 0.0 if error == 0 else float(student.ppf(0.5 + confidence / 2, freedom)) * error
    return Estimate(mean, mean - half, mean + half)


def moments(differences: FloatArray) -> tuple[float, float, float]:
    """The mean of ``(C, P)`` numbers, its standard error, and the degrees of freedom, as ``estimate`` has them.

    Raises:
        UserError: one context and one prompt.
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
        return mean, 0.0, 1.0
    return mean, variance**0.5, variance**2 / sum(part**2 / free for part, free in parts)

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

from circuitspex.errors import UserError
from circuitspex.games import per_prompt_of
from circuitspex.statistics import estimate as estimate
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
        evaluate: masks ``(K, n)`` in, the metric ``(K, P)`` out; or a game.
        sets: component indices of each set; at least one component each.
        contexts: bool ``(C, n)``, the masks around which the sets are switched.
        tables: also give the mean metric of each on/off combination.

    Returns:
        For each set an array ``(C, P)``; with ``tables`` also, for each set, the ``2^|S|`` means in the order of
        ``itertools.product((False, True), repeat=|S|)``, False = ablated.

    Raises:
        UserError: no contexts, or an empty set.
    """
    differences, cells = measure_cells(evaluate, sets, contexts)
    return (differences, {members: each.mean((1, 2)) for members, each in cells.items()}) if tables else differences


def measure_cells(
    evaluate: PerPromptGame, sets: Sequence[Term], contexts: Masks
) -> tuple[dict[Term, FloatArray], dict[Term, FloatArray]]:
    """The |S|-fold difference of each set ``(C, P)``, and the metric ``(2^|S|, C, P)`` under each on/off combination.

    Combinations are in the order of ``itertools.product((False, True), repeat=|S|)``, False = ablated.

    Raises:
        UserError: as in ``measure``.
    """
    if len(contexts) == 0 or any(len(members) == 0 for members in sets):
        raise UserError("measuring needs at least one context, and sets of at least one component")
    flips = {subset for members in sets for size in range(len(members) + 1) for subset in combinations(members, size)}
    places = {subset: place for place, subset in enumerate(sorted(flips, key=lambda subset: (len(subset), subset)))}
    masks = np.repeat(contexts[:, None], len(places), axis=1)
    for subset, place in places.items():
        masks[:, place, list(subset)] ^= True
    flat = masks.reshape(-1, contexts.shape[1])
    results = per_prompt_of(evaluate)(flat).reshape(len(contexts), len(places), -1)
    out, cells = {}, {}
    for members in sets:
        sign = np.where(contexts[:, list(members)], 1.0, -1.0).prod(1)[:, None]
        total = np.zeros_like(results[:, 0])
        for size in range(len(members) + 1):
            for subset in combinations(members, size):
                total += (-1) ** size * results[:, places[subset]]
        out[tuple(members)] = sign * total
        cells[tuple(members)] = _cells(results, places, tuple(members), contexts)
    return out, cells


def _cells(results: FloatArray, places: dict[Term, int], members: Term, contexts: Masks) -> FloatArray:
    """The metric ``(2^|S|, C, P)`` under each on/off combination."""
    here = contexts[:, list(members)]
    rows = np.arange(len(contexts))
    found = []
    for kept in product((False, True), repeat=len(members)):
        flips = here != np.array(kept)
        place = [places[tuple(itertools.compress(members, flip))] for flip in flips]
        found.append(results[rows, place])
    return np.stack(found)

"""``spex``: a game and a budget in, interactions out; the game is run on SPEX's own masks (arXiv 2502.13870)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from circuitspex.checks import plain
from circuitspex.errors import UserError
from circuitspex.masks.coded import CodedDesign
from circuitspex.recovery.decoders.spex import fit_spex
from circuitspex.recovery.interactions import Interactions
from circuitspex.recovery.result import (
    check_names,
    interactions_of,
    warn_of_fixed_components,
    warn_of_little,
)
from circuitspex.recovery.samples import Samples
from circuitspex.recovery.standard_form import fit_in_standard_form
from circuitspex.scale import MOST, check_seed, power_of_two, whole
from circuitspex.typing import Game, Masks, Values
from circuitspex.unmoved import one_blas_thread


def spex(
    game: Game | Callable[[Masks], Any],
    budget: int,
    *,
    seed: int = 0,
    batch_size: int = 256,
    names: Sequence[str] | None = None,
) -> Interactions:
    """Run a game on the masks of SPEX's coded design, and decode which components matter and which interact.

    Kang et al., 'SPEX: scaling feature interaction explanations for LLMs', ICML 2025, arXiv 2502.13870.

    Args:
        game: masks bool ``(k, n)``, True = kept, in; values ``(k,)`` out; with ``n_players``.
        budget: how many masks are run: exactly this many, at least 2.
        seed: for the design and the folds; the same seed gives the same result.
        batch_size: how many masks the game is called with at once.
        names: what the components are called; by default ``game.names``, or their indices. A plain function, without
            ``n_players``, has as many components as there are names.

    Returns:
        ``Interactions`` with ``method`` 'spex'.

    Raises:
        UserError: a budget below 2, a batch size below 1, a game that is not callable or without ``n_players``, values
            of another shape, or NaN or infinities among them (the first mask is named), wrong names.

    Warns:
        UserWarning: where the values do not vary, where components never change in the masks, and where little of
            them is explained.
    """
    n_players = getattr(game, "n_players", None)
    if n_players is None and names is not None and not isinstance(names, str):
        n_players = len(names)
    if not callable(game) or not isinstance(n_players, int | np.integer):
        raise UserError(
            "a game must be callable with masks and have n_players, its number of components; of a plain function give "
            "their names"
        )
    budget, batch_size = whole(budget, "budget", 2, MOST), whole(batch_size, "batch_size", 1, MOST)
    seed = check_seed(seed)
    labels = check_names(getattr(game, "names", None) if names is None else names, int(n_players))
    design = CodedDesign.choose(int(n_players), int(budget), seed=seed)
    values = evaluate(game, design, batch_size=int(batch_size))
    unit = power_of_two(values)
    samples = Samples.check(design.masks(), values, None, seed, unit=unit)
    warn_of_fixed_components(samples.x, labels)
    started = time.perf_counter()
    with one_blas_thread():
        fitted = fit_in_standard_form(samples, lambda part: fit_spex(part, design), reorder=False)
    seconds = time.perf_counter() - started
    result = interactions_of(fitted, samples, labels, "spex", n_gradients=0, seconds=seconds, unit=unit)
    warn_of_little(result)
    return result


def evaluate(game: Game | Callable[[Masks], Any], design: CodedDesign, *, batch_size: int = 256) -> Values:
    """The value of each of the design's masks, ``(K,)``, run in batches; stops at the first value that is not finite.

    Raises:
        UserError: values of another shape, or NaN or infinities (the first mask is named).
    """
    values = np.empty(design.n_masks)
    start = 0
    with tqdm(total=design.n_masks, desc="ablating", unit="ablation", disable=None, leave=False) as bar:
        for masks in design.batches(batch_size):
            values[start : start + len(masks)] = _values(game, masks, start)
            start += len(masks)
            bar.update(len(masks))
    return values


def _values(game: Game | Callable[[Masks], Any], masks: Masks, start: int) -> Values:
    given = game(masks)  # outside: what the game itself raises is its own
    try:
        values = np.asarray(plain(given), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the game could not give numbers for masks {start} to {start + len(masks) - 1}: {error}"
        ) from error
    if values.shape != (len(masks),):
        raise UserError(f"the game must give one value per mask, shape ({len(masks)},), not {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        n_kept = int(masks[wrong[0]].sum())
        raise UserError(
            f"the game gave {values[wrong[0]]} for mask {start + int(wrong[0])} "
            f"({n_kept} of {masks.shape[1]} components kept); all values must be finite"
        )
    return values

"""How much memory a search will take, said before anything runs, and how much it took."""

from __future__ import annotations

import sys

import psutil

from circuitspex.errors import UserError
from circuitspex.half_precision import HALF_FROM

# Bytes for each mask and component while decoding. Many components: the mask, the gradient in half precision, signs and
# slopes in single precision, and copies of those that are not looked at one by one, whole and without a fold. Few: the
# process on values and slopes keeps about a dozen arrays of that size on top.
_MANY, _FEW = 36, 160
# Bytes for each further mask and component: booleans, and the signs that predictions are made from.
_PLAIN = 11
# The same for masks that are measured: booleans, and packed bits to find those that were run before.
_MEASURED = 3
# Dictionaries of terms, for each component, in the fits without each fold and in the whole one.
_TERMS = 4_000


def memory_needed(n_players: int, budget: int, n_heldout: int, n_measured: int) -> int:
    """An upper estimate in bytes of what a search keeps besides the model and its batches, which take what is free.

    Args:
        n_players: components.
        budget: ablations to decode from, with gradients.
        n_heldout: further ablations.
        n_measured: ablations that measure the strongest parts again.
    """
    each = _MANY if n_players > HALF_FROM else _FEW
    return n_players * (budget * each + n_heldout * _PLAIN + n_measured * _MEASURED + _TERMS)


def check_memory(n_players: int, budget: int, n_heldout: int, n_measured: int, *, free: int | None = None) -> int:
    """The estimate, where it fits into the memory that is free.

    Raises:
        UserError: it does not; with the estimate, what is free, and what would help.
    """
    needed = memory_needed(n_players, budget, n_heldout, n_measured)
    free = int(psutil.virtual_memory().available) if free is None else free
    if needed > free:
        raise UserError(
            f"{n_players:,} components under {budget:,} ablations need about {_gb(needed)} of memory, and {_gb(free)} "
            "are free; a smaller budget, neurons in groups ('neurons:64'), some layers only, or coarse to fine "
            "(levels=['mlps', 'neurons']) would help"
        )
    return needed


def peak_memory() -> int | None:
    """The most bytes that this process has held so far; None where the system does not tell."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"

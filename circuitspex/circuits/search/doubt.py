"""Whether a search explains enough of the game for its parts to be trusted, by masks that no fit has seen."""

from __future__ import annotations

import warnings

from circuitspex.circuits.circuit import Faithfulness
from circuitspex.recovery import Interactions
from circuitspex.recovery.result import LOW_R2, LittleExplained, remedy


def warn_of_doubt(found: Faithfulness, decoded: Interactions) -> None:
    """Warn where the held-out R², or the lower end of its interval, is below one half, with what may help.

    Without held-out masks the cross-validated R² takes their place, and is called so.
    """
    spent, advice = f"from {decoded.n_ablations} ablations", remedy(decoded.likely_budget)
    if not found.n_masks:
        r2 = decoded.cross_validated.r2
        if r2 is not None and r2 < LOW_R2:
            _warn(f"the decoded function explains little: cross-validated R² {r2:z.2f} {spent}; {advice}")
    elif found.r2 is None:
        return  # nothing varies, which the decoder has said
    elif found.exact:
        if found.r2 < LOW_R2:
            _warn(f"the decoded function explains little: {found}; what is left are interactions that it does not have")
    elif found.r2 < LOW_R2:
        _warn(f"the decoded function explains little: {found} {spent}; {advice}")
    elif found.low is not None and found.low < LOW_R2:
        _warn(
            f"the decoded function may explain little: {found} {spent}; the interval reaches below {LOW_R2:g}, which "
            "more held-out masks would narrow and more ablations raise"
        )


def _warn(message: str) -> None:
    warnings.warn(message, LittleExplained, stacklevel=5)

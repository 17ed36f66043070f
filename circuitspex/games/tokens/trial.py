"""Whether batched passes give this model's own logits: tried before they are used."""

from __future__ import annotations

from collections.abc import Callable

import torch

from circuitspex.games.tokens.forward import BatchedPasses, HookedPasses
from circuitspex.models.in_float32 import asked_in_float32
from circuitspex.models.rounding import differ

_LONG = 256


def why_not(make: Callable[[], BatchedPasses], plain: HookedPasses, n_players: int) -> tuple[BatchedPasses | None, str]:
    """The batched passes where they agree with plain hooks on two masks, else None and the reason.

    The masks are every second player, and all players but those; of a long prompt only the first is tried.
    """
    gates = torch.ones((2, n_players + 1), device=plain.tokens.device, dtype=next(plain.model.parameters()).dtype)
    gates[0, :n_players:2] = 0
    gates[1, 1:n_players:2] = 0
    if len(plain.tokens) > _LONG:
        gates = gates[:1]

    def ask(wide: bool) -> tuple[BatchedPasses | None, str | None]:
        some, tried = gates.float() if wide else gates, make()
        # One by one under 'delete', which leaves different numbers of tokens; else together, as they will run.
        parts = [row[None] for row in some] if plain.ablate == "delete" else [some]
        wrong = differ(torch.cat([tried.logits(part) for part in parts]), plain.logits(some))
        return None if wide else tried, wrong  # what was made in float32 keeps numbers of float32

    try:
        with torch.inference_mode(False), torch.no_grad():
            made, wrong = asked_in_float32(plain.model, ask)
            if not wrong:
                return made or make(), ""
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return None, f"a batched pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    return None, f"a batched pass gave other logits ({wrong})"

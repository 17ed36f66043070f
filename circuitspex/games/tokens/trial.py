"""Whether batched passes give this model's own logits: tried before they are used."""

from __future__ import annotations

from collections.abc import Callable

import torch

from circuitspex.games.tokens.forward import BatchedPasses, HookedPasses

# How far logits may be from those of plain hooks, relative to their largest size: the operations are the same, and only
# the batching of matrix products may differ.
_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
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
    try:
        with torch.inference_mode(False), torch.no_grad():
            made = make()
            # One by one under 'delete', which leaves different numbers of tokens; else together, as they will run.
            parts = [row[None] for row in gates] if plain.ablate == "delete" else [gates]
            found = torch.cat([made.logits(part) for part in parts])
            wanted = plain.logits(gates)
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return None, f"a batched pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    gap = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))
    if not gap <= _TOLERANCE.get(wanted.dtype, 1e-4):
        return None, f"a batched pass gave other logits (relative difference {gap:.1e})"
    return made, ""

"""How much memory a pass takes for each of its rows, and how much a batch may take.

The estimates are of what is there at once in the worst block, read off the code and measured as the peak of a process
beside what it held before (``tools/bench/memory.py``, whose table is in docs/benchmarks/memory.md): on Llamas they were
at or above it in all but small batches.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from circuitspex.errors import UserError
from circuitspex.models.free_memory import free_memory
from circuitspex.models.protocol import Model

if TYPE_CHECKING:
    import torch

SHARE = 0.5
"""Share of the free memory that a batch may take, where nothing else was asked for."""

SETTING = "CIRCUITSPEX_BATCH_MEMORY"
"""The environment variable that asks for another share (0.2) or for bytes (4GB, 500MB)."""

# Beyond these sizes nothing gets faster: a CPU's caches are full, a GPU's cores are busy.
_MOST_ROWS = {"cpu": 64, "other": 4096}
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def bytes_a_row(
    model: Model,
    n_positions: int,
    *,
    gradients: bool = False,
    fused: bool = False,
    checkpointing: bool = False,
    a_token: int = 0,
    n_read: int = 1,
) -> int:
    """An upper estimate of what one row (one mask on one prompt) takes of a batch.

    Args:
        model: its sizes count, and the dtype of its activations.
        n_positions: tokens of the prompt.
        gradients: whether what a pass makes is kept for the way back.
        fused: whether attention is one operator, which holds no matrix of all scores; else the model's own code, which
            does, unless scores are capped.
        checkpointing: a pass with gradients keeps the residual stream of every layer and the rest of one layer only.
        a_token: numbers on top at every position.
        n_read: positions at which logits are computed.
    """

    def size(name: str) -> int:
        return int(
            getattr(model.cfg, name, None) or 0
        )  # what is not said of a model of another make counts for nothing

    d_model, heads, layers = size("d_model"), size("n_heads"), size("n_layers")
    d_mlp = size("d_mlp") or 4 * d_model
    config = getattr(getattr(model, "original_model", None), "config", None)
    scores = heads * n_positions**2
    if fused and not getattr(config, "attn_logit_softcapping", None):
        scores = 0
    # Of a block while it runs: the stream, its norm, then queries, keys and values and what becomes of them, or the
    # MLP's three wide activations. For the way back all of them are kept.
    one = n_positions * max(9 * d_model + 3 * d_mlp, 14 * d_model) + 5 * scores // 2
    kept = n_positions * ((14 if fused else 16) * d_model + 4 * d_mlp) + 3 * scores // 2
    if not gradients:
        numbers = one
    elif checkpointing:
        numbers = n_positions * d_model * layers + kept + one
    else:
        numbers = layers * kept + one
    numbers += n_positions * a_token + 4 * n_read * max(1, size("d_vocab"))
    return numbers * next(model.parameters()).dtype.itemsize


def rows_that_fit(
    model: Model,
    n_positions: int,
    *,
    gradients: bool,
    fused: bool = False,
    checkpointing: bool = False,
    a_token: int = 0,
    n_read: int = 1,
) -> int:
    """How many rows (one mask on one prompt each) to run at once; the arguments are those of ``bytes_a_row``.

    An allocation that fails all the same is answered by halving the batch.
    """
    row = bytes_a_row(
        model,
        n_positions,
        gradients=gradients,
        fused=fused,
        checkpointing=checkpointing,
        a_token=a_token,
        n_read=n_read,
    )
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type != "meta"}
    kinds = {device.type for device in devices}
    most = _MOST_ROWS["cpu" if kinds == {"cpu"} else "other"]
    return max(1, min(most, *(int(for_a_batch(device) / row) for device in devices)))


def for_a_batch(device: torch.device) -> float:
    """Bytes that a batch may take on a device: half of what is free, or what ``$CIRCUITSPEX_BATCH_MEMORY`` says.

    Raises:
        UserError: the setting is neither a share between 0 and 1 nor a size such as 4GB.
    """
    said = os.environ.get(SETTING, "").strip()
    if not said:
        return SHARE * free_memory(device)
    found = re.fullmatch(r"(\d*\.?\d+)\s*([KMGT]?)(B?)", said, re.IGNORECASE)
    number = float(found[1]) if found else 0.0
    if found and not found[2] and not found[3] and 0 < number < 1:
        return number * free_memory(device)
    if not found or not number > 0 or not (found[2] or found[3]):
        raise UserError(f"{SETTING}={said} is neither a share of the free memory, such as 0.3, nor a size, such as 4GB")
    return min(number * _UNITS[found[2].upper()], float(free_memory(device)))

"""How many rows of a batch fit into the memory that is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psutil
import torch

from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.protocol import Model

T = TypeVar("T")

# Share of the free memory that a batch may plan with: the estimate below is rough, and other programs need room.
SHARE = 0.4
# Beyond these sizes nothing gets faster: a CPU's caches are full, a GPU's cores are busy.
_MOST_ROWS = {"cpu": 64, "other": 4096}


def rows_that_fit(
    model: Model, n_positions: int, *, gradients: bool, checkpointing: bool = False, a_token: int = 0, n_read: int = 1
) -> int:
    """How many rows (one mask on one prompt each) to run at once.

    An estimate from the model's sizes; an allocation that fails all the same is answered by halving the batch. With
    ``checkpointing`` a pass with gradients keeps the residual stream of every layer and the rest of one layer only.
    ``a_token`` numbers come on top at every position; logits are computed at ``n_read`` of them.
    """
    cfg = model.cfg
    parameter = next(model.parameters())
    d_model, heads = int(cfg.d_model), int(cfg.n_heads)
    d_mlp = int(getattr(cfg, "d_mlp", None) or 4 * d_model)
    per_layer = n_positions * (14 * d_model + 5 * d_mlp + 4 * heads * n_positions)
    layers = int(cfg.n_layers) if gradients and not checkpointing else 2
    kept = n_positions * d_model * int(cfg.n_layers) if gradients and checkpointing else 0
    numbers = per_layer * layers + kept + n_positions * a_token + 4 * n_read * int(cfg.d_vocab)
    per_row = numbers * parameter.element_size()
    most = _MOST_ROWS["cpu" if parameter.device.type == "cpu" else "other"]
    return max(1, min(most, int(free_memory(parameter.device) * SHARE / per_row)))


def free_memory(device: torch.device) -> int:
    """Bytes that are free where the batches run.

    On a CUDA device these are the driver's, and the blocks that PyTorch holds and uses for nothing at the moment.
    """
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + max(0, held)


def in_parts(n_rows: int, size: int, run: Callable[[slice], T]) -> list[T]:
    """``run`` on one part of the rows after another; where an allocation fails, on halves of it from there on.

    Raises:
        whatever ``run`` raises, if it is no failed allocation or the part was a single row.
    """
    found: list[T] = []
    start = 0
    while start < n_rows:
        part = slice(start, min(start + size, n_rows))
        try:
            found.append(run(part))
        except (RuntimeError, MemoryError) as error:
            size = part.stop - part.start
            if not is_out_of_memory(error) or size == 1:
                raise
            size //= 2
            continue
        start = part.stop
    return found

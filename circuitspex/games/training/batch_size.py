"""How many trainings fit into the memory that is free, estimated before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from circuitspex.errors import UserError
from circuitspex.games.training.recipe import Training
from circuitspex.models.free_memory import free_memory
from circuitspex.models.pass_memory import SHARE

# Beyond this nothing gets faster on a CPU: what a step touches no longer fits into its caches.
_MOST_RUNS = 256
_MOST_RUNS_GPU = 8192


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one training run, of the arrays of all masks, and what is free."""

    per_run: int
    arrays: int
    free: int

    @property
    def runs_at_once(self) -> int:
        """How many runs fit beside the arrays; 0 where not one does."""
        return max(0, int((self.free * SHARE - self.arrays) / self.per_run))


def estimate(training: Training, n_masks: int, n_players: int, *, gradients: bool = False) -> MemoryEstimate:
    """What training under ``n_masks`` masks would need.

    A run has its parameters, their gradients, the optimizer's moments before and after a step, and what a backward pass
    through one batch keeps, which is counted on a trial batch, and scales to the test examples; with gradients all of
    that for every step.
    """
    params, frozen = training.start(0)
    params = {name: value.clone().requires_grad_() for name, value in params.items()}
    size = sum(value.numel() * value.element_size() for value in params.values())
    shared = {value.untyped_storage().data_ptr() for value in (*params.values(), *frozen.values())}
    shared |= {training.x.untyped_storage().data_ptr(), training.y.untyped_storage().data_ptr()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in shared:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = slice(0, training.batch_size)
    x, y = training.x[batch], training.y[batch]
    weights = torch.ones(len(x), dtype=training.dtype, device=training.device)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        training.loss(params | frozen, x, y, weights)
    moments = training.optimizer.n_moments
    per_step = size * (2 + 2 * moments) + 2 * sum(kept.values())
    tests = sum(kept.values()) * training.n_tests // len(x)
    per_run = size + per_step * (training.steps if gradients else 1) + tests
    item = next(iter(params.values())).element_size()
    arrays = n_masks * (n_players * 8 * (2 if gradients else 1) + training.n_examples * (8 + item))
    return MemoryEstimate(per_run, arrays, free_memory(training.device))


def runs_that_fit(training: Training, n_masks: int, n_players: int, *, gradients: bool = False) -> int:
    """How many trainings to run at once.

    Raises:
        UserError: not one fits; the message names the estimate.
    """
    found = estimate(training, n_masks, n_players, gradients=gradients)
    if found.runs_at_once < 1:
        masks = f"{n_masks} mask{'s' if n_masks > 1 else ''} of {n_players} players"
        slopes = " with gradients" if gradients else ""
        raise UserError(
            f"training under {masks} needs about {_size(found.per_run)} for each run{slopes} and {_size(found.arrays)} "
            f"for the masks; {_size(int(found.free * SHARE))} may be used of the {_size(found.free)} that are free. "
            "Use fewer masks at a time, larger groups, smaller batches or a smaller model"
        )
    return min(found.runs_at_once, _MOST_RUNS if training.device.type == "cpu" else _MOST_RUNS_GPU)


def _size(n_bytes: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if n_bytes >= 2**power / 10:
            return f"{n_bytes / 2**power:.1f} {unit}"
    return f"{n_bytes / 2**10:.1f} KiB"

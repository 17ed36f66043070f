"""Numbers that grew too large for a model's dtype: where that began, and what to do about it, in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitspex.errors import TaskError
from circuitspex.models.protocol import Model
from circuitspex.typing import FloatArray

if TYPE_CHECKING:
    import torch

_PARTS = {"attn": "the attention of layer {}", "mlp": "the MLP of layer {}", "": "layer {}"}


def overflow_error(model: Model, dtype: torch.dtype, run: Callable[[], object]) -> TaskError:
    """What to raise where the logits are not finite; names the dtype and the first part of the model that overflowed.

    Args:
        model: the model.
        dtype: of the logits.
        run: runs the pass once more, through the model's own modules.
    """
    import torch

    name, where = str(dtype).removeprefix("torch."), first_overflow(model, run)
    if dtype not in (torch.float16, torch.bfloat16):
        return TaskError(f"the model's logits are not finite in {name}{f', first in {where}' if where else ''}")
    return TaskError(
        f"{where or 'the model'} overflowed in {name}, which holds numbers up to {torch.finfo(dtype).max:.3g}; "
        f"load the model in float32{' or bfloat16' if dtype == torch.float16 else ''}"
    )


def overflowed(logits: torch.Tensor) -> torch.Tensor:
    """Which rows ``(rows,)`` of logits ``(rows, …)`` have a number that grew too large.

    In single and double precision -inf is none: models write it where a token can't follow.
    """
    half = logits.element_size() == 2
    wrong = ~logits.isfinite() if half else logits.isnan() | (logits == float("inf"))
    return wrong.flatten(1).any(1)


def first_overflow(model: Model, run: Callable[[], object]) -> str:
    """The first part of the model whose output is not finite in a pass; empty where none is, or none is asked."""
    import torch

    found: list[str] = []

    def watch(part: Any, name: str) -> Any:
        def look(_module: Any, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) and output else output
            if not found and isinstance(first, torch.Tensor) and not bool(first.isfinite().all()):
                found.append(name)

        return part.register_forward_hook(look)

    hooks = []
    try:
        for layer, block in enumerate(getattr(model, "blocks", ())):
            for attribute, name in _PARTS.items():
                part = getattr(block, attribute, None) if attribute else block
                if isinstance(part, torch.nn.Module):
                    hooks.append(watch(part, name.format(layer)))
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""


def check_slopes(slopes: FloatArray, dtype: torch.dtype, metric: str, components: Sequence[object]) -> None:
    """Nothing where gradients ``(masks, components)`` are finite.

    Raises:
        TaskError: one is not; it is named by its component, and the dtype with it where that may be why.
    """
    import torch

    wrong = np.argwhere(~np.isfinite(slopes))
    if not len(wrong):
        return
    name = str(dtype).removeprefix("torch.")
    why = f" in {name}; load the model in float32" if dtype in (torch.float16, torch.bfloat16) else ""
    raise TaskError(
        f"the gradient of metric '{metric}' at {components[wrong[0][1]]} is {slopes[tuple(wrong[0])]}{why}, "
        "or use a method without gradients (proxyspex)"
    )

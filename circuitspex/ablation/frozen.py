"""Passes that make no gradients of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from circuitspex.models import Model


@contextlib.contextmanager
def frozen(model: Model | list[torch.nn.Parameter]) -> Iterator[None]:
    """No gradients for the weights within the block, and no inference mode; as before afterwards.

    Args:
        model: the model, or its parameters, where they are known: to look for them takes as long as a short pass.
    """
    parameters = model if isinstance(model, list) else model.parameters()
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    # What is kept for later passes must serve gradients too, which tensors made in inference mode don't.
    ordinary = torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext()
    try:
        with ordinary:
            yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)

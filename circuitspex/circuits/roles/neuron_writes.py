"""What each neuron of a layer writes straight into the logit difference: all of them by one gradient a prompt.

What a part writes past all others is linear in its activations (``frozen_stream``), so that the slope at any point is
the weight with which each neuron's activation at the last position enters.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from circuitspex.ablation.frozen import frozen
from circuitspex.circuits.roles.attribution import attribute
from circuitspex.circuits.roles.frozen_rows import Row
from circuitspex.circuits.roles.frozen_stream import FrozenStream
from circuitspex.circuits.roles.subject import Subject
from circuitspex.circuits.roles.writes import first_answers
from circuitspex.models.in_float32 import asked_in_float32
from circuitspex.typing import FloatArray

_LOGITS = 2**24
"""Of one pass with gradients."""


def neuron_writes(subject: Subject, layers: frozenset[int]) -> dict[int, FloatArray] | None:
    """By layer, what each neuron at the last position adds to right minus wrong logit: ``(P, neurons)``.

    None where the model's parts do not add up to its logits within rounding, so that what they write is not known.
    """
    if not layers or "unembed.hook_out" not in subject.model.hook_dict:
        return None
    with frozen(subject.model), torch.no_grad():
        return asked_in_float32(subject.model, lambda _: _written(subject, layers))


def _written(subject: Subject, layers: frozenset[int]) -> dict[int, FloatArray] | None:
    groups = [(group.indices, group.tokens) for group in subject.task.groups]
    right, wrong = first_answers(subject.task)
    stream = FrozenStream.of(subject.model, subject.structure, groups, layers)
    if attribute(stream, [], right, wrong, {}).off > stream.tolerance:
        return None
    found = {}
    for layer in layers:
        own = stream.passed["neurons", layer][..., 0]  # P, neurons
        slopes = _slopes(stream, layer, right, wrong)
        found[layer] = np.asarray((own.double().cpu() * slopes).numpy() * stream.factor)
    return found


def _slopes(stream: FrozenStream, layer: int, right: Tensor, wrong: Tensor) -> Tensor:
    """d (right minus wrong logit) / d activation at the last position, ``[P, neurons]``."""
    place, whole = ("neurons", layer), stream.passed["neurons", layer]
    step = max(1, _LOGITS // int(stream.unembedded.shape[1]))
    found = []
    for start in range(0, len(whole), step):
        prompts = list(range(start, min(start + step, len(whole))))
        with torch.enable_grad():
            leaf = whole[prompts].detach().clone().requires_grad_()
            rows = [Row(prompt, {place: None}, {place: leaf[at]}) for at, prompt in enumerate(prompts)]
            (logits,) = stream.outputs(rows)
            at = torch.arange(len(prompts), device=logits.device)
            difference = logits[at, right[prompts].to(at.device)] - logits[at, wrong[prompts].to(at.device)]
            found.append(torch.autograd.grad(difference.sum(), leaf)[0][..., 0].double().cpu())
    return torch.cat(found)

"""What passes on the counterfactual prompts leave: their embeddings, and the metric where everything is theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.executors.hooks import at
from circuitspex.ablation.executors.prefix import entry_hook
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.shapes import ReadLogits, Reads, Stream, Tokens
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task, check_metric_values
from circuitspex.typing import FloatArray

_BATCH = 64


def entry_of(model: Model, tokens: Tokens) -> Stream:
    """The residual stream that enters the first block: the embeddings with what is added to them."""
    found: list[Stream] = []

    def keep(activation: Stream, hook: Any) -> None:
        found.append(activation.detach().clone())

    def run(rows: slice) -> None:
        model.run_with_hooks(tokens[rows], fwd_hooks=[(entry_hook(0), keep)], use_cache=False, stop_at_layer=1)

    with torch.no_grad():
        in_parts(len(tokens), _BATCH, run)
    return torch.cat(found)


def counterfactual_metric(model: Model, task: Task) -> FloatArray:
    """The metric of each prompt ``(P,)``, its answers read off the logits of its counterfactual: all is replaced."""
    found = np.empty(task.n_prompts)
    device = next(model.parameters()).device
    with frozen(model), torch.no_grad():
        for each in task.sequences:
            group = each.with_answers_on(device)

            def logits(tokens: Tokens, reads: Reads) -> ReadLogits:
                parts = in_parts(len(tokens), _BATCH, lambda rows: at(model(tokens[rows]), reads[rows]))
                return torch.cat(parts)

            own = logits(group.tokens.to(device), group.reads) if task.metric.needs_clean else None
            other = logits(group.counterfactual_tokens.to(device), group.reads)
            metric = group.measure(task.metric, other, slice(None), 1, own)
            check_metric_values(metric.reshape(1, -1), task.metric, prompts=group.indices)
            found[group.indices.numpy()] = metric.double().cpu().numpy()
    return found

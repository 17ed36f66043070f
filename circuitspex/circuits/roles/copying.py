"""Whether heads write the very tokens that they attend to: the copying score."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitspex.circuits.roles.frozen_stream import FrozenStream, Row
from circuitspex.circuits.roles.pattern_hooks import Seen, read_patterns
from circuitspex.circuits.roles.subject import Subject
from circuitspex.statistics import Estimate, over_prompts

_LEAST = 0.01
"""Of a head's attention, below which what goes past the first token says nothing."""


def copying(subject: Subject, stream: FrozenStream) -> dict[str, Estimate]:
    """The copying score of each head, by name; none where its attention can't be read.

    If the head attended from the last position to one token alone, it would write that token's value through its output
    matrix into the logits. The score of the token is its own logit among these, in standard deviations over the
    vocabulary from their mean; it does not depend on the scale of the norms. That of a prompt is the average over the
    tokens after the first, weighted by attention; the first is left out since attention rests there that looks at
    nothing. Prompts on which hardly any attention is left say nothing.
    """
    heads = {str(head): head for head in subject.heads if head.position in (None, -1)}
    wanted: dict[int, list[int]] = {}
    for head in heads.values():
        wanted.setdefault(head.layer, []).append(head.start)
    wanted = {layer: list(dict.fromkeys(own)) for layer, own in wanted.items()}
    read: dict[tuple[int, int], list[tuple[Tensor, Tensor, Tensor]]] = {}
    refused: set[int] = set()
    for group in subject.task.groups:

        def keep(rows: slice, layer: int, seen: Seen, tokens: Tensor = group.tokens) -> None:
            for at, head in enumerate(wanted[layer]):
                about = seen.pattern[:, at, -1, 1:], seen.values[:, 1:, at], tokens[rows, 1:].to(seen.values.device)
                if seen.is_product():
                    read.setdefault((layer, head), []).append(about)

        still = {layer: own for layer, own in wanted.items() if layer not in refused}
        if still and group.length > 1:
            refused |= set(read_patterns(subject.model, subject.structure, group.tokens, still, keep))
    found: dict[str, Estimate] = {}
    for name, head in heads.items():
        about = read.get((head.layer, head.start), [])
        if about and head.layer not in refused:
            scores = _scores(stream, head.layer, head.start, about)
            if len(scores):
                found[name] = over_prompts(scores)
    return found


def _scores(
    stream: FrozenStream, layer: int, head: int, about: list[tuple[Tensor, Tensor, Tensor]]
) -> NDArray[np.float64]:
    """Of each prompt on which enough attention goes past the first token."""
    place = ("head", layer)
    shape = stream.passed[place].shape[1:]
    # The head's output, one number after the other, each as large as they are: other parts are rounded off less.
    size = float(stream.passed[place][:, head].abs().max()) or 1.0
    rows = [Row(0)]
    for number in range(shape[1]):
        units = torch.zeros(tuple(shape), dtype=stream.passed[place].dtype)
        units[head, number] = size
        rows.append(Row(0, numbers={place: units}))
    logits = torch.cat([each.float() for each in stream.outputs(rows)])
    written = logits[1:] - logits[0]  # width, vocab
    written = written - written.mean(1, keepdim=True)
    spread = written @ written.T / written.shape[1]
    scores = []
    for shares, values, tokens in about:
        values = values.to(written)
        own = torch.einsum("rkd,drk->rk", values, written[:, tokens])
        error = torch.einsum("rkd,de,rke->rk", values, spread, values).clamp_min(1e-30).sqrt()
        total = shares.sum(1)
        of_prompts = (shares * own / error).sum(1) / total.clamp_min(_LEAST)
        scores.append(of_prompts[total >= _LEAST].double().cpu().numpy())
    return np.concatenate(scores)

"""Whether heads write the very tokens that they attend to: the copying score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from circuitspex.circuits.roles.frozen_rows import Row
from circuitspex.circuits.roles.frozen_stream import FrozenStream
from circuitspex.circuits.roles.pattern_hooks import Seen
from circuitspex.circuits.roles.read_once import read_once
from circuitspex.circuits.roles.subject import Subject
from circuitspex.statistics import Estimate, over_prompts

Tokens = Int[Tensor, "texts positions"]
_Read = tuple[Tensor, Tensor, Tensor]

_LEAST = 0.01
"""Of a head's attention, below which what goes past the first token says nothing."""


def copying(subject: Subject, stream: FrozenStream, *sets: Sequence[Tokens]) -> tuple[dict[str, Estimate], ...]:
    """The copying score of each head, by name, on each set of texts; none where its attention can't be read.

    If the head attended from the last position to one token alone, it would write that token's value through its output
    matrix into the logits. The score of the token is its own logit among these, in standard deviations over the
    vocabulary from their mean; it does not depend on the scale of the norms. That of a text is the average over the
    tokens after the first, weighted by attention; the first is left out since attention rests there that looks at
    nothing. Texts on which hardly any attention is left say nothing;
    where fewer than two are left, there is no score.

    Args:
        subject: the heads and the model.
        stream: the model's way from a head's output to the logits, of any prompts.
        sets: each of tokens ``[texts, positions]`` of one length or more; intervals are over the texts of a set.
    """
    heads = {str(head): head for head in subject.heads if head.position in (None, -1)}
    wanted: dict[int, list[int]] = {}
    for head in heads.values():
        wanted.setdefault(head.layer, []).append(head.start)
    wanted = {layer: list(dict.fromkeys(own)) for layer, own in wanted.items()}
    read = [_read(subject, texts, wanted) for texts in sets]
    found: tuple[dict[str, Estimate], ...] = tuple({} for _ in sets)
    places = dict.fromkeys((each.layer, each.start) for each in heads.values())
    able = [place for place in places if any(place in of_set for of_set in read)]
    for place, written in _matrices(stream, able):
        names = [name for name, head in heads.items() if (head.layer, head.start) == place]
        for of_set, estimates in zip(read, found, strict=True):
            if place in of_set and len(scores := _scores(written, of_set[place])) > 1:
                estimates.update(dict.fromkeys(names, over_prompts(scores)))
    return found


def _read(
    subject: Subject, texts: Sequence[Tokens], wanted: dict[int, list[int]]
) -> dict[tuple[int, int], list[_Read]]:
    """By layer and head, attention from the last position to all but the first, the values there, and the tokens."""
    read: dict[tuple[int, int], list[_Read]] = {}
    refused: set[int] = set()
    for group in texts:

        def keep(rows: slice, layer: int, seen: Seen, tokens: Tensor = group) -> None:
            for at, head in enumerate(wanted[layer]):
                about = seen.pattern[:, at, -1, 1:], seen.values[:, 1:, at], tokens[rows, 1:].to(seen.values.device)
                if seen.is_product():
                    read.setdefault((layer, head), []).append(about)

        still = {layer: own for layer, own in wanted.items() if layer not in refused}
        if still and group.shape[1] > 1:
            refused |= set(read_once(subject, group, still, keep))
    return {(layer, head): about for (layer, head), about in read.items() if layer not in refused}


def _matrices(stream: FrozenStream, heads: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Each head's output matrix times the unembedding, ``[width, vocab]``, less the mean over the vocabulary.

    It is known up to a factor, with which all its numbers are of the size that the head's outputs have in the run:
    beside what they are added to, they are not rounded off.
    """
    rows, owners = [Row(0)], []
    for layer, head in heads:
        given = stream.passed["head", layer]
        for number in range(given.shape[2]):
            units = torch.zeros(given.shape[1:], dtype=given.dtype)
            units[head, number] = float(given[:, head].abs().max()) or 1.0
            rows.append(Row(0, numbers={("head", layer): units}))
        owners += [(layer, head)] * int(given.shape[2])
    nothing = torch.zeros(0)
    waiting: list[Tensor] = []
    for at, output in enumerate(row for outputs in stream.outputs(rows) for row in outputs.float()):
        if at == 0:
            nothing = output
            continue
        waiting.append(output - nothing)
        if at == len(owners) or owners[at] != owners[at - 1]:
            matrix = torch.stack(waiting)
            waiting = []
            yield owners[at - 1], matrix - matrix.mean(1, keepdim=True)


def _scores(written: Tensor, about: list[_Read]) -> NDArray[np.float64]:
    """Of each text on which enough attention goes past the first token."""
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

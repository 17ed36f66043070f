"""What components write straight into the answer: direct logit attribution that adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitspex.circuits.about import Breakdown, Scored, Share, Writes
from circuitspex.circuits.roles.attribution import Parts, attribute
from circuitspex.circuits.roles.copying import copying
from circuitspex.circuits.roles.frozen_stream import FrozenStream
from circuitspex.circuits.roles.patterns import N_TEXTS, random_texts
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Component
from circuitspex.models.alone import running
from circuitspex.models.in_float32 import asked_in_float32
from circuitspex.models.tokens import decode_token
from circuitspex.statistics import Estimate, over_prompts
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray

STRONGEST = 8
"""How many tokens are listed as promoted, and as suppressed."""

HEADS, MLPS, OTHERS, EMBEDDING, BIASES = "other heads", "other MLPs", "other parts", "embedding", "biases"
"""The names of the parts of a breakdown that are no components."""


@dataclass(frozen=True)
class Written:
    """By the component's name what it writes, or why that can't be told; and the whole logit difference as a sum.

    ``copying_on_random`` is the copying score of heads on the random texts of ``patterns``, whose part it is.
    """

    of: Mapping[str, Writes | str]
    breakdown: Breakdown | None
    lacks: tuple[str, ...] = field(default=())
    copying_on_random: Mapping[str, Estimate] = field(default_factory=dict)


def first_answers(task: Task) -> tuple[Tensor, Tensor]:
    """The token of each prompt's right answer and of its wrong one, ``[P]``, whose logits at the end are compared.

    Of answers of several tokens it is the first, which is the one that the last token of the prompt predicts.
    """
    right, wrong = task.answers, task.wrong_answers
    return (right, wrong) if right.ndim == 1 else (right[:, 0], wrong[:, 0])


def writes(subject: Subject) -> Written:
    """What each component writes straight into the logit of the right answer minus that of the wrong one.

    The direct logit attribution of a component is what its output, on its way past all other components, adds to that
    difference at the last position, with the scale of every norm on the way as it was in the run; see
    ``frozen_stream``. It is linear, so that the parts of the model add up.

    Returns:
        for heads, MLPs, neurons and attention layers their ``Writes``; for others, and for all where the parts of the
        model do not add up to its logits within rounding, one line that says why.
    """
    with running(subject.model), torch.no_grad():
        return asked_in_float32(subject.model, lambda _: _written(subject))


def _written(subject: Subject) -> Written:
    task, structure = subject.task, subject.structure
    if "unembed.hook_out" not in subject.model.hook_dict:
        return _nothing(subject, "TransformerLens has no hook for what the model unembeds")
    neurons_of = frozenset(each.layer for each in subject.components if each.kind == "neurons")
    groups = [(group.indices, group.tokens) for group in task.groups]
    stream = FrozenStream.of(subject.model, structure, groups, neurons_of)
    if stream.wrong is not None:
        return _nothing(subject, stream.wrong)
    whys = {str(component): _why_not(component, task) for component in subject.components}
    able = [component for component in subject.components if whys[str(component)] is None]
    masks = {str(component): _is_there(component, task) for component in able}
    parts = attribute(stream, able, *first_answers(task), masks)
    if parts.off > stream.tolerance:
        return _nothing(
            subject, f"what the model's parts add does not sum to its logits: {parts.off:.1%} of them is missing"
        )
    texts = random_texts(subject.model, N_TEXTS, subject.seed)
    random = [] if isinstance(texts, str) else [texts.tokens]
    copies, on_random = copying(subject, stream, [group.tokens for group in task.groups], random)
    of = {
        name: _writes(subject, parts, name, masks[name], copies.get(name)) if why is None else why
        for name, why in whys.items()
    }
    return Written(of, _breakdown(parts, able, masks), copying_on_random=on_random)


def _nothing(subject: Subject, why: str) -> Written:
    return Written({str(component): why for component in subject.components}, None, (why,))


def _why_not(component: Component, task: Task) -> str | None:
    about = component.about
    if component.kind not in ("head", "mlp", "neurons", "attention"):
        article = "an" if about.singular[0] in "aeiou" else "a"
        return f"{article} {about.singular} adds nothing of its own to the residual stream"
    if not _is_there(component, task).any():
        return f"it acts at position {component.position}, and the answer is read at the last one"
    return None


def _is_there(component: Component, task: Task) -> NDArray[np.bool_]:
    """In which prompts the component acts at the last position, ``(P,)``."""
    at, lengths = component.position, task.lengths.numpy()
    return np.full(len(lengths), at is None) | (at == -1) | (at == lengths - 1)


def _writes(subject: Subject, parts: Parts, name: str, mask: NDArray[np.bool_], copies: Estimate | None) -> Writes:
    direct = parts.of[name] * mask
    promoted = parts.written[name] - parts.written[name].mean()
    best = torch.topk(promoted, min(STRONGEST, len(promoted)))
    worst = torch.topk(-promoted, min(STRONGEST, len(promoted)))

    def scored(tokens: Tensor, sign: int) -> tuple[Scored, ...]:
        pairs = ((token, float(promoted[token])) for token in tokens.tolist())
        return tuple(Scored(decode_token(subject.model, token), score) for token, score in pairs if score * sign > 0)

    return Writes(
        direct=over_prompts(direct),
        per_prompt=tuple(direct.tolist()),
        promotes=scored(best.indices, 1),
        suppresses=scored(worst.indices, -1),
        copying=copies,
    )


def _breakdown(parts: Parts, components: Sequence[Component], masks: Mapping[str, NDArray[np.bool_]]) -> Breakdown:
    rest = {HEADS: parts.heads, MLPS: parts.mlps, OTHERS: parts.others, EMBEDDING: parts.entry, BIASES: parts.biases}
    listed: dict[str, FloatArray] = {}
    taken: set[tuple[int, str, int]] = set()
    # Of components that overlap the larger is listed, and the other is within it.
    for component in sorted(components, key=lambda each: (not each.is_whole, -(each.stop - each.start))):
        name, layer = str(component), component.layer
        side = "attention" if component.kind in ("head", "attention") else "mlp"
        units = [-1] if component.is_whole else range(component.start, component.stop)
        own = {(layer, side, unit) for unit in units}
        if (layer, side, -1) in taken or own & taken:
            continue
        taken |= own
        mask = masks[name]
        listed[name] = parts.of[name] * mask
        if component.kind == "attention" and layer in parts.heads_of:
            heads = parts.heads_of[layer] * mask
            rest[HEADS] = rest[HEADS] - heads
            rest[BIASES] = rest[BIASES] - (listed[name] - heads)
        else:
            group = OTHERS if component.kind == "attention" else HEADS if component.kind == "head" else MLPS
            rest[group] = rest[group] - listed[name]
    named = [(str(component), listed[str(component)]) for component in components if str(component) in listed]
    there = [(name, share) for name, share in rest.items() if name != OTHERS or parts.has_others]
    shares = [*named, *there]
    remainder = parts.total - np.sum([share for _, share in shares], axis=0)
    return Breakdown(
        over_prompts(parts.total),
        tuple(Share(name, over_prompts(share)) for name, share in shares),
        over_prompts(remainder),
    )

"""The logit difference in parts: what each writes into the logits of the two answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitspex.circuits.roles.frozen_rows import Place, Row
from circuitspex.circuits.roles.frozen_stream import FrozenStream
from circuitspex.components import Component
from circuitspex.typing import FloatArray

_CHECKED = 64
"""Logits of other tokens on which it is checked that the parts add up."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Right minus wrong logit in parts, ``(P,)`` each.

    ``of`` are the components by name. ``heads``, ``mlps``, ``entry`` (what enters the first layer), ``others`` (what
    writes besides, if ``has_others``) and ``biases`` add up to ``total`` but for what follows the unembedding and is no
    multiple. ``heads_of`` are the heads of layers of which the whole attention is a component. ``off`` is by how much
    they miss what the unembedding gave, as a share of their sizes. ``written`` is what each component adds to the
    logits of all tokens, averaged over prompts, ``[vocab]``.
    """

    of: Mapping[str, FloatArray]
    heads: FloatArray
    mlps: FloatArray
    others: FloatArray
    entry: FloatArray
    biases: FloatArray
    heads_of: Mapping[int, FloatArray]
    total: FloatArray
    off: float
    has_others: bool
    written: Mapping[str, Tensor]


def attribute(
    stream: FrozenStream,
    components: Sequence[Component],
    right: Tensor,
    wrong: Tensor,
    there: Mapping[str, NDArray[np.bool_]],
) -> Parts:
    """Asks the stream for each component and for all else.

    Args:
        stream: of the model, with all prompts.
        components: heads, MLPs, neurons and attention layers.
        right, wrong: the tokens to compare, ``[P]``.
        there: for each component the prompts in which it acts at the last position, ``(P,)``.
    """
    n_prompts = len(right)
    others = stream.places("other")
    others += [(kind, layer) for kind, layer in stream.places("attention") if ("head", layer) not in stream.passed]
    units: dict[str, dict[Place, Sequence[int] | None]] = {
        "nothing": {},
        "entry": {("entry", 0): None},
        "heads": dict.fromkeys(stream.places("head")),
        "mlps": dict.fromkeys(place for layer in range(stream.structure.n_layers) for place in _mlp(stream, layer)),
        "others": dict.fromkeys(others),
    }
    groups = list(units)
    units |= {str(component): _units(stream, component) for component in components}
    layers = [each.layer for each in components if each.kind == "attention" and ("head", each.layer) in stream.passed]
    units |= {f"heads of {layer}": {("head", layer): None} for layer in layers}
    names = list(units)
    rows = [Row(prompt, units[name]) for prompt in range(n_prompts) for name in names]
    columns = _columns(stream, right, wrong)
    picked = torch.zeros(n_prompts, len(names), columns.shape[1], dtype=torch.float64)
    written = {name: torch.zeros(stream.logits.shape[1]) for name in there}
    nothing = torch.zeros(0)
    done = 0
    for logits in stream.outputs(rows):
        for row, output in zip(rows[done : done + len(logits)], logits, strict=True):
            prompt, at = divmod(done, len(names))
            if at == 0:
                nothing = output
                picked[prompt, 0] = output[columns[prompt].to(output.device)]
            else:
                change = output - nothing
                picked[prompt, at] = change[columns[prompt].to(output.device)]
                if names[at] in there and there[names[at]][prompt]:
                    written[names[at]] += change.cpu().float() * (stream.factor / n_prompts)
            assert row.prompt == prompt
            done += 1
    given = stream.unembedded.cpu().double().gather(1, columns)
    whole = picked[:, : len(groups)]
    off = float(((whole.sum(1) - given).abs() / whole.abs().sum(1).amax(1, keepdim=True).clamp_min(1e-30)).max())
    picked *= stream.factor
    by_name = dict(zip(names, (picked[:, :, 0] - picked[:, :, 1]).T.numpy(), strict=True))
    logits = stream.logits.cpu().double().gather(1, columns[:, :2])
    return Parts(
        of={str(component): by_name[str(component)] for component in components},
        heads=by_name["heads"],
        mlps=by_name["mlps"],
        others=by_name["others"],
        entry=by_name["entry"],
        biases=by_name["nothing"],
        heads_of={layer: by_name[f"heads of {layer}"] for layer in layers},
        total=(logits[:, 0] - logits[:, 1]).numpy(),
        off=off,
        has_others=bool(others),
        written=written,
    )


def _units(stream: FrozenStream, component: Component) -> dict[Place, Sequence[int] | None]:
    layer, kind = component.layer, component.kind
    if kind == "mlp":
        return dict.fromkeys(_mlp(stream, layer))
    if kind == "attention":
        return {("attention", layer) if ("attention", layer) in stream.passed else ("head", layer): None}
    return {(kind, layer): range(component.start, component.stop)}


def _mlp(stream: FrozenStream, layer: int) -> list[Place]:
    """Where the MLP of a layer writes: its output has a hook, or else its neurons have."""
    return [place for kind in ("mlp", "neurons") if (place := (kind, layer)) in stream.passed][:1]


def _columns(stream: FrozenStream, right: Tensor, wrong: Tensor) -> Tensor:
    """The tokens of each prompt whose logits are looked at: right, wrong, and some others, ``[P, tokens]``."""
    vocab = int(stream.logits.shape[1])
    some = torch.randint(vocab, (len(right), _CHECKED), generator=torch.Generator().manual_seed(0))
    return torch.cat([right[:, None], wrong[:, None], some], 1)

"""Attention patterns of a model, read at TransformerLens's hooks and proved on the very run that they are read in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.components import LayerStructure, Layout, ModelStructure, Part
from circuitspex.components.proof.seen import rounding
from circuitspex.models.alone import running
from circuitspex.models.in_float32 import is_half
from circuitspex.models.protocol import FwdHook, Model

Attention = Float[Tensor, "rows heads queries keys"]

_LARGEST = 2**24
"""Numbers that the attention of one layer has in one batch."""


def read_heads(
    model: Model,
    structure: ModelStructure,
    tokens: Int[Tensor, "rows positions"],
    heads: Mapping[int, Sequence[int]],
    keep: Callable[[slice, int, Seen], None],
) -> dict[int, str]:
    """Hands ``keep`` what some heads do on some prompts, batch by batch; nothing runs after the last layer.

    A pattern is shown only if it explains what the head gives on these very prompts: it is of shape ``[rows, head,
    query, key]``, has no number below 0, nothing at keys after the query, sums of at most 1 over the keys, and its
    product with the values is the head's output, ``A v = z``, within rounding. Where that fails since a gate multiplies
    the output (``z = g A v``, with a g that does not depend on values), random values v' are put in on two prompts:
    then ``z' (A v) = z (A v')``, number by number.

    Args:
        model: the bridge.
        structure: what it has, from ``model_structure``.
        tokens: prompts of one length.
        heads: by layer, the heads that are wanted.
        keep: is given the rows of a batch, the layer, and what was seen of these heads, in their order.

    Returns:
        by layer, why it shows no pattern, in words to follow 'layer 3'. What ``keep`` was given of such a layer in
        earlier batches is void.
    """
    refused = {layer: why for layer in heads if (why := _lack(model, structure.layers[layer], layer)) is not None}
    wanted = {layer: list(own) for layer, own in heads.items() if layer not in refused}
    device = next(iter(model.parameters())).device
    length = int(tokens.shape[1])
    step = max(1, _LARGEST // (length**2 * max((structure.layers[layer].n_heads for layer in wanted), default=1)))
    gated: set[int] = set()
    with running(model), torch.no_grad():
        for start in range(0, len(tokens), step):
            rows = slice(start, min(start + step, len(tokens)))
            batch = tokens[rows].to(device)
            seen = _run(model, structure, batch, wanted) if wanted else {}
            for layer, one in seen.items():
                why = None if isinstance(one, Seen) else one
                if isinstance(one, Seen) and layer not in gated and not one.is_product():
                    if _is_gated(model, structure, batch[:2], layer, wanted[layer]):
                        gated.add(layer)
                    else:
                        why = "its product with the values is not what the heads give"
                if why is not None:
                    refused[layer] = f"has an attention pattern that can't be shown: {why}"
                    del wanted[layer]
                elif isinstance(one, Seen):
                    keep(rows, layer, one)
    return refused


def _lack(model: Model, layer: LayerStructure, number: int) -> str | None:
    heads, values = layer.part("head"), layer.part("value")
    if heads.hook is None:
        return heads.why
    if _hook(number) not in model.hook_dict:
        return "has attention whose pattern TransformerLens has no hook for"
    if values.hook is None:
        return f"has attention whose pattern can't be checked: it {values.why}"
    return None


def _hook(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_pattern"


@dataclass(frozen=True)
class Seen:
    """Attention, values and outputs of the heads of one layer that are wanted.

    ``values`` are those that each head reads, ``[rows, key, head, width]``, and ``outputs`` what it gives, ``[rows,
    query, head, width]``, all in float32 at least; relative differences up to ``resolution`` may be rounding.
    """

    pattern: Attention
    values: Tensor
    outputs: Tensor
    resolution: float

    def no_pattern(self) -> str | None:
        """Why it does not look like attention, whatever it explains."""
        a, eps = self.pattern, self.resolution
        if not bool(a.isfinite().all()) or float(a.min()) < -eps:
            return "it has numbers that are no shares"
        if float(a.triu(1).abs().max()) > eps:
            return "it reaches tokens after the one that attends"
        most = float(a.sum(-1).max())
        if most > 1 + eps:
            return f"the shares of one token sum to {most:.4f}"
        if self.outputs.shape[-1] != self.values.shape[-1]:
            return f"heads give {self.outputs.shape[-1]} numbers, and their values have {self.values.shape[-1]}"
        return None

    def is_product(self) -> bool:
        """Whether the outputs are the product of pattern and values."""
        apart = (self.product() - self.outputs).abs()
        return bool((apart <= self.resolution * (self.size() + self.outputs.abs())).all())

    def product(self) -> Tensor:
        """``A v``, ``[rows, query, head, width]``."""
        return torch.einsum("rhqk,rkhd->rqhd", self.pattern, self.values)

    def size(self) -> Tensor:
        """``A |v|``, which bounds how far rounding can move ``A v``."""
        return torch.einsum("rhqk,rkhd->rqhd", self.pattern, self.values.abs())


def _run(
    model: Model,
    structure: ModelStructure,
    tokens: Tensor,
    wanted: Mapping[int, Sequence[int]],
    instead: Tensor | None = None,
) -> dict[int, Seen | str]:
    """One pass over all layers that are wanted; with ``instead``, these numbers are put in as values.

    A reason stands for a layer where something is no pattern, or nothing passes.
    """
    hooks: list[FwdHook] = []
    watched = {}
    for layer, heads in wanted.items():
        outputs, values = structure.layers[layer].part("head"), structure.layers[layer].part("value")
        watched[layer] = _Watched(list(heads), outputs, values, instead)
        hooks += watched[layer].hooks(_hook(layer))
    model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False, stop_at_layer=max(wanted) + 1)
    return {layer: one.seen() for layer, one in watched.items()}


class _Watched:
    """The hooks of one layer in a pass, which are judged when it is over.

    A pattern that is only reported, and not used, passes after the output that it explains.
    """

    def __init__(self, heads: list[int], outputs: Part, values: Part, instead: Tensor | None) -> None:
        self.heads, self.outputs, self.values, self.instead = heads, outputs, values, instead
        self.passed: dict[str, Tensor] = {}
        self.why = "nothing passes its hook"
        self.resolution = 0.0

    def hooks(self, pattern: str) -> list[FwdHook]:
        """Those of the pattern, the values and the outputs."""
        return [
            (pattern, self._of_pattern),
            (str(self.values.hook), self._of_values),
            (str(self.outputs.hook), self._of_outputs),
        ]

    def seen(self) -> Seen | str:
        """What passed; a reason if that is no pattern."""
        if set(self.passed) != {"pattern", "values", "outputs"}:
            return self.why
        found = Seen(**self.passed, resolution=self.resolution)
        return found.no_pattern() or found

    def _of_pattern(self, activation: Tensor, hook: object) -> None:
        shape = tuple(activation.shape) if isinstance(activation, Tensor) else ()
        if len(shape) == 4 and shape[1] == self.outputs.n_units and shape[2] == shape[3]:
            self.passed["pattern"] = _wide(activation[:, self.heads])
        else:
            self.why = f"its shape is {shape}, not [rows, {self.outputs.n_units} heads, query, key]"

    def _of_values(self, activation: Tensor, hook: object) -> Tensor | None:
        layout = self.values.layout or Layout(self.values.n_units)
        changed = activation
        if self.instead is not None:
            units = layout.read(activation)
            numbers = self.instead[: units.numel()].reshape(units.shape).to(units)
            changed = layout.write(activation, numbers * (units.abs().amax() + 1e-30))
        group = self.outputs.n_units // self.values.n_units
        self.passed["values"] = _wide(layout.read(changed)[:, :, [head // group for head in self.heads]])
        return None if self.instead is None else changed

    def _of_outputs(self, activation: Tensor, hook: object) -> None:
        layout = self.outputs.layout or Layout(self.outputs.n_units)
        eps = rounding(activation)
        self.resolution = eps * (256 if eps < 1e-6 else 8)  # many digits of float32, few of half precision
        self.passed["outputs"] = _wide(layout.read(activation)[:, :, self.heads])


def _wide(numbers: Tensor) -> Tensor:
    numbers = numbers.detach()
    return numbers.float() if is_half(numbers.dtype) else numbers.clone()


def _is_gated(model: Model, structure: ModelStructure, tokens: Tensor, layer: int, heads: Sequence[int]) -> bool:
    """Whether the heads' outputs are the product of pattern and values, times what does not depend on values."""
    part = structure.layers[layer].part("value")
    drawn = torch.randn(tokens.numel() * part.n_units * part.width, generator=torch.Generator().manual_seed(0))
    plain = _run(model, structure, tokens, {layer: heads})[layer]
    other = _run(model, structure, tokens, {layer: heads}, instead=drawn)[layer]
    if isinstance(plain, str) or isinstance(other, str) or not torch.equal(plain.pattern, other.pattern):
        return False
    crossed = plain.outputs * other.product() - other.outputs * plain.product()
    sizes = plain.outputs.abs() * other.size() + other.outputs.abs() * plain.size()
    return bool((crossed.abs() <= 2 * plain.resolution * sizes).all())

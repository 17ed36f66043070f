"""Where the weights of heads and neurons are in a plain Hugging Face model, by the names of its own modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_AFTER_HEADS = ("o_proj", "out_proj", "dense", "c_proj", "Wo")
_AFTER_NEURONS = ("down_proj", "c_proj", "fc2", "dense_4h_to_h", "fc_out", "Wo")
_NOT_TEXT = ("vision", "visual", "audio")


@dataclass(frozen=True)
class Projection:
    """A matrix product: its module's name, its sizes, and whether its weight is ``[in, out]``, not ``[out, in]``."""

    name: str
    n_in: int
    n_out: int
    transposed: bool

    @property
    def weight(self) -> str:
        """The name of its weight."""
        return f"{self.name}.weight"

    @property
    def bias(self) -> str:
        """The name of its bias, if it has one."""
        return f"{self.name}.bias"

    @property
    def out_axis(self) -> int:
        """The axis of the weight that is that of its outputs."""
        return 1 if self.transposed else 0

    @property
    def in_axis(self) -> int:
        """The axis of the weight that is that of its inputs."""
        return 1 - self.out_axis


@dataclass(frozen=True)
class LayerPlaces:
    """Of one layer; None where it was not found.

    ``after_heads`` reads the heads' outputs side by side, ``after_neurons`` the neurons. ``query``, ``key``, ``value``
    are there where each has its own; ``before_neurons`` are those whose outputs are the neurons, or the neurons twice.
    """

    prefix: str
    after_heads: Projection | None = None
    query: Projection | None = None
    key: Projection | None = None
    value: Projection | None = None
    after_neurons: Projection | None = None
    before_neurons: tuple[Projection, ...] = ()


def places_of(model: Any, n_layers: int) -> tuple[LayerPlaces, ...] | None:
    """The places in each layer of a plain model, which may be without data; None where its layers are not found."""
    import torch

    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and len(module) == n_layers
        and not any(word in name for word in _NOT_TEXT)
    ]
    lists = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    if len(lists) != 1:
        return None
    found = (model.get_submodule(f"{lists[0]}.{layer}") for layer in range(n_layers))
    return tuple(_places(module, f"{lists[0]}.{layer}.") for layer, module in enumerate(found))


def _places(layer: Any, prefix: str) -> LayerPlaces:
    products = {}
    for name, module in layer.named_modules():
        weight = getattr(module, "weight", None)
        kind = type(module).__name__
        if kind in ("Linear", "Conv1D") and weight is not None and weight.ndim == 2:
            transposed = kind == "Conv1D"
            n_out, n_in = weight.shape[::-1] if transposed else weight.shape
            products[name] = Projection(prefix + name, int(n_in), int(n_out), transposed)
    of_attention = {name: each for name, each in products.items() if set(name.split(".")[:-1]) & {*_ATTENTION}}
    others = {name: each for name, each in products.items() if name not in of_attention}
    after_heads, after_neurons = _one(of_attention, _AFTER_HEADS), _one(others, _AFTER_NEURONS)
    before: tuple[Projection, ...] = ()
    if after_neurons is not None:
        beside = after_neurons.name.rpartition(".")[0]
        before = tuple(
            each
            for each in others.values()
            if each.name.rpartition(".")[0] == beside
            and each != after_neurons
            and each.n_out in (after_neurons.n_in, 2 * after_neurons.n_in)
        )
    query, key, value = (_one(of_attention, (f"{letter}_proj",)) for letter in "qkv")
    return LayerPlaces(prefix, after_heads, query, key, value, after_neurons, before)


def _one(products: dict[str, Projection], names: tuple[str, ...]) -> Projection | None:
    found = [each for name, each in products.items() if name.rpartition(".")[2] in names]
    return found[0] if len(found) == 1 else None

"""Parts that nothing reads are cut out of the weights, as far as a plain configuration can say so.

A configuration has one number of heads, of key/value groups and of neurons for all layers. So each layer is given as
many as the one that needs most, and what it does not need of them is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from circuitspex.circuits.use.draft import Draft
from circuitspex.circuits.use.places import LayerPlaces, Projection
from circuitspex.circuits.use.switching_off import Left

EMPTY = -1
"""A slot that is filled with zeros."""

_HEADS = ("num_attention_heads", "n_head", "num_heads", "attention_heads")
_GROUPS = ("num_key_value_heads", "num_kv_heads")
_NEURONS = ("intermediate_size", "n_inner", "ffn_dim")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_MOST_TRIES = 24


@dataclass(frozen=True)
class Slots:
    """Which head each query slot of a layer has, and which key/value head each of its groups has."""

    queries: tuple[int, ...]
    groups: tuple[int, ...]


def slots_of(kept: Sequence[int], served: int, n_groups: int, size: int) -> Slots | None:
    """Heads dealt out to ``n_groups`` groups of ``size`` slots; None where that is too few.

    ``served`` consecutive heads share a key/value head today. A group holds heads of one key/value head only, and the
    same key/value head may stand in several groups, so that each head goes on reading its own keys and values.
    """
    queries: list[int] = []
    groups: list[int] = []
    for group in dict.fromkeys(head // served for head in kept):
        own = [head for head in kept if head // served == group]
        for start in range(0, len(own), size):
            part = own[start : start + size]
            queries += [*part, *[EMPTY] * (size - len(part))]
            groups.append(group)
    lack = n_groups - len(groups)
    return None if lack < 0 else Slots((*queries, *[EMPTY] * (lack * size)), (*groups, *[EMPTY] * lack))


def cut_heads(draft: Draft, left: Sequence[Left], places: Sequence[LayerPlaces], n_heads: int) -> Draft | None:
    """With fewer heads and key/value groups; None where the architecture can't have them, or all are needed."""
    first = places[0]
    if first.after_heads is None or first.key is None or first.after_heads.n_in % n_heads:
        return None
    width = first.after_heads.n_in // n_heads
    n_groups = first.key.n_out // width
    for each in places:
        sizes = (each.query, n_heads), (each.key, n_groups), (each.value, n_groups)
        if any(place is None or place.n_out != n * width for place, n in sizes):
            return None
        if each.after_heads is None or each.after_heads.n_in != n_heads * width:
            return None
    kept = [each.heads for each in left]
    if any(heads is None for heads in kept) or not n_groups or n_heads % n_groups:
        return None
    served = n_heads // n_groups
    for groups, size in islice(_sizes([heads or () for heads in kept], served, n_heads), _MOST_TRIES):
        if (groups, size) == (n_groups, served):
            return None
        found = draft.copy()
        named = _set(found, _HEADS, groups * size), _set(found, _GROUPS, groups), size == 1
        if not named[0] or not (named[1] or named[2]):
            return None
        found.fields.head_dim = width
        for heads, each in zip(kept, places, strict=True):
            slots = slots_of(heads or (), served, groups, size)
            assert slots is not None
            for place, units in ((each.query, slots.queries), (each.key, slots.groups), (each.value, slots.groups)):
                assert place is not None
                _take_outputs(found, place, units, width)
            assert each.after_heads is not None
            _take_inputs(found, each.after_heads, slots.queries, width)
        if found.fits():
            return found
    return None


def cut_neurons(draft: Draft, left: Sequence[Left], places: Sequence[LayerPlaces]) -> Draft | None:
    """With fewer neurons; None where the architecture can't have them, or all are needed."""
    kept = [each.neurons for each in left]
    if any(neurons is None for neurons in kept) or any(not each.before_neurons for each in places):
        return None
    sizes = {each.after_neurons.n_in for each in places if each.after_neurons is not None}
    n = max(1, max(len(neurons or ()) for neurons in kept))
    if len(sizes) != 1 or n >= min(sizes):
        return None
    found = draft.copy()
    if not _set(found, _NEURONS, n):
        return None
    for neurons, each in zip(kept, places, strict=True):
        own = neurons or ()
        units = (*own, *[EMPTY] * (n - len(own)))
        assert each.after_neurons is not None
        _take_inputs(found, each.after_neurons, units, 1)
        for place in each.before_neurons:
            twice = place.n_out == 2 * each.after_neurons.n_in  # gates and values in one matrix
            second = tuple(unit if unit == EMPTY else unit + each.after_neurons.n_in for unit in units)
            _take_outputs(found, place, (*units, *second) if twice else units, 1)
    return found if found.fits() else None


def cut_layers(draft: Draft, left: Sequence[Left], places: Sequence[LayerPlaces]) -> tuple[Draft, list[int]] | None:
    """Without the layers that read nothing, with those that stay; None where there are none such.

    What such a layer adds all the same (biases, means) is added by the layer before it; where there is none, it stays.
    """
    found = draft.copy()
    stay: list[int] = []
    for layer, of in enumerate(left):
        constant = _constant(draft, of, places[layer])
        if constant is not None and bool(constant.any()):
            before = places[stay[-1]].after_neurons if stay else None
            if before is None or before.bias not in found.tensors:
                constant = None
            else:
                bias = found.tensors[before.bias]
                found.tensors[before.bias] = (bias.double() + constant).to(bias.dtype)
        if constant is None:
            stay.append(layer)
    stay = stay or [0]
    if len(stay) == len(left) or not _set(found, _LAYERS, len(stay)):
        return None
    for name, value in list(vars(found.fields).items()):
        if isinstance(value, list) and len(value) == len(left):
            setattr(found.fields, name, [value[layer] for layer in stay])
    number = {places[old].prefix: places[new].prefix for new, old in enumerate(stay)}
    tensors, found.tensors = found.tensors, {}
    for name, tensor in tensors.items():
        prefix = next((each.prefix for each in places if name.startswith(each.prefix)), None)
        if prefix is None or prefix in number:
            found.tensors[name if prefix is None else number[prefix] + name.removeprefix(prefix)] = tensor
    return (found, stay) if found.fits() else None


def _constant(draft: Draft, left: Left, places: LayerPlaces) -> torch.Tensor | None:
    """What a layer without heads and neurons adds to every token, ``[d_model]``; None for any other layer."""
    after = places.after_heads, places.after_neurons
    if left.heads != () or left.neurons != () or after[0] is None or after[1] is None:
        return None
    total = torch.zeros(after[1].n_out, dtype=torch.float64, device=draft.tensors[after[1].weight].device)
    for place in after:
        assert place is not None
        if place.bias in draft.tensors:
            total += draft.tensors[place.bias].double()
    return total


def _sizes(kept: Sequence[Sequence[int]], served: int, n_heads: int) -> Iterator[tuple[int, int]]:
    """Numbers of groups and of heads in each that hold all that is kept, those with the fewest weights first."""
    found = []
    for size in range(1, served + 1):
        need = 1
        for heads in kept:
            counts = [sum(head // served == group for head in heads) for group in {head // served for head in heads}]
            need = max(need, sum(-(-count // size) for count in counts))
        found += [(groups, size) for groups in range(need, max(need, n_heads) + 1)]
    # A head has a query and an output, a group a key and a value.
    return iter(sorted(found, key=lambda each: (each[0] * (each[1] + 1), each)))


def _set(draft: Draft, names: Sequence[str], value: int) -> bool:
    """Set the first of these fields that the configuration has; whether there is one."""
    name = next((name for name in names if hasattr(draft.fields, name)), None)
    if name is not None:
        setattr(draft.fields, name, value)
    return name is not None


def _take_outputs(draft: Draft, place: Projection, units: Sequence[int], width: int) -> None:
    draft.tensors[place.weight] = _taken(draft.tensors[place.weight], place.out_axis, units, width)
    if place.bias in draft.tensors:
        draft.tensors[place.bias] = _taken(draft.tensors[place.bias], 0, units, width)


def _take_inputs(draft: Draft, place: Projection, units: Sequence[int], width: int) -> None:
    draft.tensors[place.weight] = _taken(draft.tensors[place.weight], place.in_axis, units, width)


def _taken(tensor: torch.Tensor, axis: int, units: Sequence[int], width: int) -> torch.Tensor:
    """These units of an axis, in this order, each ``width`` numbers; zeros for one that is ``EMPTY``."""
    chosen = torch.tensor([max(unit, 0) for unit in units], device=tensor.device)
    rows = (chosen[:, None] * width + torch.arange(width, device=tensor.device)).flatten()
    there = torch.tensor([unit != EMPTY for unit in units], device=tensor.device).repeat_interleave(width)
    shape = [-1 if each == axis else 1 for each in range(tensor.ndim)]
    return tensor.index_select(axis, rows) * there.reshape(shape).to(tensor.dtype)

"""Selectors: short texts that name many components.

A selector is one or more parts joined by ``+``. A part is an optional scope, a kind and an optional position:

    heads    mlps    neurons    neurons:64            every one in the model (neurons in groups of 64)
    heads.q    heads.k    heads.v                     queries, keys and values of heads
    attns    residuals    experts                     attention layers, residual stream, experts
    experts.neurons    experts.neurons:64             neurons of the experts of mixtures of experts
    latents    latents:64                             latents of the sparse autoencoders that were given
    layers[20:30].heads    layers[-4:].mlps           some layers, Python slices
    L5.heads    L5.neurons:64                         one layer
    L5E3.neurons:64                                   one expert
    L5H1    L5H1.k    L5A    L5N0:64    L5E3N12       one component
    heads@-1                                          at one token position
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from circuitspex.components.component import Component, parse_component
from circuitspex.components.kinds import KINDS, how_selected, how_written, in_groups, kind_selected
from circuitspex.components.structure import ModelStructure
from circuitspex.errors import ComponentError

_PART = re.compile(
    r"(?:layers\[(?P<slice>(?:-?\d+)?:(?:-?\d+)?(?::-?\d+)?|-?\d+)\]\.|L(?P<layer>\d+)(?:E(?P<expert>\d+))?\.)?"
    r"(?P<word>[a-z_]+(?:\.[a-z_]+)?)(?::(?P<group>\d+))?(?:@(?P<position>-?\d+))?",
    re.ASCII,
)
_LONGEST = 200
"""Of a part of a selector; what is longer is none."""

Selector = str | Component | Sequence[str | Component]


def select(structure: ModelStructure, selector: Selector) -> tuple[Component, ...]:
    """The components that a selector names, each checked against the model.

    Args:
        structure: what the model has, from ``model_structure``.
        selector: a selector (see the module's text), a component, or a list of either.

    Returns:
        The components in the order of the selector (within a part: by layer, then by index), each once.

    Raises:
        ComponentError: no such component, nothing selected, or two that gate the same activation (``L5H1`` and
            ``L5H1@-1``). A head and its query are different activations, as are an attention layer and its heads.
    """
    if not isinstance(selector, str | Component | Sequence):
        raise ComponentError(f"{selector!r} is not a selector; selectors are {how_selected()}, or a list of components")
    items = [selector] if isinstance(selector, str | Component) else list(selector)
    found: list[Component] = []
    for item in items:
        if isinstance(item, Component):
            found.append(structure.check(item))
        elif isinstance(item, str):
            for part in item.split("+"):
                found.extend(_select_part(structure, part.strip()))
        else:
            raise ComponentError(f"{item!r} is not a component or selector; selectors are {how_selected()}")
    if not found:
        raise ComponentError(f"the selector {selector!r} selects no components of {structure.name}")
    unique = tuple(dict.fromkeys(found))
    _refuse_overlaps(unique)
    _refuse_two_kinds_at_one_point(structure, unique)
    return unique


def _select_part(structure: ModelStructure, part: str) -> Iterable[Component]:
    match = _PART.fullmatch(part) if len(part) <= _LONGEST else None
    expert = None if match is None or match["expert"] is None else int(match["expert"])
    kind = None
    if match is not None:
        kind = kind_selected(match["word"] if expert is None else f"experts.{match['word']}")
    if match is None or kind is None:
        try:
            return [structure.check(parse_component(part))]
        except ComponentError as error:
            if "is not a component" not in str(error):
                raise
            raise ComponentError(
                f"{part[:60]!r} is neither a selector ({how_selected()}) nor a component ({how_written()})"
            ) from None
    layers = _layers(structure, part, match["slice"], match["layer"])
    position = None if match["position"] is None else int(match["position"])
    about = KINDS[kind]
    if match["group"] is not None and about.form != "range":
        grouped = list(in_groups())
        *most, last = [each.plural for each in grouped]
        raise ComponentError(
            f"'{part}': only {', '.join(most)} and {last} come in groups; "
            f"write '{grouped[0].word}:{match['group']}' or '{about.word}'"
        )
    size = int(match["group"] or 1)
    if size < 1:
        raise ComponentError(f"'{part}': a group needs at least one {about.singular}")
    having = [layer for layer in layers if structure.layers[layer].part(kind).hook is not None]
    if about.lacking == "refuse":
        having = layers  # a model whose layers differ in this is refused below, with the reason
    else:
        refused = [layer for layer in layers if structure.layers[layer].part(kind).refused]
        if refused:
            having = refused  # what a layer has, but can't be offered, is not passed over
        elif layers and not having and about.lacking == "say why":
            having = layers[:1]
    chosen: list[Component] = []
    for layer in having:
        found = structure.layers[layer].part(kind)
        if found.hook is None:
            raise ComponentError(f"'{part}': layer {layer} of {structure.name} {found.why}")
        if about.form == "whole":
            chosen.append(Component(layer, kind, 0, 0, position))
        else:
            n = found.n_units
            experts: Iterable[int | None] = [None] if found.n_experts is None else range(found.n_experts)
            if expert is not None:
                structure.check(Component(layer, kind, 0, 1, position, expert))
                experts = [expert]
            chosen += [
                Component(layer, kind, start, min(start + size, n), position, each)
                for each in experts
                for start in range(0, n, size)
            ]
    return chosen


def _layers(structure: ModelStructure, part: str, slice_text: str | None, layer: str | None) -> list[int]:
    everything = list(range(structure.n_layers))
    if layer is not None:
        slice_text = layer
    if slice_text is None:
        return everything
    if ":" not in slice_text:
        index = int(slice_text)
        if not -structure.n_layers <= index < structure.n_layers:
            raise ComponentError(
                f"'{part}': {structure.name} has {structure.n_layers} layers, 0 to {structure.n_layers - 1}"
            )
        return [everything[index]]
    bounds = [int(bound) if bound else None for bound in slice_text.split(":")]
    if len(bounds) == 3 and bounds[2] == 0:
        raise ComponentError(f"'{part}': the step of a slice can't be 0")
    return everything[slice(*bounds)]


def _refuse_overlaps(components: tuple[Component, ...]) -> None:
    """Two components may not gate the same activation: the meaning of a mask would be ambiguous."""
    taken: dict[tuple[int, str, int | None, int | None], list[Component]] = {}
    for component in components:
        key = component.layer, component.kind, component.expert, component.position
        taken.setdefault(key, []).append(component)
    for group in taken.values():
        ordered = sorted(group)
        for first, second in pairwise(ordered):
            if second.start < first.stop:
                raise ComponentError(f"{first} and {second} overlap; select each {first.about.singular} once")
    everywhere: dict[tuple[int, str, int | None], list[Component]] = {
        (c.layer, c.kind, c.expert): [] for c in components if c.position is not None
    }
    for component in components:
        if (component.layer, component.kind, component.expert) in everywhere:
            everywhere[component.layer, component.kind, component.expert].append(component)
    for group in everywhere.values():
        _refuse_mixed_positions(group)


def _refuse_mixed_positions(group: list[Component]) -> None:
    ordered = sorted(group, key=lambda c: (c.start, c.stop))
    reach: dict[bool, Component] = {}
    for component in ordered:
        other = reach.get(component.position is None)  # the latest one of the other sort
        if other is not None and (component.start < other.stop or component.is_whole):
            raise ComponentError(f"{other} and {component} overlap; select it at every position or at single ones")
        mine = component.position is not None
        if mine not in reach or reach[mine].stop < component.stop:
            reach[mine] = component
    signs = {c.position >= 0 for c in group if c.position is not None}
    if len(signs) > 1:
        raise ComponentError(
            f"layer {group[0].layer}: positions counted from the start and from the end are mixed; use one of the two"
        )


def _refuse_two_kinds_at_one_point(structure: ModelStructure, components: tuple[Component, ...]) -> None:
    """Latents may read or write the very activation that another component gates as a whole."""
    one_of_each = {(component.layer, component.kind): component for component in reversed(components)}
    first: dict[str, tuple[Component, bool]] = {}
    for component in reversed(one_of_each.values()):
        part = structure.layers[component.layer].part(component.kind)
        for point in (part.point, *part.written):
            other, writes = first.setdefault(point, (component, point != part.point))
            if point and other.kind != component.kind:
                raise ComponentError(
                    f"{other} and {component} gate the same activation ('{part.hook}'); select one of the two"
                    if not writes and point == part.point
                    else f"{other} and {component} change the same activation ('{point}'); select one of the two"
                )

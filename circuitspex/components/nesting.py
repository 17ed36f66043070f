"""Coarse parts of a model, and what they are opened into.

A level is a selector, or ``layers`` (``layers[20:30]``): the attention heads and the MLP of a layer as one part. The
next level names smaller components; a part that is opened is replaced by those that lie within it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from circuitspex.components._select import _select_part, select
from circuitspex.components.component import Component
from circuitspex.components.kinds import KINDS
from circuitspex.components.structure import ModelStructure
from circuitspex.errors import ComponentError

_LAYERS = re.compile(r"layers(\[[^\]]*\])?")


@dataclass(frozen=True)
class Group:
    """Components that are kept or ablated together, and what they are called."""

    name: str
    components: tuple[Component, ...]


def parts_of(structure: ModelStructure, selector: str) -> tuple[Group, ...]:
    """The parts of a first level: each component by itself, or whole layers.

    Raises:
        ComponentError: as in ``select``.
    """
    match = _LAYERS.fullmatch(selector.strip())
    if match is None:
        return tuple(Group(str(component), (component,)) for component in select(structure, selector))
    scope = f"{selector.strip()}." if match[1] else ""
    by_layer: dict[int, list[Component]] = {}
    for kind in KINDS.values():
        for component in _select_part(structure, f"{scope}{kind.word}") if kind.in_layers else ():
            by_layer.setdefault(component.layer, []).append(component)
    if not by_layer:
        raise ComponentError(f"'{selector}' selects no layers of {structure.name}")
    return tuple(Group(f"L{layer}", tuple(found)) for layer, found in sorted(by_layer.items()))


def opened(
    structure: ModelStructure, parts: Sequence[Group], selector: str, chosen: Collection[int]
) -> tuple[Group, ...]:
    """The same parts, with the chosen ones replaced by the components of ``selector`` that lie within them.

    What the selector does not name of a part that is opened becomes a part for each component. A part that none of the
    selector's components lies within stays as it is.

    Raises:
        ComponentError: a kind of component that lies within none of the parts, or only some of the neurons of a part.
    """
    inside = _inside(structure, parts, selector)
    out: list[Group] = []
    for place, part in enumerate(parts):
        finer = inside.get(place, [])
        if place not in chosen or not finer:
            out.append(part)
            continue
        rest = [whole for whole in part.components if not any(covers(whole, each) for each in finer)]
        for whole in part.components:
            _check_complete(structure, whole, finer, selector)
        found = sorted([*finer, *rest], key=lambda c: (c.layer, c.kind, c.expert or 0, c.start))
        out += [Group(str(component), (component,)) for component in found]
    return tuple(out)


def can_be_opened(structure: ModelStructure, parts: Sequence[Group], selector: str) -> set[int]:
    """The places of the parts that have smaller components of the selector within them."""
    inside = _inside(structure, parts, selector)
    wholes = {place: parts[place].components for place in inside}
    return {place for place, finer in inside.items() if len(wholes[place]) > 1 or tuple(finer) != wholes[place]}


def check_levels(structure: ModelStructure, levels: Sequence[str]) -> None:
    """Nothing if each level's components lie within those of the level before.

    Raises:
        ComponentError: they don't, or the model lacks them; fewer than two levels.
    """
    if isinstance(levels, str) or len(levels) < 2 or not all(isinstance(level, str) for level in levels):
        raise ComponentError(
            f"coarse to fine needs two or more levels, such as ['layers', 'heads+mlps', 'neurons'], not {levels!r}"
        )
    parts = parts_of(structure, levels[0])
    for before, level in pairwise(levels):
        try:
            finer = can_be_opened(structure, parts, level)
            parts = opened(structure, parts, level, range(len(parts)))
        except ComponentError as error:
            if "is within no component" not in str(error):
                raise
            raise ComponentError(f"levels must nest: {error} of the level before, '{before}'") from None
        if not finer:
            raise ComponentError(f"levels must nest: '{level}' has nothing smaller than the level before, '{before}'")


def written(structure: ModelStructure, parts: Sequence[Group]) -> str:
    """The parts as a short selector: all those of one kind in a layer are named as a whole."""
    singles = [part.components[0] for part in parts if len(part.components) == 1]
    found: dict[tuple[int, str], list[Component]] = {}
    for component in singles:
        if component.position is None and component.stop == component.start + 1:
            found.setdefault((component.layer, component.kind), []).append(component)
    parts_at = {key: structure.layers[key[0]].part(key[1]) for key in found}
    complete = {key for key, part in parts_at.items() if len(found[key]) == part.n_units * (part.n_experts or 1)}
    words: dict[str, None] = {}
    for part in parts:
        key = part.components[0].layer, part.components[0].kind
        all_there = len(part.components) == 1 and key in complete and part.components[0] in found[key]
        words[f"L{key[0]}.{KINDS[key[1]].word}" if all_there else part.name] = None
    return "+".join(words)


def _inside(structure: ModelStructure, parts: Sequence[Group], selector: str) -> dict[int, list[Component]]:
    """The selector's components that lie within each part, by the part's place."""
    if _LAYERS.fullmatch(selector.strip()):
        raise ComponentError(f"'{selector}' can only be the first level")
    exact = {component: place for place, part in enumerate(parts) for component in part.components}
    by_layer: dict[int, list[tuple[Component, int]]] = {}
    for component, place in exact.items():
        by_layer.setdefault(component.layer, []).append((component, place))
    inside: dict[int, list[Component]] = {}
    for piece in selector.split("+"):
        components = select(structure, piece)
        within = 0
        for component in components:
            near = by_layer.get(component.layer, [])
            covering = (place for whole, place in near if covers(whole, component))
            owner = exact[component] if component in exact else next(covering, None)
            if owner is not None:
                within += 1
                inside.setdefault(owner, []).append(component)
            elif any(_overlap(whole, component) for whole, _ in near):
                raise ComponentError(f"{component} of '{piece.strip()}' is within no component")
        if not within:
            raise ComponentError(f"{components[0]} of '{piece.strip()}' is within no component")
    return inside


def covers(whole: Component, part: Component) -> bool:
    """Whether the one has all of the other in it: a block of neurons its parts, an MLP its neurons."""
    if (whole.layer, whole.position) != (part.layer, part.position):
        return False
    if whole.kind != part.kind:
        return part.about.within == whole.kind
    if whole.expert != part.expert:
        return False
    return whole.start <= part.start and part.stop <= whole.stop


def _overlap(one: Component, two: Component) -> bool:
    if covers(one, two) or covers(two, one):
        return True
    same = (one.layer, one.kind, one.expert, one.position) == (two.layer, two.kind, two.expert, two.position)
    return same and one.start < two.stop and two.start < one.stop


def _check_complete(structure: ModelStructure, whole: Component, finer: Sequence[Component], selector: str) -> None:
    covered = [each for each in finer if each.about.form == "range" and covers(whole, each)]
    if not covered:
        return
    of = covered[0]
    size = structure.layers[whole.layer].part(of.kind).n_units if whole.is_whole else whole.stop - whole.start
    count = sum(each.stop - each.start for each in covered)
    if count != size:
        raise ComponentError(
            f"levels must nest: '{selector}' opens only {count} of the {size} {of.about.plural} of {whole}"
        )

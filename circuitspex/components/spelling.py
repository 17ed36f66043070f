"""What can be said of a selector without a model: how it is spelled, and whether there is such a kind of component."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from circuitspex.components._select import Selector, _select_part
from circuitspex.components._select_edges import check_edge_selector
from circuitspex.components.component import Component
from circuitspex.components.edges import EdgeSelector, is_of_edges
from circuitspex.components.kinds import KINDS, how_selected
from circuitspex.components.layer_view import Part
from circuitspex.components.structure import LayerStructure, ModelStructure
from circuitspex.errors import ComponentError

_MOST_LAYERS = 2000


class _Anything(ModelStructure):
    """A model that has everything in each of its layers, so that nothing is refused but for how it is spelled."""

    def check(self, component: Component) -> Component:
        """The component, where it is in one of the layers."""
        if component.layer >= self.n_layers:
            raise ComponentError(f"{component}: {self.name} has {self.n_layers} layers, L0 to L{self.n_layers - 1}")
        return component


def check_selector(
    selector: Selector | EdgeSelector, n_layers: int | None = None, name: str = "the model", *, edges: bool = True
) -> None:
    """Refuse a selector that no model has components for.

    Args:
        selector: what ``select`` takes.
        n_layers: how many layers the model has, where that is known before it is loaded.
        name: what the model is called.
        edges: whether edges may be selected.

    Raises:
        ComponentError: no selector or component is spelled so, edges are selected where they may not be, or one is in
            a layer that the model does not have.
    """
    if is_of_edges(selector):
        check_edge_selector(cast("EdgeSelector", selector))
        if not edges:
            raise ComponentError(
                "edges are searched by find_circuit (find) alone; here, select heads, MLPs and the like"
            )
        _check_layers_of_edges(selector, n_layers, name)
        return
    parts = {word: Part(1, "any", n_experts=1 if kind.in_expert else None) for word, kind in KINDS.items()}
    anything = _Anything(name, (LayerStructure(parts),) * (n_layers or _MOST_LAYERS))
    if not isinstance(selector, str | Component | Sequence):
        raise ComponentError(f"{selector!r} is not a selector; selectors are {how_selected()}, or a list of components")
    items = [selector] if isinstance(selector, str | Component) else list(selector)
    for item in items:
        if isinstance(item, Component):
            anything.check(item)
        elif isinstance(item, str):
            for part in item.split("+"):
                list(_select_part(anything, part.strip()))
        else:
            raise ComponentError(f"{item!r} is not a component or selector; selectors are {how_selected()}")


def _check_layers_of_edges(selector: object, n_layers: int | None, name: str) -> None:
    """Refuse an edge at a layer that the model lacks, where it is known how many there are."""
    items = selector if isinstance(selector, list | tuple) else [selector]
    for layer in [int(found) for item in items for found in re.findall(r"\bL(\d+)", str(item))]:
        if n_layers is not None and layer >= n_layers:
            raise ComponentError(f"L{layer}: {name} has {n_layers} layers, L0 to L{n_layers - 1}")


def check_levels_spelled(levels: Sequence[str], n_layers: int | None = None, name: str = "the model") -> None:
    """As ``check_selector``, for the levels of a search from coarse to fine, the first of which may be 'layers'.

    Raises:
        ComponentError: one of them is spelled as nothing is.
    """
    for place, level in enumerate(levels):
        text = str(level).strip()
        if place == 0 and text.startswith("layers") and "." not in text:
            text = f"{text}.heads" if "[" in text else "heads" if text == "layers" else text
        check_selector(text, n_layers, name, edges=False)

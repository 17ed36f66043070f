"""What can be ablated, how it is written, and how it is selected."""

from circuitspex.components.component import Component, Kind, head, mlp, neurons, one, parse_component
from circuitspex.components.experts import Router
from circuitspex.components.latents import Latents
from circuitspex.components.nesting import check_levels
from circuitspex.components.select import Selector, select
from circuitspex.components.structure import LayerStructure, ModelStructure, Part, model_structure

__all__ = [
    "Component",
    "Kind",
    "Latents",
    "LayerStructure",
    "ModelStructure",
    "Part",
    "Router",
    "Selector",
    "check_levels",
    "head",
    "mlp",
    "model_structure",
    "neurons",
    "one",
    "parse_component",
    "select",
]

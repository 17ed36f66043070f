"""What can be ablated, how it is written, and how it is selected."""

from circuitspex.components.component import Component, head, mlp, neurons, parse_component
from circuitspex.components.nesting import Part, check_levels
from circuitspex.components.select import Selector, select
from circuitspex.components.structure import LayerStructure, ModelStructure, model_structure

__all__ = [
    "Component",
    "LayerStructure",
    "ModelStructure",
    "Part",
    "Selector",
    "check_levels",
    "head",
    "mlp",
    "model_structure",
    "neurons",
    "parse_component",
    "select",
]

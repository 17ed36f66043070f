"""What a circuit was found on: whether a model is the one that it is of, and has its components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.components import Component, parse_component
from circuitspex.errors import UserError
from circuitspex.models import model_identity
from circuitspex.models.protocol import Model


def components_in(circuit: Circuit, only: Sequence[str] | None = None) -> tuple[Component, ...]:
    """The circuit's nodes as components of a model, or those of these names; no model is needed for this.

    Raises:
        UserError: it is no circuit of single components of a model, it is empty, or has no component of that name.
    """
    lens = circuit.run.get("lens", "components")
    if lens != "components":
        raise UserError(f"this is no circuit of single components of a model (its lens is '{lens}')")
    names = [node.name for node in circuit.nodes]
    if not names:
        raise UserError("the circuit has no components: there is nothing to describe")
    if isinstance(only, str):
        raise UserError(f"only is a list of names, such as [{names[0]!r}], not {only!r}")
    wanted = names if only is None else [str(name) for name in only]
    if not wanted:
        raise UserError("only names no component; leave it out to describe all")
    for name in wanted:
        if name not in names:
            raise UserError(f"{name} is not in this circuit; its components are {', '.join(names)}")
    return tuple(parse_component(name) for name in dict.fromkeys(wanted))


def check_weights(circuit: Circuit, model: Model, name: Any = "this model") -> None:
    """Nothing where the model has the weights that the circuit was found in, or the circuit does not say which.

    Raises:
        UserError: it has others.
    """
    wanted = circuit.model.get("identity")
    if wanted and (found := model_identity(model)) != wanted:
        raise UserError(
            f"{name} has other weights than the model that the circuit was found in (identity {found[:12]}…, the "
            f"circuit's {str(wanted)[:12]}…, {circuit.model.get('name') or 'no name'} in "
            f"{circuit.model.get('dtype') or 'an unknown dtype'}): what its components do holds there only"
        )

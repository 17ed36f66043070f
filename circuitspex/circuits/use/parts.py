"""Which components of a model a circuit has, and which others the search was among."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from circuitspex.circuits.circuit import Circuit
from circuitspex.components import KINDS, Component, ModelStructure, Selector, parse_component, select
from circuitspex.components.nesting import covers
from circuitspex.errors import ComponentError, UserError


@dataclass(frozen=True)
class Parts:
    """The components of a circuit, and the others of those that it was searched among."""

    members: tuple[Component, ...]
    others: tuple[Component, ...]

    @property
    def all(self) -> tuple[Component, ...]:
        """The circuit's first."""
        return (*self.members, *self.others)


def of_edges(circuit: Circuit) -> bool:
    """Whether it is a circuit of edges."""
    return circuit.run.get("lens") == "edges" or any("->" in node.name for node in circuit.nodes)


def check_lens(circuit: Circuit) -> None:
    """Nothing if the circuit is one of components of a model.

    Raises:
        UserError: it is one of edges, of words, of training examples; or it is empty.
    """
    lens = circuit.run.get("lens", "components")
    if of_edges(circuit):
        raise UserError(
            "this is a circuit of edges, which no plain checkpoint can do without; prune one of heads, MLPs, neurons "
            "and the like, or use circuit.applied (circuitspex apply)"
        )
    if not circuit.has_layers:
        raise UserError(f"this is no circuit of components of a model (its lens is '{lens}')")
    if not circuit.nodes:
        raise UserError("the circuit has no components")


def parts_of(circuit: Circuit, structure: ModelStructure, among: Selector | None = None) -> Parts:
    """The circuit's components in a model, and the others.

    Args:
        circuit: the circuit.
        structure: the model's.
        among: a selector of what the others are of, without those that lie within a component of the circuit; by
            default what the search was among, or where the circuit does not say that (it was read from another tool)
            all of the kinds of its components.

    Raises:
        UserError: no circuit of components of a model, or an empty one.
        ComponentError: components that the model does not have, that act at one token position, or that hold one of the
            circuit's.
    """
    check_lens(circuit)
    groups = circuit.run.get("groups") or {}

    def spelled(names: Iterable[str]) -> list[str]:
        return [part for name in names for part in str(groups.get(name, name)).split("+")]

    members = select(structure, [parse_component(name) for name in spelled(node.name for node in circuit.nodes)])
    found: tuple[Component, ...]
    if among is not None:
        found = _beside(members, select(structure, among))
    elif said := circuit.run.get("components"):
        found = select(structure, spelled(str(said).split("+")))
    else:
        found = select(structure, list(dict.fromkeys(KINDS[each.kind].word for each in members)))
    for component in (*members, *found):
        if component.position is not None:
            raise ComponentError(
                f"{component} acts at one token position, which other prompts need not have; allowed are components "
                "without a position"
            )
    own = set(members)
    parts = Parts(members, tuple(each for each in found if each not in own))
    select(structure, list(parts.all))  # refuses those that overlap
    return parts


def _beside(members: Sequence[Component], found: Iterable[Component]) -> tuple[Component, ...]:
    """Those of the found that lie within no member: a part that is kept is kept whole."""
    beside = []
    for each in found:
        if each in members or not any(_holds(member, each) for member in members):
            beside.append(each)
            inside = next((member for member in members if member != each and _holds(each, member)), None)
            if inside is not None:
                raise ComponentError(f"{each} holds {inside}, which is in the circuit; give others with among=…")
    return tuple(beside)


_IN_HEADS = ("head", "query", "key", "value")
_IN_MLPS = ("neurons", "expert", "expert_neurons", "latents")


def _holds(whole: Component, part: Component) -> bool:
    """Whether ablating the one for all prompts leaves nothing of the other."""
    if covers(whole, part):
        return True
    if whole.layer != part.layer:
        return False
    within = {"attention": _IN_HEADS, "mlp": _IN_MLPS, "expert": ("expert_neurons",)}.get(whole.kind, ())
    return part.kind in within and (whole.expert is None or whole.expert == part.expert)

"""A group of components that belong together; ``circuit.groups()`` gives them."""

from __future__ import annotations

from dataclasses import dataclass

from circuitspex.circuits.relation import Word


@dataclass(frozen=True)
class Group:
    """Two or more components of a circuit that belong together; a component is in one group at most.

    ``members`` are their names in the order of the layers. ``relation`` is the word of ``RELATIONS`` that stands for
    most of the size of their interactions, and ``strength`` the size of all of these added up, in units of the metric;
    an interaction counts where two or more of its components are members. ``name`` is the member with the largest
    effect, and the relation: 'L23H3 · backs up'. ``stability``, from 0 to 1, is how often two members are found
    together when the effects are drawn anew from their intervals, averaged over the pairs of members.
    """

    name: str
    members: tuple[str, ...]
    relation: Word
    strength: float
    stability: float

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

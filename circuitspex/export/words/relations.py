"""What components do to each other, in the words of the tables: the sentence, and what stands beside their names."""

from __future__ import annotations

from circuitspex.circuits.circuit import Interaction
from circuitspex.circuits.group import Group
from circuitspex.export.words.saying import say, say_term


def sentence(edge: Interaction) -> str:
    """The relation with its components: 'L29H0 opposes L23H3', 'L0H1 and L2H0 back each other up'."""
    relation, names = edge.relation, list(edge.components)
    if relation.source is not None and relation.target is not None:
        return say(f"terms.relation_one.{relation.word}", i=relation.source, j=relation.target)
    every = say("terms.and", first=", ".join(names[:-1]), last=names[-1])
    return say(f"terms.relation_both.{relation.word}", i=names[0], j=names[-1], all=every)


def short(edge: Interaction) -> str:
    """The same where the components stand beside it: 'L29H0 opposes L23H3', 'back each other up'."""
    relation = edge.relation
    return sentence(edge) if relation.source is not None else say(f"terms.relation_short.{relation.word}")


def group_name(group: Group) -> str:
    """Its strongest member and its relation: 'L23H3 · backs up'."""
    return group.name.removesuffix(group.relation) + say_term("relation", group.relation)

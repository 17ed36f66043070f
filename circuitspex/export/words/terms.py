"""The terms that results are written in, taken from the tables where they are defined: relations, roles, kinds.

Results, and the files that hold them, keep the term itself; pages and pictures show the text that stands here for it.
"""

from __future__ import annotations

from circuitspex.circuits.about import NO_ROLE, ROLES
from circuitspex.circuits.relation import RELATIONS
from circuitspex.components import KINDS
from circuitspex.export.words.text import Texts

_OWN: Texts = {
    "and": "{first} and {last}",
    "change.gained": "gained",
    "change.lost": "lost",
    "change.stronger": "stronger",
    "change.weaker": "weaker",
    "change.changed": "changed",
    "change.unchanged": "unchanged",
    "side.before": "before",
    "side.after": "after",
    "side.difference": "difference",
    "part.head": "head",
    "part.shared": "keys and values that heads share",
    "part.mlp": "MLP",
    "part.embeddings": "embeddings",
    "part.logits": "logits",
    "input.query": "query",
    "input.key": "key",
    "input.value": "value",
    "input.remainder": "remainder",
    "pattern.previous_token": "previous token",
    "pattern.duplicate_token": "duplicate token",
    "pattern.induction": "induction",
    "pattern.first_token": "first token",
    "way.chosen": "chosen",
    "way.matched": "matched",
    "way.random": "random",
    "level.nodes": "nodes",
    "level.edges": "edges",
    "row.full": "Nothing ablated",
    "row.circuit_kept": "Only the circuit kept",
    "row.circuit_removed": "Only the circuit removed",
    "row.empty": "Everything ablated",
    "row.random_kept": "{n} random circuits kept",
    "row.random_removed": "{n} random circuits removed",
}


def texts() -> Texts:
    """All of them, by their keys."""
    found: Texts = dict(_OWN)
    for word, definition in RELATIONS.items():
        found[f"relation.{word}"] = str(word)
        for form in ("both", "short", "one"):
            if said := getattr(definition, form):
                found[f"relation_{form}.{word}"] = said
    for role, says in ROLES.items():
        found[f"role.{role}"], found[f"role_says.{role}"] = role, says
        found[f"roles.{role}"] = role if role.endswith(("ion", "token")) else f"{role}s"
    found[f"role.{NO_ROLE}"] = NO_ROLE
    for name, kind in KINDS.items():
        found[f"kind.{name}"] = name
        found[f"legend.{kind.legend}"] = kind.legend
    return found

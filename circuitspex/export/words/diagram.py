"""What diagrams say: their marks to a screen reader, their legends, and what stands in an empty one."""

from circuitspex.export.words.text import Texts

TEXTS: Texts = {
    "layer": "layer",
    # What a screen reader says of a mark
    "component": "component {name}: {effect}",
    "not_distinct": "{spoken}; not distinguishable from 0 by itself",
    "edge": "edge {name}: {effect}",
    "absent": "{spoken}; not part of this circuit",
    "part.head": "head {name}",
    "part.shared": "shared keys and values {name}",
    "part.mlp": "MLP {name}",
    "part.other": "part {name}",
    "embeddings": "embeddings (emb)",
    # Instead of marks
    "alone": "No interactions: every component acts on its own.",
    "no_interactions_in_file": "Interactions: the file of scores that this was read from has none.",
    "empty": "Empty circuit: no component was kept.",
    "empty_edges": "Empty circuit: no edge was kept.",
    "strongest": "The strongest {drawn} of {all} edges are drawn.",
    "strongest_of_both": (
        "The strongest {drawn} of {all} edges are drawn, and {interactions} interactions of the others are not."
    ),
    # Legends
    "estimate": "estimate, not measured",
    "hollow": "grey, hollow: not told from 0",
    "unsigned": "grey, |size|: sign not known",
    "size": "size and width: |effect|",
    "positive_edge": "positive edge",
    "negative_edge": "negative edge",
    "all_estimates": "all effects are estimates",
    "edge_interaction": "interaction of edges, colour by sign",
    "edge_width": "width: |effect|; edges run upward",
    "kind.head": "head, reads queries (q), keys (k), values (v)",
    "kind.shared": "keys and values that several heads share",
    "kind.mlp": "MLP",
    "group_line": "{name}, interactions of {size} in all: {members}",
}

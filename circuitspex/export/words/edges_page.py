"""What the page of a circuit of edges says beside what it has in common with the page of a circuit."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "search": "L9H3.q, emb, layer 9",
    "strongest": "Strongest edges",
    "diagram_about": "Diagram of parts and edges. Arrow keys move it, plus and minus zoom, 0 fits it.",
    "hint": "Choose a part or an edge to light the paths from emb to the logits through it.",
    "choose": "Choose a part, an edge or an interaction, in the diagram or the tables.",
    "interactions": "Interactions among edges",
    "edges": "Edges",
    "edge": "Edge",
    "edge_card": "edge",
    "no_edge": "No edge was kept.",
    "hollow_table": "Edges not distinguishable from 0",
    # The legend
    "all_estimates": "All effects of edges are estimates",
    "interaction": "interaction of edges",
    "size": "Width: |effect|; edges run upward",
    # The panel
    "from_to": "from {source} to {target}",
    "from_to_q": "from {source} to {target} queries",
    "from_to_k": "from {source} to {target} keys",
    "from_to_v": "from {source} to {target} values",
    "number": "Number {place} of {all} by |effect|.",
    "about": "about {count}",
    "paths": Plural(
        "{count} path from emb to the logits goes through {part}.",
        "{count} paths from emb to the logits go through {part}.",
    ),
    "paths_shown": Plural(
        "{count} path from emb to the logits goes through {part} among the edges that are shown.",
        "{count} paths from emb to the logits go through {part} among the edges that are shown.",
    ),
    "no_path": "No path from emb to the logits goes through {part}.",
    "no_path_shown": "No path from emb to the logits goes through {part} among the edges that are shown.",
    "it": "it",
    "edges_into": "Edges into it",
    "edges_from": "Edges from it",
    "none_of": "{title}: none",
    "read_by": "read by {heads}",
    "reads_shared": "reads keys and values of {heads}",
    "shown": "{n} of {all} edges shown, on {paths} paths from emb to the logits.",
    # Below everything
    "units": (
        "Effects are in units of {metric}: how much it falls when the edge is closed, so that its end gets {closed}, "
        "averaged over ablations of the other edges."
    ),
    "units_interaction": (
        "Of an interaction the effect is how far the joint effect departs from what its edges add up to."
    ),
    "closed.resample": "what its source writes on the counterfactual prompt",
    "closed.mean": "what its source writes on average",
    "closed.zero": "nothing from its source",
    "closed.other": "the baseline of its source",
}

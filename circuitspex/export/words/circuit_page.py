"""What the page of a circuit says of the whole circuit, its diagram and its lists; the cards are in ``card.py``."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "name": "Circuit",
    "skip": "Skip to the diagram",
    "not_answer": "not {answer}",
    "counterfactual": "Counterfactual: {prompt}",
    "picture": "Circuit of {title}",
    "empty": "This circuit is empty.",
    "choose": "Choose a component or an interaction, in the diagram, the heat map or the tables.",
    # The story
    "what_each_does": "What each component does",
    "the_story": "The story",
    "no_story": (
        "What each component looks at, writes and feeds was not measured yet. "
        "{command} measures it, and this page then shows it."
    ),
    # The diagram
    "search_layered": "L23H3, layer 23, opposes",
    "search_names": "a name, opposes",
    "threshold": "Smallest |effect|",
    "estimates": "Labels of estimates",
    "fold": "Fold",
    "fold_one": "Fold {group}",
    "diagram_about": "Circuit diagram. Arrow keys move it, plus and minus zoom, 0 fits it.",
    "sign_unknown": "Grey, |size|: the sign is not known",
    "hollow": "Grey, hollow: not distinguishable from 0 by itself",
    "shown": "{n} of {all} interactions shown.",
    "heat_recorded": (
        "Heat map, last layer on top: framed cells are the circuit, a dash is below 0; "
        "pale, without a frame: decoded main effects of the others"
    ),
    "heat": ("Heat map, last layer on top: framed cells are the circuit, a dash is below 0; empty: not in the circuit"),
    "heat_about": "Effects by layer and head. Arrow keys go from component to component.",
    "heat_other": "{name}: {effect} decoded, not in the circuit",
    "cell_hollow": "{name}: {effect}, not distinguishable from 0 by itself",
    # The lists
    "no_component": "No component was kept.",
    "hollow_title": "Not distinguishable from 0 by themselves ({n})",
    "hollow_about": "In the circuit as members of an interaction; hollow in the diagram:",
    "hollow_table": "Components not distinguishable from 0",
    "left_out": "Measured and left out: {parts}.",
    "adds_up": "What adds up",
    "adds_up_about": "The {metric} as the sum of what each part writes itself, mean over prompts.",
    "part": "Part",
    "smaller_parts": Plural("{n} smaller part", "{n} smaller parts"),
    "remainder": "Remainder",
    "all_together": "All together",
    # How far it can be trusted
    "sound": "Sound",
    "with_care": "With care",
    "remedy": "{check}: {value}.",
    "verification": "Verification: the circuit alone, and the model without it",
    "verified_components": "{size} components each, {n} held-out prompts{few}, mean {metric}",
    "verified_edges": "{size} edges each, {n} held-out prompts{few}, mean {metric}",
    "ablation": "Ablation",
    # Notes
    "notes": "Notes",
    "notes_about": (
        "Kept in this page's address, so that a link holds them, and in a file that another reader can load."
    ),
    "note_on_page": "Note on this page",
    "note_hint": "On the whole circuit",
    "copy_link": "Copy link",
    "save_notes": "Save notes and pins",
    "load": "Load",
    "file_of_notes": "A file of notes",
    "copied": "Copied: the address holds what is chosen, pinned, folded and noted.",
    "not_copied": "The page's address in the browser's bar holds what is chosen, pinned, folded and noted.",
    "not_notes": "This is not a file of notes that such a page saved.",
    "loaded": "Loaded.",
    "lost": Plural(
        "{n} of its entries is of a part that this circuit does not have.",
        "{n} of its entries are of parts that this circuit does not have.",
    ),
    "other_weights": "It was saved from a circuit of other weights.",
    # Downloads
    "download": "Download",
    "diagram_svg": "Diagram, SVG",
    "diagram_png": "Diagram, PNG",
    "heat_svg": "Heat map, SVG",
    "heat_png": "Heat map, PNG",
    "json": "circuit.json",
    "python": "Python that finds it again",
    "json_too_large": "circuit.json is too large to be carried by this page; it stands beside it.",
    "no_download": "This browser could not make that file.",
    # Below everything
    "units": "Effects are in units of {metric}: how much it falls when the component is ablated.",
    "units_interaction": (
        "Of an interaction the effect is how far the joint effect departs from what the parts add up to. "
        "Both are averaged over ablations of the other components."
    ),
    "relations": (
        "What a pair's components do to each other is read off their measured table, as far as it is certain at 95 %; "
        "on other masks they may do other things."
    ),
}

"""What pages, pictures and tables of a comparison say."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "name": "Comparison",
    "skip": "Skip to the table of changes",
    "first_model": "the first model",
    "second_model": "the second model",
    # The verdict
    "identical": "Identical: {one} and {two} have the same weights, so nothing was run and nothing can differ.",
    "nothing_tested": "No change: neither model has a component or interaction that was worth testing.",
    "tested": Plural("{n} component tested", "{n} components and interactions tested"),
    "no_change": (
        "No change shown: of {tested}, none is shown to differ by more than {least} "
        "at a false discovery rate of {rate} %."
    ),
    "undecided": "Of {count} the 95 % interval excludes zero all the same: more prompts would tell.",
    "changes_found": Plural(
        "{kinds}: of {tested}, {n} differs by more than {least} at a false discovery rate of {rate} %.",
        "{kinds}: of {tested}, {n} differ by more than {least} at a false discovery rate of {rate} %.",
    ),
    "r2": "on {n} held-out masks",
    "r2_exact": "exact over all {n} masks",
    # The diagrams
    "diagrams": "Diagrams",
    "toolbar": "What is shown",
    "search": "L23H3, gained",
    "threshold": "Smallest |difference|",
    "which": "Which diagram",
    "all": "All",
    "diagram_about": "Diagram: {side}. Arrow keys move it, plus and minus zoom, 0 fits it.",
    "move": "Drag to move, Ctrl + scroll or pinch to zoom; the diagrams move together.",
    "minus": "after minus before",
    "nothing": "No component has an effect in either model.",
    "absent": "absent",
    # The legend
    "increased": "increased: higher after than before",
    "decreased": "decreased: lower after",
    "kind.gained": "gained: near zero before",
    "kind.lost": "lost: near zero after",
    "kind.stronger": "stronger",
    "kind.weaker": "weaker",
    "kind.changed": "changed: of the other sign",
    "before_after": "Before, after",
    "all_three": "All three",
    "positive": "positive effect or interaction",
    "negative": "negative effect or interaction",
    "size": "Size and width: |effect|, |difference|",
    "faint": "Faint: not part of that circuit",
    "faint_line": "faint: not part of that circuit",
    # The changes
    "changes": "Changes",
    "changes_count": "Changes ({n})",
    "changes_some": "Changes (the largest {n} of {all})",
    "side.before": "Before",
    "side.after": "After",
    "side.difference": "Difference",
    "kind_column": "kind",
    "none_tested": "No component or interaction was tested.",
    "nothing_chosen": "Choose a component or an interaction, in a diagram or in the table.",
    "nothing_to_choose": "Nothing was tested.",
    "shown": "{n} of {all} components and interactions shown.",
    # The panel
    "component": "component",
    "interaction_of": "interaction of {count}",
    "not_tested": "not tested",
    "one_model_only": "It was measured in one of the models only.",
    "difference_interval": "difference, 95 % interval {interval}",
    "measured_in_both": "Measured in both",
    "effect": "effect",
    "interval": "95 % interval",
    "difference_row": "difference",
    "decoded_difference": "decoded difference",
    "relations": "What they do to each other",
    "rate": "False discovery rate",
    "q": "q {q}",
    "rate_about": "The smallest rate at which it is a discovery that the difference exceeds {least}.",
    # The numbers to read first, and how it was compared
    "how": "How it was compared",
    "metric_before": "{metric}, before",
    "metric_after": "{metric}, after",
    "metric_difference": "{metric}, difference",
    "r2_title": "R² of the decoded difference",
    "r2_undefined": "undefined: the difference does not vary",
    "metric_line": "{metric} {before} before, {after} after, difference {gap}",
    "r2_line": "R² of the decoded difference {r2}",
    "weights_before": "Weights before",
    "weights_after": "Weights after",
    "least": "Smallest difference of interest",
    "n_components": "Number of components",
    # Below everything
    "units": (
        "Effects are in units of {metric}. Both models ran the same prompts under the same masks, "
        "and a difference is measured in the same contexts in both."
    ),
    "kinds": (
        "Gained: certain to have been near zero before (by an equivalence test); lost: certain to be near zero after; "
        "stronger, weaker: neither is certain; changed: of the other sign."
    ),
}

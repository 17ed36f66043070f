"""What several kinds of pages say: the frame, tables, legends, the toolbar of a diagram."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "language": "en",
    "theme": "◐ Theme",
    "theme_about": "Switch between light and dark",
    "summary": "Summary",
    "details": "Details",
    "how_found": "How it was found",
    "not_said": "The file does not say.",
    "intervals": "Intervals are 95 % intervals.",
    # Sections and tables
    "interactions": "Interactions",
    "components": "Components",
    "component": "Component",
    "effect": "Effect",
    "interval": "Interval",
    "interval_95": "95 % interval",
    "decoded": "Decoded",
    "order": "Order",
    "relation": "Relation",
    "layer": "Layer",
    "kind": "Kind",
    "q": "q",
    "drawn": "drawn",
    "est": "est.",
    "not_replicated": "not replicated",
    "no_interactions": "No interactions: every component acts on its own.",
    "no_interactions_in_file": "The file of scores that this was read from has no interactions.",
    # The legend of a diagram
    "legend": "Legend",
    "positive_interaction": "positive interaction",
    "negative_interaction": "negative interaction",
    "measured": "measured",
    "estimate": "estimate",
    "arrow": "arrow: travels that way",
    "size": "Size and width: |effect|",
    # The toolbar of a diagram
    "diagram": "Diagram",
    "toolbar": "What the diagram shows",
    "search": "Search",
    "zoom": "Zoom",
    "zoom_in": "Zoom in",
    "zoom_out": "Zoom out",
    "zoom_fit": "Fit",
    "move": "Drag to move, Ctrl + scroll or pinch to zoom.",
    "close_details": "Close the details",
    "metric": "the metric",
    # An effect on each prompt
    "measured_on_prompts": "Measured on each prompt",
    "effect_on_prompts": "Measured effect on each prompt",
    "prompts_below": Plural(
        "{n} prompt, {below} below zero, in units of {metric}", "{n} prompts, {below} below zero, in units of {metric}"
    ),
    "prompt": "prompt",
    "effect_column": "effect",
}

"""What the page of training examples says."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "name": "Training data",
    "picture": "Graph of {title}",
    "together": "Which work together",
    "alone": "No interactions: each acts on its own.",
    "dropped": "{n} more did not replicate.",
    "each": "What each one does",
    "none": "No effect could be told from zero.",
    "estimated": "estimated",
    "examples": Plural("{n} example", "{n} examples"),
    "examples_of": Plural("{name}, {n} example", "{name}, {n} examples"),
    "example": "example {index}",
    "averaged": "averaged over {others}",
    "all_in": "with all others in",
    "value": "value",
    "in": "in",
    "left_out": "left out",
    "training": Plural(
        "Each training: {examples} examples less those left out, {steps} steps of {optimizer}, {batch}, {n} seed; "
        "{tests} test examples.",
        "Each training: {examples} examples less those left out, {steps} steps of {optimizer}, {batch}, {n} seeds; "
        "{tests} test examples.",
    ),
    "batches": "batches of {size}",
    "full_batch": "all examples in each step",
    "value_metric": "the value",
    "units": "Effects are in units of {metric}: how much it falls when the {word} is left out of training.",
    "units_interaction": (
        "Of an interaction the effect is how far the joint effect departs from what the parts add up to. "
        "Both are averaged over random training sets."
    ),
    "relations": (
        "What two do to each other is read off their measured table, as far as it is certain at 95 %. "
        "Intervals are 95 % intervals over random training sets and {columns}."
    ),
    "over_seeds": "training seeds",
    "over_tests": "test examples",
}

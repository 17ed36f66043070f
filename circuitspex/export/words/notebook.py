"""What a result says in a cell of a notebook, beside what its page says."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "interactions": "Interactions ({n})",
    "interactions_some": "Interactions (the strongest {n} of {all})",
    "dropped": Plural("{n} did not replicate and is left out", "{n} did not replicate and are left out"),
    "no_interactions": "No interactions.",
    "too_large": "The interactive page of {size} MB is not put into a notebook: write it with to_html.",
}

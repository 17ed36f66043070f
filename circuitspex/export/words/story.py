"""What the story of a described circuit says of each component, in a few words."""

from circuitspex.export.words.text import Texts

TEXTS: Texts = {
    "on_random": "{share} of its attention on random tokens",
    "on_first": "{share} of its attention on the first token",
    "writes": "writes {effect}",
    "looks": "looks at {position} ({share})",
    "feeds": "feeds {target} through its {input} ({effect})",
}

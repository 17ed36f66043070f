"""What pages, pictures and tables of a prompt say."""

from circuitspex.export.words.text import Plural, Texts

TEXTS: Texts = {
    "name": "Prompt",
    "skip": "Skip to the prompt",
    "answers": "How strongly the model answers {answer}",
    "predicts": "The model predicts {tokens}",
    "predicts_short": "predicts {tokens}",
    "warning": "Warning:",
    "against": "{answer} against {wrong}",
    # What was done
    "bos": "a BOS token stands before the prompt, where attention sinks",
    "protect": "the first token, where attention sinks, is never ablated",
    "sink_warning": (
        "{word} is the first token, where attention sinks whatever it says, and the strongest word: "
        "its effect may not be what the word means; use first='bos' or first='protect'"
    ),
    "exact": "exact: all {masks} masks of {words} words were run",
    "unit.words": Plural("{n} word", "{n} words"),
    "unit.tokens": Plural("{n} token", "{n} tokens"),
    "unit.sentences": Plural("{n} sentence", "{n} sentences"),
    "unit.players": Plural("{n} player", "{n} players"),
    "ablated_by": "ablated by {baseline}",
    # The picture
    "picture": Plural(
        "Prompt of {players} players with {n} interaction above them",
        "Prompt of {players} players with {n} interactions above them",
    ),
    "the_prompt": "The prompt",
    "toolbar": "What the picture shows",
    "threshold": "Weakest interaction shown",
    "with_interactions": "The prompt with its interactions",
    "hint": "Point at a word or an arc, or reach it with the Tab key, to see its effect; click to keep it.",
    "shown": "{n} of {all} interactions shown",
    "raises": "raises the metric; an arc: positive interaction",
    "lowers": "lowers it; an arc: negative interaction",
    "depth": "Depth and width: |effect|",
    "grey": "Grey: never ablated",
    # The tables and the numbers to read first
    "words": "Words",
    "word": "Word",
    "place": "Place",
    "players_tile": "Players",
    "strongest": "Strongest word",
    # Below everything
    "units": "Effects are in units of {metric}: how much it falls when the word is ablated.",
    "units_interaction": (
        "Of an interaction the effect is how far the joint effect departs from what the parts add up to. "
        "Both are averaged over ablations of the other words."
    ),
    "relations": (
        "What two words do to each other is read off their measured table, as far as it is certain at 95 %. "
        "Intervals are 95 % intervals; “est.” was decoded and not measured again."
    ),
}

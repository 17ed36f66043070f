"""The result of the token lens: the prompt itself, with the effect of each word and the interactions between them.

    game = cx.TokenGame(model, "The film was not good.", " positive", " negative")
    found = cx.explain(game, budget=32)
    cx.PromptMap.of(game, found).to_html("prompt.html")

Effects have the units and the sign of ``circuitspex.circuits.circuit``: how much the metric falls when a word is
ablated; of two words, how much more the one does while the other is kept. What they do to each other:
``circuitspex.circuits.relation``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Circuit, Estimate
from circuitspex.circuits.found import Found
from circuitspex.errors import UserError
from circuitspex.games import TokenGame


@dataclass(frozen=True)
class Word:
    """One player: its ``name``, the characters ``start`` to ``end`` of the text that it is, and its effect.

    ``decoded`` is the effect that the decoded function gives; ``measured`` what paired ablations gave, for the words
    that were measured again and have a place in the circuit; ``adjusted`` is as in ``Node``.
    """

    name: str
    start: int
    end: int
    decoded: float
    measured: Estimate | None = None
    adjusted: Estimate | None = None

    @property
    def shown(self) -> Estimate | None:
        """The interval to stand beside the effect: see ``Node.shown``."""
        return self.measured if self.adjusted is None else self.adjusted

    @property
    def effect(self) -> float:
        """The measured effect where there is one, else the decoded."""
        return self.decoded if self.measured is None else self.measured.value


@dataclass(frozen=True)
class PromptMap(formats.Drawn):
    """A prompt, its ``words`` in the order of the ``text``, and the ``circuit`` of those that matter.

    ``text`` is what was split; ``rendered`` the whole text that the model read, with a chat template where there was
    one.
    """

    text: str
    rendered: str
    words: tuple[Word, ...]
    circuit: Circuit

    def __post_init__(self) -> None:
        end = 0
        for word in self.words:
            if not end <= word.start < word.end <= len(self.text):
                raise UserError(f"the word {word.name!r} is not in its place in the text")
            end = word.end
        names = {word.name for word in self.words}
        used = [node.name for node in self.circuit.nodes]
        used += [name for edge in self.circuit.interactions for name in edge.components]
        for name in used:
            if name not in names:
                raise UserError(f"the circuit has {name!r}, which is no word of this prompt")

    @classmethod
    def of(cls, game: TokenGame, found: Found) -> PromptMap:
        """The map of what ``explain`` found in a token game; it warns where the first token is the strongest word.

        Raises:
            UserError: it was found in another game.
        """
        if found.interactions.names != tuple(getattr(game, "names", ())) or not hasattr(game, "players"):
            raise UserError("this was not found in that token game: their words are not the same")
        nodes = {node.name: node for node in found.circuit.nodes}
        words = []
        for index, player in enumerate(game.players):
            node = nodes.get(player.name)
            decoded = float(found.interactions.effect(index)) if node is None else node.decoded
            ends = (None, None) if node is None else (node.measured, node.adjusted)
            words.append(Word(player.name, player.start, player.end, decoded, *ends))
        made = cls(game.prompt.text, game.prompt.rendered, tuple(words), found.circuit)
        if made.warning:
            warnings.warn(made.warning, stacklevel=2)
        return made

    @property
    def top_predictions(self) -> tuple[tuple[str, float], ...]:
        """What the model predicts after the whole prompt: the likeliest tokens and their probabilities.

        Empty in files of before.
        """
        rows = self.circuit.task.get("top_predictions")
        if not isinstance(rows, list | tuple):
            return ()
        return tuple((str(row.get("token", "")), float(row.get("probability", 0.0))) for row in rows)

    @property
    def is_exact(self) -> bool:
        """Whether every mask was run, so that effects are no estimates."""
        return self.circuit.faithfulness.exact and bool(self.circuit.run.get("exact_over_masks"))

    @property
    def warning(self) -> str:
        """Says that the strongest word is the first token, where attention sinks; empty where it is not."""
        strongest = max(self.words, key=lambda word: abs(word.effect), default=None)
        if self.circuit.run.get("first") != "ablate" or strongest is not self.words[0] or strongest.effect == 0:
            return ""
        return (
            f"{strongest.name!r} is the first token, where attention sinks whatever it says, and the strongest word: "
            "its effect may not be what the word means; use first='bos' or first='protect'"
        )

    def member_indices(self, names: Sequence[str]) -> tuple[int, ...]:
        """The places of words in ``words``, in the order of the text."""
        places = {word.name: index for index, word in enumerate(self.words)}
        return tuple(sorted(places[name] for name in names))

    def __repr__(self) -> str:
        return self.table()

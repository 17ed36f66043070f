"""Induction: a list of random words begins again, and goes on as it did before.

    Words: river apple stone green music paper river apple stone  ->  " green" rather than " paper"

In the counterfactual the first list is replaced by other words, so that the second one repeats nothing. The wrong
answer is a later word of the list.

Named positions: ``repeat``, where the list begins again; ``first``, where the last word of the prompt stood the first
time; ``next``, the word after that, which is the answer.
"""

from __future__ import annotations

import random

from circuitspex.tasks.builtin import BuiltInTask
from circuitspex.tasks.characters import positions_of, written
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import Draw
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import PLAIN_WORDS

OPENING = "Words:"
LIST_LENGTH = 8
REPEATED = 4


@BuiltInTask
def induction(vocabulary: Vocabulary) -> Draw:
    """The task of continuing a repeated list of random words, for ``model``."""
    pool = vocabulary.enough_words(PLAIN_WORDS, OPENING, 2 * LIST_LENGTH, "induction", "words")

    def draw(rng: random.Random) -> Example:
        drawn = rng.sample(pool, 2 * LIST_LENGTH)
        listed, others = drawn[:LIST_LENGTH], drawn[LIST_LENGTH:]
        again = listed[:REPEATED]
        names = {REPEATED - 1: "first", REPEATED: "next", LIST_LENGTH: "repeat"}
        pieces = [(names.get(at, ""), word) for at, word in enumerate([*listed, *again])]
        prompt = written(OPENING, *(each for piece in pieces for each in (" ", piece)))
        return Example(
            prompt=prompt.text,
            counterfactual=" ".join([OPENING, *others, *again]),
            answer=f" {listed[REPEATED]}",
            wrong_answer=f" {rng.choice(listed[REPEATED + 1 :])}",
            positions=positions_of(vocabulary, prompt),
        )

    return draw

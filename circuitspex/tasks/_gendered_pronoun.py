"""Gendered pronouns: a question tag takes the pronoun of the name before it.

    So Mary is a really good friend, isn't  ->  " she" rather than " he"

The counterfactual has a name of the other gender, so under it the two answers change places. Named positions: ``name``.
"""

from __future__ import annotations

import random

from circuitspex.tasks.builtin import BuiltInTask
from circuitspex.tasks.characters import positions_of, written
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import Draw
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import FEMALE_NAMES, MALE_NAMES, words

DEGREES = words("really very truly quite")
QUALITIES = words("good great kind clever nice fine")
ROLES = words("friend person teacher student neighbor writer singer player leader worker")


@BuiltInTask
def gendered_pronoun(vocabulary: Vocabulary) -> Draw:
    """The task of choosing between "she" and "he" by a name, for ``model``."""
    task = "gendered_pronoun"
    women = vocabulary.enough_words(FEMALE_NAMES, "So", 2, task, "female names")
    men = vocabulary.enough_words(MALE_NAMES, "So", 2, task, "male names")
    degrees = vocabulary.enough_words(DEGREES, "a", 1, task, "adverbs")
    qualities = vocabulary.enough_words(QUALITIES, "very", 1, task, "adjectives")
    roles = vocabulary.enough_words(ROLES, "good", 1, task, "nouns")

    def draw(rng: random.Random) -> Example:
        woman, man = rng.choice(women), rng.choice(men)
        ending = f"is a {rng.choice(degrees)} {rng.choice(qualities)} {rng.choice(roles)}, isn't"
        of_woman, of_man = (written("So ", ("name", name), f" {ending}") for name in (woman, man))
        if rng.random() < 0.5:
            return Example(of_woman.text, of_man.text, " she", " he", positions_of(vocabulary, of_woman))
        return Example(of_man.text, of_woman.text, " he", " she", positions_of(vocabulary, of_man))

    return draw

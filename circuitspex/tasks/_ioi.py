"""Indirect object identification: who was given something, after two people went somewhere.

    When Mary and John went to the store, John gave a drink to  ->  " Mary" rather than " John"

Both orders of the two names occur. The counterfactual names a third person the second time, so that nothing says which
of the first two is meant:

    When Mary and John went to the store, Paul gave a drink to

Named positions: ``IO``, the name that is the answer, and ``S1`` and ``S2``, the other name the first and the second
time, as the paper calls them.

The task is that of Wang et al., Interpretability in the Wild (arXiv 2211.00593), in prompts of our own.
"""

from __future__ import annotations

import random

from circuitspex.tasks.builtin import BuiltInTask
from circuitspex.tasks.characters import positions_of, written
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import Draw
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import FEMALE_NAMES, MALE_NAMES, words

MOVES = words("went walked came drove")
PLACES = words("store park school market garden station library office museum beach hospital restaurant")
GIVES = words("gave handed passed")
OBJECTS = words("drink book ring ball letter gift key card cake flower coin map")


@BuiltInTask
def ioi(vocabulary: Vocabulary) -> Draw:
    """The indirect object identification task for ``model``."""
    names = vocabulary.enough_words([*FEMALE_NAMES, *MALE_NAMES], "When", 6, "ioi", "names")
    moves = vocabulary.enough_words(MOVES, "John", 1, "ioi", "verbs of movement")
    places = vocabulary.enough_words(PLACES, "the", 2, "ioi", "places")
    gives = vocabulary.enough_words(GIVES, "John", 1, "ioi", "verbs of giving")
    objects = vocabulary.enough_words(OBJECTS, "a", 2, "ioi", "objects")

    def draw(rng: random.Random) -> Example:
        receiver, giver, other = rng.sample(names, 3)
        first, second = rng.sample([receiver, giver], 2)
        move, place, give, thing = rng.choice(moves), rng.choice(places), rng.choice(gives), rng.choice(objects)
        roles = {receiver: "IO", giver: "S1"}
        told = ("When ", (roles[first], first), " and ", (roles[second], second), f" {move} to the {place}, ")
        ending = f" {give} a {thing} to"
        prompt = written(*told, ("S2", giver), ending)
        return Example(
            prompt=prompt.text,
            counterfactual=written(*told, other, ending).text,
            answer=f" {receiver}",
            wrong_answer=f" {giver}",
            positions=dict(sorted(positions_of(vocabulary, prompt).items())),
        )

    return draw

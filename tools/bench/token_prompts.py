"""Generated prompts for the token lens: reviews with a negation, and two facts that must be taken together."""

from __future__ import annotations

import random
from dataclasses import dataclass

EXAMPLES = """Review: The acting was superb and I loved it.
Sentiment: positive
Review: A dull story with an awful ending.
Sentiment: negative
Review: The cast was not bad.
Sentiment: positive
Review: I found the film delightful.
Sentiment: positive
Review: The songs were never good.
Sentiment: negative
"""
NOUNS = ("food", "hotel", "book", "band", "service", "game", "concert", "museum", "garden", "play", "soup", "view")
GOOD = ("tasty", "nice", "pleasant", "exciting", "great", "clever", "fun", "charming", "helpful", "wonderful")
POOR = ("terrible", "boring", "ugly", "stupid", "poor", "horrible", "weak", "slow", "disappointing", "dreadful")
SINGLE = (
    ("not", "The {noun} was not {adjective}."),
    ("hardly", "The {noun} was hardly {adjective}."),
    ("never", "The {noun} was never {adjective} to me."),
    ("not", "I did not find the {noun} {adjective}."),
)
DOUBLE = (
    ("never not", "The {noun} was never not {adjective}."),
    ("Nobody not", "Nobody said the {noun} was not {adjective}."),
)


@dataclass(frozen=True)
class Review:
    """A review in its prompt: its words, the negations and the adjective among them, and the adjective's sign."""

    text: str
    negations: tuple[str, ...]
    adjective: str
    sign: int

    @property
    def prompt(self) -> str:
        return f"{EXAMPLES}Review: {self.text}\nSentiment:"

    def shows(self, members: tuple[str, ...], effect: float) -> bool:
        """Whether an interaction is a negation turning the adjective round (or two negations turning it back)."""
        words = sorted(word.split("#")[0].strip(".") for word in members)
        if self.adjective not in words or not set(words) <= {*self.negations, self.adjective}:
            return False
        flips = len(words) - 1
        return flips > 0 and (effect > 0) == (self.sign * (-1) ** flips > 0)


def reviews(count: int, seed: int) -> list[Review]:
    """Of ten, seven have one negation and three have two; adjectives of both signs by turns."""
    draw = random.Random(seed)
    found = []
    for index in range(count):
        double = index % 10 >= 7
        negations, form = draw.choice(DOUBLE if double else SINGLE)
        sign = 1 if index % 2 == 0 else -1
        adjective = draw.choice(GOOD if sign > 0 else POOR)
        text = form.format(noun=draw.choice(NOUNS), adjective=adjective)
        found.append(Review(text, tuple(negations.split()), adjective, sign))
    return found


def long_reviews(count: int, seed: int) -> list[Review]:
    """Reviews of about eighteen words with a negation."""
    draw = random.Random(seed)
    found = []
    for index in range(count):
        sign = 1 if index % 2 == 0 else -1
        good, poor = draw.sample(GOOD, 2), draw.sample(POOR, 2)
        one, two = draw.sample(NOUNS, 2)
        words = good if sign > 0 else poor
        text = (
            f"We had heard that the {one} was {draw.choice(poor if sign > 0 else good)}, but in the end the {two} "
            f"was not {words[0]} and everyone else thought so too."
        )
        found.append(Review(text, ("not",), words[0], sign))
    return found


PEOPLE = ("Anna", "Peter", "Laura", "Simon", "Julia", "Martin", "Emma", "David")
PETS = ("dog", "cat", "horse", "parrot")
CITIES = ("Paris", "London", "Rome", "Berlin", "Madrid", "Boston", "Moscow", "Tokyo")
SOLVED = """Lucy lives in Vienna. Oscar lives in Dublin. The dog belongs to Oscar. So the dog lives in Dublin.
Frank lives in Athens. Helen lives in Oslo. The horse belongs to Frank. So the horse lives in Athens.
"""


@dataclass(frozen=True)
class TwoHops:
    """Two facts that give the answer together, and one about somebody else; ``facts`` are their places."""

    context: str
    question: str
    answer: str
    wrong_answer: str
    facts: tuple[int, int]

    @property
    def prompt(self) -> str:
        return f"{SOLVED}{self.context} {self.question}"


def two_hops(count: int, seed: int) -> list[TwoHops]:
    """'The dog belongs to Anna.' and where Anna lives, beside where another person lives, in either order."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        (one, other), (city, elsewhere) = draw.sample(PEOPLE, 2), draw.sample(CITIES, 2)
        pet = draw.choice(PETS)
        homes = [f"{one} lives in {city}.", f"{other} lives in {elsewhere}."]
        first = draw.random() < 0.5
        context = " ".join([f"The {pet} belongs to {one}.", *(homes if first else homes[::-1])])
        facts = (0, 1 if first else 2)
        found.append(TwoHops(context, f"So the {pet} lives in", f" {city}", f" {elsewhere}", facts))
    return found

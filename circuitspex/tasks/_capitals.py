"""Capitals: recalling a fact about a country.

    The capital of France is the city of  ->  " Paris" rather than " Rome"

The counterfactual asks for another country, whose capital is the wrong answer. Named positions: ``country``.
"""

from __future__ import annotations

import random

from circuitspex.errors import TaskError
from circuitspex.tasks.builtin import BuiltInTask
from circuitspex.tasks.characters import positions_of, written
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import Draw
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import CAPITALS

QUESTIONS = (
    "The capital of {} is the city of",
    "The capital of {} is the city named",
    "The capital of {} is the city called",
    "The capital of {} is a city named",
    "The capital of {} is a city called",
    "The government of {} has its seat in",
    "The parliament of {} has its seat in",
    "The president of {} has an office in",
)

_MIN_COUNTRIES = 4


@BuiltInTask
def capitals(vocabulary: Vocabulary) -> Draw:
    """The task of naming a country's capital, for ``model``."""
    whole = set(vocabulary.single_words(CAPITALS, "of"))
    cities = set(vocabulary.single_words(CAPITALS.values(), "of"))
    countries = [country for country, city in CAPITALS.items() if country in whole and city in cities]
    if len(countries) < _MIN_COUNTRIES:
        raise TaskError(
            f"task 'capitals' needs at least {_MIN_COUNTRIES} countries that are one token with a capital that is "
            f"one, and this tokenizer has {len(countries)}; use Task.from_examples with prompts of your own"
        )

    def draw(rng: random.Random) -> Example:
        country, other = rng.sample(countries, 2)
        question = rng.choice(QUESTIONS)
        before, after = question.split("{}")
        asked = written(before, ("country", country), after)
        return Example(
            prompt=asked.text,
            counterfactual=question.format(other),
            answer=f" {CAPITALS[country]}",
            wrong_answer=f" {CAPITALS[other]}",
            positions=positions_of(vocabulary, asked),
        )

    return draw

"""Induction: a list of random words begins again, and goes on as it did before.

    Words: river apple stone green music paper river apple stone  ->  " green" rather than " paper"

In the counterfactual the first list is replaced by other words, so that the second one repeats nothing. The wrong
answer is a later word of the list.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from circuitspex.models.protocol import Model
from circuitspex.tasks.builtin import build_task
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import TaskGenerator
from circuitspex.tasks.metrics import Metric
from circuitspex.tasks.task import Task
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import PLAIN_WORDS

OPENING = "Words:"
LIST_LENGTH = 8
REPEATED = 4


def induction(
    model: Model,
    n_prompts: int = 16,
    seed: int = 0,
    metric: str | Metric | Callable[..., Any] = "logit_diff",
    prepend_bos: bool | None = None,
) -> Task:
    """The task of continuing a repeated list of random words, for ``model``."""
    vocabulary = Vocabulary.of(model, prepend_bos)
    pool = vocabulary.enough_words(PLAIN_WORDS, OPENING, 2 * LIST_LENGTH, "induction", "words")

    def draw(rng: random.Random) -> Example:
        drawn = rng.sample(pool, 2 * LIST_LENGTH)
        listed, others = drawn[:LIST_LENGTH], drawn[LIST_LENGTH:]
        again = listed[:REPEATED]
        return Example(
            prompt=" ".join([OPENING, *listed, *again]),
            counterfactual=" ".join([OPENING, *others, *again]),
            answer=f" {listed[REPEATED]}",
            wrong_answer=f" {rng.choice(listed[REPEATED + 1 :])}",
        )

    return build_task(TaskGenerator("induction", vocabulary, draw), n_prompts, seed, metric)

"""Greater-than: a span of years ends later than it began.

    The war lasted from the year 1732 to the year 17  ->  "5" rather than "2"

The answer continues the second year with more than the first one has, the wrong answer with less. A tokenizer that
writes years digit by digit is asked for the tens digit, one that has two-digit tokens (GPT-2) for the last two digits
("51" rather than "24"). The counterfactual begins in the year 01 of the century, after which no end is too early.

Named positions, as the paper calls them: ``noun``, what lasted; ``XX1`` and ``YY``, the century and the year in it of
the beginning; ``XX2``, the century of the end. A tokenizer that writes digits one by one makes them several tokens.

The task is that of Hanna et al., How does GPT-2 compute greater-than? (arXiv 2305.00586), in prompts of our own.
"""

from __future__ import annotations

import random

from circuitspex.errors import TaskError
from circuitspex.tasks.builtin import BuiltInTask
from circuitspex.tasks.characters import positions_of, written
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import Draw
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import words

EVENTS = words("war siege reign project journey voyage study famine empire tour revolt trade dispute strike")
CENTURIES = words("13 14 15 16 17 18")
FIRST_YEAR = "01"


@BuiltInTask
def greater_than(vocabulary: Vocabulary) -> Draw:
    """The task of ending a span of years after it began, for ``model``."""
    events = vocabulary.enough_words(EVENTS, "The", 2, "greater_than", "events")
    digits, years = _years(vocabulary)
    centuries = sorted(years)

    def draw(rng: random.Random) -> Example:
        event, century = rng.choice(events), rng.choice(centuries)
        begun = rng.choice([y for y in years[century] if "1" <= y[0] <= "8"])
        # What may follow the century: tens digits, or both last digits. Of one length, they compare as numbers do.
        ends = sorted({y[:digits] for y in years[century]})
        told = ("The ", ("noun", event), " lasted from the year ", ("XX1", century))
        ending = (" to the year ", ("XX2", century))
        prompt = written(*told, ("YY", begun), *ending)
        return Example(
            prompt=prompt.text,
            counterfactual=written(*told, FIRST_YEAR, *ending).text,
            answer=rng.choice([end for end in ends if end > begun[:digits]]),
            wrong_answer=rng.choice([end for end in ends if end < begun[:digits]]),
            positions=positions_of(vocabulary, prompt),
        )

    return draw


def _years(vocabulary: Vocabulary) -> tuple[int, dict[str, list[str]]]:
    """How many digits an answer has, and for each usable century the last two digits of its usable years."""
    # By the number of tokens that the last two digits of a year are: the years of each century.
    by_pieces: dict[int, dict[str, list[str]]] = {1: {}, 2: {}}
    for century in CENTURIES:
        stem = f"the year {century}"
        before = vocabulary.prompt_ids(stem)
        for end in (f"{n:02d}" for n in range(100)):
            whole = vocabulary.prompt_ids(stem + end)
            pieces = len(whole) - len(before)
            if pieces in by_pieces and whole[: len(before)] == before:
                by_pieces[pieces].setdefault(century, []).append(end)
    for pieces, digits in ((1, 2), (2, 1)):
        found = {
            century: ends
            for century, ends in by_pieces[pieces].items()
            if FIRST_YEAR in ends and len({end[0] for end in ends}) == 10
        }
        if found:
            return digits, found
    raise TaskError(
        "task 'greater_than' needs years whose last two digits are tokens of their own, and this tokenizer splits them "
        "otherwise; use Task.from_examples with prompts of your own"
    )

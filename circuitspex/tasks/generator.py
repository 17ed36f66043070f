"""Drawing examples of a built-in task from a seed, all of one token length."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from circuitspex.errors import TaskError
from circuitspex.tasks.example import Example, encode_example
from circuitspex.tasks.vocabulary import Vocabulary

Draw = Callable[[random.Random], Example]

_GIVE_UP_AFTER = 2000
"""Draws in a row without a new prompt after which a generator counts as exhausted."""


@dataclass(frozen=True)
class TaskGenerator:
    """Draws examples of one built-in task under one tokenizer.

    ``draw`` makes one example from a random state. Examples whose prompts are not ``length`` tokens long, or whose
    answers are not one token, are passed over, so that every template or word that a tokenizer splits differently
    drops out by itself.
    """

    name: str
    vocabulary: Vocabulary
    draw: Draw
    length: int = field(default=0)

    def __post_init__(self) -> None:
        if not self.length:
            object.__setattr__(self, "length", self._usual_length())

    def examples(self, n: int, rng: random.Random, exclude: Collection[str] = ()) -> list[Example]:
        """``n`` examples of different prompts, none in ``exclude``; a :class:`TaskError` where there are too few."""
        found = self.at_most(n, rng, exclude)
        if len(found) < n:
            besides = f" besides the {len(exclude)} already used" if exclude else ""
            raise TaskError(
                f"task '{self.name}' has only {len(found)} prompts under this tokenizer{besides}, and {n} were asked "
                f"for; ask for at most {len(found)}"
            )
        return found

    def at_most(self, n: int, rng: random.Random, exclude: Collection[str] = ()) -> list[Example]:
        """As many of ``n`` examples as the generator has."""
        if n < 1:
            raise TaskError(f"n_prompts must be at least 1, not {n}")
        seen = set(exclude)
        found: list[Example] = []
        misses = 0
        while len(found) < n and misses < _GIVE_UP_AFTER:
            example = self.draw(rng)
            misses += 1
            if example.prompt in seen:
                continue
            seen.add(example.prompt)
            if self._length_of(example) == self.length:
                found.append(example)
                misses = 0
        return found

    def _length_of(self, example: Example) -> int | None:
        try:
            return len(encode_example(example, self.vocabulary, self.name).tokens)
        except TaskError:
            return None

    def _usual_length(self) -> int:
        # The random state is fixed: the length must not depend on the seed, as fresh prompts have to match it.
        rng = random.Random(0)
        lengths = [length for _ in range(64) if (length := self._length_of(self.draw(rng))) is not None]
        if not lengths:
            raise TaskError(f"task '{self.name}' can't be written in this tokenizer; use Task.from_examples instead")
        counts = Counter(lengths)
        return max(counts, key=lambda length: (counts[length], -length))

"""Tasks that are recorded beside the built-in ones: copying a list, and facts that only the prompt states."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import circuitspex as cx
from circuitspex.tasks import Example

WORDS = "apple river stone green music paper house dog chair bread cloud glass horse light money night plant road sugar"
NAMES = "Mary John Anna Peter Sarah David Laura Paul Emma Mark"
THINGS = "cat dog horse boat car piano garden farm shop ring"


def copying(model: Any, n_prompts: int, seed: int) -> cx.Task:
    """A list of eight words, all of it repeated: its last word rather than another one. Nothing introduces the list."""

    def draw(rng: random.Random) -> Example:
        drawn = rng.sample(WORDS.split(), 16)
        listed, others = drawn[:8], drawn[8:]
        again = listed[:7]
        return Example(
            " ".join([*listed, *again]), " ".join([*others, *again]), f" {listed[7]}", f" {rng.choice(listed[:6])}"
        )

    return _task(model, "copying", draw, n_prompts, seed)


def facts(model: Any, n_prompts: int, seed: int) -> cx.Task:
    """Who has what, told once for three people: what one of them has, rather than what another one has."""

    def draw(rng: random.Random) -> Example:
        names, things = rng.sample(NAMES.split(), 3), rng.sample(THINGS.split(), 6)
        asked = rng.randrange(3)

        def text(things: list[str]) -> str:
            told = " ".join(f"{name} has a {thing}." for name, thing in zip(names, things, strict=True))
            return f"{told} So {names[asked]} has a"

        wrong = rng.choice([place for place in range(3) if place != asked])
        return Example(text(things[:3]), text(things[3:]), f" {things[asked]}", f" {things[wrong]}")

    return _task(model, "facts", draw, n_prompts, seed)


def _task(model: Any, name: str, draw: Callable[[random.Random], Example], n_prompts: int, seed: int) -> cx.Task:
    rng = random.Random(f"{name} {seed}")
    return cx.Task.from_examples(model, [draw(rng) for _ in range(n_prompts)], name=name)


TASKS = {"copying": copying, "facts": facts}

"""From a generator to a built-in task: prompts, and reference prompts of the same shape."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import TaskGenerator
from circuitspex.tasks.metrics import Metric
from circuitspex.tasks.task import Task

N_REFERENCE = 64
"""Reference prompts of a built-in task: half prompts, half counterfactuals."""


def build_task(generator: TaskGenerator, n_prompts: int, seed: int, metric: str | Metric | Callable[..., Any]) -> Task:
    """``n_prompts`` prompts drawn with ``seed``, and reference prompts that are different from them."""
    examples = generator.examples(n_prompts, random.Random(seed))
    return Task.encode(
        generator.vocabulary,
        tuple(examples),
        name=generator.name,
        metric=metric,
        reference=_reference(generator, examples, seed),
        generator=generator,
    )


def _reference(generator: TaskGenerator, examples: list[Example], seed: int) -> list[str]:
    rng = random.Random(f"reference {seed}")
    used = {example.prompt for example in examples}
    pairs = generator.at_most(N_REFERENCE // 2, rng, used)
    if len(pairs) < N_REFERENCE // 2:
        # So few prompts exist that some of the task's own have to serve.
        pairs += examples[: N_REFERENCE // 2 - len(pairs)]
    return [e.prompt for e in pairs] + [e.counterfactual for e in pairs]

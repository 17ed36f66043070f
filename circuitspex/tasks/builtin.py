"""From what draws an example to a built-in task: prompts, and reference prompts of the same shape."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from circuitspex.errors import TaskError, UserError
from circuitspex.models.given import for_text
from circuitspex.models.protocol import Model
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.tasks.example import Example
from circuitspex.tasks.generator import Draw, TaskGenerator
from circuitspex.tasks.metrics import Metric
from circuitspex.tasks.task import Task
from circuitspex.tasks.vocabulary import Vocabulary

N_REFERENCE = 64
"""Reference prompts of a built-in task: half prompts, half counterfactuals."""


class BuiltInTask:
    """A built-in task, which is called to build it for a model.

    Args:
        draws: from the vocabulary of a model to the function that draws an example; the task is named as it is.
    """

    def __init__(self, draws: Callable[[Vocabulary], Draw]) -> None:
        self._draws, self.__name__, self.__doc__ = draws, draws.__name__, draws.__doc__
        self.__module__, self.__qualname__ = draws.__module__, draws.__qualname__

    def __reduce__(self) -> str:
        """Pickled by its name, as functions are."""
        return self.__name__

    def __repr__(self) -> str:
        return f"<built-in task {self.__name__}>"

    def __call__(
        self,
        model: Model,
        n_prompts: int = 16,
        seed: int = 0,
        metric: str | Metric | Callable[..., Any] = "logit_diff",
        prepend_bos: bool | None = None,
    ) -> Task:
        """``n_prompts`` prompts drawn with ``seed``, and reference prompts that are different from them.

        Raises:
            TaskError: ``n_prompts`` or ``seed`` is no whole number of a size that makes sense.
        """
        try:
            n_prompts, seed = whole(n_prompts, "n_prompts", 1, MOST), check_seed(seed)
        except UserError as error:
            raise TaskError(str(error)) from None
        vocabulary = Vocabulary.of(for_text(model), prepend_bos)
        generator = TaskGenerator(self.__name__, vocabulary, self._draws(vocabulary))
        examples = generator.examples(n_prompts, random.Random(seed))
        reference = _reference(generator, examples, seed)
        return Task.encode(
            vocabulary,
            tuple(examples),
            name=generator.name,
            metric=metric,
            reference=reference,
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

"""One example of a task, and what a vocabulary makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from circuitspex.errors import TaskError
from circuitspex.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Example:
    """A prompt, its counterfactual, and the two next tokens that are compared.

    The counterfactual has as many tokens as the prompt; resample ablation pairs their positions. The answers carry
    their leading space (``" Mary"``) and are one token each.
    """

    prompt: str
    counterfactual: str
    answer: str
    wrong_answer: str

    def __post_init__(self) -> None:
        for name in ("prompt", "counterfactual", "answer", "wrong_answer"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TaskError(f"an example's {name} must be a string, not {type(value).__name__}")


@dataclass(frozen=True)
class EncodedExample:
    """The token ids of one example."""

    tokens: tuple[int, ...]
    counterfactual_tokens: tuple[int, ...]
    answer: int
    wrong_answer: int


def encode_example(example: Example, vocabulary: Vocabulary, where: str) -> EncodedExample:
    """The tokens of ``example``; what is wrong with it is a :class:`TaskError` that begins with ``where``."""
    tokens = vocabulary.prompt_ids(example.prompt)
    counterfactual = vocabulary.prompt_ids(example.counterfactual)
    if not tokens:
        raise TaskError(f"{where}: the prompt {example.prompt!r} has no tokens; it needs at least one")
    if len(tokens) != len(counterfactual):
        raise TaskError(
            f"{where}: the counterfactual has {len(counterfactual)} tokens and the prompt {len(tokens)}; "
            "they must have the same number, as their positions are paired"
        )
    answer = vocabulary.answer_id(example.prompt, example.answer, where, "answer")
    wrong = vocabulary.answer_id(example.prompt, example.wrong_answer, where, "wrong answer")
    if answer == wrong:
        raise TaskError(
            f"{where}: the answer {example.answer!r} and the wrong answer {example.wrong_answer!r} are the same token; "
            "they must differ"
        )
    return EncodedExample(tuple(tokens), tuple(counterfactual), answer, wrong)

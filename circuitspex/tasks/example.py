"""One example of a task, and what a vocabulary makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from circuitspex.errors import TaskError
from circuitspex.strict_json import short
from circuitspex.tasks.metrics import END, METRICS, Metric, taking_several
from circuitspex.tasks.vocabulary import Vocabulary

_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Example:
    """A prompt, its counterfactual, and the two answers that are compared.

    The counterfactual has as many tokens as the prompt; resample ablation pairs their positions. The answers carry
    their leading space (``" Mary"``) and are one token each, or, for a metric that takes them, several. ``positions``
    name tokens of the prompt, by their index or their indices, first to last (a negative one counts from the end);
    ``END``, the last, is always there. A metric may read those of one token.
    """

    prompt: str
    counterfactual: str
    answer: str
    wrong_answer: str
    positions: Mapping[str, int | Sequence[int]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("prompt", "counterfactual", "answer", "wrong_answer"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TaskError(f"an example's {name} must be a string, not {type(value).__name__}")
            wrong = _NO_TEXT.search(value)
            if wrong is not None:
                what = "a NUL" if wrong[0] == "\0" else f"half of a surrogate pair ({wrong[0]!a})"
                raise TaskError(f"the {name} has {what} at character {wrong.start()}, which is no text for a tokenizer")
        if not isinstance(self.positions, Mapping):
            raise TaskError(f"an example's positions map names to indices; not {type(self.positions).__name__}")
        for name, index in self.positions.items():
            if not isinstance(name, str) or not name or name == END or _NO_TEXT.search(name):
                raise TaskError(
                    f"a position needs a name of its own; {short(name)} is none ('{END}' is always the last)"
                )
            indices = index if isinstance(index, list | tuple) else [index]
            if not indices or any(isinstance(each, bool) or not isinstance(each, int) for each in indices):
                raise TaskError(
                    f"the position '{name}' must be a whole number or a list of whole numbers, not {short(index)}"
                )
        fixed = {name: tuple(each) if isinstance(each, list) else each for name, each in self.positions.items()}
        object.__setattr__(self, "positions", fixed)

    def span(self, name: str, length: int) -> tuple[int, ...]:
        """The tokens of a named position in a prompt of this many tokens, from 0."""
        index = length - 1 if name == END else self.positions[name]
        return tuple(each % length for each in ([index] if isinstance(index, int) else index))


@dataclass(frozen=True)
class EncodedExample:
    """The token ids of one example."""

    tokens: tuple[int, ...]
    counterfactual_tokens: tuple[int, ...]
    answer: tuple[int, ...]
    wrong_answer: tuple[int, ...]


def encode_example(
    example: Example, vocabulary: Vocabulary, where: str, metric: Metric = METRICS["logit_diff"]
) -> EncodedExample:
    """The tokens of ``example``; what is wrong with it is a :class:`TaskError` that begins with ``where``.

    ``metric`` says whether its answers may have several tokens.
    """
    tokens = vocabulary.prompt_ids(example.prompt)
    counterfactual = vocabulary.prompt_ids(example.counterfactual)
    if not tokens:
        raise TaskError(f"{where}: the prompt {example.prompt[:60]!r} has no tokens; it needs at least one")
    if vocabulary.longest is not None and len(tokens) > vocabulary.longest:
        raise TaskError(f"{where}: the prompt has {len(tokens)} tokens; the model's context holds {vocabulary.longest}")
    if len(tokens) != len(counterfactual):
        raise TaskError(
            f"{where}: the counterfactual has {len(counterfactual)} tokens and the prompt {len(tokens)}; "
            "they must have the same number, as their positions are paired"
        )
    for name, given in example.positions.items():
        for index in [given] if isinstance(given, int) else given:
            if not -len(tokens) <= index < len(tokens):
                raise TaskError(
                    f"{where}: there is no position {index} ('{name}'); the prompt has {len(tokens)} tokens"
                )
        span = example.span(name, len(tokens))
        if list(span) != sorted(set(span)):
            raise TaskError(
                f"{where}: the tokens of the position '{name}' must be different and in order, not {list(span)}"
            )
    answer = vocabulary.answer_ids(example.prompt, example.answer, where, "answer")
    wrong = vocabulary.answer_ids(example.prompt, example.wrong_answer, where, "wrong answer")
    for role, text, ids in (("answer", example.answer, answer), ("wrong answer", example.wrong_answer, wrong)):
        if len(ids) > 1 and not metric.takes_several:
            shown = " + ".join(map(repr, vocabulary.pieces(ids)))
            raise TaskError(
                f"{where}: the {role} {text!r} is {len(ids)} tokens ({shown}), and metric '{metric.name}' takes one; "
                f"{taking_several()}"
            )
        if vocabulary.longest is not None and len(tokens) + len(ids) - 1 > vocabulary.longest:
            raise TaskError(
                f"{where}: the prompt and its {role} have {len(tokens) + len(ids)} tokens; the model's context holds "
                f"{vocabulary.longest} and the last token of an answer"
            )
    if answer == wrong:
        raise TaskError(
            f"{where}: the answer {example.answer!r} and the wrong answer {example.wrong_answer!r} are the same "
            f"token{'s' if len(answer) > 1 else ''}; they must differ"
        )
    return EncodedExample(tuple(tokens), tuple(counterfactual), answer, wrong)

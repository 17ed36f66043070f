"""``from_mib``: tasks from the data sets of MIB's circuit track and of EAP-IG."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from circuitspex.errors import TaskError
from circuitspex.models.given import GivenModel, for_text
from circuitspex.models.tokens import encode
from circuitspex.scale import whole
from circuitspex.tasks.example import Example
from circuitspex.tasks.metrics import Metric
from circuitspex.tasks.mib_rows import Row, read_rows
from circuitspex.tasks.task import Task
from circuitspex.tasks.vocabulary import Vocabulary

_REASONS = {
    "lacking": "without a counterfactual",
    "names": "whose answers or names have other numbers of tokens",
    "length": "whose counterfactual has another number of tokens",
    "answer": "whose answer is not one token after the prompt",
    "same": "whose answers begin with the same token",
}


def from_mib(
    path: str | Path,
    model: GivenModel,
    *,
    n_prompts: int = 100,
    counterfactual: str | None = None,
    name: str | None = None,
    metric: str | Metric | Callable[..., Any] = "logit_diff",
    reference: Sequence[str] | None = None,
    prepend_bos: bool | None = None,
    group_by_length: bool = True,
) -> Task:
    """A task from a file of MIB's circuit track (JSON: ioi, mcqa, arc, arithmetic) or of EAP-IG (CSV).

    The answers are those of MIB's own loader: the first tokens of the two names, of the labels of two options, or of
    two results; or the token ids in the file, which are of the tokenizer that the file was made for. Rows that MIB
    passes over (names of different numbers of tokens, no counterfactual) are left out, and so are rows whose
    counterfactual has another number of tokens, since positions are paired.

    Args:
        path: a ``.json`` file with a list of rows, a ``.jsonl`` file with one a line, or a ``.csv`` file.
        model: whose tokenizer makes tokens of them.
        n_prompts: the first so many rows that can be used; MIB attributes on 100.
        counterfactual: which of a row's counterfactuals to take, by its name in the file; by default MIB's.
        name: of the task; by default the file's name without its ending.
        metric: as in ``Task.from_examples``, and so are ``reference``, ``prepend_bos`` and ``group_by_length``.

    Raises:
        TaskError: the file is none of these, names a token that the tokenizer has not, or has no row that can be used.

    Warns:
        UserWarning: where rows before the last that is taken are left out.
    """
    n_prompts = whole(n_prompts, "n_prompts", 1)
    rows = read_rows(path, counterfactual)
    vocabulary = Vocabulary.of(for_text(model), prepend_bos)
    left_out: Counter[str] = Counter()
    examples: list[Example] = []
    places: list[str] = []
    for row in rows:
        found = _example(row, vocabulary)
        if isinstance(found, str):
            left_out[found] += 1
            continue
        examples.append(found)
        places.append(row.place)
        if len(examples) == n_prompts:
            break
    said = ", ".join(f"{count} {_REASONS[reason]}" for reason, count in left_out.items())
    if not examples:
        raise TaskError(f"{path}: none of the {len(rows)} rows can be used with this tokenizer: {said}")
    if left_out:
        seen = len(examples) + left_out.total()
        warnings.warn(f"{path}: {left_out.total()} of the first {seen} rows are left out: {said}", stacklevel=2)
    return Task.encode(
        vocabulary,
        tuple(examples),
        name=Path(path).stem if name is None else name,
        metric=metric,
        reference=reference,
        group_by_length=group_by_length,
        places=places,
    )


def _example(row: Row, vocabulary: Vocabulary) -> Example | str:
    """The example of a row, or why there is none."""
    if row.lacking:
        return "lacking"
    lengths = {len(_ids(text, vocabulary)) for text in row.alike}
    if len(lengths) > 1 or (row.single and lengths != {1}):
        return "names"
    if len(vocabulary.prompt_ids(row.prompt)) != len(vocabulary.prompt_ids(row.counterfactual)):
        return "length"
    tokens = [_token(answer, vocabulary, row.place) for answer in (row.answer, row.wrong_answer)]
    if None in tokens:
        return "answer"
    if tokens[0] == tokens[1]:
        return "same"
    texts = [_text(token, row.prompt, vocabulary) for token in tokens if token is not None]
    right, wrong = texts
    return "answer" if right is None or wrong is None else Example(row.prompt, row.counterfactual, right, wrong)


def _text(token: int, prompt: str, vocabulary: Vocabulary) -> str | None:
    """What makes this token after the prompt: its own text, or that after a space; None where neither does."""
    (piece,) = vocabulary.pieces([token])
    found = (text for text in (piece, f" {piece}") if vocabulary.continuation_ids(prompt, text) == [token])
    return next(found, None)


def _ids(text: str, vocabulary: Vocabulary) -> list[int]:
    return encode(vocabulary, text, prepend_bos=False)


def _token(answer: str | int, vocabulary: Vocabulary, place: str) -> int | None:
    if isinstance(answer, int):
        if answer >= len(vocabulary.tokenizer):
            raise TaskError(
                f"{place}: this model's tokenizer has no token {answer}; the ids in such a file are of the model that "
                "it was made for"
            )
        return answer
    return next(iter(_ids(answer, vocabulary)), None)

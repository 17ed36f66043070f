"""What ``circuit.json`` says of a task: its name and metric, and its prompts as text, tokens and named positions."""

from __future__ import annotations

from typing import Any

from circuitspex.tasks.example import Example
from circuitspex.tasks.task import Task
from circuitspex.tasks.vocabulary import pieces_of

MOST_CHARACTERS = 1_000_000
"""The most characters of prompts, counterfactuals, answers and tokens that a record holds."""


def task_record(task: Task, tokenizer: Any | None) -> dict[str, Any]:
    """``prompts`` are in the task's order, which is that of every ``per_prompt``, each with its counterfactual, its
    answers, its tokens as text (none without a tokenizer), those of answers of several, and its named positions.

    They end before the first prompt with which they would have more than ``MOST_CHARACTERS`` characters, so that very
    many or very long prompts make no huge file; ``n_prompts`` says how many there are in truth.
    """
    prompts: list[dict[str, Any]] = []
    room = MOST_CHARACTERS
    for i, example in enumerate(task.examples):
        record = {**_texts(example), "tokens": _pieces(task, i, tokenizer), **_answers(task, i, tokenizer)}
        room -= sum(map(len, [*_texts(example).values(), *record["tokens"]]))
        if room < 0:
            break
        named = {name: list(example.span(name, int(task.lengths[i]))) for name in example.positions}
        prompts.append({**record, **({"positions": named} if named else {})})
    return {
        "name": task.name,
        "identity": task.identity,
        "metric": task.metric.name,
        "n_prompts": task.n_prompts,
        "example": {**_texts(task.examples[0]), "tokens": _pieces(task, 0, tokenizer)},
        "prompts": prompts,
        **_reference(task),
    }


def _reference(task: Task) -> dict[str, Any]:
    """The prompts over which means are taken, where they are not the task's own and their counterfactuals."""
    usual = [*task.prompts, *task.counterfactuals]
    unusual = list(task.reference) != usual and sum(map(len, task.reference)) <= MOST_CHARACTERS
    return {"reference": list(task.reference)} if unusual else {}


def _pieces(task: Task, prompt: int, tokenizer: Any | None) -> list[str]:
    ids = task.tokens[prompt, : int(task.lengths[prompt])].tolist()
    return [] if tokenizer is None else pieces_of(tokenizer, ids)


def _answers(task: Task, prompt: int, tokenizer: Any | None) -> dict[str, list[str]]:
    """The tokens of answers of several, as text."""
    if tokenizer is None or task.answer_lengths is None or task.wrong_answer_lengths is None:
        return {}
    right, wrong = int(task.answer_lengths[prompt]), int(task.wrong_answer_lengths[prompt])
    return {
        "answer_tokens": pieces_of(tokenizer, task.answers[prompt, :right].tolist()),
        "wrong_answer_tokens": pieces_of(tokenizer, task.wrong_answers[prompt, :wrong].tolist()),
    }


def _texts(example: Example) -> dict[str, str]:
    return {name: getattr(example, name) for name in ("prompt", "counterfactual", "answer", "wrong_answer")}

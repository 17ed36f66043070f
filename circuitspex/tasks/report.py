"""Running the plain model on a task's prompts, and what is reported about it."""

from __future__ import annotations

import functools
import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.models.alone import running
from circuitspex.models.overflow import overflow_error, overflowed
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.protocol import Model
from circuitspex.models.remembered import recalled, remember
from circuitspex.models.remembered_of_model import facts_of
from circuitspex.models.state import ModelState, model_state
from circuitspex.tasks.groups import TaskGroup
from circuitspex.tasks.metrics import METRICS, Metric, check_metric_values
from circuitspex.text import message

ACCURACY_WARNING = 0.75
"""Below this accuracy a circuit for the task means little."""

_TOP = 5

_MAX_LOGITS = 2**27
"""How many logits one batch may hold: half a gigabyte in float32."""


@dataclass(frozen=True)
class TaskReport:
    """How the unablated model does on a task.

    ``top_predictions`` are the likeliest next tokens of the first prompt with their probabilities. ``cost`` says what
    one mask runs where answers have several tokens.
    """

    task: str
    n_prompts: int
    accuracy: float
    metric: str
    mean_metric: float
    prompt: str
    answer: str
    wrong_answer: str
    top_predictions: tuple[tuple[str, float], ...]
    cost: str = ""

    def __str__(self) -> str:
        top = ", ".join(f"{token!r} {probability:.1%}" for token, probability in self.top_predictions)
        return "\n".join(
            [
                f"task {message(self.task)}: {self.n_prompts} prompt{'' if self.n_prompts == 1 else 's'}",
                f"accuracy {self.accuracy:.1%} (answer above wrong answer), "
                f"mean {message(self.metric)} {self.mean_metric:z.3f}",
                f"example: {self.prompt!r} -> {self.answer!r} rather than {self.wrong_answer!r}",
                f"the model predicts: {top}",
                *([self.cost] if self.cost else []),
            ]
        )


def cost_of(groups: Sequence[TaskGroup]) -> str:
    """What each mask runs for answers of several tokens, beside one pass a prompt, in a line."""
    n_prompts, n_run = sum(map(len, groups)), sum(len(group.tokens) for group in groups)
    tokens, alone = sum(g.tokens.numel() for g in groups), sum(len(g) * g.n_prompt_tokens for g in groups)
    longest = max(int(group.answers.shape[1]) for group in groups)
    return (
        f"answers of up to {longest} tokens: {n_run} sequences are run for {n_prompts} "
        f"prompt{'' if n_prompts == 1 else 's'}, {tokens / alone:.1f} times their tokens"
    )


@dataclass(frozen=True, eq=False)
class PlainRun:
    """What the unablated model does on ``P`` prompts.

    ``right (P,)`` is whether the answer's log-probability is above the wrong answer's; ``values (P,)`` the metric
    (zeros where none was asked for); ``top`` the likeliest next tokens of prompt 0 with their probabilities.
    """

    right: Bool[Tensor, " prompts"]
    values: Float[Tensor, " prompts"]
    top: tuple[tuple[int, float], ...]


def run_plain(model: Model, groups: Sequence[TaskGroup], metric: Metric | None, batch_size: int) -> PlainRun:
    """Runs the model on the prompts of ``groups``, in batches and without gradients.

    Raises:
        TaskError: logits that are not finite (the dtype and the layer are named), or a metric that is not.
    """
    if batch_size < 1:
        raise TaskError(f"batch_size must be at least 1, not {batch_size}")
    n_prompts = sum(len(group) for group in groups)
    right = torch.zeros(n_prompts, dtype=torch.bool)
    values = torch.zeros(n_prompts, dtype=torch.float64)
    top: tuple[tuple[int, float], ...] = ()
    for group in groups:
        for rows, ends, read in _logits(model, group, batch_size):
            prompts = group.indices[rows]
            if bool((overflowed(ends) | overflowed(read)).any()):
                raise overflow_error(model, ends.dtype, functools.partial(_plain, model, group, rows))
            right[prompts] = _right(group, ends, rows)
            if metric is not None:
                measured = group.measure(metric, read, rows, clean=read if metric.needs_clean else None)
                values[prompts] = check_metric_values(measured.detach().cpu().double(), metric, prompts=prompts)
            for row in (prompts == 0).nonzero()[:, 0].tolist():
                first = ends[row * group.n_sequences, 0].float()
                best = first.softmax(-1).topk(min(_TOP, first.shape[-1]))
                top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return PlainRun(right, values, top)


def same_run(model: Model, task: Any, run: Callable[[], PlainRun]) -> PlainRun:
    """What ``run`` gives on this task: run once for each state of a model, whose last run is kept.

    What an earlier process saw of the same weights and prompts is taken from there.
    """
    with running(model):
        state = model_state(model)
        before = _latest.get(model)
        if before is not None and before[0] == state and before[1]() is task and not state.foreign:
            return before[2]
        name = task.metric.name
        ours = name in METRICS and METRICS[name] is task.metric  # of a function of the user's own not all can be read
        facts = facts_of(model, state) if ours else None
        found = None if facts is None else _read(recalled("report", {**facts, "task": task.identity}), task.n_prompts)
        if found is None:
            found = run()
            if facts is not None:
                remember("report", {**facts, "task": task.identity}, _written(found))
        _latest[model] = state, weakref.ref(task), found
    return found


def _written(run: PlainRun) -> bytes:
    return json.dumps([run.right.tolist(), run.values.tolist(), run.top]).encode()


def _read(text: bytes | None, n_prompts: int) -> PlainRun | None:
    if text is None:
        return None
    right, values, top = json.loads(text)
    found = PlainRun(torch.tensor(right), torch.tensor(values, dtype=torch.float64), tuple((t, p) for t, p in top))
    return found if len(found.right) == len(found.values) == n_prompts else None


_latest: weakref.WeakKeyDictionary[Any, tuple[ModelState, weakref.ref[Any], PlainRun]] = weakref.WeakKeyDictionary()
"""Of each model the latest plain run: its state then, the task, and what came of it."""


def _right(group: TaskGroup, ends: Float[Tensor, "sequences answer vocab"], rows: slice) -> Bool[Tensor, " rows"]:
    """Whether the answer is likelier than the wrong one, from the logits before each token of the answers."""
    if group.answer_lengths is not None:
        return group.measure(METRICS["logprob_diff"], ends, rows) > 0
    answers, wrong, last = group.answers[rows], group.wrong_answers[rows], ends[:, 0]
    return (last.gather(-1, answers[:, None]) > last.gather(-1, wrong[:, None]))[:, 0]


def _logits(
    model: Model, group: TaskGroup, batch_size: int
) -> Iterator[tuple[slice, Float[Tensor, "sequences answer vocab"], Float[Tensor, "sequences reads vocab"]]]:
    """The model's logits, batch by batch, without gradients.

    Yields the slice of prompts that a batch covers, and its logits on the CPU: those before each token of the answers,
    and those of the positions that the task's metric reads.
    """
    vocab = int(getattr(model.cfg, "d_vocab", 0)) or 1
    fit = rows_that_fit(model, group.length, gradients=False, n_read=group.length) // group.n_sequences
    step = max(1, min(batch_size, fit, _MAX_LOGITS // (group.n_sequences * group.length * vocab)))
    longest = 1 if group.answer_lengths is None else int(group.answers.shape[1])
    end = group.n_prompt_tokens - 1
    for start in range(0, len(group), step):
        rows = slice(start, min(start + step, len(group)))
        logits = _plain(model, group, rows)
        reads = group.reads[group.sequences(rows)].to(logits.device)
        read = logits[torch.arange(len(reads), device=reads.device)[:, None], reads]
        # Positions beyond the sequences are those of answers that are shorter than others.
        ends = logits[:, [min(end + k, logits.shape[1] - 1) for k in range(longest)]]
        yield rows, ends.cpu(), read.cpu()


def _plain(model: Model, group: TaskGroup, rows: slice) -> Float[Tensor, "rows positions vocab"]:
    device = next(iter(model.parameters())).device
    with running(model), torch.no_grad():
        logits: Tensor = model(group.tokens[group.sequences(rows)].to(device))
    return logits

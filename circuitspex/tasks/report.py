"""Running the plain model on a task's prompts, and what is reported about it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.models.alone import alone
from circuitspex.models.overflow import overflow_error, overflowed
from circuitspex.models.protocol import Model
from circuitspex.tasks.groups import TaskGroup
from circuitspex.tasks.metrics import Metric, MetricRows, check_metric_values
from circuitspex.text import message

ACCURACY_WARNING = 0.75
"""Below this accuracy a circuit for the task means little."""

_TOP = 5

_MAX_LOGITS = 2**27
"""How many logits one batch may hold: half a gigabyte in float32."""


@dataclass(frozen=True)
class TaskReport:
    """How the unablated model does on a task.

    ``top_predictions`` are the likeliest next tokens of the first prompt with their probabilities.
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

    def __str__(self) -> str:
        top = ", ".join(f"{token!r} {probability:.1%}" for token, probability in self.top_predictions)
        return "\n".join(
            [
                f"task {message(self.task)}: {self.n_prompts} prompt{'' if self.n_prompts == 1 else 's'}",
                f"accuracy {self.accuracy:.1%} (answer above wrong answer), "
                f"mean {message(self.metric)} {self.mean_metric:z.3f}",
                f"example: {self.prompt!r} -> {self.answer!r} rather than {self.wrong_answer!r}",
                f"the model predicts: {top}",
            ]
        )


@dataclass(frozen=True, eq=False)
class PlainRun:
    """What the unablated model does on ``P`` prompts.

    ``right (P,)`` is whether the answer's logit is above the wrong answer's; ``values (P,)`` the metric (zeros where
    none was asked for); ``top`` the likeliest next tokens of prompt 0 with their probabilities.
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
        for rows, logits, read in _logits(model, group, batch_size):
            prompts, answers, wrong = group.indices[rows], group.answers[rows], group.wrong_answers[rows]
            if bool((overflowed(logits) | overflowed(read)).any()):
                raise overflow_error(model, logits.dtype, functools.partial(_plain, model, group, rows))
            right[prompts] = (logits.gather(-1, answers[:, None]) > logits.gather(-1, wrong[:, None]))[:, 0]
            if metric is not None:
                about = MetricRows(answers[:, None], wrong[:, None], read if metric.needs_clean else None)
                measured = metric(read, about)
                values[prompts] = check_metric_values(measured.detach().cpu().double(), metric, prompts=prompts)
            for row in (prompts == 0).nonzero()[:, 0].tolist():
                best = logits[row].float().softmax(-1).topk(min(_TOP, logits.shape[-1]))
                top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return PlainRun(right, values, top)


def _logits(
    model: Model, group: TaskGroup, batch_size: int
) -> Iterator[tuple[slice, Float[Tensor, "rows vocab"], Float[Tensor, "rows reads vocab"]]]:
    """The model's logits, batch by batch, without gradients.

    Yields the slice of rows that a batch covers, and its logits on the CPU: those of the last position, and those of
    the positions that the task's metric reads.
    """
    vocab = int(getattr(model.cfg, "d_vocab", 0)) or 1
    step = max(1, min(batch_size, _MAX_LOGITS // (group.length * vocab)))
    for start in range(0, len(group), step):
        rows = slice(start, min(start + step, len(group)))
        logits = _plain(model, group, rows)
        reads = group.reads[rows].to(logits.device)
        yield rows, logits[:, -1].cpu(), logits[torch.arange(len(reads), device=reads.device)[:, None], reads].cpu()


def _plain(model: Model, group: TaskGroup, rows: slice) -> Float[Tensor, "rows positions vocab"]:
    device = next(iter(model.parameters())).device
    with alone(model), torch.no_grad():
        logits: Tensor = model(group.tokens[rows].to(device))
    return logits

"""Metrics: what is measured at the last position of each prompt.

A metric turns logits ``(rows, vocab)``, read at the last real position of each prompt, into one number a row
``(rows,)``. Rows are prompts, possibly repeated (once for each mask of a batch). All built-in metrics are
differentiable, and are computed in float32 or, when the logits are float64, in float64:

=================  =======================================================  ======================
name               value of a row                                           unit
=================  =======================================================  ======================
``logit_diff``     logit of the answer minus logit of the wrong answer      logits
``answer_logprob`` log-probability of the answer                            nats, at most 0
``answer_prob``    probability of the answer                                0 to 1
``kl``             KL(clean || ablated) from the unablated model            nats, at least 0
=================  =======================================================  ======================
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.tasks.fingerprint import fingerprint


@dataclass(frozen=True)
class MetricRows:
    """What a metric may know of the rows besides their logits.

    ``answers`` and ``wrong_answers`` are token ids of shape ``(rows,)``; ``clean_logits`` are the unablated
    model's logits ``(rows, vocab)``, given only to a metric whose ``needs_clean`` is True.
    """

    answers: Int[Tensor, " rows"]
    wrong_answers: Int[Tensor, " rows"]
    clean_logits: Float[Tensor, "rows vocab"] | None = None


MetricFunction = Callable[[Tensor, MetricRows], Tensor]


@dataclass(frozen=True)
class Metric:
    """A named function of the last logits.

    Called with logits ``(rows, vocab)`` and the :class:`MetricRows`, it returns values ``(rows,)``.
    """

    name: str
    function: MetricFunction
    needs_clean: bool = False
    fingerprint: str | None = None
    """What tells two metrics of one name apart: by default a hash of the function, empty for the built-in ones."""

    def __post_init__(self) -> None:
        if self.fingerprint is None:
            object.__setattr__(self, "fingerprint", fingerprint(self.function))

    def __call__(self, logits: Float[Tensor, "rows vocab"], rows: MetricRows) -> Float[Tensor, " rows"]:
        """The metric of each row; raises :class:`TaskError` when the result is not one number a row."""
        if self.needs_clean and rows.clean_logits is None:
            raise TaskError(f"metric '{self.name}' compares with the unablated model: give rows.clean_logits")
        values = self.function(logits, rows)
        return check_metric_shape(values, self, int(logits.shape[0]))

    @property
    def identity(self) -> str:
        """What stored values are keyed by: the name, and for a metric of one's own a hash of its code."""
        return f"{self.name}:{self.fingerprint}" if self.fingerprint else self.name

    def __repr__(self) -> str:
        return f"Metric({self.name!r})"


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _pick(table: Tensor, ids: Tensor) -> Tensor:
    return table.gather(-1, ids.to(table.device)[:, None])[:, 0]


def _logit_diff(logits: Tensor, rows: MetricRows) -> Tensor:
    # The two logits are picked before they are widened: the vocabulary is large and only two of it are needed.
    return _wide(_pick(logits, rows.answers)) - _wide(_pick(logits, rows.wrong_answers))


def _answer_logprob(logits: Tensor, rows: MetricRows) -> Tensor:
    return _pick(torch.log_softmax(_wide(logits), dim=-1), rows.answers)


def _answer_prob(logits: Tensor, rows: MetricRows) -> Tensor:
    return _answer_logprob(logits, rows).exp()


def _kl(logits: Tensor, rows: MetricRows) -> Tensor:
    assert rows.clean_logits is not None  # Metric.__call__ has checked
    ablated = torch.log_softmax(_wide(logits), dim=-1)
    clean = torch.log_softmax(rows.clean_logits.to(ablated), dim=-1)
    probability = clean.exp()
    # A token that the clean model gives no probability at all counts 0, also where both log-probabilities are -inf.
    gap = (clean - ablated).masked_fill(probability == 0, 0.0)
    return (probability * gap).sum(-1).clamp_min(0.0)


METRICS: dict[str, Metric] = {
    "logit_diff": Metric("logit_diff", _logit_diff, fingerprint=""),
    "answer_logprob": Metric("answer_logprob", _answer_logprob, fingerprint=""),
    "answer_prob": Metric("answer_prob", _answer_prob, fingerprint=""),
    "kl": Metric("kl", _kl, needs_clean=True, fingerprint=""),
}
"""The built-in metrics by name."""


def as_metric(metric: str | Metric | Callable[..., Any]) -> Metric:
    """A :class:`Metric` from a built-in name, a metric, or a function of one's own.

    The function is called as ``f(logits)`` or ``f(logits, rows)``, whichever its signature asks for: rows are given
    when a second positional parameter has no default or is named ``rows``. It returns a tensor ``(rows,)``.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in METRICS:
            raise TaskError(f"unknown metric '{metric}'; use one of {', '.join(METRICS)}, or a function of the logits")
        return METRICS[metric]
    if not callable(metric):
        raise TaskError(f"a metric is a name, a Metric or a function of the logits, not {type(metric).__name__}")
    own = metric
    name = str(getattr(own, "__name__", type(own).__name__))
    if _wants_rows(own, name):
        return Metric(name, own)

    def of_logits(logits: Tensor, rows: MetricRows) -> Tensor:
        result: Tensor = own(logits)
        return result

    return Metric(name, of_logits, fingerprint=fingerprint(own))


def _wants_rows(function: Callable[..., Any], name: str) -> bool:
    """Whether ``function`` is called with the rows besides the logits."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    needed = [p for p in positional if p.default is p.empty]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if named or len(needed) > 2 or not (positional or starred):
        raise TaskError(f"metric '{name}' must be callable as f(logits) or f(logits, rows)")
    if len(positional) < 2:
        return starred
    return len(needed) == 2 or positional[1].name == "rows"


def check_metric_shape(values: Any, metric: Metric, n_rows: int) -> Tensor:
    """``values`` when they are one floating-point number a row; else a one-line :class:`TaskError`."""
    if not isinstance(values, Tensor):
        raise TaskError(f"metric '{metric.name}' must return a tensor ({n_rows},), not {type(values).__name__}")
    if tuple(values.shape) != (n_rows,):
        raise TaskError(
            f"metric '{metric.name}' must return one number a prompt, shape ({n_rows},), not {tuple(values.shape)}"
        )
    return values if values.is_floating_point() else values.float()


def check_metric_values(
    values: Tensor, metric: Metric, *, n_rows: int | None = None, prompts: Sequence[int] | Tensor | None = None
) -> Tensor:
    """``values`` when they are finite numbers; else a one-line :class:`TaskError` that names the prompt.

    Values may be ``(rows,)`` or ``(masks, prompts)``; ``n_rows`` is the number of rows that was asked for, if it is
    to be checked. ``prompts`` are the prompt indices of the last axis; without them the position on it is named.
    """
    if n_rows is not None:
        values = check_metric_shape(values, metric, n_rows)
    finite = torch.isfinite(values)
    if bool(finite.all()):
        return values
    at = (~finite).nonzero()[0].tolist()
    row = int(at[-1]) if at else 0
    prompt = row if prompts is None else int(prompts[row])
    bad = float(values[tuple(at)].detach())
    raise TaskError(f"metric '{metric.name}' gave {bad} on prompt {prompt}; it must be a finite number on every prompt")

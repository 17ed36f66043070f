"""Metrics: what is measured of the logits at named positions of each prompt.

A metric turns logits ``(rows, reads, vocab)``, taken at the positions that it reads, into one number a row ``(rows,)``.
Rows are prompts, possibly repeated (once for each mask of a batch). ``END``, which every prompt has, is its last
position; for answers of several tokens, which then follow the prompt, it stands for as many positions, before each of
their tokens. All built-in metrics are differentiable, and are computed in float32 or, when the logits are float64, in
float64 (``metric_functions``).

Another package adds a metric through the entry points of ``circuitspex.metrics``, each of which names a ``Metric``.
PyTorch is imported when a metric is used, so that the names are known quickly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from circuitspex.errors import TaskError
from circuitspex.registry import Later, Table

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

END = "END"
"""The position that every prompt has: its last."""

ANSWERS = ("answer", "wrong_answer")
"""What may follow a prompt whose answers are of several tokens."""


@dataclass(frozen=True)
class MetricRows:
    """What a metric may know of the rows besides their logits.

    ``answers`` and ``wrong_answers`` are token ids ``(rows, answer_length)``; ``clean_logits`` are the unablated
    model's logits ``(rows, reads, vocab)``, given only to a metric whose ``needs_clean`` is True. ``positions`` says
    where each position that the metric reads is on the second axis of the logits, ``logits[:, rows.positions["END"]]``.

    Answers of several tokens are padded at their end; ``answer_lengths`` and ``wrong_answer_lengths`` are how many
    tokens each has, None where all have one. The logits are then those after the prompt and the answer's tokens, so
    that those at ``positions["END"] + k`` are before its token ``k``; ``wrong_logits`` are the same after the prompt
    and the wrong answer's tokens, given to a metric that ``follows`` both (where answers have one token, they are the
    logits).

    A function of the last logits alone is given ``(rows,)`` and ``(rows, vocab)`` instead.
    """

    answers: Int[Tensor, "rows answer"]
    wrong_answers: Int[Tensor, "rows answer"]
    clean_logits: Float[Tensor, "rows reads vocab"] | None = None
    positions: Mapping[str, int] = field(default_factory=lambda: {END: 0})
    wrong_logits: Float[Tensor, "rows reads vocab"] | None = None
    answer_lengths: Int[Tensor, " rows"] | None = None
    wrong_answer_lengths: Int[Tensor, " rows"] | None = None

    def expanded(self) -> MetricRows:
        """Rows that know the last position alone, with the axes that they lack."""
        clean, wrong = (None if one is None else one[:, None] for one in (self.clean_logits, self.wrong_logits))
        return replace(
            self,
            answers=self.answers[:, None],
            wrong_answers=self.wrong_answers[:, None],
            clean_logits=clean,
            wrong_logits=wrong,
        )

    def last(self) -> MetricRows:
        """The same rows as a function of the last logits alone is given them."""
        clean = None if self.clean_logits is None else self.clean_logits[:, self.positions[END]]
        return replace(self, answers=self.answers[:, 0], wrong_answers=self.wrong_answers[:, 0], clean_logits=clean)


MetricFunction = Callable[["Tensor", MetricRows], "Tensor"]


@dataclass(frozen=True)
class Metric:
    """A named function of logits.

    Called with logits ``(rows, reads, vocab)`` and the :class:`MetricRows`, it returns values ``(rows,)``. Logits
    ``(rows, vocab)``, with answers ``(rows,)``, are those of the last position.
    """

    name: str
    function: MetricFunction
    needs_clean: bool = False
    fingerprint: str | None = None
    """What tells two metrics of one name apart: by default a hash of the function, empty for the built-in ones."""
    reads: tuple[str, ...] | None = None
    """The positions that the function reads, such as ``("subject", "END")``; it is given logits ``(rows, reads,
    vocab)``. By default the function is one of the last logits alone, ``(rows, vocab)``, and of answers ``(rows,)``."""
    follows: tuple[str, ...] | None = None
    """Which answers follow the prompt where they are of several tokens: ``("answer",)``, ``("answer",
    "wrong_answer")``, or ``()`` for a metric of the next token alone, which then refuses such answers. By default the
    answer, for a metric that says what it reads and reads END."""

    def __post_init__(self) -> None:
        reads = self.positions
        if not isinstance(reads, tuple) or not reads or len(set(reads)) != len(reads):
            raise TaskError(f"metric '{self.name}' must read one or more different positions, not {reads!r}")
        if self.follows not in (None, (), ANSWERS[:1], ANSWERS) or (self.follows and END not in reads):
            raise TaskError(
                f"metric '{self.name}' follows ('answer',) or ('answer', 'wrong_answer'), where it reads {END}, or (); "
                f"not {self.follows!r}"
            )
        if self.fingerprint is None:
            from circuitspex.tasks.fingerprint import fingerprint

            of_function = fingerprint(self.function)
            of_function += "" if self.reads is None else f":{self.reads}"
            object.__setattr__(self, "fingerprint", of_function + (f":{self.follows}" if self.follows else ""))

    @property
    def positions(self) -> tuple[str, ...]:
        """The positions whose logits it must be given, in their order."""
        return (END,) if self.reads is None else self.reads

    @property
    def continuations(self) -> tuple[str, ...]:
        """Which answers follow the prompt where they are of several tokens."""
        if self.follows is not None:
            return self.follows
        return ANSWERS[:1] if self.reads is not None and END in self.reads else ()

    @property
    def takes_several(self) -> bool:
        """Whether answers may have several tokens: it reads them whole, or does not read the end of the prompt."""
        return bool(self.continuations) or END not in self.positions

    def __call__(self, logits: Float[Tensor, "rows reads vocab"], rows: MetricRows) -> Float[Tensor, " rows"]:
        """The metric of each row; raises :class:`TaskError` when the result is not one number a row."""
        if self.needs_clean and rows.clean_logits is None:
            raise TaskError(f"metric '{self.name}' compares with the unablated model: give rows.clean_logits")
        if "wrong_answer" in self.continuations and rows.wrong_logits is None:
            raise TaskError(f"metric '{self.name}' compares two answers: give rows.wrong_logits")
        if logits.ndim == 2:
            logits, rows = logits[:, None], rows.expanded()
        rows = replace(rows, positions=self._places(int(logits.shape[1])))
        values = self.function(logits[:, 0], rows.last()) if self.reads is None else self.function(logits, rows)
        return check_metric_shape(values, self, int(logits.shape[0]))

    def _places(self, n_read: int) -> dict[str, int]:
        """Where on the second axis of the logits each position is; END takes what the others leave."""
        places, at = {}, 0
        for name in self.positions:
            places[name] = at
            at += n_read - len(self.positions) + 1 if name == END else 1
        if at != n_read or n_read < len(self.positions):
            raise TaskError(
                f"metric '{self.name}' reads {', '.join(self.positions)}, and was given logits at {n_read} positions"
            )
        return places

    @property
    def identity(self) -> str:
        """What stored values are keyed by: the name, and for a metric of one's own a hash of its code."""
        return f"{self.name}:{self.fingerprint}" if self.fingerprint else self.name

    def __repr__(self) -> str:
        return f"Metric({self.name!r})"


def _built_in(name: str, *, needs_clean: bool = False, follows: tuple[str, ...] = ANSWERS[:1]) -> Metric:
    function = Later(f"circuitspex.tasks.metric_functions:{name}")
    return Metric(name, function, needs_clean=needs_clean, fingerprint="", reads=(END,), follows=follows)


METRICS: Table[Metric] = Table(
    "metric",
    Metric,
    "circuitspex.metrics",
    {
        "logit_diff": _built_in("logit_diff", follows=()),
        "answer_logprob": _built_in("answer_logprob"),
        "answer_prob": _built_in("answer_prob"),
        "kl": _built_in("kl", needs_clean=True, follows=()),
        "logprob_diff": _built_in("logprob_diff", follows=ANSWERS),
        "answer_logprob_mean": _built_in("answer_logprob_mean"),
        "logprob_diff_mean": _built_in("logprob_diff_mean", follows=ANSWERS),
    },
    besides=", or a function of the logits",
    error=TaskError,
)
"""All metrics by name."""


def taking_several() -> str:
    """Which metrics take answers of several tokens, in words."""
    named = ", ".join(name for name, metric in METRICS.items() if metric.takes_several)
    return f"for several there are {named}, or one of your own with reads=('{END}',)"


def as_metric(metric: str | Metric | Callable[..., Any]) -> Metric:
    """A :class:`Metric` from a name in ``METRICS``, a metric, or a function of one's own.

    The function reads the last position; for others, give ``Metric(name, function, reads=…)``. It is called as
    ``f(logits)`` or ``f(logits, rows)``, whichever its signature asks for: rows are given when a second positional
    parameter has no default or is named ``rows``. It returns a tensor ``(rows,)``.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
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

    from circuitspex.tasks.fingerprint import fingerprint

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
    import torch

    if not isinstance(values, torch.Tensor):
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
    finite = values.isfinite()
    if bool(finite.all()):
        return values
    at = (~finite).nonzero()[0].tolist()
    row = int(at[-1]) if at else 0
    prompt = row if prompts is None else int(prompts[row])
    bad = float(values[tuple(at)].detach())
    raise TaskError(f"metric '{metric.name}' gave {bad} on prompt {prompt}; it must be a finite number on every prompt")

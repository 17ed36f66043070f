"""The built-in metrics, each a function of logits ``(rows, reads, vocab)`` at the end of the prompt.

=======================  ====================================================================  ================
name                     value of a row                                                        unit
=======================  ====================================================================  ================
``logit_diff``           logit of the answer minus logit of the wrong answer                   logits
``answer_logprob``       log-probability of the whole answer                                   nats, at most 0
``answer_prob``          probability of the whole answer                                       0 to 1
``kl``                   KL(clean || ablated) from the unablated model                         nats, at least 0
``logprob_diff``         log-probability of the whole answer minus that of the wrong one       nats
``answer_logprob_mean``  log-probability of the whole answer, divided by its number of tokens  nats a token
``logprob_diff_mean``    the same of the answer minus that of the wrong answer                 nats a token
=======================  ====================================================================  ================

``logit_diff`` and ``kl`` are of the next token alone. The others take answers of several tokens: log-probabilities are
summed over the tokens of an answer, each after the prompt and the true tokens before it (teacher forcing).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.tasks.metrics import END, MetricRows

Logits = Float[Tensor, "rows reads vocab"]
Numbers = Float[Tensor, " rows"]


def logit_diff(logits: Logits, rows: MetricRows) -> Numbers:
    """Logit of the answer minus logit of the wrong answer."""
    first = logits[:, rows.positions[END]]
    # The two logits are picked before they are widened: the vocabulary is large and only two of it are needed.
    return _wide(_pick(first, rows.answers[:, 0])) - _wide(_pick(first, rows.wrong_answers[:, 0]))


def answer_logprob(logits: Logits, rows: MetricRows) -> Numbers:
    """Log-probability of the answer: the sum over its tokens, each after the true ones before it."""
    return _logprob(logits, rows.answers, rows.answer_lengths, rows.positions[END])


def logprob_diff(logits: Logits, rows: MetricRows) -> Numbers:
    """Log-probability of the answer minus that of the wrong answer."""
    return answer_logprob(logits, rows) - _wrong_logprob(rows)


def answer_logprob_mean(logits: Logits, rows: MetricRows) -> Numbers:
    """Log-probability of the answer, divided by its number of tokens."""
    return _a_token(answer_logprob(logits, rows), rows.answer_lengths)


def logprob_diff_mean(logits: Logits, rows: MetricRows) -> Numbers:
    """Log-probability of the answer minus that of the wrong answer, each divided by its number of tokens."""
    return answer_logprob_mean(logits, rows) - _a_token(_wrong_logprob(rows), rows.wrong_answer_lengths)


def answer_prob(logits: Logits, rows: MetricRows) -> Numbers:
    """Probability of the answer."""
    return answer_logprob(logits, rows).exp()


def kl(logits: Logits, rows: MetricRows) -> Numbers:
    """Kullback-Leibler divergence of the next token's distribution from that of the unablated model."""
    assert rows.clean_logits is not None  # Metric.__call__ has checked
    end = rows.positions[END]
    ablated = torch.log_softmax(_wide(logits[:, end]), dim=-1)
    clean = torch.log_softmax(rows.clean_logits[:, end].to(ablated), dim=-1)
    probability = clean.exp()
    # A token that the clean model gives no probability at all counts 0, also where both log-probabilities are -inf.
    gap = (clean - ablated).masked_fill(probability == 0, 0.0)
    return (probability * gap).sum(-1).clamp_min(0.0)


def _logprob(
    logits: Logits, ids: Int[Tensor, "rows answer"], lengths: Int[Tensor, " rows"] | None, start: int
) -> Numbers:
    length = ids.shape[1]
    steps = _pick(torch.log_softmax(_wide(logits[:, start : start + length]), dim=-1), ids)
    if lengths is not None:
        beyond = torch.arange(length, device=steps.device) >= lengths.to(steps.device)[:, None]
        steps = steps.masked_fill(beyond, 0.0)
    return steps.sum(1)


def _wrong_logprob(rows: MetricRows) -> Numbers:
    assert rows.wrong_logits is not None  # Metric.__call__ has checked
    return _logprob(rows.wrong_logits, rows.wrong_answers, rows.wrong_answer_lengths, rows.positions[END])


def _a_token(values: Numbers, lengths: Int[Tensor, " rows"] | None) -> Numbers:
    return values if lengths is None else values / lengths.to(values)


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _pick(table: Float[Tensor, "*rows vocab"], ids: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    return table.gather(-1, ids.to(table.device)[..., None])[..., 0]

"""The built-in metrics, each a function of logits ``(rows, reads, vocab)`` at the end of the prompt.

=================  =======================================================  ======================
name               value of a row                                           unit
=================  =======================================================  ======================
``logit_diff``     logit of the answer minus logit of the wrong answer      logits
``answer_logprob`` log-probability of the whole answer                      nats, at most 0
``answer_prob``    probability of the whole answer                          0 to 1
``kl``             KL(clean || ablated) from the unablated model            nats, at least 0
=================  =======================================================  ======================

``logit_diff`` and ``kl`` are of the first token of the answer.
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
    start, length = rows.positions[END], rows.answers.shape[1]
    steps = torch.log_softmax(_wide(logits[:, start : start + length]), dim=-1)
    return _pick(steps, rows.answers).sum(1)


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


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _pick(table: Float[Tensor, "*rows vocab"], ids: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    return table.gather(-1, ids.to(table.device)[..., None])[..., 0]

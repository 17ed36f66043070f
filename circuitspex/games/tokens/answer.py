"""What is measured of a prompt: the next token, or a whole answer of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.errors import UserError
from circuitspex.games.tokens.prompt import SplitPrompt
from circuitspex.models.protocol import Model
from circuitspex.tasks.metrics import END, METRICS, Metric, MetricRows, as_metric, check_metric_values
from circuitspex.tasks.sequences import continuations
from circuitspex.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Answer:
    """An answer, and the metric that is taken of it.

    ``ids`` are the answer's tokens. With several, the model reads all but the last of them after the prompt, and the
    metric is that of the whole answer: the sum of the log-probabilities of its tokens, each after the true ones before
    it. ``wrong_ids`` are those of the wrong answer, where there is one; of several tokens only for a metric that reads
    them all, such as 'logprob_diff'.
    """

    text: str
    wrong_text: str | None
    ids: tuple[int, ...]
    wrong_ids: tuple[int, ...] | None
    metric: Metric

    @classmethod
    def of(
        cls,
        model: Model,
        prompt: SplitPrompt,
        answer: str,
        wrong_answer: str | None = None,
        metric: str | Metric | Callable[..., Any] | None = None,
    ) -> Answer:
        """The answer's tokens after this prompt.

        Args:
            model: a TransformerBridge with a tokenizer.
            prompt: what the answer follows.
            answer: with its leading space where the model writes one.
            wrong_answer: what the answer is compared with by 'logit_diff', or whole by 'logprob_diff'.
            metric: as in tasks; by default 'answer_logprob' where there is no wrong answer, else 'logit_diff', or
                'logprob_diff' where one of the two has several tokens.

        Raises:
            UserError: an empty or unknown answer, two that are the same, or a metric that does not fit them.
        """
        vocabulary = Vocabulary.of(model, prepend_bos=False)
        ids = _tokens(vocabulary, prompt.rendered, answer, "answer")
        wrong = None if wrong_answer is None else _tokens(vocabulary, prompt.rendered, wrong_answer, "wrong answer")
        if metric is None:
            several = len(ids) > 1 or len(wrong or ()) > 1
            metric = "answer_logprob" if wrong is None else "logprob_diff" if several else "logit_diff"
        chosen = as_metric(metric)
        if chosen.positions != (END,):
            raise UserError(
                f"metric '{chosen.name}' reads {', '.join(chosen.positions)}; of a prompt in words only the logits at "
                f"its {END} are read"
            )
        if (chosen == METRICS["logit_diff"] or "wrong_answer" in chosen.continuations) and wrong is None:
            raise UserError(
                f"metric '{chosen.name}' compares two answers: give a wrong answer, or use 'answer_logprob'"
            )
        if wrong == ids:
            raise UserError(
                f"the answer {answer!r} and the wrong answer {wrong_answer!r} are the same; they must differ"
            )
        if not chosen.takes_several:
            for role, text, tokens in (("answer", answer, ids), ("wrong answer", wrong_answer, wrong)):
                if tokens is not None and len(tokens) > 1:
                    pieces = " + ".join(repr(piece) for piece in vocabulary.pieces(tokens))
                    raise UserError(
                        f"metric '{chosen.name}' reads the next token, and the {role} {text!r} is {len(tokens)} "
                        f"({pieces}); give one token, or use the metric 'logprob_diff', or 'answer_logprob' without a "
                        "wrong answer"
                    )
        if wrong is not None and wrong[0] == ids[0] and chosen == METRICS["logit_diff"]:
            raise UserError(f"the answer {answer!r} and the wrong answer {wrong_answer!r} begin with the same token")
        return cls(answer, wrong_answer, ids, wrong, chosen)

    @property
    def wrong_id(self) -> int | None:
        """The first token of the wrong answer, where there is one."""
        return None if self.wrong_ids is None else self.wrong_ids[0]

    @property
    def continuations(self) -> list[tuple[int, ...]]:
        """What is read after the prompt: one sequence of tokens, or two where the answers need one each."""
        wrong = self.wrong_ids if "wrong_answer" in self.metric.continuations else None
        return continuations([ids[:-1] for ids in (self.ids, wrong) if ids is not None])

    @property
    def identity(self) -> list[Any]:
        """What a value depends on, besides the prompt."""
        wrong = list(self.wrong_ids or ()) if "wrong_answer" in self.metric.continuations else self.wrong_id
        return [list(self.ids), wrong, self.metric.identity]

    def values(
        self,
        logits: Float[Tensor, "rows answer vocab"],
        wrong_logits: Float[Tensor, "rows wrong_answer vocab"],
        clean: Float[Tensor, "one answer vocab"] | None,
    ) -> Float[Tensor, " rows"]:
        """The metric of each row, from the logits at the positions before each token of the answer and of the wrong
        one, which are the same where one sequence is read for both.

        Raises:
            TaskError: the metric gave NaN, an infinity or a wrong shape.
        """
        n_rows = len(logits)
        answers = torch.tensor(self.ids, device=logits.device).expand(n_rows, -1)
        wrong = answers
        if self.wrong_ids is not None:
            n_wrong = len(self.wrong_ids) if "wrong_answer" in self.metric.continuations else 1
            wrong = torch.tensor(self.wrong_ids[:n_wrong], device=logits.device).expand(n_rows, -1)
        known = None if clean is None else clean.expand(n_rows, -1, -1)
        lengths = [torch.full((n_rows,), ids.shape[1], device=logits.device) for ids in (answers, wrong)]
        several = max(answers.shape[1], wrong.shape[1]) > 1
        rows = MetricRows(answers, wrong, known, wrong_logits=wrong_logits)
        found = self.metric(
            logits, replace(rows, answer_lengths=lengths[0], wrong_answer_lengths=lengths[1]) if several else rows
        )
        # Rows are masks of the one prompt.
        check_metric_values(found[:, None], self.metric, prompts=[0])
        return found


def _tokens(vocabulary: Vocabulary, prompt: str, text: object, role: str) -> tuple[int, ...]:
    if not isinstance(text, str):
        raise UserError(f"the {role} is a text, not {type(text).__name__}")
    ids = tuple(vocabulary.continuation_ids(prompt, text)) if text else ()
    if not ids:
        raise UserError(
            f"the {role} {text!r} has no tokens; give the text that should follow the prompt, such as ' good'"
        )
    if vocabulary.tokenizer.unk_token_id in ids and not _is_unknown(vocabulary.tokenizer, text):
        raise UserError(f"the {role} {text!r} is not in this tokenizer's vocabulary")
    return ids


def _is_unknown(tokenizer: Any, text: str) -> bool:
    return text.strip() == str(tokenizer.unk_token)

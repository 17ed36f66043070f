"""The lens on a prompt: the players are its words, tokens, sentences or spans."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch

from circuitspex.ablation import Store
from circuitspex.errors import NoGradientError, TaskError, UserError
from circuitspex.games.chunks import Done
from circuitspex.games.lens import unit_roundoff
from circuitspex.games.on_model import ModelGame
from circuitspex.games.tokens import Answer, Unit, split_prompt
from circuitspex.games.tokens.forward import (
    BatchedPasses,
    HookedPasses,
    Passes,
    check_ablate,
    mean_embedding,
    needs_patterns,
)
from circuitspex.games.tokens.prompt import First, Messages, Player
from circuitspex.games.tokens.replacement import alone_id, replacement_id
from circuitspex.games.tokens.spans import Range
from circuitspex.games.tokens.trial import why_not
from circuitspex.games.workers.ray_workers import RayWorkers, check_workers
from circuitspex.games.workers.recipe import Recipe
from circuitspex.models import model_name, model_of
from circuitspex.models.given import GivenModel
from circuitspex.models.origin import origin_of
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.overflow import overflow_error, overflowed
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.state import ModelState
from circuitspex.models.tokens import context_of, decode_token
from circuitspex.models.trial import check_causal
from circuitspex.scale import MOST, whole
from circuitspex.tasks.metrics import Metric
from circuitspex.typing import FloatArray, Gradients, IntArray, PerPrompt

TokenExecutor = Literal["auto", "batched", "hooks"]

# Rows of the same length under 'delete' are run together; chunks of at least this many masks give them company.
_DELETE_CHUNK = 256
# What a worker's game is made with too.
_SENT = {
    *("prompt", "answer", "wrong_answer", "unit", "part", "ablate", "token", "metric", "chat", "first"),
    *("executor", "batch_rows"),
}
# With fewer rows than this in a pass with gradients, computing activations twice costs less than the small batches.
_FEW_ROWS = 4


class TokenGame(ModelGame):
    """Words of a prompt as players; the value of a mask is the metric of the answer with the other words ablated.

    What each way to ablate does to embeddings, attention and positions is in ``circuitspex.games.tokens.forward``.
    Special tokens, a chat template's tokens and white space are never ablated.

    Args:
        model: a TransformerBridge with a tokenizer, from ``load_model`` for example; a Hugging Face model, or the name
            of one.
        prompt: the text; with ``chat`` the user's message, or a list of messages whose last by the user is split.
        answer: what should follow, with its leading space where the model writes one; one token or several.
        wrong_answer: what it is compared with: one token by 'logit_diff', or several by 'logprob_diff'.
        unit: 'words', 'tokens', 'sentences', or a list of spans ``(start, end)``, in characters of the text.
        part: only what lies in this piece of the text is a player; the rest is never ablated, and what stands before it
            is computed once for all masks.
        ablate: 'mean' (the mean embedding of the vocabulary), 'token' (the embedding of ``token``), 'delete' or
            'attention'.
        token: the replacement under 'token': 'mask', 'pad', 'unk', 'auto' (the first of these that there is), the text
            of one token, or an id.
        metric: as in tasks; by default 'answer_logprob' where there is no wrong answer, else 'logit_diff', or
            'logprob_diff' where an answer has several tokens. Of several tokens the log-probability is that of the
            whole answer; two such answers cost two passes a mask, unless one begins as the other does.
        chat: put the prompt into the model's chat template.
        first: what becomes of the first token, where attention sinks whatever it says: 'bos' puts the tokenizer's BOS
            token before it, 'protect' never ablates it, 'ablate' does neither; 'auto' is 'bos' where there is such a
            token, else 'protect'. A prompt that begins with a token of no player stays as it is.
        executor: 'batched' (many masks a pass), 'hooks' (one mask at a time, the plain reference), or 'auto': 'batched'
            where a trial on this model gives the logits of 'hooks'.
        batch_rows: masks to run at once; None chooses by the free memory.
        store: where finished ablations are kept and taken from: a path, a ``Store``, 'auto' or None.
        workers: processes that run the masks; see ``RayWorkers``.

    Raises:
        UserError: an empty prompt, spans outside it or overlapping, an answer without tokens, a replacement that the
            tokenizer lacks, a prompt longer than the model's context.
    """

    lens: ClassVar[str] = "tokens"

    def __init__(
        self,
        model: GivenModel,
        prompt: str | Messages,
        answer: str,
        wrong_answer: str | None = None,
        *,
        unit: Unit | Sequence[Range] = "words",
        part: str | None = None,
        ablate: str = "mean",
        token: str | int = "auto",
        metric: str | Metric | Callable[..., Any] | None = None,
        chat: bool = False,
        first: First = "auto",
        executor: TokenExecutor = "auto",
        batch_rows: int | None = None,
        store: Store | str | Path | None = None,
        workers: RayWorkers | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in _SENT}
        if executor not in get_args(TokenExecutor):
            raise UserError(f"unknown executor '{executor}'; allowed: {', '.join(get_args(TokenExecutor))}")
        if batch_rows is not None:
            batch_rows = whole(batch_rows, "batch_rows", 1, MOST)
        if part is not None and not isinstance(part, str):
            raise UserError(f"part is a piece of the prompt's text, not {str(part)[:40]!r}")
        model = model_of(model)
        check_causal(model)
        super().__init__(model, store)
        self.workers = check_workers(workers)
        self._asked_for = given
        self.ablate = check_ablate(ablate)
        self.unit = unit if isinstance(unit, str) else "spans"
        self.chat = chat
        self.prompt = split_prompt(model, prompt, unit, part=part, chat=chat, first=first)
        self.names = self.prompt.names
        self.answer = Answer.of(model, self.prompt, answer, wrong_answer, metric)
        self.batch_rows = batch_rows
        self._parameter = next(model.parameters())
        self.unit_roundoff = unit_roundoff(self._parameter.dtype)
        tokens = [[*self.prompt.ids, *ids] for ids in self.answer.continuations]
        longest, needed = context_of(model), max(map(len, tokens))
        if longest is not None and needed > longest:
            raise UserError(f"the prompt has {needed} tokens, and the model's context holds {longest}")
        self.replaced_by: int | None = None
        self._given = (tokens, token, executor)
        self._first()

    def _make_ready(self, state: ModelState) -> None:
        tokens, token, executor = self._given
        self._parameter = next(self.model.parameters())
        *others, self._passes = [self._made(each, token, executor) for each in reversed(tokens)]
        self._of_wrong = others[0] if others else None  # of the wrong answer, where it needs passes of its own
        # Activations of a long prompt would fill the memory. (Under 'attention' hooks stand inside the blocks.)
        fit = rows_that_fit(self.model, max(map(len, tokens)), gradients=True)
        embeds = self.ablate in ("mean", "token") and isinstance(self._passes, BatchedPasses)
        self._checkpoints = embeds and fit < _FEW_ROWS
        self._clean = None
        if self.answer.metric.needs_clean:
            with torch.inference_mode(False), torch.no_grad():
                self._clean = self._passes.logits(self._parameter.new_ones((1, self.n_players + 1)))

    def _made(self, tokens: list[int], token: str | int, executor: TokenExecutor) -> Passes:
        device = self._parameter.device
        owner = torch.full((len(tokens),), self.n_players, device=device)
        for index, player in enumerate(self.prompt.players):
            owner[list(player.positions)] = index
        replacement = None
        if self.ablate == "token":
            self.replaced_by = replacement_id(self.model, token)
            with torch.inference_mode(False), torch.no_grad():
                table = self.model.original_model.get_input_embeddings()
                replacement = table(torch.tensor([self.replaced_by], device=device))[0].clone()
        elif self.ablate == "mean":
            replacement = mean_embedding(self.model)
        elif self.ablate == "attention":
            needs_patterns(self.model)
        alone = alone_id(self.model)
        n_read = len(tokens) - len(self.prompt.ids) + 1
        given = (self.model, torch.tensor(tokens, device=device), owner, n_read)
        plain = HookedPasses(*given, self.ablate, replacement, alone)
        self.note = "hooks: one mask at a time"
        if executor == "hooks":
            return plain
        reasons = []
        for shared in (True, False):
            make = functools.partial(BatchedPasses, *given, self.ablate, replacement, alone, shared=shared)
            made, reason = why_not(make, plain, self.n_players)
            if made is not None:
                start = made.start
                self.note = "batched" + (f", the first {start} tokens computed once" if start else "")
                return made
            reasons.append(reason)
        if executor == "batched":
            raise UserError(f"executor 'batched' is not for this model: {reasons[-1]}")
        self.note += f"; not batched: {reasons[-1]}"
        return plain

    @property
    def players(self) -> tuple[Player, ...]:
        """The players, with their characters and their tokens' positions."""
        return self.prompt.players

    @property
    def n_samples(self) -> int:
        """One prompt."""
        return 1

    @property
    def executor(self) -> str:
        """How masks are run, and what is shared."""
        return self.note

    def part(self, index: int) -> tuple[int, str]:
        """No layer, and what kind of piece the players are: 'word', 'token', 'sentence' or 'span'."""
        return 0, self.unit.removesuffix("s")

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """What ``circuit.json`` says of the model and of the prompt."""
        cfg = self.model.cfg
        return {
            "model": {
                "name": model_name(self.model),
                "identity": self.model_identity,
                "architecture": str(getattr(cfg, "architecture", None) or ""),
                "n_layers": int(cfg.n_layers),
                "n_heads": int(cfg.n_heads),
                "d_model": int(cfg.d_model),
                "parallel_attn_mlp": bool(getattr(cfg, "parallel_attn_mlp", False)),
                "dtype": str(self._parameter.dtype).removeprefix("torch."),
            },
            "task": {
                "name": "prompt",
                "identity": hashlib.sha256(repr([self.prompt.ids, self.answer.identity]).encode()).hexdigest(),
                "metric": self.answer.metric.name,
                "n_prompts": 1,
                "example": {
                    "prompt": self.prompt.rendered,
                    "counterfactual": "",
                    "answer": self.answer.text,
                    "wrong_answer": self.answer.wrong_text or "",
                    "tokens": [decode_token(self.model, token) for token in self.prompt.ids],
                },
                "top_predictions": [
                    {"token": token, "probability": probability} for token, probability in self.top_predictions()
                ],
            },
            "run": {
                "components": self.unit,
                "baseline": self.ablate,
                **({"first": self.prompt.first} if self.prompt.first else {}),
            },
        }

    def top_predictions(self, count: int = 5) -> list[tuple[str, float]]:
        """The tokens that the model gives the highest probability after the whole prompt, with that; highest first."""
        count = whole(count, "the number of tokens", 1, MOST)
        with self._ready(), torch.inference_mode(False), torch.no_grad():
            logits = self._passes.logits(self._parameter.new_ones((1, self.n_players + 1)))[0, 0]
        found = torch.softmax(logits.double(), dim=-1).topk(min(count, len(logits)))
        tokens = [decode_token(self.model, int(token)) for token in found.indices]
        return list(zip(tokens, map(float, found.values), strict=True))

    def _recipe(self) -> Recipe:
        return Recipe(TokenGame, (), self._asked_for, origin_of(self.model), self._facts(), model_name(self.model))

    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        if gradients:
            self._check_gradients()
        if self.ablate == "delete" and not np.isin(gates, (0, 1)).all():
            raise UserError(
                "ablate='delete' knows kept and deleted, no gates between; use 'token', 'mean' or 'attention'"
            )
        values = np.empty((len(gates), 1))
        slopes = np.empty((len(gates), self.n_players)) if gradients else None
        for rows in self._batches(gates):
            start, size = 0, self._rows(gradients)
            while start < len(rows):
                part = rows[start : start + size]
                try:
                    found, slope = self._run(gates[part], gradients)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error) or len(part) == 1:
                        raise
                    size = self.batch_rows = len(part) // 2
                    continue
                values[part, 0] = found
                if slopes is not None:
                    slopes[part] = slope
                start += len(part)
                done(len(part))
        return values, slopes

    def _run(self, gates: FloatArray, gradients: bool) -> tuple[FloatArray, Gradients | None]:
        leaf = torch.tensor(gates, device=self._parameter.device, dtype=self._parameter.dtype, requires_grad=gradients)
        for passes in (self._passes, self._of_wrong):
            if isinstance(passes, BatchedPasses):
                passes.checkpointing = gradients and self._checkpoints
        with torch.set_grad_enabled(gradients):
            padded = torch.cat([leaf, leaf.new_ones((len(leaf), 1))], dim=1)
            logits = self._passes.logits(padded)
            wrong = logits if self._of_wrong is None else self._of_wrong.logits(padded)
            metric = self._metric(logits, wrong, leaf)
            slope = None
            if gradients:
                if not metric.requires_grad:
                    raise NoGradientError(f"metric '{self.answer.metric.name}' has no gradient; use gradients=False")
                slope = torch.autograd.grad(metric.sum(), leaf)[0].double().cpu().numpy()
        return metric.detach().double().cpu().numpy(), slope

    def _metric(self, logits: torch.Tensor, of_wrong: torch.Tensor, leaf: torch.Tensor) -> torch.Tensor:
        """The metric of each row.

        Raises:
            TaskError: it is not finite; the dtype and the layer are named where the model's own numbers are not.
        """
        try:
            return self.answer.values(logits, of_wrong, self._clean)
        except TaskError:
            wrong = overflowed(logits) | overflowed(of_wrong)
            if not bool(wrong.any()):
                raise
            row = int(wrong.nonzero()[0, 0])
            gates = torch.cat([leaf[row : row + 1].detach(), leaf.new_ones((1, 1))], dim=1)
            passes = (None if bool(overflowed(logits)[row]) else self._of_wrong) or self._passes
            raise overflow_error(self.model, logits.dtype, lambda: passes.logits(gates)) from None

    def _check_gradients(self) -> None:
        if self.ablate == "delete":
            raise NoGradientError("ablate='delete' has no gradients: a token is there or not; use gradients=False")
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            raise UserError(
                "gradients=True needs autograd, which torch.no_grad() or torch.inference_mode() has switched off here"
            )

    def _batches(self, gates: FloatArray) -> Iterator[IntArray]:
        """Rows that can run together: those that leave the same number of tokens."""
        lengths = self._lengths(gates)
        for length in np.unique(lengths):
            yield np.flatnonzero(lengths == length)

    def _lengths(self, gates: FloatArray) -> IntArray:
        if self.ablate != "delete":
            return np.zeros(len(gates), dtype=np.int64)
        owned = np.array([len(player.positions) for player in self.players])
        return np.asarray((gates == 1) @ owned, dtype=np.int64)

    def _rows(self, gradients: bool) -> int:
        if self.batch_rows is not None:
            return self.batch_rows
        lean = gradients and self._checkpoints
        return rows_that_fit(self.model, len(self.prompt.ids), gradients=gradients, checkpointing=lean)

    def _order(self, gates: FloatArray, gradients: bool) -> IntArray:
        return np.argsort(self._lengths(gates), kind="stable")

    def _chunk(self, gradients: bool) -> int:
        return max(self._rows(gradients), _DELETE_CHUNK) if self.ablate == "delete" else self._rows(gradients)

    def _bar_word(self) -> str:
        return self.unit

    def _facts(self) -> dict[str, Any]:
        """All that a value depends on."""
        return {
            "lens": self.lens,
            "weights": self.model_identity,
            "tokens": list(self.prompt.ids),
            "players": [list(player.positions) for player in self.players],
            "answer": self.answer.identity,
            "ablate": self.ablate,
            "replaced_by": self.replaced_by,
            "dtype": str(self._parameter.dtype).removeprefix("torch."),
            "device": self._parameter.device.type,
            "executor": self.note.split(";")[0],
            **self._how(),
        }

    def _about(self) -> dict[str, Any]:
        """What people want to know of a run."""
        text = " ".join(self.prompt.text.split())
        return {
            "model": model_name(self.model),
            "task_name": text if len(text) <= 40 else text[:39] + "…",
            "metric": self.answer.metric.name,
            "n_prompts": 1,
            "selector": self.unit,
            "baseline": self.ablate,
        }

"""The model under masks over tokens: four ways to ablate, each in batches and as a plain reference.

============  ==============================================================  ==============================
ablation      what the model reads where a player is ablated                  positions
============  ==============================================================  ==============================
``token``     the embedding of one replacement token                          stay
``mean``      the mean embedding of the vocabulary                            stay
``delete``    nothing: the tokens are left out                                later tokens move up
``attention`` the tokens, but no other position attends to them               stay
============  ==============================================================  ==============================

Gates between 0 and 1. Under 'token' and 'mean' a token's embedding is ``g e + (1 - g) b``. Under 'attention' the
weights that other positions give it are multiplied by g, in every head and layer, and each position's weights are
divided by what is left of their sum, so that they still add up to 1; a position goes on attending to itself. 'delete'
knows kept and ablated only.
"""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from circuitspex.errors import UserError
from circuitspex.models.protocol import Model

Ablate = Literal["token", "mean", "delete", "attention"]

_AT_ONCE = 8192  # embeddings of the vocabulary at once, for their mean


def check_ablate(ablate: object) -> Ablate:
    """The way to ablate itself, if there is one of that name."""
    for known in get_args(Ablate):
        if ablate == known:
            return known  # type: ignore[no-any-return]
    raise UserError(f"unknown way to ablate '{ablate}'; allowed: {', '.join(get_args(Ablate))}")


class Passes(ABC):
    """What the batched way and the reference share.

    Args:
        model: a TransformerBridge.
        tokens: the prompt's ids and those of the answer that are read after it, ``(positions,)``.
        owner: the player that owns each position, or ``n_players`` for those that are never ablated.
        n_read: how many logits are wanted, from the end.
        ablate: how.
        replacement: the embedding ``(d_model,)`` that stands for an ablated token; None for 'delete' and 'attention'.
        alone: the token that is read where everything was deleted.
    """

    def __init__(
        self,
        model: Model,
        tokens: Int[Tensor, " positions"],
        owner: Int[Tensor, " positions"],
        n_read: int,
        ablate: Ablate,
        replacement: Float[Tensor, " d_model"] | None,
        alone: int | None,
    ) -> None:
        self.model = model
        self.tokens = tokens
        self.owner = owner
        self.n_read = n_read
        self.ablate = ablate
        self.replacement = replacement
        self._alone = alone

    @abstractmethod
    def logits(self, gates: Float[Tensor, "rows player_and_one"]) -> Float[Tensor, "rows read vocab"]:
        """Logits at the last ``n_read`` positions; ``gates`` have a last column of ones.

        Under 'delete' all rows must leave the same number of tokens.
        """

    def lengths(self, gates: Float[Tensor, "rows player_and_one"]) -> Int[Tensor, " rows"]:
        """How many tokens each row leaves."""
        if self.ablate != "delete":
            return torch.full((len(gates),), len(self.tokens))
        return (gates[:, self.owner] == 1).sum(dim=1).cpu()

    def _kept(self, gates: Tensor, start: int) -> Tensor:
        """Under 'delete', the tokens from ``start`` on that each row leaves, ``(rows, left)``."""
        kept = gates[:, self.owner[start:]] == 1
        rows = self.tokens[start:].expand(len(gates), -1)[kept].reshape(len(gates), -1)
        if start == 0 and rows.shape[1] < self.n_read:
            if self._alone is None:
                raise UserError(
                    "a mask deletes the whole prompt, and the tokenizer has no token to begin a text with; "
                    "use another way to ablate"
                )
            rows = torch.cat([rows.new_full((len(rows), 1), self._alone), rows], dim=1)
        return rows

    def _cut(self, gates: Tensor, start: int) -> list[tuple[str, Callable[..., Tensor]]]:
        """Hooks that scale the attention to each token by its gate, for queries from ``start`` on."""
        of_keys = gates[:, self.owner]
        itself = torch.eye(len(self.owner), device=gates.device, dtype=torch.bool)[start:]
        weights = torch.where(itself, torch.ones_like(of_keys[:, None, :]), of_keys[:, None, :])[:, None]

        def cut(pattern: Tensor, hook: Any) -> Tensor:
            scaled = pattern * weights.to(pattern)
            return scaled / scaled.sum(dim=-1, keepdim=True)

        return [(f"blocks.{layer}.attn.hook_pattern", cut) for layer in range(int(self.model.cfg.n_layers))]

    def _mixed(self, embedded: Tensor, gates: Tensor, start: int) -> Tensor:
        """Embeddings ``(1, positions, d_model)`` under gates, ``(rows, positions, d_model)``."""
        assert self.replacement is not None
        gate = gates[:, self.owner[start:], None].to(embedded)
        return gate * embedded + (1 - gate) * self.replacement


class HookedPasses(Passes):
    """The reference: one mask at a time through plain TransformerLens hooks, every position and logit anew."""

    def logits(self, gates: Tensor) -> Tensor:
        """See ``Passes``."""
        return torch.cat([self._one(gates[row : row + 1]) for row in range(len(gates))])

    def _one(self, gates: Tensor) -> Tensor:
        tokens = self.tokens[None]
        hooks: list[tuple[str, Any]] = []
        if self.ablate == "delete":
            tokens = self._kept(gates, 0)
        elif self.ablate == "attention":
            hooks = self._cut(gates, 0)
        else:
            hooks = [(_embedding_hook(self.model), lambda embedded, hook: self._mixed(embedded, gates, 0))]
        logits = self.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)
        return logits[:, -self.n_read :]  # type: ignore[no-any-return]


class BatchedPasses(Passes):
    """Many masks at once; what stands before the first token that can be ablated is computed once.

    Its keys and values are the same under every mask. Only the positions that are read are unembedded. With
    ``checkpointing`` blocks are computed again in the backward pass, and nothing is shared: for long prompts, whose
    activations would not fit into memory.
    """

    checkpointing = False

    def __init__(self, *args: Any, shared: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hf = self.model.original_model
        self._keeps = "logits_to_keep" in inspect.signature(self._hf.forward).parameters
        movable = (self.owner < int(self.owner.max())).nonzero()[:, 0]
        first = int(movable[0]) if len(movable) else 0
        # At least the positions that are read must be left for every row, also where all players are deleted.
        self.start = min(first, len(self.tokens) - self.n_read) if shared else 0
        if self.ablate == "delete" and self.start == first:
            self.start = max(0, first - 1)
        with torch.inference_mode(False), torch.no_grad():
            embed = self._hf.get_input_embeddings()
            self._embedded = None if self.ablate == "delete" else embed(self.tokens[None]).clone()
            self._past = None
            if self.start:
                found = self._hf(self.tokens[None, : self.start], use_cache=True, **self._keep(1))
                self._past = found.past_key_values

    def _keep(self, n: int) -> dict[str, Any]:
        return {"logits_to_keep": n} if self._keeps else {}

    def logits(self, gates: Tensor) -> Tensor:
        """See ``Passes``."""
        given: dict[str, Any] = {"use_cache": False}
        start = 0 if self.checkpointing else self.start
        if start and self._past is not None:
            # A pass adds its own keys and values to what it is given.
            past = copy.deepcopy(self._past)
            past.batch_repeat_interleave(len(gates))
            given = {"use_cache": True, "past_key_values": past}
        hooks: list[tuple[str, Any]] = []
        if self.ablate == "delete":
            given["input_ids"] = self._kept(gates, start)
        else:
            assert self._embedded is not None
            if self.ablate == "attention":
                given["inputs_embeds"] = self._embedded[:, start:].expand(len(gates), -1, -1)
                hooks = self._cut(gates, start)
            else:
                given["inputs_embeds"] = self._mixed(self._embedded[:, start:], gates, start)
        again = computed_again(self.model) if self.checkpointing else nullcontext()
        with again, self.model.hooks(fwd_hooks=hooks) if hooks else nullcontext():
            logits = self._hf(**given, **self._keep(self.n_read)).logits
        return logits[:, -self.n_read :]  # type: ignore[no-any-return]


@contextmanager
def computed_again(model: Model) -> Iterator[None]:
    """Within the block, a backward pass computes each block of the model again instead of keeping what it made.

    Not for passes with hooks inside the blocks: these are gone when the backward pass comes.
    """
    blocks = list(model.blocks)
    try:
        for block in blocks:

            def forward(*args: Any, plain: Callable[..., Any] = block.forward, **given: Any) -> Any:
                return checkpoint(plain, *args, use_reentrant=False, **given)

            # Into the module's own dictionary: TransformerLens hands attribute assignments on to the wrapped module.
            block.__dict__["forward"] = forward
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)


def mean_embedding(model: Model) -> Float[Tensor, " d_model"]:
    """The mean of the embeddings of all tokens of the vocabulary."""
    table = model.original_model.get_input_embeddings()
    size = int(model.cfg.d_vocab)
    device = next(model.parameters()).device
    with torch.inference_mode(False), torch.no_grad():
        parts = [
            table(torch.arange(start, min(start + _AT_ONCE, size), device=device)).double().sum(dim=0)
            for start in range(0, size, _AT_ONCE)
        ]
        mean = torch.stack(parts).sum(dim=0) / size
    return mean.to(next(model.parameters()).dtype)


def needs_patterns(model: Model) -> None:
    """Refuse a model whose attention patterns can't be hooked.

    Raises:
        UserError: it has none.
    """
    layers: Sequence[int] = range(int(model.cfg.n_layers))
    if any(f"blocks.{layer}.attn.hook_pattern" not in model.hook_dict for layer in layers):
        raise UserError(
            "this model has no hook at its attention patterns, which ablate='attention' needs; use 'token', 'mean' or "
            "'delete'"
        )


def _embedding_hook(model: Model) -> str:
    return "hook_embed" if "hook_embed" in model.hook_dict else "embed.hook_out"

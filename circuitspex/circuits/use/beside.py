"""What a model says of a prompt: as it is, with only a circuit, without it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from circuitspex.circuits.circuit import Circuit
from circuitspex.errors import UserError
from circuitspex.models.protocol import Model
from circuitspex.models.quiet import quiet_transformers
from circuitspex.models.tokens import context_of, decode_token, encode, tokenizer_of

WHOLE, ONLY, WITHOUT = "the whole model", "only the circuit", "without the circuit"


@dataclass(frozen=True)
class Said:
    """One way of running it: the likeliest next tokens with their probabilities, and the greedy continuation."""

    way: str
    next_tokens: tuple[tuple[str, float], ...]
    text: str


@dataclass(frozen=True)
class Beside:
    """A prompt, and what each way of running the model says of it."""

    prompt: str
    said: tuple[Said, ...]


def beside(
    circuit: Circuit,
    model: Model,
    texts: Sequence[str],
    *,
    n_new: int = 10,
    top: int = 5,
    scale: float | None = None,
    **options: Any,
) -> list[Beside]:
    """Each prompt with the whole model, with only the circuit, and without it; and scaled, where that is asked for.

    Args:
        circuit: the circuit.
        model: its model, as a bridge.
        texts: the prompts.
        n_new: how many tokens to write after each, the likeliest one each time.
        top: how many of the likeliest next tokens to list.
        scale: of a fourth way, in which the circuit's components have this gate.
        **options: of ``Circuit.applied``.

    Raises:
        UserError: an empty prompt, one that is longer than the model's context, or what ``Circuit.applied`` raises.
    """
    rows = [encode(model, prompt) for prompt in texts]
    holds = context_of(model)
    for prompt, row in zip(texts, rows, strict=True):
        if not row:
            raise UserError("a prompt without any token; give some text")
        if holds is not None and len(row) + n_new > holds:
            raise UserError(
                f"the prompt {prompt[:40]!r} has {len(row)} tokens; with {n_new} new ones that is more than the "
                f"model's context of {holds}"
            )
    ways: list[tuple[str, AbstractContextManager[Any]]] = [
        (WHOLE, contextlib.nullcontext()),
        (ONLY, circuit.applied(model, keep=True, **options)),
        (WITHOUT, circuit.applied(model, keep=False, **options)),
    ]
    if scale is not None:
        ways.append((f"the circuit times {scale:g}", circuit.applied(model, scale=scale, **options)))
    found: list[list[Said]] = [[] for _ in texts]
    for way, entered in ways:
        with entered:
            for row, said in zip(rows, found, strict=True):
                said.append(_said(model, way, row, n_new, top))
    return [Beside(prompt, tuple(said)) for prompt, said in zip(texts, found, strict=True)]


def _said(model: Model, way: str, row: list[int], n_new: int, top: int) -> Said:
    tokens = torch.tensor([row], device=next(model.parameters()).device)
    with torch.no_grad(), quiet_transformers():
        shares = model(tokens, use_cache=False)[0, -1].float().softmax(-1)
        values, indices = shares.topk(min(top, len(shares)))
        text = ""
        if n_new:
            end = getattr(model.tokenizer, "eos_token_id", None)
            longer = model.original_model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=n_new,
                do_sample=False,
                pad_token_id=0 if end is None else end,
            )
            text = str(tokenizer_of(model).decode(longer[0, len(row) :].tolist()))
    likeliest = zip(indices.tolist(), values.tolist(), strict=True)
    return Said(way, tuple((decode_token(model, token), float(value)) for token, value in likeliest), text)

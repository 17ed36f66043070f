"""Edges of a plain Hugging Face Llama, closed one by one: loops over its own modules, and nothing of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

Outputs = dict[str, torch.Tensor]


def plain_logits(
    llama: Any,
    tokens: torch.Tensor,
    counterfactual: torch.Tensor | None,
    gates: Mapping[str, float],
    base: Outputs | None = None,
) -> torch.Tensor:
    """Logits ``[1, pos, vocab]`` with the edges of these names at these gates, all others open.

    Closed ones carry what their source writes on the counterfactual, or else ``base``.
    """
    with torch.no_grad():
        if counterfactual is not None:
            base, _ = _run(llama, counterfactual, {}, None)
        return _run(llama, tokens, gates, base)[1]


def plain_mean(llama: Any, prompts: Sequence[torch.Tensor]) -> Outputs:
    """What each source writes on average over all tokens of these prompts, each ``[1, pos]``."""
    with torch.no_grad():
        runs = [_run(llama, tokens, {}, None)[0] for tokens in prompts]
        return {name: torch.cat([run[name][0] for run in runs]).double().mean(0).float() for name in runs[0]}


def _run(
    llama: Any, tokens: torch.Tensor, gates: Mapping[str, float], base: Outputs | None
) -> tuple[Outputs, torch.Tensor]:
    inner, config = llama.model, llama.config
    d_head = llama.config.hidden_size // config.num_attention_heads
    each = config.num_attention_heads // config.num_key_value_heads
    tokens = tokens.to(inner.embed_tokens.weight.device)
    places = torch.arange(tokens.shape[1], device=tokens.device)[None]
    out: Outputs = {"emb": inner.embed_tokens(tokens)}
    cos, sin = inner.rotary_emb(out["emb"], places)

    def read(target: str) -> torch.Tensor:
        stream = torch.zeros_like(out["emb"])
        for source, value in out.items():
            stands_in = 0 if base is None else base[source]
            stream = stream + value - (1 - gates.get(f"{source}->{target}", 1.0)) * (value - stands_in)
        return stream

    def turned(x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        return x * cos[0] + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin[0]

    for number, layer in enumerate(inner.layers):
        attention, written = layer.self_attn, {}
        for head in range(config.num_attention_heads):
            shared = head // each
            by_head = any(name.endswith(f"->L{number}H{head}.k") for name in gates)
            keys = f"L{number}H{head}" if by_head else f"L{number}KV{shared}"
            mine, its = slice(head * d_head, (head + 1) * d_head), slice(shared * d_head, (shared + 1) * d_head)
            q = turned(attention.q_proj(layer.input_layernorm(read(f"L{number}H{head}.q")))[..., mine])
            k = turned(attention.k_proj(layer.input_layernorm(read(f"{keys}.k")))[..., its])
            v = attention.v_proj(layer.input_layernorm(read(f"{keys}.v")))[..., its]
            scores = (q @ k.transpose(-1, -2)) / d_head**0.5
            later = torch.ones_like(scores, dtype=torch.bool).triu(1)
            z = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
            written[f"L{number}H{head}"] = z @ attention.o_proj.weight[:, mine].T
        out |= written
        out[f"L{number}M"] = layer.mlp(layer.post_attention_layernorm(read(f"L{number}M")))
    return out, llama.lm_head(inner.norm(read("logits")))

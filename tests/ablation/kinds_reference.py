"""Every kind of component ablated a second time, one mask at a time, written without the package's own hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from circuitspex.components import Component, Latents

HOOKS = {
    "head": "blocks.{}.attn.hook_z",
    "query": "blocks.{}.attn.hook_q",
    "key": "blocks.{}.attn.hook_k",
    "value": "blocks.{}.attn.hook_v",
    "attention": "blocks.{}.hook_attn_out",
    "mlp": "blocks.{}.hook_mlp_out",
    "neurons": "blocks.{}.mlp.hook_post",
    "residual": "blocks.{}.hook_resid_pre",
}
Read = Callable[[torch.Tensor], torch.Tensor]


def latents_of(about: Latents, x: torch.Tensor) -> torch.Tensor:
    """All latents ``[rows, pos, m]``, token by token and latent by latent where that is plainest."""
    x = x.flatten(2)
    if about.subtract_decoder_bias:
        x = x - about.decoder_bias.to(x)
    before = torch.einsum("rpd,dm->rpm", x, about.encoder.to(x))
    if about.encoder_bias is not None:
        before = before + about.encoder_bias.to(x)
    if about.activation == "relu":
        return before.clamp_min(0)
    if about.activation == "jumprelu":
        return torch.where(before > about.thresholds.to(x), before, 0.0).clamp_min(0)
    least = before.sort(dim=-1, descending=True).values[..., int(about.activation[5:]) - 1, None]
    return torch.where(before >= least, before, 0.0).clamp_min(0)


def plain_kinds(
    model: Any,
    task: Any,
    components: Sequence[Component],
    baseline: str,
    gates: np.ndarray,
    latents: Latents | None = None,
) -> torch.Tensor:
    """The last logits ``[masks, prompts, vocab]``; prompts of one length, no experts."""

    def hook_of(c: Component) -> str:
        return latents.hook if c.kind == "latents" else HOOKS[c.kind].format(c.layer)

    names = list(dict.fromkeys(map(hook_of, components)))
    other: dict[str, torch.Tensor] = {}
    tokens = {"mean": task.reference_tokens, "resample": task.counterfactual_tokens, "zero": task.tokens}[baseline]

    def save(name: str) -> Callable[[torch.Tensor, Any], None]:
        return lambda z, hook: other.update({name: z.clone()})

    with torch.no_grad():
        model.run_with_hooks(tokens, fwd_hooks=[(name, save(name)) for name in names])
    logits = []
    for row in gates:

        def gate(name: str, row: np.ndarray = row) -> Callable[[torch.Tensor, Any], torch.Tensor]:
            def run(z: torch.Tensor, hook: Any) -> torch.Tensor:
                result = z.clone()
                for c, g in zip(components, row, strict=True):
                    if hook_of(c) != name:
                        continue
                    where = slice(None) if c.position is None else [c.position]
                    if c.kind == "latents":
                        f, b = latents_of(latents, z), latents_of(latents, other[name])
                        b = b.mean(0, keepdim=True) if baseline == "mean" else b * (baseline != "zero")
                        for i in range(c.start, c.stop):
                            step = (float(g) - 1) * (f - b)[:, where, i, None] * latents.decoder[i].to(z)
                            result[:, where] += step.reshape(result[:, where].shape)
                        continue
                    b = other[name].mean(0, keepdim=True) if baseline == "mean" else other[name] * (baseline != "zero")
                    b = b.expand_as(z)
                    at = (slice(None), where) + (() if c.stop == 0 else (slice(c.start, c.stop),))
                    result[at] = b[at] + float(g) * (z[at] - b[at])
                return result

            return run

        with torch.no_grad():
            logits.append(model.run_with_hooks(task.tokens, fwd_hooks=[(n, gate(n)) for n in names])[:, -1])
    return torch.stack(logits)


def routed(
    block: Any, x: torch.Tensor, gates: torch.Tensor, top: int, renormalised: bool, shared: bool
) -> torch.Tensor:
    """A mixture of experts by hand: ``x (tokens, d)``, ``gates (tokens, experts)``; all experts are run."""
    probabilities = gates * F.softmax(x @ block.gate.weight.T, -1)
    probabilities = probabilities / probabilities.sum(-1, keepdim=True).clamp_min(1e-300)
    out = torch.zeros_like(x)
    for token in range(len(x)):
        left = [e for e in probabilities[token].argsort(descending=True).tolist() if gates[token, e] > 0][:top]
        total = sum(probabilities[token, e] for e in left) if renormalised and left else 1.0
        some = 1 - (1 - gates[token]).prod()
        for e in left:
            gate, up = (block.experts.gate_up_proj[e] @ x[token]).chunk(2)
            expert = block.experts.down_proj[e] @ (F.silu(gate) * up)
            out[token] += some * probabilities[token, e] / total * expert
    if shared:
        out = out + torch.sigmoid(block.shared_expert_gate(x)) * block.shared_expert(x)
    return out

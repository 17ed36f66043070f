"""Attribution written a second time: plain Hugging Face modules, plain hooks of PyTorch, one prompt after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch


class Plain:
    """A Llama or a GPT-2 of Hugging Face with the places of its heads, MLPs, norms and activations."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.llama = hasattr(model.model if hasattr(model, "model") else model, "layers")
        self.layers = model.model.layers if self.llama else model.transformer.h
        self.ruled = False
        self.n_heads = model.config.num_attention_heads

    def out_projection(self, layer: int) -> Any:
        block = self.layers[layer]
        return block.self_attn.o_proj if self.llama else block.attn.c_proj

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor:
        table = self.model.get_input_embeddings()
        return table(tokens).detach()

    def run(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The last logits ``[vocab]`` of one prompt, and what each head and each MLP gives, with their graph."""
        seen: dict[str, torch.Tensor] = {}
        handles = []
        for layer in range(len(self.layers)):

            def heads(module: Any, args: Any, layer: int = layer) -> None:
                args[0].retain_grad()
                seen[f"z{layer}"] = args[0]

            def mlp(module: Any, args: Any, output: Any, layer: int = layer) -> None:
                output.retain_grad()
                seen[f"m{layer}"] = output

            handles.append(self.out_projection(layer).register_forward_pre_hook(heads))
            handles.append(self.layers[layer].mlp.register_forward_hook(mlp))
        try:
            logits = self.model(inputs_embeds=embeddings.clone().requires_grad_(True), use_cache=False).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()
        return logits, seen

    def scores(self, task: Any, shares: Sequence[float]) -> dict[str, float]:
        """By the name of heads and MLPs: the slope at embeddings so far from the counterfactual's, times difference."""
        total: dict[str, float] = {}
        for i in range(task.n_prompts):
            length = int(task.lengths[i])
            tokens = task.tokens[i : i + 1, :length]
            own = self.embedded(tokens)
            other = self.embedded(task.counterfactual_tokens[i : i + 1, :length])
            clean, corrupt = self.run(own)[1], self.run(other)[1]
            for share in shares:
                logits, seen = self.run(other + share * (own - other))
                (logits[task.answers[i]] - logits[task.wrong_answers[i]]).backward()
                for name, z in seen.items():
                    each = z.grad * (clean[name] - corrupt[name])
                    layer = name[1:]
                    if name[0] == "m":
                        parts = {f"L{layer}M": each.sum()}
                    else:
                        by_head = each.reshape(*each.shape[:2], self.n_heads, -1).sum((0, 1, 3))
                        parts = {f"L{layer}H{h}": value for h, value in enumerate(by_head)}
                    for part, value in parts.items():
                        total[part] = total.get(part, 0.0) + float(value.detach()) / len(shares) / task.n_prompts
        return total

    @contextlib.contextmanager
    def by_relevance(self) -> Iterator[None]:
        """Within the block, what passes back obeys RelP's rules."""
        handles = []

        def norm(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            x = args[0]
            centred = x - x.mean(-1, keepdim=True) if isinstance(module, torch.nn.LayerNorm) else x
            eps = module.eps if isinstance(module, torch.nn.LayerNorm) else module.variance_epsilon
            scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps).detach()
            shift = module.bias if isinstance(module, torch.nn.LayerNorm) else 0
            return centred * scale * module.weight + shift

        def constant(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            return output.detach()

        def joined(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            q, k, v = output.chunk(3, dim=-1)
            return torch.cat([q.detach(), k.detach(), v], dim=-1)

        def activation(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            return args[0] * (output / args[0]).detach()

        def halved(module: Any, args: Any) -> Any:
            return (args[0] / 2 + args[0].detach() / 2,)

        for module in self.model.modules():
            if isinstance(module, torch.nn.LayerNorm) or type(module).__name__.endswith("RMSNorm"):
                handles.append(module.register_forward_hook(norm))
        for block in self.layers:
            if self.llama:
                handles += [getattr(block.self_attn, f"{x}_proj").register_forward_hook(constant) for x in "qk"]
                handles.append(block.mlp.act_fn.register_forward_hook(activation))
                handles.append(block.mlp.down_proj.register_forward_pre_hook(halved))
            else:
                handles.append(block.attn.c_attn.register_forward_hook(joined))
                handles.append(block.mlp.act.register_forward_hook(activation))
        self.ruled = True
        try:
            yield
        finally:
            self.ruled = False
            for handle in handles:
                handle.remove()

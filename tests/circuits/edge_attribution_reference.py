"""Scores of edges written a second time: plain Hugging Face modules, plain hooks, one prompt after the other.

The slope in what a query, key or value of one head reads is pulled back by hand: from the projection's output through
that head's rows of the weights, and through the norm that the module itself computes.
"""

from __future__ import annotations

from typing import Any

import torch
from attribution_reference import Plain

Put = dict[str, torch.Tensor]


class PlainEdges(Plain):
    """A Llama or a GPT-2 of Hugging Face with all that its edges end at; keys and values for each query head."""

    def scores_of_edges(self, task: Any, ways: Any) -> dict[str, float]:
        """By name of edges; ``ways`` gives, of what parts write on both prompts, what is put in, pass by pass."""
        total: dict[str, float] = {}
        for i in range(task.n_prompts):
            length = int(task.lengths[i])
            own = self.embedded(task.tokens[i : i + 1, :length])
            other = self.embedded(task.counterfactual_tokens[i : i + 1, :length])
            clean, corrupt = self.passed(own, {})[1], self.passed(other, {})[1]
            written, base = self.written(clean, own), self.written(corrupt, other)
            passes = ways({"emb": own, **clean}, {"emb": other, **corrupt})
            for put in passes:
                logits, seen = self.passed(put.get("emb", own), put)
                (logits[task.answers[i]] - logits[task.wrong_answers[i]]).backward()
                for target, slope in self.slopes(seen).items():
                    for source in written:
                        if self.reads(target, source):
                            score = float((slope * (written[source] - base[source])).sum())
                            name = f"{source}->{target}"
                            total[name] = total.get(name, 0.0) + score / len(passes) / task.n_prompts
        return total

    def passed(self, embeddings: torch.Tensor, put: Put) -> tuple[torch.Tensor, Put]:
        """The last logits of one prompt, and the activations by name; some are replaced."""
        seen: Put = {}
        handles = []

        def keep(name: str, value: torch.Tensor) -> torch.Tensor:
            value = put.get(name, value)
            seen[name] = value
            if value.requires_grad:
                value.retain_grad()
            return value

        def before(name: str) -> Any:
            return lambda module, args: (keep(name, args[0]), *args[1:])

        def after(name: str) -> Any:
            return lambda module, args, output: keep(name, output)

        norms = ("input_layernorm", "post_attention_layernorm") if self.llama else ("ln_1", "ln_2")
        for n, block in enumerate(self.layers):
            handles.append(getattr(block, norms[0]).register_forward_pre_hook(before(f"x{n}")))
            handles.append(getattr(block, norms[1]).register_forward_pre_hook(before(f"y{n}")))
            handles.append(block.mlp.register_forward_pre_hook(before(f"i{n}")))
            handles.append(block.mlp.register_forward_hook(after(f"m{n}")))
            handles.append(self.out_projection(n).register_forward_pre_hook(before(f"z{n}")))
            if self.llama:
                for kind in "qkv":
                    module = getattr(block.self_attn, f"{kind}_proj")
                    handles.append(module.register_forward_hook(after(f"{kind}{n}")))
            else:
                handles.append(block.attn.c_attn.register_forward_hook(after(f"qkv{n}")))
        handles.append(self.last_norm.register_forward_pre_hook(before("xf")))
        handles.append(self.model.lm_head.register_forward_pre_hook(before("if")))
        try:
            logits = self.model(inputs_embeds=embeddings.clone().requires_grad_(True), use_cache=False).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()
        return logits, seen

    @property
    def last_norm(self) -> Any:
        return self.model.model.norm if self.llama else self.model.transformer.ln_f

    def written(self, seen: Put, embeddings: torch.Tensor) -> Put:
        """What each source adds to the residual stream."""
        found = {"emb": embeddings}
        for n in range(len(self.layers)):
            weight = self.out_projection(n).weight
            weight = weight if self.llama else weight.T
            z = seen[f"z{n}"].unflatten(-1, (self.n_heads, -1))
            for h in range(self.n_heads):
                width = z.shape[-1]
                found[f"L{n}H{h}"] = z[..., h, :] @ weight[:, h * width : (h + 1) * width].T
            found[f"L{n}M"] = seen[f"m{n}"]
        return {name: value.detach() for name, value in found.items()}

    def slopes(self, seen: Put) -> Put:
        """The slope in what each destination reads of the residual stream."""
        found: Put = {}
        for n, block in enumerate(self.layers):
            first, second = (
                (block.input_layernorm, block.post_attention_layernorm) if self.llama else (block.ln_1, block.ln_2)
            )
            weights, slopes = self._projections(block, seen, n)
            for kind in "qkv":
                each = weights[kind].unflatten(0, (-1, weights[kind].shape[0] // self._units(kind)))
                slope = slopes[kind].unflatten(-1, (self._units(kind), -1))
                for h in range(self._units(kind)):
                    read = slope[..., h, :] @ each[h]
                    letter = "H" if kind == "q" or self._units(kind) == self.n_heads else "KV"
                    found[f"L{n}{letter}{h}.{kind}"] = self._through(first, seen[f"x{n}"], read)
            found[f"L{n}M"] = self._through(second, seen[f"y{n}"], slope_of(seen[f"i{n}"]))
        found["logits"] = self._through(self.last_norm, seen["xf"], slope_of(seen["if"]))
        return found

    def _units(self, kind: str) -> int:
        config = self.model.config
        return self.n_heads if kind == "q" else getattr(config, "num_key_value_heads", self.n_heads)

    def _projections(self, block: Any, seen: Put, n: int) -> tuple[Put, Put]:
        if self.llama:
            return (
                {kind: getattr(block.self_attn, f"{kind}_proj").weight.detach() for kind in "qkv"},
                {kind: slope_of(seen[f"{kind}{n}"]) for kind in "qkv"},
            )
        parts = block.attn.c_attn.weight.detach().T.chunk(3)
        slopes = list(slope_of(seen[f"qkv{n}"]).chunk(3, dim=-1))
        if self.ruled:  # queries and keys are made constants before they are looked at
            slopes[:2] = torch.zeros_like(slopes[0]), torch.zeros_like(slopes[1])
        return dict(zip("qkv", parts, strict=True)), dict(zip("qkv", slopes, strict=True))

    def _through(self, norm: Any, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        leaf = x.detach().clone().requires_grad_(True)
        return torch.autograd.grad(norm(leaf), leaf, slope)[0]

    def reads(self, target: str, source: str) -> bool:
        """Whether a source is computed before a destination."""
        if target == "logits" or source == "emb":
            return True
        of, to = (int(name[1:].replace("KV", "H").replace("M", "H").split("H")[0]) for name in (source, target))
        return of < to or (of == to and "H" in source and target.endswith("M"))


def slope_of(value: torch.Tensor) -> torch.Tensor:
    """Its gradient; zero where nothing passes back."""
    return torch.zeros_like(value) if value.grad is None else value.grad

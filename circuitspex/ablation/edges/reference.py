"""The plain way to ablate edges: one mask at a time, each destination shown its own residual stream by a hook.

For each destination of a layer the model's own block is run on that destination's stream, and the query, key or value
that comes out is taken; then the block is run with all of these put in place, and what each head and the MLP add to the
stream is read as a difference of streams. Slow and obvious: nothing is taken apart but by TransformerLens's hooks, so
that it works wherever queries, keys, values, heads and MLPs were proved to be what their names say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.ablation.executors.hooks import at
from circuitspex.ablation.executors.norms import Norm
from circuitspex.ablation.executors.prefix import entry_hook, passed_over
from circuitspex.ablation.shapes import ReadLogits, Reads, Tokens
from circuitspex.components import Layout, ModelStructure, Part
from circuitspex.components.edges import EdgeGraph
from circuitspex.models.protocol import Model

Streams = Float[Tensor, "targets prompts pos d_model"]
Hooked = tuple[str, Callable[..., Any]]


class EdgesHooks:
    """Logits at the positions that are read with edges closed, through plain hooks.

    Args:
        graph: the edges.
        model: the bridge.
        structure: from ``model_structure``; queries, keys, values, heads and MLPs must be among what was proved.
        tokens: the prompts of one length.
        base: what the sources write in the baseline ``[sources, prompts or 1, pos, d_model]``; None for zero.
        reads: the positions whose logits are wanted, ``[prompts, reads]``.
    """

    masks_at_once: int | None = 1

    def __init__(
        self,
        graph: EdgeGraph,
        model: Model,
        structure: ModelStructure,
        tokens: Tokens,
        base: Tensor | None,
        reads: Reads,
    ) -> None:
        self.graph, self.model, self.base, self.reads = graph, model, base, reads.cpu()
        self.tokens = tokens
        self._blocks = [_Block(model, structure, layer, graph) for layer in range(len(graph.layers))]
        self._constants: dict[str, Tensor] | None = None
        self._rest: dict[str, Tensor] | None = None
        self._largest: dict[str, float] = {}

    def __call__(self, gates: Float[Tensor, "one edges *pos"], prompts: slice) -> ReadLogits:
        """Logits ``[prompts, reads, vocab]``; differentiable in the gates."""
        base = self.base
        if base is not None and base.shape[1] > 1:
            base = base[:, prompts]
        streams = self._open_streams()
        outs = [self._entry(self.tokens[prompts])[None]]

        def read(targets: range, constant: Tensor) -> Streams:
            written = torch.cat(outs)
            stands_in = torch.zeros_like(written) if base is None else base[: len(written)].expand_as(written)
            first = self.graph.first
            found = []
            for target in targets:
                g = gates[0, int(first[target]) : int(first[target + 1])]
                g = g[:, None, None, None] if g.ndim == 1 else g[:, None, :, None]
                n = int(self.graph.n_read[target])
                kept = stands_in[:n] + g * (written[:n] - stands_in[:n])
                found.append(constant[prompts] + kept.sum(0))
            return torch.stack(found)

        target = 0
        for layer, block in enumerate(self._blocks):
            n = block.n_heads + 2 * self.graph.n_keys(layer)
            x = read(range(target, target + n), streams[f"attention {layer}"])
            target += n
            outs.append(block.heads(self.tokens[prompts], x))
            if self.graph.layers[layer].mlp:
                written_by_heads = outs.pop() if self.graph.parallel else None
                x = read(range(target, target + 1), streams[f"mlp {layer}"])
                outs += [] if written_by_heads is None else [written_by_heads]
                target += 1
                outs.append(block.mlp(self.tokens[prompts], x[0])[None])
        x = read(range(target, target + 1), streams["logits"])
        return at(self._unembedded(self.tokens[prompts], x[0]), self.reads[prompts])

    def not_a_sum(self) -> str | None:
        """What reads a stream that is not the sum of what was written, but for biases, which all tokens share."""
        for name, constant in self._rests().items():
            wide = constant.double()
            spread = (wide - wide.mean((0, 1))).abs().max()
            if float(spread) > 1e-4 * self._largest.get(name, self._largest["logits"]):
                return name
        return None

    def written(self) -> Float[Tensor, "sources prompts pos d_model"]:
        """What every source writes with all edges open, on all prompts."""
        return self._open()[0]

    def _open_streams(self) -> dict[str, Tensor]:
        """By stage of the pass: what is in the stream and no source wrote, biases; ``[prompts, pos, d_model]``."""
        if self._constants is None:
            self._constants = {name: self._without_rounding(name, rest) for name, rest in self._rests().items()}
        return self._constants

    def _rests(self) -> dict[str, Tensor]:
        if self._rest is None:
            self._rest = self._open()[1]
        return self._rest

    def _without_rounding(self, name: str, rest: Tensor) -> Tensor:
        """Biases are the same at every token; what is no more than rounding is no bias, which a norm would blow up."""
        bias = rest.double().mean((0, 1), keepdim=True).expand_as(rest).to(rest)
        largest = self._largest.get(name, self._largest["logits"])
        return bias * float(bias.abs().max() > 64 * torch.finfo(rest.dtype).eps * largest)

    def _open(self) -> tuple[Tensor, dict[str, Tensor]]:
        """What sources write in the model's own pass, and of each stage's stream there what none of them wrote."""
        with torch.no_grad():
            seen = self._streams_of_model()
            self._largest = {name: float(stream.abs().max()) for name, stream in seen.items()}
            outs = [self._entry(self.tokens)[None]]
            constants = {}
            for layer, block in enumerate(self._blocks):
                n = block.n_heads + 2 * self.graph.n_keys(layer)
                entry = seen[f"attention {layer}"]
                constants[f"attention {layer}"] = entry - torch.cat(outs).sum(0)
                heads = block.heads(self.tokens, entry.expand(n, *entry.shape))
                if self.graph.layers[layer].mlp:
                    before = outs if self.graph.parallel else [*outs, heads]
                    inside = entry if self.graph.parallel else seen[f"mlp {layer}"]
                    constants[f"mlp {layer}"] = inside - torch.cat(before).sum(0)
                    outs += [heads, block.mlp(self.tokens, inside)[None]]
                else:
                    outs.append(heads)
            constants["logits"] = seen["logits"] - torch.cat(outs).sum(0)
            return torch.cat(outs), constants

    def _streams_of_model(self) -> dict[str, Tensor]:
        """The residual stream at every stage of the model's own pass."""
        seen: dict[str, Tensor] = {}

        def look(name: str) -> Callable[..., None]:
            def keep(activation: Tensor, hook: Any) -> None:
                seen[name] = activation.detach().clone()

            return keep

        hooks: list[Hooked] = [("ln_final.hook_in", look("logits"))]
        for layer, block in enumerate(self._blocks):
            hooks.append((entry_hook(layer), look(f"attention {layer}")))
            if not self.graph.parallel:
                hooks.append((block.middle, look(f"mlp {layer}")))
        self.model.run_with_hooks(self.tokens, fwd_hooks=hooks, use_cache=False)
        return seen

    def _entry(self, tokens: Tokens) -> Tensor:
        found: list[Tensor] = []
        hooks = [(entry_hook(0), lambda activation, hook: found.append(activation.detach().clone()))]
        self.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False, stop_at_layer=1)
        return found[0]

    def _unembedded(self, tokens: Tokens, x: Tensor) -> Tensor:
        with passed_over(self.model, len(self._blocks)):
            logits: Tensor = self.model.run_with_hooks(
                tokens, fwd_hooks=[("ln_final.hook_in", lambda activation, hook: x)], use_cache=False
            )
        return logits


class _Block:
    """One block of the model, run by itself on any stream."""

    def __init__(self, model: Model, structure: ModelStructure, layer: int, graph: EdgeGraph) -> None:
        self.model, self.layer, self.graph = model, layer, graph
        of_layer = structure.layers[layer]
        self.parts: dict[str, Part] = {
            k: of_layer.part(k) for k in ("query", "key", "value", "head", "attention", "mlp")
        }
        self.n_heads = graph.layers[layer].n_heads
        self.n_kv = graph.layers[layer].n_kv
        # What the MLP reads, before its norm where it has one.
        self.middle = next(
            (hook for name in ("ln2", "mlp") if (hook := f"blocks.{layer}.{name}.hook_in") in model.hook_dict), ""
        )
        self.after = f"blocks.{layer}.ln1_post.hook_in"
        self.norm_after = self._norm_after()

    def heads(self, tokens: Tokens, x: Streams) -> Float[Tensor, "heads prompts pos d_model"]:
        """What each head adds to the stream, from what each query, key and value reads."""
        n, prompts = len(x), len(tokens)
        rows = tokens.repeat(n, 1)
        seen = self._run(rows, x.flatten(0, 1), {}, [self._hook(kind) for kind in ("query", "key", "value")])

        def units(kind: str) -> Tensor:  # targets, prompts, pos, unit, width
            passed = _read(self.parts[kind], seen[self._hook(kind)])
            return passed.reshape(n, prompts, *passed.shape[1:])

        n_k = self.graph.n_keys(self.layer)
        each = self.n_heads // self.n_kv
        q = torch.stack([units("query")[h, :, :, h] for h in range(self.n_heads)], dim=2)
        shared = 1 if n_k == self.n_kv else each  # key/value destinations for each key/value head

        def keys(kind: str, first: int, turn: int) -> Tensor:
            given = units(kind)
            return torch.stack([given[first + j * shared + turn, :, :, j] for j in range(self.n_kv)], dim=2)

        z: list[Tensor] = []
        for turn in range(shared):
            # Each pass serves the query heads whose own keys and values are in place.
            put = {
                "query": q,
                "key": keys("key", self.n_heads, turn),
                "value": keys("value", self.n_heads + n_k, turn),
            }
            seen_z = self._run(tokens, x[0], put, [self._hook("head")])
            z.append(_read(self.parts["head"], seen_z[self._hook("head")]))
        whole = torch.stack(
            [z[h % each if shared > 1 else 0][:, :, h] for h in range(self.n_heads)], dim=2
        )  # prompts, pos, head, width
        return self._added_by_heads(tokens, x[0], whole)

    def mlp(self, tokens: Tokens, x: Tensor) -> Float[Tensor, "prompts pos d_model"]:
        """What the MLP adds to the stream, from what it reads."""
        out = f"blocks.{self.layer}.hook_out"
        if self.graph.parallel:
            hook = self._hook("mlp")
            return self._run(tokens, x, {}, [hook])[hook]
        # The stream after attention passes the hook; what the MLP reads is put in its place.
        seen = self._run(tokens, x, {"middle": x}, [self.middle, out])
        return seen[out] - seen[self.middle]

    def _added_by_heads(self, tokens: Tokens, x: Tensor, z: Tensor) -> Tensor:
        """Each head's output put in alone, less what comes out with none of them."""
        n, prompts = self.n_heads + 1, len(tokens)
        alone = torch.stack([z * (torch.arange(self.n_heads) == h)[:, None].to(z) for h in range(n)])  # the last: none
        if self.norm_after is not None:
            place = self.after
        else:
            place = self._hook("attention") if self.graph.parallel else self.middle
        seen = self._run(tokens.repeat(n, 1), x.repeat(n, 1, 1), {"head": alone.flatten(0, 1)}, [place])[place]
        each = seen.reshape(n, prompts, *seen.shape[1:])
        added = each[:-1] - each[-1]
        if self.norm_after is None:
            return torch.as_tensor(added)
        norm = self.norm_after
        total = added.sum(0) + each[-1]
        if norm.centred:
            added, total = added - added.mean(-1, keepdim=True), total - total.mean(-1, keepdim=True)
        scale: Tensor = torch.rsqrt(total.square().mean(-1, keepdim=True) + norm.eps) * norm.scale.to(added)
        return added * scale

    def _run(self, tokens: Tokens, x: Tensor, put: dict[str, Tensor], look_at: list[str]) -> dict[str, Tensor]:
        """The block alone, on this stream, with some of its activations replaced; what passes these hooks."""
        seen: dict[str, Tensor] = {}

        def replace(kind: str) -> Callable[..., Tensor]:
            def change(activation: Tensor, hook: Any) -> Tensor:
                return put[kind] if kind == "middle" else _write(self.parts[kind], activation, put[kind])

            return change

        def look(name: str) -> Callable[..., None]:
            def keep(activation: Tensor, hook: Any) -> None:
                seen[name] = activation

            return keep

        # What passes a hook is looked at before it is replaced.
        hooks: list[Hooked] = [(entry_hook(self.layer), lambda activation, hook: x)]
        hooks += [(name, look(name)) for name in look_at]
        hooks += [(self.middle if kind == "middle" else self._hook(kind), replace(kind)) for kind in put]
        with passed_over(self.model, self.layer):
            self.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False, stop_at_layer=self.layer + 1)
        return seen

    def _hook(self, kind: str) -> str:
        return str(self.parts[kind].hook)

    def _norm_after(self) -> Any:
        block = self.model.blocks[self.layer]
        if "ln1_post" not in getattr(block, "submodules", {}):
            return None
        return Norm(block.ln1_post.original_component).parts


def _read(part: Part, activation: Tensor) -> Tensor:
    return (part.layout or Layout(part.n_units)).read(activation)


def _write(part: Part, activation: Tensor, units: Tensor) -> Tensor:
    return (part.layout or Layout(part.n_units)).write(activation, units)

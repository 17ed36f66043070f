"""Ablation with plain hooks of PyTorch on the plain Hugging Face model: nothing of the package, nothing of others."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from family import WIDTH, Family

Edit = Callable[[torch.Tensor], torch.Tensor]
Place = tuple[int, str]  # a layer and a kind of component


class NotThereError(LookupError):
    """The table names no place for a kind in a layer."""


def at(parent: Any, paths: str) -> Any:
    """The module at a path, whose numbers are places in lists; of several, with | between them, the first there is."""
    for path in paths.split("|"):
        found = parent
        for part in path.split("."):
            found = found[int(part)] if part.isdigit() else getattr(found, part, None)
            if found is None:
                break
        if found is not None:
            return found
    raise NotThereError(f"there is no {paths}")


def _place(component: Any) -> Place:
    return component.layer, component.kind


class Plain:
    """A Hugging Face model whose activations are watched and changed where the table says that they are."""

    def __init__(self, family: Family, model: Any) -> None:
        self.family, self.model = family, model
        self.components: Sequence[Any] = ()

    def logits(self, tokens: torch.Tensor, edits: dict[Place, Edit]) -> torch.Tensor:
        """The last logits ``[prompts, vocab]``, with each activation replaced by what a function makes of it."""
        with contextlib.ExitStack() as stack, torch.no_grad():
            for (layer, kind), edit in edits.items():
                stack.enter_context(self._hooked(layer, kind, edit, tuple(tokens.shape)))
            return self.model(input_ids=tokens, use_cache=False).logits[:, -1]

    @contextlib.contextmanager
    def _hooked(self, number: int, kind: str, edit: Edit, shape: tuple[int, int]) -> Iterator[None]:
        family = self.family
        layer = at(self.model, f"{family.layers}.{number}")

        def changed(z: torch.Tensor) -> torch.Tensor:
            return edit(z.reshape(*shape, -1)).reshape(z.shape)

        def entering(module: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if args:
                return (changed(args[0]), *args[1:]), options
            return args, {**options, "hidden_states": changed(options["hidden_states"])}

        def adding(module: Any, args: tuple[Any, ...], options: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
            own = [c for c in self.components if (c.layer, c.kind) == (number, kind)]
            written = torch.cat([output - self._without(module, c, args, options) for c in own], -1)
            change = changed(written) - written
            return output + change.reshape(*output.shape[:-1], len(own), -1).sum(-2)

        def leaving(module: Any, args: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
            first = output[0] if isinstance(output, (tuple, list)) else output
            if kind in family.adds_residual:
                residual = options["residual"] if "residual" in options else args[1]
                first = residual + changed(first - residual)
            else:
                first = changed(first)
            return type(output)((first, *output[1:])) if isinstance(output, (tuple, list)) else first

        if kind == "expert":
            with self._rerouted(at(layer, family.router), at(layer, family.router.partition(".")[0]), edit):
                yield
            return
        if kind in ("query", "key", "value") and family.fused == "entering attention":
            with self._attending(at(layer, family.heads.rpartition(".")[0]), kind, edit):
                yield
            return
        if kind in ("head", "neurons"):
            handle = at(layer, getattr(family, "heads" if kind == "head" else kind)).register_forward_pre_hook(
                entering, with_kwargs=True
            )
        elif kind == "expert_neurons":
            handle = at(layer, family.experts).register_forward_hook(adding, with_kwargs=True)
        elif kind == "residual":
            handle = layer.register_forward_pre_hook(entering, with_kwargs=True)
        else:
            joined = family.fused == "one after the other" or family.fused.startswith("by head")
            path = family.query if kind in ("key", "value") and joined else getattr(family, kind)
            handle = at(layer, path).register_forward_hook(leaving, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    @contextlib.contextmanager
    def _attending(self, attention: Any, kind: str, edit: Edit) -> Iterator[None]:
        """Within the block, what enters the attention of one layer is changed, whatever made it."""
        source = sys.modules[type(attention).__module__]
        plain = source.eager_attention_forward
        place = ("query", "key", "value").index(kind)

        def attend(module: Any, *args: Any, **options: Any) -> Any:
            if module is not attention:
                return plain(module, *args, **options)
            states = args[place]  # prompts, heads, positions, width
            rows = states.transpose(1, 2)
            changed = edit(rows.flatten(2)).reshape(rows.shape).transpose(1, 2)
            return plain(module, *args[:place], changed, *args[place + 1 :], **options)

        source.eager_attention_forward = attend
        try:
            yield
        finally:
            source.eager_attention_forward = plain

    @contextlib.contextmanager
    def _rerouted(self, router: Any, block: Any, edit: Edit) -> Iterator[None]:
        """Within the block, what ``edit`` makes of zeros is added to a router's logits, and to a bias of its choice."""
        plain = torch.nn.functional.linear
        weight = router.weight
        names = ("correction_bias", "expert_bias", "e_score_correction_bias")
        tensors = [*block.named_parameters(), *block.named_buffers()]
        biases = [tensor for name, tensor in tensors if name.rpartition(".")[2] in names]
        before = [bias.detach().clone() for bias in biases]

        def linear(x: torch.Tensor, w: torch.Tensor, bias: Any = None) -> torch.Tensor:
            out = plain(x, w, bias)
            same = w.data_ptr() == weight.data_ptr() and w.shape == weight.shape
            return out + edit(torch.zeros_like(out)) if same else out

        torch.nn.functional.linear = linear
        try:
            for bias in biases:
                added = edit(torch.zeros_like(bias).reshape(1, 1, -1))
                bias.data += torch.where(added < -50, -1e9, added).reshape(bias.shape)
            yield
        finally:
            torch.nn.functional.linear = plain
            for bias, old in zip(biases, before, strict=True):
                bias.data.copy_(old)

    def _without(self, experts: Any, component: Any, args: tuple[Any, ...], options: dict[str, Any]) -> torch.Tensor:
        """What a module of experts gives without some neurons of one of them."""
        projection = experts.down_proj.data[component.expert]
        if projection.shape[0] == WIDTH:
            projection = projection.T
        kept = projection[component.start : component.stop].clone()
        projection[component.start : component.stop] = 0
        try:
            return experts.forward(*args, **options)
        finally:
            projection[component.start : component.stop] = kept

    def columns(self, kind: str, start: int, stop: int, width: int) -> list[int]:
        """Where units ``start`` to ``stop`` of a kind are in the last axis of an activation of this width."""
        family = self.family
        if kind in ("attention", "mlp", "residual", "expert_neurons"):
            return list(range(width))
        if kind in ("neurons", "expert"):
            return list(range(start, stop))
        heads, groups = family.n_heads, family.n_key_heads or family.n_heads
        if kind == "head":
            size = width // heads
            return list(range(start * size, stop * size))
        if kind == "query" and family.fused == "query and gate by head":
            size = width // heads
            return [c for unit in range(start, stop) for c in range(unit * size, unit * size + size // 2)]
        if family.fused != "one after the other" and not family.fused.startswith("by head"):
            size = width // (heads if kind == "query" else groups)
            return list(range(start * size, stop * size))
        size = width // (heads + 2 * groups)
        return [c for unit in range(start, stop) for c in self._fused_columns(kind, unit, size, heads, groups)]

    def _fused_columns(self, kind: str, unit: int, size: int, heads: int, groups: int) -> range:
        if self.family.fused == "one after the other":
            first = {"query": 0, "key": heads, "value": heads + groups}[kind] + unit
        else:  # each group: its queries, its key, its value
            of_group = heads // groups
            block = of_group + 2
            swapped = self.family.fused == "by head, value before key"
            first = {
                "query": unit // of_group * block + unit % of_group,
                "key": unit * block + of_group + swapped,
                "value": unit * block + of_group + 1 - swapped,
            }[kind]
        return range(first * size, first * size + size)

    def values(
        self, task: Any, components: Sequence[Any], rows: Sequence[Sequence[float]], baseline: str
    ) -> torch.Tensor:
        """The logit difference of each prompt under each row of gates: ``[rows, prompts]``."""
        self.components = components
        places = list(dict.fromkeys(map(_place, components)))
        instead: dict[Place, torch.Tensor] = {}
        if baseline != "zero" and components[0].kind != "expert":
            tokens = task.reference_tokens if baseline == "mean" else task.counterfactual_tokens

            def keep(place: Place) -> Edit:
                def edit(z: torch.Tensor) -> torch.Tensor:
                    instead[place] = z.mean(0, keepdim=True) if baseline == "mean" else z.clone()
                    return z

                return edit

            self.logits(tokens, {place: keep(place) for place in places})
        found = []
        for gates in rows:

            def gated(place: Place, gates: Sequence[float] = gates) -> Edit:
                def edit(z: torch.Tensor) -> torch.Tensor:
                    z = z.clone()
                    own = [pair for pair in zip(components, gates, strict=True) if _place(pair[0]) == place]
                    for i, (component, gate) in enumerate(own):
                        at = self.columns(component.kind, component.start, component.stop, z.shape[-1])
                        if component.kind == "expert_neurons":  # what each writes, side by side
                            at = list(range(i * WIDTH, i * WIDTH + WIDTH))
                        if component.kind == "expert":
                            z[..., at] = math.log(gate + 1e-30)
                            continue
                        b = instead[place].expand_as(z)[..., at] if place in instead else 0.0
                        z[..., at] = b + gate * (z[..., at] - b)
                    return z

                return edit

            logits = self.logits(task.tokens, {place: gated(place) for place in places})
            right, wrong = (logits.gather(1, one[:, None])[:, 0] for one in (task.answers, task.wrong_answers))
            found.append(right - wrong)
        return torch.stack(found).double()

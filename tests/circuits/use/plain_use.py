"""A circuit put to use, written a second time: plain hooks of PyTorch on the plain Hugging Face model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from circuitspex import Circuit
from circuitspex.circuits import Faithfulness, Node
from circuitspex.components import parse_component

_LLAMA = ("model.layers", "self_attn.o_proj", "mlp.down_proj", "mlp", "self_attn")
_NORMED = (*_LLAMA[:3], "post_feedforward_layernorm", "post_attention_layernorm")
PLACES = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "phi3", "granite", "cohere"), _LLAMA),
    "gemma2": _NORMED,
    "gemma3": _NORMED,
    "olmo2": _NORMED,
    "gpt2": ("transformer.h", "attn.c_proj", "mlp.c_proj", "mlp", "attn"),
    "gpt_neox": ("gpt_neox.layers", "attention.dense", "mlp.dense_4h_to_h", "mlp", "attention"),
}
KINDS = ("head", "neurons", "mlp", "attention")


def circuit_of(
    names: Sequence[str],
    components: str = "heads+mlps",
    baseline: str = "zero",
    task: Mapping[str, Any] | None = None,
    **run: Any,
) -> Circuit:
    """A circuit of these components, as a search among ``components`` would have given it."""
    found = [parse_component(name) for name in names]
    return Circuit(
        nodes=tuple(Node(str(each), each.layer, each.kind, 1.0) for each in found),
        interactions=(),
        faithfulness=Faithfulness(None, None, None, 0),
        run={"lens": "components", "components": components, "baseline": baseline, **run},
        task=dict(task or {}),
    )


def _module(family: str, model: Any, component: Any) -> Any:
    layers, *paths = PLACES[family]
    path = paths[KINDS.index(component.kind)]
    return model.get_submodule(layers)[component.layer].get_submodule(path)


def _columns(component: Any, width: int, n_heads: int) -> slice:
    if component.kind in ("mlp", "attention"):
        return slice(0, width)
    size = width // n_heads if component.kind == "head" else 1
    return slice(component.start * size, component.stop * size)


@contextlib.contextmanager
def plain(
    family: str,
    model: Any,
    gates: Mapping[str, float],
    vectors: Mapping[str, torch.Tensor] | None = None,
    n_heads: int = 4,
) -> Iterator[None]:
    """Within the block each component has its gate: ``b + g (z - b)``, where ``b`` is its vector, or zero."""
    with contextlib.ExitStack() as stack:
        for name, gate in gates.items():
            component = parse_component(name)
            base = 0.0 if vectors is None else vectors[name]

            def changed(z: torch.Tensor, c: Any = component, g: float = gate, b: Any = base) -> torch.Tensor:
                z = z.clone()
                at = _columns(c, z.shape[-1], n_heads)
                z[..., at] = b + g * (z[..., at] - b)
                return z

            module = _module(family, model, component)
            if component.kind in ("mlp", "attention"):

                def leave(module: Any, args: Any, out: Any, changed: Any = changed) -> Any:
                    return (changed(out[0]), *out[1:]) if isinstance(out, tuple) else changed(out)

                stack.callback(module.register_forward_hook(leave).remove)
            else:

                def enter(module: Any, args: Any, changed: Any = changed) -> Any:
                    return (changed(args[0]), *args[1:])

                stack.callback(module.register_forward_pre_hook(enter).remove)
        yield


def vectors_of(
    family: str, model: Any, names: Sequence[str], rows: Sequence[Sequence[int]], n_heads: int = 4
) -> dict[str, torch.Tensor]:
    """The mean of what each component gives, over all positions of these prompts, one prompt at a time."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack, torch.no_grad():
        for name in names:
            component = parse_component(name)
            module = _module(family, model, component)

            def keep(z: torch.Tensor, name: str = name, c: Any = component) -> None:
                seen[name].append(z[0, :, _columns(c, z.shape[-1], n_heads)].double())

            if component.kind in ("mlp", "attention"):

                def left(module: Any, args: Any, out: Any, keep: Any = keep) -> None:
                    keep(out[0] if isinstance(out, tuple) else out)

                stack.callback(module.register_forward_hook(left).remove)
            else:
                stack.callback(module.register_forward_pre_hook(lambda module, args, keep=keep: keep(args[0])).remove)
        for row in rows:
            model(input_ids=torch.tensor([list(row)]), use_cache=False)
    return {name: torch.cat(values).mean(0).float() for name, values in seen.items()}


def names_of(components: str, n_layers: int = 3, n_heads: int = 4, n_neurons: int = 48) -> list[str]:
    """All components of these kinds in the models of the tests."""
    found = []
    for word in components.split("+"):
        kind, _, size = word.partition(":")
        for layer in range(n_layers):
            if kind == "heads":
                found += [f"L{layer}H{i}" for i in range(n_heads)]
            elif kind == "neurons":
                step = int(size or 1)
                found += [f"L{layer}N{i}" + (f":{i + step}" if step > 1 else "") for i in range(0, n_neurons, step)]
            else:
                found.append(f"L{layer}{'M' if kind == 'mlps' else 'A'}")
    return found

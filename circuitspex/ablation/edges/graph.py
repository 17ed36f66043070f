"""The graph of edges of a loaded model, by what was proved of its layers."""

from __future__ import annotations

from circuitspex.components import ModelStructure
from circuitspex.components.edges import EdgeGraph, EdgeLayer
from circuitspex.errors import ComponentError
from circuitspex.models.protocol import Model


def edge_graph(model: Model, structure: ModelStructure, *, ungrouped: bool = False) -> EdgeGraph:
    """All edges of a model.

    Args:
        model: the bridge.
        structure: from ``model_structure``.
        ungrouped: whether each query head has keys and values of its own.

    Raises:
        ComponentError: a layer has no queries, keys and values, heads or MLP that edges could start and end at.
    """
    layers = []
    for number, about in enumerate(structure.layers):
        for kind in ("query", "key", "value", "head", "mlp"):
            part = about.part(kind)
            if part.hook is None:
                raise ComponentError(f"{structure.name} can't be cut into edges: layer {number} {part.why}")
        n_heads, n_kv = about.part("query").n_units, about.part("key").n_units
        if about.part("head").n_units != n_heads or about.part("value").n_units != n_kv or n_heads % n_kv:
            raise ComponentError(
                f"{structure.name} can't be cut into edges: layer {number} has {n_heads} queries, {n_kv} keys, "
                f"{about.part('value').n_units} values and {about.part('head').n_units} heads"
            )
        layers.append(EdgeLayer(n_heads, n_kv))
    parallel = bool(getattr(model.cfg, "parallel_attn_mlp", False))
    latent = getattr(getattr(model.original_model, "config", None), "kv_lora_rank", None)
    if latent and not ungrouped:
        raise ComponentError(
            f"the heads of {structure.name} share latents from which their keys and values are made; 'edges:ungrouped' "
            "gives each head keys and values that read a residual stream of their own"
        )
    return EdgeGraph(tuple(layers), parallel, ungrouped, structure.name)

"""The whole graph of a model as EAP files name it: its nodes, and the edges between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from circuitspex.components import Component, head, mlp


@dataclass(frozen=True)
class Blocks:
    """What each layer has: how many heads, and whether an MLP."""

    heads: tuple[int, ...]
    mlps: tuple[bool, ...]

    @classmethod
    def uniform(cls, n_layers: int, n_heads: int) -> Blocks:
        """Layers that all have as many heads and an MLP, which is all that the format itself can say."""
        return cls((n_heads,) * n_layers, (True,) * n_layers)

    def of_layer(self, layer: int) -> list[str]:
        """The nodes of a layer's heads."""
        return [f"a{layer}.h{i}" for i in range(self.heads[layer])]


def components_of(blocks: Blocks) -> dict[str, Component | None]:
    """The nodes of a model, from the input to the logits, with the component that each stands for."""
    found: dict[str, Component | None] = {"input": None}
    for layer, has_mlp in enumerate(blocks.mlps):
        found |= {name: head(layer, i) for i, name in enumerate(blocks.of_layer(layer))}
        if has_mlp:
            found[f"m{layer}"] = mlp(layer)
    return {**found, "logits": None}


def edges(blocks: Blocks, parallel: bool) -> Iterator[tuple[str, str]]:
    """The edges of the whole graph as source and target; heads have the targets ``<q>``, ``<k>`` and ``<v>``."""
    before = ["input"]
    for layer, has_mlp in enumerate(blocks.mlps):
        heads = blocks.of_layer(layer)
        for source in before:
            yield from ((source, f"{name}<{letter}>") for name in heads for letter in "qkv")
        reads = before if parallel else [*before, *heads]
        block = [f"m{layer}"] if has_mlp else []
        yield from ((source, name) for name in block for source in reads)
        before += [*heads, *block]
    yield from ((source, "logits") for source in before)


def edge_count(blocks: Blocks, parallel: bool) -> int:
    """How many edges ``edges`` gives."""
    before, found = 1, 0
    for n_heads, has_mlp in zip(blocks.heads, blocks.mlps, strict=True):
        found += 3 * n_heads * before + has_mlp * (before + (0 if parallel else n_heads))
        before += n_heads + has_mlp
    return found + before


def n_outgoing(blocks: Blocks, parallel: bool) -> dict[str, int]:
    """How many edges leave each node."""
    after, found = 1, {}  # the logits
    for layer in reversed(range(len(blocks.heads))):
        has_mlp = blocks.mlps[layer]
        if has_mlp:
            found[f"m{layer}"] = after
        found |= dict.fromkeys(blocks.of_layer(layer), after + (has_mlp and not parallel))
        after += 3 * blocks.heads[layer] + has_mlp
    return {**found, "input": after}

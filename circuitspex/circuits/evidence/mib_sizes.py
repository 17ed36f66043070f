"""What MIB's circuit track counts: all nodes or all edges of a model, and the edges that a circuit has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from circuitspex.components.edges import layer_of
from circuitspex.errors import ComponentError, UserError
from circuitspex.games import ComponentGame, EdgeGame
from circuitspex.typing import Term


def players_of_mib(game: Any) -> Literal["nodes", "edges"]:
    """What the players of a game are to MIB.

    Raises:
        UserError: they are not all nodes or all edges of a model under counterfactual patching; it says what to change.
    """
    if not isinstance(game, ComponentGame | EdgeGame):
        raise UserError("MIB's protocol is of the nodes or the edges of a model: a ComponentGame or an EdgeGame")
    if game.baseline != "resample":
        raise UserError(
            "MIB's protocol replaces what is not in the circuit by its output on the counterfactual prompt, which is "
            f"the baseline 'resample', not '{game.baseline}'"
        )
    if isinstance(game, EdgeGame):
        if len(game.selection) != len(game.graph) or any(at is not None for at in game.selection.positions):
            raise UserError(
                f"MIB's protocol is of all edges, and this game has {len(game.selection)} of {len(game.graph)}; take "
                "'edges', or 'edges:ungrouped' as MIB counts them"
            )
        return "edges"
    wanted = all_nodes(game)
    if set(game.names) != wanted:
        raise UserError(
            f"MIB's protocol is of all heads and MLPs, and this game has {len(wanted & set(game.names))} of "
            f"{len(wanted)}{', and others' if set(game.names) - wanted else ''}; take 'heads+mlps'"
        )
    return "nodes"


def all_nodes(game: ComponentGame) -> set[str]:
    """The names of all heads and MLPs of the game's model."""
    found = set()
    for number, layer in enumerate(game.structure.layers):
        found |= {f"L{number}H{head}" for head in range(layer.n_heads)}
        found |= {f"L{number}M"} if layer.part("mlp").hook is not None else set()
    return found


def n_edges_of(game: Any, circuits: Mapping[str, Sequence[Term]]) -> dict[str, tuple[int, ...]]:
    """How many edges each circuit has as MIB counts them; of nodes, all edges between those that are kept.

    Keys and values are counted for each query head, and the embeddings, which no circuit of nodes is without, are the
    source of some. A node outside a circuit gives its counterfactual's output, so that no edge into it matters. Empty
    where the model can't be cut into edges.
    """
    if isinstance(game, EdgeGame):
        if game.graph.of_heads:
            return {name: tuple(map(len, each)) for name, each in circuits.items()}
        of_query = _query_heads_of(game)
        return {name: tuple(int(of_query[list(circuit)].sum()) for circuit in each) for name, each in circuits.items()}
    from circuitspex.ablation.edges.graph import edge_graph

    try:
        graph = edge_graph(game.model, game.structure, ungrouped=True)
    except ComponentError:
        return {}
    nodes = {name: place for place, name in enumerate((*game.names, "emb", "logits"))}
    source = np.array([nodes[name] for name in graph.sources])[graph.source]
    target = np.array([nodes[name.split(".")[0]] for name in graph.targets])[graph.target]

    def count(circuit: Term) -> int:
        kept = np.zeros(len(nodes), dtype=bool)
        kept[[*circuit, nodes["emb"], nodes["logits"]]] = True
        return int((kept[source] & kept[target]).sum())

    return {name: tuple(map(count, each)) for name, each in circuits.items()}


def _query_heads_of(game: EdgeGame) -> Any:
    """For each edge, how many query heads its destination serves: as many edges it is where each has its own."""
    shared = []
    for name in game.graph.targets:
        layer = layer_of(name)
        about = None if layer is None or "KV" not in name else game.graph.layers[layer]
        shared.append(1 if about is None else about.n_heads // about.n_kv)
    return np.array(shared)[game.graph.target[game.selection.numbers]]

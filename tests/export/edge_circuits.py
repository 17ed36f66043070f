"""Edge circuits to draw: made up, in the shapes of real models."""

import itertools
import random

from circuitspex.circuits.circuit import Circuit, Combination, Estimate, Faithfulness, Interaction, Node
from circuitspex.components.edges import EdgeGraph, EdgeLayer, layer_of

SMALL = EdgeGraph((EdgeLayer(6, 2),) * 6, name="small")
UNUSUAL = EdgeGraph((EdgeLayer(4, 4),) * 4, ungrouped=True, name="each head has keys and values")
SMOLLM2 = EdgeGraph((EdgeLayer(9, 3),) * 30, name="SmolLM2-135M")


def player(graph, name, effect, measured=True):
    layer = layer_of(name.partition("->")[2])
    half = 0.06 + 0.1 * abs(effect)
    found = Estimate(effect, effect - half, effect + half) if measured else None
    return Node(name, len(graph.layers) if layer is None else layer, "edge", effect * 0.97, found)


def interaction(names, effect, measured=True):
    found = Estimate(effect, effect - 0.1, effect + 0.1) if measured else None
    rows = itertools.product((False, True), repeat=len(names)) if measured else ()
    table = tuple(Combination(kept, round(1.0 + sum(kept) * 0.4 + all(kept) * effect, 3)) for kept in rows)
    return Interaction(tuple(sorted(names)), effect * 0.95, found, (), table)


def edge_circuit(graph=SMALL, n_edges=60, n_interactions=8, seed=0, measured=0.6, **changes):
    """A connected circuit of about so many edges: paths from the embeddings to the logits, some parts in many."""
    rng = random.Random(seed)
    popular = {name: rng.paretovariate(1.1) for name in graph.sources}
    effects = {}

    def into(target):
        """A source of an edge to that destination, near ones and popular ones first."""
        count = int(graph.n_read[graph.place_of_target(target)])
        names = graph.sources[:count]
        weights = [popular[name] * (0.5 + i / count) for i, name in enumerate(names)]
        return rng.choices(names, weights)[0]

    def ports(source, layers=graph.layers):
        if source.endswith("M"):
            return [source]
        layer, head = layer_of(source), int(source.partition("H")[2])
        shared = head * layers[layer].n_kv // layers[layer].n_heads
        pair = [f"L{layer}H{head}.{x}" for x in "kv"] if graph.of_heads else [f"L{layer}KV{shared}.{x}" for x in "kv"]
        return [f"L{layer}H{head}.q", *pair]

    while len(effects) < n_edges:
        target = "logits"
        while True:
            source = into(target)
            size = rng.expovariate(3.0) + 0.02
            effects.setdefault(f"{source}->{target}", size * rng.choice((1, 1, 1, -1)))
            if source == "emb" or len(effects) >= n_edges:
                break
            target = rng.choice(ports(source))
    names = sorted(effects, key=lambda name: -abs(effects[name]))[: max(12, n_edges // 3)]
    sets = {tuple(sorted(rng.sample(names, 3 if rng.random() < 0.12 else 2))) for _ in range(n_interactions)}
    made = {
        "nodes": tuple(player(graph, name, value, rng.random() < measured) for name, value in effects.items()),
        "interactions": tuple(
            interaction(names, rng.choice((-1, 1)) * (0.1 + rng.expovariate(4))) for names in sorted(sets)
        ),
        "faithfulness": Faithfulness(0.913, 0.88, 0.94, 200),
        "model": {
            "name": graph.name,
            "identity": "a3f1",
            "n_layers": len(graph.layers),
            "n_heads": graph.layers[0].n_heads,
            "heads": [layer.n_heads for layer in graph.layers],
            "key_value_heads": [layer.n_kv for layer in graph.layers],
            "mlps": [layer.mlp for layer in graph.layers],
            "dtype": "float32",
        },
        "task": {
            "name": "ioi",
            "metric": "logit_diff",
            "n_prompts": 16,
            "example": {"prompt": "John gave a drink to", "answer": " Mary", "wrong_answer": " John"},
        },
        "run": {
            "lens": "edges",
            "components": "edges",
            "n_components": len(graph),
            "baseline": "resample",
            "ungrouped": graph.ungrouped,
            "gradient_ablations": 40,
            "seed": seed,
        },
    }
    return Circuit(**(made | changes))

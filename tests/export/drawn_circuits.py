"""Circuits to export, which look like real results."""

import itertools
import random
import re
from dataclasses import replace

from circuitspex.circuits.about import (
    About,
    At,
    Attended,
    Breakdown,
    Description,
    Feed,
    Firing,
    Looks,
    Patterns,
    Role,
    Scored,
    Share,
    Writes,
)
from circuitspex.circuits.circuit import (
    Circuit,
    Combination,
    Direction,
    Estimate,
    Faithfulness,
    Interaction,
    Node,
    Verification,
)
from circuitspex.circuits.relation import RELATIONS, Conditional, PairEffects, Relation


def estimate(value, half=0.12):
    return Estimate(value, value - half, value + half)


def node(name, effect, measured=True):
    kind = "head" if "H" in name else "mlp" if "M" in name else "neurons"
    layer = int(re.match(r"L(\d+)", name)[1])
    return Node(name, layer, kind, effect * 1.03, estimate(effect) if measured else None)


def edge(components, effect, measured=True):
    return Interaction(tuple(components), effect * 0.95, estimate(effect) if measured else None)


KNOWN = {"L23H3": 2.9, "L23H0": 1.04, "L29H1": 0.76, "L29H0": -0.44, "L24H7": -0.42, "L24H4": 0.31, "L18M": 0.55}


def realistic(n_nodes, n_edges=None, n_layers=30, seed=0):
    """A circuit of a model with 60 heads a layer, more if it is large: a few strong parts, many weak ones."""
    rng = random.Random(seed)
    n_heads = max(60, 6 * n_nodes // n_layers)  # enough names that drawing new ones ends
    effects = dict(list(KNOWN.items())[:n_nodes]) if n_layers == 30 else {}
    while len(effects) < n_nodes:
        layer = min(n_layers - 1, max(0, int(rng.gauss(0.7 * n_layers, 0.25 * n_layers))))
        start = 64 * rng.randrange(20)
        name = rng.choice(
            [f"L{layer}H{rng.randrange(n_heads)}"] * 8 + [f"L{layer}M", f"L{layer}N{start}:{start + 64}@-1"]
        )
        effects.setdefault(name, rng.choice([-1, 1, 1]) * rng.expovariate(5) + 0.02)
    names = list(effects)
    weights = list(itertools.accumulate(abs(effect) + 0.05 for effect in effects.values()))
    wanted = n_nodes * 2 // 3 if n_edges is None else n_edges
    sets = {frozenset(s): v for s, v in ((("L23H3", "L24H4"), -1.98), (("L23H3", "L29H1"), 0.98)) if set(s) <= {*names}}
    sets |= {frozenset(("L23H3", "L24H4", "L29H1")): 0.44} if n_nodes >= 7 and n_layers == 30 else {}
    while len(sets) < wanted:
        members = frozenset(rng.choices(names, cum_weights=weights, k=3 if rng.random() < 0.1 else 2))
        if len(members) > 1:
            sets.setdefault(members, rng.choice([-1, 1]) * (rng.expovariate(4) + 0.05))
    return Circuit(
        nodes=tuple(node(name, effect, rng.random() < 0.75) for name, effect in effects.items()),
        interactions=tuple(edge(sorted(s), v, rng.random() < 0.75) for s, v in list(sets.items())[:wanted]),
        faithfulness=Faithfulness(0.961, 0.944, 0.973, 200),
        verification=Verification(
            16, n_nodes, 50, 3.1, 0.12, estimate(2.74), estimate(0.31), estimate(0.3, 0.4), estimate(2.6)
        ),
        dropped=(edge((f"L{n_layers // 2}H5", f"L{n_layers - 1}H7"), 0.21),),
        model={
            "name": "smollm2-135m",
            "identity": "a3f1",
            "n_layers": n_layers,
            "n_heads": n_heads,
            "dtype": "float32",
        },
        task={
            "name": "ioi",
            "metric": "logit_diff",
            "n_prompts": 16,
            "accuracy": 0.94,
            "unablated": 3.1,
            "example": {"prompt": "John gave a drink to", "answer": " Mary", "wrong_answer": " John"},
        },
        run={
            "components": "heads",
            "n_components": 270,
            "baseline": "mean",
            "keep": 0.9,
            "method": "gradspex",
            "seed": 0,
            "budget": 100,
            "gradient_ablations": 100,
            "timings": {"ablate": 81.2},
            "versions": {"circuitspex": "0.1.0"},
        },
    )


def with_evidence(circuit, seed=0):
    """The circuit with what measuring gives: effects on every prompt, tables, q values; directions and relations of
    pairs."""
    rng = random.Random(seed)
    layers = {node.name: node.layer for node in circuit.nodes}

    def prompts(effect):
        return tuple(effect + rng.gauss(0, 0.4) for _ in range(circuit.task["n_prompts"]))

    def full(edge):
        kept = itertools.product((False, True), repeat=edge.order)
        table = tuple(Combination(row, sum(row) + rng.gauss(0, 1)) for row in kept)
        low, high = sorted(edge.components, key=lambda name: (layers[name], name))[:: edge.order - 1]
        share = rng.choice([Estimate(0.78, 0.6, 0.95), Estimate(0.1, -0.2, 0.4)])
        direction = Direction(low, high, share) if layers[low] < layers[high] else None
        whole = tuple(Combination(row.kept, row.value + 1) for row in table)
        return replace(
            edge,
            per_prompt=prompts(edge.effect),
            table=table,
            q=rng.random() / 20,
            direction=direction,
            pair=related(edge, random.Random(str(edge))) if edge.order == 2 else None,
            unablated=whole,
        )

    return replace(
        circuit,
        nodes=tuple(
            replace(node, per_prompt=prompts(node.effect)) if node.measured else node for node in circuit.nodes
        ),
        interactions=tuple(full(edge) if edge.measured else edge for edge in circuit.interactions),
    )


def related(edge, rng):
    """A relation that fits the sign of a pair's interaction, and the effects on which it could rest."""
    first, second = edge.components
    word = rng.choice(("reverses", "opposes") + (("needs", "strengthens") if edge.effect > 0 else ("backs up",)))
    ends = rng.choice([(first, second), (second, first)] if RELATIONS[word].one else [()])
    without = rng.gauss(0, 1)
    effects = [
        Conditional(name, other, estimate(without), estimate(without + edge.effect))
        for name, other in ((first, second), (second, first))
    ]
    return PairEffects(Relation(word, *ends), tuple(effects))


def judged(circuit):
    """The circuit with what its tests say: a q value and an adjusted interval for what was measured, and what was not
    told from 0: the weakest component, drawn hollow, and one that is left out."""

    def wider(measured):
        return Estimate(measured.value, 1.3 * measured.low - 0.3 * measured.value, measured.high + 0.02)

    weakest = min((one for one in circuit.nodes if one.measured), key=lambda one: abs(one.effect)).name
    nodes = []
    for one in circuit.nodes:
        if one.measured and one.name == weakest:
            one = replace(one, q=0.4)
        elif one.measured:
            one = replace(one, q=0.001, adjusted=wider(one.measured))
        nodes.append(one)
    edges = [
        replace(one, q=0.01, adjusted=wider(one.measured)) if one.measured else one for one in circuit.interactions
    ]
    return replace(
        circuit,
        nodes=tuple(nodes),
        interactions=tuple(edges),
        dropped_nodes=(Node("L1H0", 1, "head", 0.03, Estimate(0.01, -0.09, 0.11), (), 0.8),),
    )


PIECES = [
    "When",
    " Mary",
    " and",
    " John",
    " went",
    " to",
    " the",
    " store",
    ",",
    " John",
    " gave",
    " a",
    " drink",
    " to",
]
SPANS = {"IO": [1], "S1": [3], "S2": [9], "END": [13]}


def described(circuit, seed=0):
    """The circuit with its prompts and with a description of every component, as ``circuit.describe`` gives it."""
    rng = random.Random(seed)
    n_prompts = circuit.task["n_prompts"]
    prompt = {
        "prompt": "".join(PIECES),
        "counterfactual": "".join(PIECES).replace("John gave", "Paul gave"),
        "answer": " Mary",
        "wrong_answer": " John",
        "tokens": PIECES,
        "positions": SPANS,
    }
    feeds = [
        Feed(one.direction.source, one.direction.target, *(estimate(rng.gauss(0, 0.3)) for _ in range(5)))
        for one in circuit.interactions
        if one.direction is not None
    ]

    def attention():
        drawn = [rng.expovariate(1) for _ in PIECES]
        return tuple(each / sum(drawn) for each in drawn)

    def about(node):
        heads, share = node.kind == "head", tuple(Share(name, estimate(rng.random() / 2 + 0.1, 0.05)) for name in SPANS)
        looks = Looks(
            (Share("END", estimate(1.0, 0.0)),),
            share,
            (Share(" John", estimate(0.4)), Share("When", estimate(0.2))),
            estimate(0.2),
            tuple(attention() for _ in range(n_prompts)),
            (Attended("answer", estimate(0.4, 0.05), 0.1), Attended("previous token", estimate(0.1, 0.05), 0.1)),
        )
        writes = Writes(
            estimate(node.effect / 3),
            tuple(node.effect / 3 + rng.gauss(0, 0.1) for _ in range(n_prompts)),
            (Scored(" Mary", 1.2), Scored(" Paul", 0.8)),
            (Scored(" the", -0.4),),
            estimate(2.0) if heads else None,
        )
        fires = tuple(
            Firing(f"L{node.layer}N{i}", i, 9, " John", 2.5 - i, 0.1 if i else None) for i in range(0 if heads else 3)
        )
        return About(
            node.name,
            node.kind,
            Role("answer mover", 0.4, ("attends to IO with 0.46", "writes +1.12")) if node.effect > 1 else Role(),
            looks if heads else None,
            writes,
            tuple(At(name, estimate(0.1), estimate(0.2), span[0]) for name, span in SPANS.items()),
            Patterns(*(estimate(0.2, 0.02) for _ in range(4)), 0.04, estimate(2.1)) if heads else None,
            fires,
            tuple(each for each in feeds if each.target == node.name),
            tuple(each for each in feeds if each.source == node.name),
            () if heads else ("looks at: an MLP attends to nothing",),
        )

    parts = (
        *(Share(node.name, estimate(node.effect / 3)) for node in circuit.nodes),
        Share("embedding", estimate(0.1)),
    )
    rest = 3.1 - sum(part.value.value for part in parts)
    description = Description(
        tuple(about(node) for node in circuit.nodes),
        Breakdown(estimate(3.1), parts, estimate(rest)),
        n_prompts,
        "a3f1",
        "77aa",
        0,
        {"attention": 1.5},
    )
    task = {**circuit.task, "prompts": [prompt] * n_prompts}
    return replace(circuit, task=task).described(description)


def empty(**changes):
    return Circuit((), (), Faithfulness(None, None, None, 0), **changes)

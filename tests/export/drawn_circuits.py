"""Circuits to export: one that looks like a real result, and a hypothesis strategy for all kinds."""

import itertools
import random
import re
from dataclasses import replace

from hypothesis import strategies as st

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
from circuitspex.circuits.comparison import Change, Comparison, Point, Series
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


def comparison(n_nodes=12, n_edges=None, n_layers=30, seed=0):
    """Two models that share most of a circuit: parts gained, lost, changed and unchanged."""
    rng = random.Random(seed)
    base = realistic(n_nodes, n_edges, n_layers, seed)
    parts = [((one.name,), one.effect) for one in base.nodes] + [
        (one.components, one.effect) for one in base.interactions
    ]
    changes = []
    for components, effect in parts:
        kind = rng.choice(["gained", "lost", "changed", "unchanged", "stronger", "weaker"])
        before = {"gained": 0.01, "stronger": 0.5 * effect}.get(kind, effect)
        after = {"lost": -0.01, "changed": -0.6 * effect, "weaker": 0.4 * effect, "unchanged": effect + 0.004}.get(
            kind, effect
        )
        half = 0.1 * abs(effect) + 0.02
        ends = (estimate(before, half), estimate(after, half), estimate(after - before, half / 2))
        q = 0.3 + 0.5 * rng.random() if kind == "unchanged" else 0.04 * rng.random()
        changes.append(Change(components, *ends, (after - before) * 1.1, q, kind))
    changes.sort(key=lambda change: (-abs(change.difference.value), change.components))

    def drawn(which, name):
        shown = [c for c in changes if (c.kind != "unchanged" if which == 2 else measured(c)[which].excludes_zero)]
        edges = [c for c in shown if c.order > 1]
        inside = {name for c in edges for name in c.components} | {c.components[0] for c in shown if c.order == 1}
        alone = {c.components[0]: c for c in changes if c.order == 1}
        nodes = [replace(node(one, 0.0), measured=measured(alone[one])[which]) for one in sorted(inside)]
        return Circuit(
            tuple(nodes),
            tuple(Interaction(c.components, c.decoded, measured(c)[which]) for c in edges),
            Faithfulness(0.91, 0.88, 0.94, 100) if which == 2 else Faithfulness(None, None, None, 0),
            model={"name": name, "identity": f"{which}af3"},
            task={"name": "ioi", "metric": "logit_diff", "n_prompts": 16},
            run={"seed": seed, "budget": 100},
        )

    difference = drawn(2, "after minus before")
    return Comparison(
        False,
        tuple(changes),
        drawn(0, "model-step1000"),
        drawn(1, "model-step9000"),
        difference,
        difference.faithfulness,
        0.02,
        0.05,
        estimate(1.2),
        estimate(3.1),
        estimate(1.9),
        run={"seed": seed, "baseline": "mean", "budget": 100},
    )


def measured(change):
    """What was measured of a change: before, after, difference."""
    return change.before, change.after, change.difference


def unchanged(identical=False):
    """A comparison in which nothing changed."""
    none = empty(model={"name": "a"}, task={"name": "ioi", "metric": "logit_diff"})
    other = replace(none, model={"name": "b"})
    return Comparison(identical, (), none, other, none, none.faithfulness, 0.0, 0.05)


def series(n_points=8, n_sets=12, seed=0):
    """Effects of some sets that grow, fall or stay over training; one checkpoint repeats the one before it."""
    rng = random.Random(seed)
    names = list(realistic(n_sets + 2, seed=seed).nodes)
    sets = [(one.name,) for one in names[: n_sets - n_sets // 3]]
    sets += [(names[i].name, names[i + 1].name) for i in range(n_sets - len(sets))]
    ends = [rng.choice([-1, 1]) * rng.expovariate(1.0) for _ in sets]
    points = []
    for i in range(n_points):
        share = i / max(1, n_points - 1)
        effects = tuple(estimate(end * share + rng.gauss(0, 0.03), 0.05 + 0.1 * share) for end in ends)
        points.append(Point(f"step{1000 * (i + 1)}", f"{i:04x}", estimate(0.5 + 2.6 * share, 0.2), effects))
    same = {}
    if n_points > 3:
        points[3] = replace(points[2], name=points[3].name)
        same = {points[3].name: points[2].name}
    about = {"task": "ioi", "metric": "logit_diff", "baseline": "mean", "seed": seed}
    return Series(tuple(sets), tuple(points), same, about)


def empty(**changes):
    return Circuit((), (), Faithfulness(None, None, None, 0), **changes)


_numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
_effects = st.floats(-1e3, 1e3)
_names = st.one_of(
    st.builds("L{}H{}".format, st.integers(0, 40), st.integers(0, 30)),
    st.builds("L{}M".format, st.integers(0, 40)),
    st.builds(lambda layer, a: f"L{layer}N{a}:{a + 64}@-1", st.integers(0, 40), st.integers(0, 900)),
)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), _numbers, st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def _estimates(draw, numbers):
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return Estimate(value, low, high)


@st.composite
def circuits(draw, numbers=_effects, max_nodes=8):
    """Any valid circuit."""
    names = draw(st.lists(_names, unique=True, max_size=max_nodes))
    measured = st.none() | _estimates(numbers)
    nodes = []
    for name in names:
        template = node(name, 0.0)
        nodes.append(Node(name, template.layer, template.kind, draw(numbers), draw(measured)))
    edges, dropped = [], []
    if len(names) > 1:
        sets = st.sets(st.sampled_from(names), min_size=2, max_size=4).map(sorted).map(tuple)
        edges = [Interaction(s, draw(numbers), draw(measured)) for s in draw(st.lists(sets, unique=True, max_size=8))]
        dropped = [Interaction(s, draw(numbers), draw(measured)) for s in draw(st.lists(sets, max_size=2))]
    found = draw(st.sampled_from([(None, None, None), (0.9, 0.8, 0.95), (-0.1, -0.5, 0.2)]))
    each = _estimates(numbers)
    verification = st.none() | st.builds(
        Verification, *[st.integers(0, 99)] * 3, numbers, numbers, each, each, each, each
    )
    return Circuit(
        tuple(nodes),
        tuple(edges),
        Faithfulness(*found, n_masks=draw(st.integers(0, 1000))),
        draw(verification),
        tuple(dropped),
        model={"name": draw(st.text()), "extra": draw(_json)},
        task={"name": draw(st.text()), "metric": "logit_diff", "example": {"prompt": draw(st.text())}},
        run={"seed": draw(st.integers()), "more": draw(_json)},
    )

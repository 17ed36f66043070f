"""Comparisons and series to export, which look like real results."""

import random
from dataclasses import replace

from drawn_circuits import empty, estimate, node, realistic

from circuitspex.circuits.circuit import Circuit, Faithfulness, Interaction
from circuitspex.circuits.comparison import Change, Comparison, Point, Series


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

"""``examine``: is the circuit right? Measured on held-out prompts, beside attribution patching and random circuits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from circuitspex.circuits._choose import choose_curve, match
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.evidence.attribution import nap, nap_ig, ranked
from circuitspex.circuits.evidence.curve import curves, share_of, sizes_of
from circuitspex.circuits.record import recorded_prompts
from circuitspex.circuits.report import Gain, Part, Report, Stability
from circuitspex.circuits.search.prompts import in_one_metric, not_seen
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import ComponentGame, EdgeGame, RememberingGame
from circuitspex.masks import sample_masks
from circuitspex.masks.members import masks_keeping
from circuitspex.recovery import Interactions, decode
from circuitspex.scale import MOST, MOST_SEED, check_seed, whole
from circuitspex.statistics import Estimate, mean_and_range, over_prompts
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray, PerPrompt, Term

# Attribution patching with as many steps as the circuit had gradient ablations, but no more than this: by then its
# scores have long stopped changing.
_MOST_STEPS = 100
CHOSEN, MATCHED = "chosen", "matched"


def examine(
    game: ComponentGame | EdgeGame,
    circuit: Circuit,
    interactions: Interactions,
    heldout: Task,
    *,
    n_random: int = 10,
    steps: int | None = None,
    stability: int = 0,
    seed: int = 0,
    progress: bool | None = None,
) -> Report:
    """Measure a circuit, and the circuits of all sizes that the decoded function chooses, on held-out prompts.

    Args:
        game: the game that the circuit was found in; its task gives the baselines of attribution.
        circuit: what ``find_circuit`` found.
        interactions: the decoded function, from which the circuits of each size are chosen.
        heldout: prompts that played no part in finding it; those on which it was found, by the game's task or by the
            circuit's record, are left out with a warning.
        n_random: random orders of the components that the curves are compared with.
        steps: of NAP-IG; by default as many gradient ablations as the circuit had, at most 100.
        stability: how often to find it again from new masks and new prompts; each costs the circuit's budget.
        seed: of the random orders, the bootstrap and the repetitions.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: the circuit or the function has other components than the game, or is empty; a metric that does not
            change when everything is ablated; held-out prompts of another metric; the circuit was found on all of
            them.
    """
    n = game.n_players
    if interactions.names != game.names:
        raise UserError(f"the decoded function is of {interactions.n_players} other components than the game's {n}")
    members = _places(game, [node.name for node in circuit.nodes])
    if not members:
        raise UserError("the circuit has no components: there is nothing to examine")
    heldout = not_seen(in_one_metric(heldout, game.task), [*game.task.prompts, *recorded_prompts(circuit.task)])
    n_random, stability = whole(n_random, "n_random", 1, MOST), whole(stability, "stability", 0, MOST)
    steps = None if steps is None else whole(steps, "steps", 1, MOST)
    seed = check_seed(seed)
    if stability and game.task.generator is None and game.task.n_prompts < 2:
        raise UserError("stability finds the circuit again on part of the prompts: with one prompt there is no part")
    spent = interactions.n_gradients or 1
    asked = RememberingGame(game, progress)
    ways, passes = _ways(asked, interactions, sizes_of(n), steps or min(_MOST_STEPS, spent))
    passes = {**passes, CHOSEN: interactions.n_gradients, MATCHED: interactions.n_gradients}
    sizes = sizes_of(n)
    rng = np.random.default_rng(seed)
    random = [[tuple(order[:size]) for size in sizes] for order in (rng.permutation(n) for _ in range(n_random))]
    on_heldout = RememberingGame(game.on(heldout), progress)

    def run(circuits: Sequence[Term]) -> PerPrompt:
        return on_heldout.evaluate(masks_keeping(circuits, n), stage="held-out circuits").per_prompt

    def kept(circuit: Term) -> FloatArray:
        """The metric of each held-out prompt ``(P,)`` with only these kept."""
        return np.asarray(run([circuit])[0])

    run(  # at once, and remembered
        [
            *[(), tuple(range(n)), members, *(m for way in [*ways.values(), *random] for m in way)],
            *[tuple(i for i in members if i != gone) for gone in members],
            *[_without(m, n) for m in [*ways[CHOSEN], members]],
        ]
    )
    full, empty = kept(tuple(range(n))), kept(())
    metric = {name: np.stack([kept(m) for m in way]) for name, way in ways.items()}
    by_order = np.stack([np.stack([kept(m) for m in way]) for way in random])  # (n_random, 10, P)
    metric["random"] = by_order.mean(0)
    found, draws = curves(metric, full, empty, sizes, seed=seed)
    one_by_one, _ = curves({str(i): v for i, v in enumerate(by_order)}, full, empty, sizes, seed=seed)
    removed = [kept(_without(m, n)) for m in ways[CHOSEN]]
    others = [name for name in found if name not in (CHOSEN, MATCHED)]
    gains = [
        Gain(way, other, draws.cpr_gain(found, way, other), draws.cmd_gain(found, way, other))
        for way in (CHOSEN, MATCHED)
        for other in others
    ]
    alone = kept(members)
    parts = [Part(game.names[i], over_prompts(alone - kept(tuple(j for j in members if j != i)))) for i in members]
    return Report(
        n_prompts=heldout.n_prompts,
        full=float(full.mean()),
        empty=float(empty.mean()),
        n_random=n_random,
        curves=found,
        removed=tuple(_share(values, full, empty) for values in removed),
        random_areas={
            "cpr": mean_and_range([curve.cpr.value for curve in one_by_one.values()]),
            "cmd": mean_and_range([curve.cmd.value for curve in one_by_one.values()]),
        },
        gains=tuple(gains),
        circuit=tuple(game.names[i] for i in members),
        kept=_share(alone, full, empty),
        left=_share(kept(_without(members, n)), full, empty),
        parts=tuple(sorted(parts, key=lambda part: -part.loss.value)),
        passes=passes,
        stability=_stability(game, circuit, interactions, stability, seed, progress) if stability else None,
        about={"model": game.model_name, "task": heldout.name, "metric": heldout.metric.name, "n_components": n},
    )


def _places(game: ComponentGame | EdgeGame, names: Iterable[str]) -> Term:
    place = {name: i for i, name in enumerate(game.names)}
    missing = [name for name in names if name not in place]
    if missing:
        raise UserError(
            f"the circuit's component {missing[0]} is not among the {game.n_players} components of the game"
        )
    return tuple(sorted(place[name] for name in names))


def _ways(
    game: RememberingGame, interactions: Interactions, sizes: Sequence[int], steps: int
) -> tuple[dict[str, list[Term]], dict[str, int]]:
    """The circuit of each size, by each way to choose; and the gradient ablations that the baselines took."""
    distinct = sorted(set(sizes))
    chosen = {choice.size: choice.members for choice in choose_curve(interactions, distinct)}
    matched = {size: match(interactions, size, start=chosen[size]).members for size in distinct}
    ways = {CHOSEN: [chosen[size] for size in sizes], MATCHED: [matched[size] for size in sizes]}
    main = np.array([interactions.effect(i) if (i,) in interactions.terms else 0.0 for i in range(game.n_players)])
    scores = {"main effects": main}
    passes = {"main effects": interactions.n_gradients}
    try:
        scores |= {"NAP": nap(game), "NAP-IG": nap_ig(game, steps=steps)}
        passes |= {"NAP": 1, "NAP-IG": steps}
    except NoGradientError:
        pass
    for name, score in scores.items():
        for label, absolute in ((name, False), (f"|{name}|", True)):
            order = ranked(score, absolute=absolute)
            ways[label] = [tuple(sorted(order[:size])) for size in sizes]
            passes[label] = passes[name]
    return ways, passes


def _without(members: Iterable[int], n: int) -> Term:
    gone = set(map(int, members))
    return tuple(i for i in range(n) if i not in gone)


def _share(values: FloatArray, full: FloatArray, empty: FloatArray) -> Estimate:
    """The share of the behaviour; ``curves`` has refused a metric of which there are no shares."""
    found = share_of(values, full, empty)
    assert found is not None
    return found


def _stability(
    game: ComponentGame | EdgeGame,
    circuit: Circuit,
    interactions: Interactions,
    repeats: int,
    seed: int,
    progress: bool | None,
) -> Stability:
    """The strongest parts, decoded again from as many new masks on other prompts, beside the strongest of before."""
    counts = len(circuit.nodes), len(circuit.interactions)
    first = _strongest(interactions, *counts)
    nodes, edges = [], []
    fresh = True
    for repeat in range(1, repeats + 1):
        try:
            task = game.task.fresh(game.task.n_prompts, seed=(seed + 7919 * repeat) % (MOST_SEED + 1))
        except UserError:
            fresh = False
            task = game.task.split(0.25, seed=(seed + repeat) % (MOST_SEED + 1))[0]
        again = game.on(task)
        masks = sample_masks(
            game.n_players, interactions.n_ablations, keep=interactions.keep, seed=(seed + repeat) % (MOST_SEED + 1)
        )
        run = again.evaluate(
            masks, gradients=interactions.n_gradients > 0, progress=progress, label=f"repetition {repeat}"
        )
        found = decode(
            run.masks, run.values, gradients=run.gradients, keep=interactions.keep, seed=seed, names=game.names
        )
        same_nodes, same_edges = map(_jaccard, first, _strongest(found, *counts))
        nodes.append(same_nodes)
        if counts[1]:
            edges.append(same_edges)
    return Stability(game.task.n_prompts, fresh, tuple(nodes), tuple(edges))


def _strongest(interactions: Interactions, n_nodes: int, n_edges: int) -> tuple[set[Term], set[Term]]:
    terms = sorted(interactions.terms, key=lambda term: (-abs(interactions.effect(*term)) if term else 0.0, term))
    single, others = [t for t in terms if len(t) == 1], [t for t in terms if len(t) > 1]
    return set(single[:n_nodes]), set(others[:n_edges])


def _jaccard(one: set[Term], other: set[Term]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0

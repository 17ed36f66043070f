"""Do measured interactions among edges hold in fresh contexts?

    python tools/edge_interactions.py --model smollm2-135m --task ioi --prompts 6

Edges are found, the strongest are the players of a small game, and pairs among them are measured and tested as
``find_circuit`` does it. Those that it reports are then measured again in contexts that were not drawn before, on the
same prompts and on prompts that were not seen before: how many have the same sign and a 95 % interval without 0.
With ``--circuit FILE`` the circuit is kept in a file, and one that is there is measured again, not found again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import circuitspex as cx
from circuitspex.circuits import find_circuit, measure
from circuitspex.statistics import estimate


def found_circuit(model: Any, task: cx.Task, options: argparse.Namespace) -> cx.Circuit:
    """As a user finds it."""
    found = find_circuit(
        model,
        task,
        "edges",
        budget=options.budget,
        n_heldout=20,
        n_contexts=options.contexts,
        max_nodes=options.nodes,
        max_interactions=12,
        n_random=2,
        seed=options.seed,
        progress=False,
    )
    print(found.edges)
    return found.circuit


def main() -> None:
    """Find, measure again, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--budget", type=int, default=24)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--contexts", type=int, default=8)
    parser.add_argument("--fresh", type=int, default=8, help="fresh contexts, and fresh prompts")
    parser.add_argument("--circuit", type=Path, help="read the circuit here, or save it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = cx.load_model(options.model)
    task = cx.tasks.build(options.task, model, n_prompts=options.prompts, seed=options.seed)
    if options.circuit and options.circuit.is_file():
        circuit = cx.Circuit.load(options.circuit)
    else:
        circuit = found_circuit(model, task, options)
        if options.circuit:
            options.circuit.parent.mkdir(parents=True, exist_ok=True)
            circuit.save(options.circuit)
    print(circuit)
    if not circuit.interactions:
        print("no interaction was reported")
        return
    on = {"on the same prompts": task, "on fresh prompts": task.fresh(options.fresh, seed=options.seed + 7919)}
    again = {
        where: measured_again(circuit, cx.EdgeGame(model, each, circuit.run["components"]), options)
        for where, each in on.items()
    }
    print(f"\n| edges | measured | {' | '.join(f'in fresh contexts, {where}' for where in on)} |")
    print("| --- | --- | --- | --- |")
    for place, one in enumerate(circuit.interactions):
        cells = [f"{new[place]}{'' if holds(one, new[place]) else ' (does not hold)'}" for new in again.values()]
        print(f"| {' & '.join(one.components)} | {one.measured} | {' | '.join(cells)} |")
    for where, new in again.items():
        kept = sum(holds(one, value) for one, value in zip(circuit.interactions, new, strict=True))
        print(f"\n{kept} of {len(new)} hold in {options.fresh} fresh contexts {where}")


def measured_again(circuit: cx.Circuit, game: cx.EdgeGame, options: argparse.Namespace) -> list[Any]:
    """Its interactions, in the order of the circuit, in contexts that were not drawn before."""
    place = {name: i for i, name in enumerate(game.names)}
    terms = [tuple(place[name] for name in one.components) for one in circuit.interactions]
    contexts = cx.sample_masks(game.n_players, options.fresh, seed=options.seed + 104729)
    found = measure(lambda masks: game.evaluate(masks, progress=False).per_prompt, terms, contexts)
    return [estimate(found[term]) for term in terms]


def holds(one: Any, new: Any) -> bool:
    """Whether it has the same sign, and an interval without 0."""
    return bool(np.sign(new.value) == np.sign(one.effect) and (new.low > 0 or new.high < 0))


if __name__ == "__main__":
    main()

"""Do measured interactions among edges hold in fresh contexts?

    python tools/edge_interactions.py --model smollm2-135m --task ioi --prompts 6

Edges are found, the strongest are the players of a small game, and pairs among them are measured and tested as
``find_circuit`` does it. Those that it reports are then measured again in contexts that were not drawn before, on
prompts that were not seen before: how many have the same sign and a 95 % interval without 0. With ``--circuit FILE``
the circuit is kept in a file, and one that is there is measured again without being found again.
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
    fresh = task.fresh(options.fresh, seed=options.seed + 7919)
    game = cx.EdgeGame(model, fresh, circuit.run["components"])
    place = {name: i for i, name in enumerate(game.names)}
    pairs = [tuple(place[name] for name in one.components) for one in circuit.interactions]
    if not pairs:
        print("no interaction was reported")
        return
    contexts = cx.sample_masks(game.n_players, options.fresh, seed=options.seed + 104729)
    again = measure(lambda masks: game.evaluate(masks, progress=False).per_prompt, pairs, contexts)
    kept = 0
    print("\n| edges | measured | in fresh contexts, on fresh prompts |\n| --- | --- | --- |")
    for one, pair in zip(circuit.interactions, pairs, strict=True):
        new = estimate(again[pair])
        holds = np.sign(new.value) == np.sign(one.effect) and (new.low > 0 or new.high < 0)
        kept += bool(holds)
        print(f"| {' & '.join(one.components)} | {one.measured} | {new} {'' if holds else '(does not hold)'} |")
    print(f"\n{kept} of {len(pairs)} hold")


if __name__ == "__main__":
    main()

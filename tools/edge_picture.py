r"""Finds a circuit of edges and draws it: the picture in docs/exports.md.

    python tools/edge_picture.py docs/images/edges.png --circuit runs/ioi-edges/circuit.json

A circuit that is there already is drawn without a search.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import circuitspex as cx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--circuit", type=Path, required=True, help="where circuit.json is, or is written")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--edges", type=int, default=24, help="measured at most")
    parser.add_argument("--interactions", type=int, default=8, help="measured at most")
    options = parser.parse_args()
    if not options.circuit.exists():
        model = cx.load_model(options.model)
        task = cx.tasks.build(options.task, model, n_prompts=options.prompts)
        found = cx.find_circuit(
            model,
            task,
            components="edges",
            budget=options.budget,
            max_nodes=options.edges,
            max_interactions=options.interactions,
            n_contexts=8,
            n_random=4,
            n_heldout=40,
        )
        options.circuit.parent.mkdir(parents=True, exist_ok=True)
        found.circuit.save(options.circuit)
    print(cx.Circuit.load(options.circuit).to_png(options.picture))


if __name__ == "__main__":
    main()

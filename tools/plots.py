r"""Draws every plot that a circuit has the data for, into a folder.

    circuitspex find --model smollm2-135m --task ioi --components "layers[20:30].heads" --prompts 4 --budget 48 \
      --until 0.99 --heldout-masks 30 --contexts 6 --out runs/ioi
    circuitspex describe runs/ioi/circuit.json
    python tools/plots.py runs/ioi/circuit.json runs/ioi/plots
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from circuitspex import Circuit
from circuitspex.errors import UserError


def plots(circuit: Circuit) -> dict[str, Callable[..., Any]]:
    """What draws each plot, by name: of pairs the strongest, of heads all."""
    found: dict[str, Callable[..., Any]] = {
        name: getattr(circuit, f"plot_{name}")
        for name in ("heatmap", "waterfall", "sets", "breakdown", "learning_curve")
    }
    pairs = [edge for edge in circuit.interactions if edge.order == 2 and edge.table]
    strongest = max(pairs, key=lambda edge: abs(edge.effect), default=None)
    if strongest is not None:
        found["pair"] = partial(circuit.plot_pair, *strongest.components)
    heads = [node.name for node in circuit.nodes if node.kind == "head"]
    return found | {f"attention_{name}": partial(circuit.plot_attention, name) for name in heads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("circuit", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lacking: dict[str, list[str]] = {}
    for name, draw in plots(Circuit.load(options.circuit)).items():
        path = options.out / f"{name}.png"
        try:
            draw(path, dark=options.dark)
        except UserError as problem:
            lacking.setdefault(str(problem), []).append(name)
        else:
            print(path)
    for problem, names in lacking.items():
        print(f"not drawn ({', '.join(names)}): {problem}")


if __name__ == "__main__":
    main()

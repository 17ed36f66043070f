"""The same searches on a GPU and on the CPU beside it: what they find, how far their values differ, how long they take.

    python tools/bench/searches_on_card.py --out docs/benchmarks/gpu/searches.md

SmolLM2-135M's weights, in float32, and once more in bfloat16 on the GPU; each search is run as a user runs it, with
nothing kept from before. Values are those of the same masks; their difference is beside their spread over masks.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from page_parts import table

import circuitspex as cx
from circuitspex.models.quiet import quiet_transformers

SEARCHES: dict[str, dict[str, Any]] = {
    "heads": {"budget": 100},
    "heads+mlps": {"budget": 100},
    "edges": {"budget": 20},
    "neurons": {"budget": 100},
}
ASKED = {"n_heldout": 50, "n_contexts": 8, "n_random": 4, "progress": False, "seed": 0}


@dataclass
class Searched:
    """One search: its circuit, the values of a few masks, and the time."""

    found: cx.Found
    values: np.ndarray
    seconds: float

    @property
    def strongest(self) -> list[str]:
        """The components, or edges, of largest effect."""
        edges = self.found.edges
        if edges is not None:
            return [edges.names[i] for i in np.argsort(-np.abs(edges.scores))[:50]]
        return [part.name for part in sorted(self.found.circuit.nodes, key=lambda part: -abs(part.effect))[:10]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--masks", type=int, default=16)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else "CPU"
    models = {}
    for way, device, dtype in (
        ("CPU", "cpu", "float32"),
        ("GPU", options.device, "float32"),
        ("GPU, bfloat16", options.device, "bfloat16"),
    ):
        with quiet_transformers():
            models[way] = cx.load_model(options.model, device=device, dtype=dtype)
    rows: list[list[str]] = []
    for components in options.searches:
        done: dict[str, Searched] = {}
        for way, model in models.items():
            if components == "edges" and "bfloat16" in way:
                continue  # edges are refused in half precision
            done[way] = search(model, components, options.masks)
            rows.append(row(components, way, done))
            print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
            if options.out:
                options.out.write_text(page(options.out, name, rows))
    print(page(options.out, name, rows))


def page(out: Path | None, name: str, rows: list[list[str]]) -> str:
    """All that there is so far."""
    head = [
        "search",
        "on",
        "seconds",
        "R² on new masks",
        "largest difference of values from the CPU's, beside their spread",
        "of the CPU's strongest 10 components or 50 edges, among these",
    ]
    return (
        "# Searches on a GPU and on the CPU beside it\n\n"
        f"`python tools/bench/searches_on_card.py --out {out or '…'}` on {name} and {torch.get_num_threads()} CPU "
        f"threads, torch {torch.__version__}; "
        f"SmolLM2-135M, ioi, 8 prompts, float32 unless said\n\n{table(head, rows)}\n"
    )


def search(model: Any, components: str, n_masks: int) -> Searched:
    """A search as a user runs it, and the values of ``n_masks`` masks of seed 1."""
    task = cx.tasks.ioi(model, n_prompts=8, seed=0)
    started = time.perf_counter()
    found = cx.find_circuit(model, task, components, **SEARCHES[components], **ASKED)
    seconds = time.perf_counter() - started
    game: Any = cx.EdgeGame(model, task) if components == "edges" else cx.ComponentGame(model, task, components)
    masks = cx.sample_masks(game.n_players, n_masks, keep=0.9, seed=1)
    return Searched(found, game.evaluate(masks, progress=False).values, seconds)


def row(components: str, way: str, done: dict[str, Searched]) -> list[str]:
    """One line of the table."""
    here, there = done[way], done["CPU"]
    far = np.abs(here.values - there.values).max() / there.values.std()
    same = len(set(here.strongest) & set(there.strongest))
    return [
        components,
        way,
        f"{here.seconds:.1f}",
        "–" if here.found.edges is not None else f"{here.found.faithfulness.r2:.3f}",
        "–" if way == "CPU" else f"{far:.1e}",
        "–" if way == "CPU" else f"{same} of {len(there.strongest)}",
    ]


if __name__ == "__main__":
    main()

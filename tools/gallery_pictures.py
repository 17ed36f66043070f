"""Makes the pictures of docs/gallery.md that come from one search and from one prompt.

    python tools/gallery_pictures.py docs/images

The search is the gallery's: indirect object identification in SmolLM2-135M, all heads, 100 ablations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import circuitspex as cx

REVIEW = "The band was not poor."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--budget", type=int, default=100)
    options = parser.parse_args()
    model = cx.load_model(options.model)
    game = cx.TokenGame(
        model,
        f"Review: I loved it.\nSentiment: positive\nReview: {REVIEW}\nSentiment:",
        answer=" positive",
        wrong_answer=" negative",
        part=REVIEW,
        ablate="delete",
    )
    cx.PromptMap.of(game, cx.explain(game, budget=64)).export("png", options.folder / "words.png")
    task = cx.tasks.ioi(model, n_prompts=8, seed=0)
    found = cx.find_circuit(model, task, "heads", budget=options.budget)
    found.plot_heatmap(options.folder / "heatmap.png")
    circuit = found.circuit
    circuit.plot_waterfall(options.folder / "waterfall.png")
    pair = next(each for each in circuit.interactions if each.order == 2)
    circuit.plot_pair(*pair.components, options.folder / "pair.png")
    described = circuit.described(circuit.describe(model, task))
    strongest = max(circuit.nodes, key=lambda node: abs(node.effect)).name
    described.plot_attention(strongest, options.folder / "attention.png", prompt=0)
    described.plot_breakdown(options.folder / "breakdown.png")


if __name__ == "__main__":
    main()

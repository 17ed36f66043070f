"""What the token lens finds in generated prompts, and how well it predicts beside shapiq's ProxySPEX.

    python tools/bench/tokens.py negation two-hops peers --peer-python ~/peers/bin/python

`negation`: reviews such as "The food was not tasty."; found is a measured and replicated interaction of the negation
and the adjective with the sign that turns the adjective round. `two-hops`: the interaction of the two sentences that
give the answer together. `peers`: R² on held-out masks at equal budgets; the interpreter needs numpy, shapiq 1.8 or
later and lightgbm. The seeds were not used to choose the formats of the prompts (`token_prompts.py`).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import token_prompts
from remote import Worker

import circuitspex as cx
from circuitspex.recovery import decode

WAYS = ("delete", "attention", "mean", "token")
BUDGETS = (50, 100)
N_HELDOUT = 100


def explained(model: object, prompt: str, answer: str, wrong_answer: str, seed: int, **options: object) -> cx.Circuit:
    """Few players, so every mask is run, once; what is measured again comes from the store."""
    with TemporaryDirectory() as folder:
        game = cx.TokenGame(model, prompt, answer, wrong_answer, store=Path(folder) / "runs.sqlite", **options)
        budget = 8 * 2**game.n_players  # drawn with repeats: hardly any mask is missed
        found = cx.explain(game, budget, n_heldout=20, max_nodes=6, max_interactions=6, seed=seed, progress=False)
        return found.circuit


def negation(model: object, count: int, seed: int, ways: Sequence[str]) -> None:
    reviews = token_prompts.reviews(count, seed)
    print(f"\n### Negation and adjective, {count} generated reviews (seed {seed})\n")
    print("| review | " + " | ".join(ways) + " |\n| --- |" + " --- |" * len(ways))
    hits = dict.fromkeys(ways, 0)
    for review in reviews:
        cells = []
        for way in ways:
            token = " the" if way == "token" else "auto"
            options = {"part": review.text, "ablate": way, "token": token}
            circuit = explained(model, review.prompt, " positive", " negative", seed, **options)
            edges = sorted(circuit.interactions, key=lambda edge: -abs(edge.effect))
            shown = [(place, edge) for place, edge in enumerate(edges, 1) if review.shows(edge.components, edge.effect)]
            hits[way] += bool(shown)
            if shown:
                place, edge = shown[0]
                assert edge.measured is not None
                cells.append(f"{' × '.join(edge.components)} {edge.measured:.2f}, number {place}")
            else:
                cells.append("–")
        print(f"| {review.text} | " + " | ".join(cells) + " |", flush=True)
    print("| **found** | " + " | ".join(f"**{hits[way]} of {count}**" for way in ways) + " |")


def two_hops(model: object, count: int, seed: int) -> None:
    print(f"\n### Two facts, {count} generated prompts (seed {seed})\n")
    print("| context | answer | logit difference | interaction of the two facts | place |")
    print("| --- | --- | --- | --- | --- |")
    found = right = 0
    for case in token_prompts.two_hops(count, seed):
        options = {"unit": "sentences", "part": case.context, "ablate": "delete"}
        circuit = explained(model, case.prompt, case.answer, case.wrong_answer, seed, **options)
        sentences = case.context.replace(". ", ".\n").split("\n")
        wanted = {sentences[index] for index in case.facts}
        edges = sorted(circuit.interactions, key=lambda edge: -abs(edge.effect))
        place = next((i for i, edge in enumerate(edges, 1) if set(edge.components) == wanted), None)
        whole = float(circuit.task["unablated"])
        right += whole > 0
        text = "not found"
        if place is not None:
            measured = edges[place - 1].measured
            assert measured is not None
            found += measured.value > 0
            text = f"{measured:.2f}"
        print(f"| {case.context} | {case.answer.strip()} | {whole:+.2f} | {text} | {place or '–'} |", flush=True)
    print(f"\nPositive interaction of the two facts found in {found} of {count}; answered right: {right} of {count}.")


def peers(model: object, count: int, seed: int, python: str) -> None:
    worker = Worker("peers", python)
    worker.start()
    print(f"\n### R² on {N_HELDOUT} held-out masks (seed {seed}); {worker.about}\n")
    print("| review | ablated by | ablations | ProxySPEX of shapiq | proxyspex | auto, plain | gradspex |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for number, review in enumerate(token_prompts.long_reviews(count, seed), 1):
        for way in ("delete", "mean"):
            game = cx.TokenGame(model, review.prompt, " positive", " negative", part=review.text, ablate=way)
            n = game.n_players
            masks = cx.sample_masks(n, BUDGETS[-1], keep=0.5, seed=seed)
            fresh = cx.sample_masks(n, N_HELDOUT, keep=0.5, seed=seed + 1)
            run = game.evaluate(masks, gradients=way == "mean", progress=False)
            truth = game.evaluate(fresh, progress=False).values
            for budget in BUDGETS:
                head, values = masks[:budget], run.values[:budget]
                arrays = {"masks": head, "values": values, "fresh": fresh}
                answer = worker.fit({"key": "shapiq", "budget": budget, "seed": seed}, arrays, 300.0)
                cells = [answer.note if answer.predicted is None else f"{r2(truth, answer.predicted):.3f}"]
                for method in ("proxyspex", "auto"):
                    cells.append(f"{r2(truth, decode(head, values, method=method, seed=seed).predict(fresh)):.3f}")
                gradients = None if run.gradients is None else run.gradients[:budget]
                if gradients is None:
                    cells.append("no gradients")
                else:
                    fit = decode(head, values, gradients=gradients, method="gradspex", seed=seed)
                    cells.append(f"{r2(truth, fit.predict(fresh)):.3f}")
                print(f"| {number}, {n} words | {way} | {budget} | " + " | ".join(cells) + " |", flush=True)
    worker.stop()


def r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    return 1 - float(((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=("negation", "two-hops", "peers"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--count", type=int, default=10, help="generated prompts of negation and two-hops")
    parser.add_argument("--long", type=int, default=2, help="long reviews in peers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS, help="of ablating, in negation")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with shapiq")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model = cx.load_model(options.model)
    print(f"{options.model} on {os.cpu_count()} cores ({platform.machine()})")
    for part in options.parts:
        if part == "negation":
            negation(model, options.count, options.seed, options.ways)
        elif part == "two-hops":
            two_hops(model, options.count, options.seed)
        else:
            peers(model, options.long, options.seed, options.peer_python)


if __name__ == "__main__":
    main()

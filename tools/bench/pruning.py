"""Pruning attention heads by a decoded function, beside marginal scores: how much of a behaviour stays.

    python tools/bench/pruning.py --out docs/benchmarks/pruning.md

All heads of SmolLM2-135M but k are ablated (`mean_vector`; MLPs stay), by ways that had equally many gradient
ablations on the same prompts: `by rounds` takes the k heads that `find_nodes` finds by slopes at the sets of that size;
`chosen` the k that the decoded function, interactions and all, says are best together; `main effects` the k with the
largest main effects of that same function; NAP-IG and NAP (one ablation) are attribution patching on nodes. Random
sets are the mean of several. Kept is the share of the logit difference on held-out prompts, (m(kept) - m(none)) /
(m(all) - m(none)), with 95 % intervals over prompts; differences are of shares on the same prompts. Perplexity is that
of a short text on other things with the same heads ablated. At last a circuit is written with `circuit.prune`, and
measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import circuitspex as cx
from circuitspex.circuits import Circuit, Faithfulness, Node, choose_curve, find_nodes, nap, nap_ig
from circuitspex.circuits.evidence.attribution import ranked
from circuitspex.circuits.evidence.curve import share_of
from circuitspex.circuits.use.ready import ready
from circuitspex.models.tokens import encode
from circuitspex.statistics import Estimate, ratio_over_prompts

MODEL, BASELINE, SIZES = "smollm2-135m", "mean_vector", (10, 20, 40, 80, 135, 200)
ROUNDS, CHOSEN, MAIN, NAP_IG, NAP = "by rounds", "chosen", "main effects", "NAP-IG", "NAP"
WAYS = (ROUNDS, CHOSEN, MAIN, NAP_IG, NAP, "random")
GAINS = [(one, other) for one in (ROUNDS, CHOSEN) for other in (MAIN, NAP_IG)]
TEXT = """The harbour at the mouth of the river was built twice. The first walls were made of timber, and in the winter
of the great flood the ice carried them away in a single night, together with two barges and the customs house. When the
town had saved enough money, it sent for an engineer who had worked on canals. He measured the current every morning for
a year before he drew a line on the map. People laughed at him because he never hurried, but his walls still stand, and
the fishing boats that come home in November are tied to the iron rings that he ordered.

Bread rises because yeast eats sugar and gives off gas, and because the dough is elastic enough to hold the bubbles. If
the water is too hot the yeast dies; if the kitchen is cold the dough needs more time, which is no loss, since slow
dough tastes better. Fold it a few times, cover it with a cloth, and wait until it has doubled in size.

A telescope gathers light. The wider its mirror, the fainter the stars that can be seen with it, and the finer the
details. Astronomers build on high mountains in dry places, where the air is thin and steady, and they still have to
correct for the trembling of the atmosphere many times in a second."""


def circuit_of(names: Sequence[str]) -> Circuit:
    """These heads as a circuit among all heads."""
    components = [cx.components.parse_component(name) for name in names]
    return Circuit(
        nodes=tuple(Node(str(each), each.layer, each.kind, 1.0) for each in components),
        interactions=(),
        faithfulness=Faithfulness(None, None, None, 0),
        run={"components": "heads", "baseline": BASELINE},
    )


class Perplexity:
    """Of the text, with some heads or with all of them; means are taken once."""

    def __init__(self, model: cx.models.protocol.Model, names: Sequence[str], task: cx.Task) -> None:
        structure = cx.components.model_structure(model)
        one = circuit_of(names[:1])
        self.made = ready(one, model, structure, gate=0.0, others=0.0, baseline=BASELINE, prompts=task)
        self.place = {str(each): place for place, each in enumerate(self.made.parts.all)}
        self.model = model
        self.tokens = torch.tensor([encode(model, " ".join(TEXT.split()))])

    def __call__(self, kept: Sequence[str]) -> float:
        gates = torch.zeros_like(self.made.gates)
        gates[:, [*(self.place[name] for name in kept), -1]] = 1.0
        with replace(self.made, gates=gates).hooked(self.model), torch.no_grad():
            logits = self.model(self.tokens, use_cache=False)[0, :-1]
        return float(torch.nn.functional.cross_entropy(logits, self.tokens[0, 1:]).exp())


def of_task(model: cx.models.protocol.Model, name: str, options: argparse.Namespace) -> list[str]:
    """The tables of one task, as Markdown."""
    start = time.perf_counter()
    task = cx.tasks.build(name, model, n_prompts=options.prompts, seed=options.seed)
    heldout = task.fresh(options.heldout, seed=options.seed + 104729)
    game = cx.ComponentGame(model, task, "heads", BASELINE)
    n = game.n_players
    masks = cx.sample_masks(n, options.budget, keep=(0.05, 0.95), seed=options.seed)
    run = game.evaluate(masks, gradients=True, progress=False)
    function = cx.decode(masks, run.values, gradients=run.gradients, names=game.names, seed=options.seed)
    effects = np.array([function.main_effects.get(each, 0.0) for each in game.names])
    orders = {
        MAIN: ranked(effects),
        NAP_IG: ranked(nap_ig(game, steps=options.budget, progress=False)),
        NAP: ranked(nap(game, progress=False)),
    }
    found = find_nodes(model, task, "heads", BASELINE, options.budget, sizes=SIZES, seed=options.seed, progress=False)
    sets: dict[str, list[Sequence[int]]] = {
        ROUNDS: [found.chosen(k).columns.tolist() for k in SIZES],
        CHOSEN: [each.members for each in choose_curve(function, SIZES)],
    }
    sets |= {way: [order[:k] for k in SIZES] for way, order in orders.items()}
    rng = np.random.default_rng(options.seed)
    for draw in range(options.random):
        order = rng.permutation(n).tolist()
        sets[f"random {draw}"] = [order[:k] for k in SIZES]
    rows = np.zeros((2 + len(sets) * len(SIZES), n), dtype=bool)
    rows[0] = True
    for place, members in enumerate(each for of_way in sets.values() for each in of_way):
        rows[2 + place, list(members)] = True
    per_prompt = game.on(heldout).evaluate(rows, progress=False).per_prompt
    full, empty = per_prompt[0], per_prompt[1]
    metric = {way: per_prompt[2 + i * len(SIZES) :][: len(SIZES)] for i, way in enumerate(sets)}
    randoms = [way for way in sets if way.startswith("random")]
    metric["random"] = np.mean([metric[way] for way in randoms], axis=0)
    said = Perplexity(model, game.names, task)
    whole_text = said(game.names)
    text = {
        way: [said([game.names[i] for i in each]) for each in sets[way]]
        for way in (ROUNDS, CHOSEN, MAIN, NAP_IG, NAP, randoms[0])
    }
    text["random"] = text.pop(randoms[0])
    lines = [
        f"## {name}",
        f"{n} heads, {options.budget} gradient ablations on {options.prompts} prompts; {options.heldout} held-out "
        f"prompts: {full.mean():.2f} with all heads, {empty.mean():.2f} with none.",
        "| heads kept | "
        + " | ".join(WAYS)
        + "".join(f" | {one} - {other}" for one, other in GAINS)
        + " |\n|"
        + " --- |" * (len(WAYS) + len(GAINS) + 1)
        + "\n"
        + "\n".join(_row(k, [metric[way][i] for way in WAYS], full, empty) for i, k in enumerate(SIZES)),
        f"Perplexity of the text, {whole_text:.1f} with all heads:",
        "| heads kept | "
        + " | ".join(WAYS)
        + " |\n|"
        + " --- |" * (len(WAYS) + 1)
        + "\n"
        + "\n".join(
            f"| {k} | " + " | ".join(f"{text[way][i]:,.1f}" for way in WAYS) + " |" for i, k in enumerate(SIZES)
        ),
    ]
    k = SIZES.index(40)
    with tempfile.TemporaryDirectory() as folder:
        circuit = circuit_of([game.names[i] for i in sets[ROUNDS][k]])
        pruned = circuit.prune(model, Path(folder) / "pruned", prompts=task)
        lines.append(
            f"`{ROUNDS}` with {SIZES[k]} heads as a checkpoint: {pruned.before.heads} heads and "
            f"{pruned.before.key_value_heads} key/value heads a layer become {pruned.after.heads} and "
            f"{pruned.after.key_value_heads}; {pruned.before.megabytes:.0f} MB become {pruned.after.megabytes:.0f}, "
            f"{pruned.before.ms:.0f} ms for {pruned.n_tokens} tokens {pruned.after.ms:.0f}; its logits differ from "
            f"those of the ablated model by {pruned.difference:.1e} at most."
        )
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return lines


def _row(k: int, values: list[np.ndarray], full: np.ndarray, empty: np.ndarray) -> str:
    shares = [share_of(each, full, empty) for each in values]
    by_way = dict(zip(WAYS, values, strict=True))
    gains = [ratio_over_prompts(by_way[one] - by_way[other], full - empty) for one, other in GAINS]
    return f"| {k} | " + " | ".join([*map(_share, shares), *map(_share, gains)]) + " |"


def _share(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{estimate.value:z.2f} [{estimate.low:z.2f}, {estimate.high:z.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["ioi", "capitals"])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--heldout", type=int, default=24)
    parser.add_argument("--budget", type=int, default=48)
    parser.add_argument("--random", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the tables as Markdown")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model = cx.load_model(options.model, device="cpu")
    tables = [line for name in options.tasks for line in of_task(model, name, options)]
    given = [f"--{name} {getattr(options, name)}" for name in ("prompts", "heldout", "budget", "random", "seed")]
    given.insert(0, f"--tasks {' '.join(options.tasks)}")
    about = " ".join((__doc__ or "").split("\n\n")[2].split())
    text = "\n\n".join(["# Pruning heads", f"`python tools/bench/pruning.py {' '.join(given)}`", about, *tables])
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

"""Circuits of edges and of nodes by MIB's protocol, beside the field's attribution at equal numbers of passes.

    python tools/bench/edges.py --out docs/benchmarks/edges.md

Each circuit is found on some prompts and scored on held-out ones, by MIB's protocol: counterfactual patching, 0.1 to
100 % of all edges (keys and values by key/value head) or of all heads and MLPs, CPR and CMD with 95 % intervals over
prompts; '|…|' is ranked by absolute score. Passes are those with a gradient over all prompts that a way is found on.
'chosen' is for most of the behaviour (CPR), 'matched' for likeness to the model (CMD).
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import circuitspex as cx
from circuitspex.circuits import MIBReport, find_edges, find_nodes
from circuitspex.circuits.evidence.curve import SHARES, sizes_of
from circuitspex.errors import TaskError

TASKS = ("ioi", "capitals", "greater_than", "gendered_pronoun")
OURS = ("chosen", "matched")
SUMMARY = ("task", "CPR of chosen", "best of {}", "ratio", "difference", "CMD of matched", "best absolute", "lower by")
HEAD = ("task", "seed", "way", "passes", "CPR", "chosen is higher by", "CMD", "matched is lower by")


def prompts_of(model: Any, name: str, n_found: int, n_heldout: int, seed: int) -> tuple[cx.Task, cx.Task]:
    """Prompts to find on, and held-out ones that are none of them."""
    task = getattr(cx.tasks, name)(model, n_prompts=n_found, seed=seed)
    try:
        return task, task.fresh(n_heldout, seed=seed + 7919)
    except TaskError:
        whole = getattr(cx.tasks, name)(model, n_prompts=n_found + n_heldout, seed=seed)
        return whole.split(n_heldout / (n_found + n_heldout), seed=seed)


def timed(what: str, run: Callable[[], Any]) -> Any:
    """What a function gives; how long it took is printed."""
    started = time.perf_counter()
    found = run()
    print(f"  {what}: {time.perf_counter() - started:.0f} s", flush=True)
    return found


def of_edges(model: Any, task: cx.Task, heldout: cx.Task, budget: int, seed: int, selector: str) -> MIBReport:
    """Edges: EAP, EAP-IG with 5 passes and with as many as ours, RelP, and ours."""
    game = cx.EdgeGame(model, task, selector)
    found = timed("ours", lambda: find_edges(model, task, selector, budget=budget, seed=seed, progress=False))
    print(str(found), flush=True)
    sizes = sizes_of(game.n_players)
    ways: dict[str, Any] = {
        "chosen": [found.chosen(size).columns if size else () for size in sizes],
        "matched": [found.matched(size).columns if size else () for size in sizes],
    }
    for name, method, steps in (
        ("EAP", "eap", 1),
        ("EAP-IG inputs", "eap-ig-inputs", 5),
        (f"EAP-IG inputs, {found.passes}", "eap-ig-inputs", found.passes),
        ("RelP", "relp", 1),
    ):
        ways[name] = timed(name, lambda method=method, steps=steps: scores(game, method, steps))
    passes = dict.fromkeys(OURS, found.passes)
    return timed("scoring", lambda: cx.mib_scores(game, ways, heldout, passes=passes, seed=seed, progress=False))


def of_nodes(model: Any, task: cx.Task, heldout: cx.Task, budget: int, seed: int) -> MIBReport:
    """Nodes: NAP, NAP-IG in both forms, learned masks, RelP, and ours."""
    game = cx.ComponentGame(model, task, "heads+mlps", "resample")
    found = timed("ours", lambda: find_nodes(model, task, budget=budget, seed=seed, progress=False))
    print(str(found), flush=True)
    spent = found.passes
    ways: dict[str, Any] = {"found": found}
    for name, method, steps in (
        ("NAP", "nap", 1),
        ("NAP-IG", "nap-ig", spent),
        ("NAP-IG inputs", "nap-ig-inputs", 5),
        (f"NAP-IG inputs, {spent}", "nap-ig-inputs", spent),
        ("RelP", "relp", 1),
        ("top-k masks", "topk-masks", spent),
    ):
        ways[name] = timed(name, lambda method=method, steps=steps: scores(game, method, steps, seed))
    return timed("scoring", lambda: cx.mib_scores(game, ways, heldout, seed=seed, progress=False))


def scores(game: Any, method: str, steps: int, seed: int = 0) -> Any:
    """The field's scores."""
    return cx.attribution_scores(game, method=method, steps=steps, seed=seed, progress=False)


def rows(task: str, seed: int, report: MIBReport) -> list[list[str]]:
    """The lines of the table."""
    cpr = {gain.other: gain.cpr for gain in report.gains if gain.way == "chosen"}
    cmd = {gain.other: gain.cmd for gain in report.gains if gain.way == "matched"}
    found = []
    for name, curve in report.curves.items():
        gains = [f"{each[name]:z.2f}" if name in each else "–" for each in (cpr, cmd)]
        passes = str(report.passes.get(name, "–"))
        label = name.replace("|", "\\|")
        found.append([task, str(seed), label, passes, area(curve.cpr), gains[0], area(curve.cmd), gains[1]])
    return found


def area(estimate: Any) -> str:
    """An area with its interval."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def curve_rows(task: str, seed: int, report: MIBReport) -> list[list[str]]:
    """Faithfulness at each share."""
    return [
        [task, str(seed), name.replace("|", "\\|"), *(f"{point.value:.2f}" for point in curve.values)]
        for name, curve in report.curves.items()
    ]


def summary(task: str, reports: list[MIBReport]) -> list[str]:
    """One task, on average over seeds: ours beside the best of integrated gradients, and beside the best absolute one.

    The best is taken by its own mean, so that it is one way and not the luckiest of each seed.
    """

    # Ways with as many passes as ours are named after that number, which may differ between seeds.
    curves = [{re.sub(r", \d+", ", as many", name): curve for name, curve in each.curves.items()} for each in reports]

    def mean(name: str, area: str) -> float:
        return sum(getattr(each[name], area).value for each in curves) / len(curves)

    names = [name for name in curves[0] if name not in OURS]
    rivals = max((name for name in names if "IG" in name and "|" not in name), key=lambda name: mean(name, "cpr"))
    nearest = min((name for name in names if "|" in name), key=lambda name: mean(name, "cmd"))
    chosen, best = mean("chosen", "cpr"), mean(rivals, "cpr")
    matched, other = mean("matched", "cmd"), mean(nearest, "cmd")
    return [
        task,
        f"{chosen:.2f}",
        f"{best:.2f} ({rivals})",
        f"{chosen / best:.2f}",
        f"{chosen - best:+.2f}",
        f"{matched:.2f}",
        f"{other:.2f} ({nearest})".replace("|", "\\|"),
        f"{other - matched:+.2f}",
    ]


def table(head: tuple[str, ...], lines: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(head), ["---"] * len(head), *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--prompts", type=int, default=8, help="to find on")
    parser.add_argument("--heldout", type=int, default=24, help="to score on")
    parser.add_argument("--seeds", type=int, default=3, help="how many times everything is found, from other prompts")
    parser.add_argument("--node-seeds", type=int, help="the same for nodes alone")
    parser.add_argument("--budget", type=int, default=40, help="passes with gradients of ours, at most")
    parser.add_argument("--levels", nargs="+", choices=["edges", "nodes"], default=["edges", "nodes"])
    parser.add_argument("--edges", default="edges", help="'edges', or 'edges:ungrouped' as MIB counts them")
    parser.add_argument("--folder", type=Path, help="for reports as JSON; those already there are read, not made again")
    parser.add_argument("--out", type=Path, help="write the tables as Markdown")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model = cx.load_model(options.model)
    lines: dict[str, list[list[str]]] = {level: [] for level in options.levels}
    curves: dict[str, list[list[str]]] = {level: [] for level in options.levels}
    about: dict[str, str] = {}
    reports: dict[str, dict[str, list[MIBReport]]] = {level: {} for level in options.levels}
    for name in options.tasks:
        for seed in range(options.seeds):
            task, heldout = prompts_of(model, name, options.prompts, options.heldout, seed)
            for level in options.levels:
                if level == "nodes" and options.node_seeds is not None and seed >= options.node_seeds:
                    continue
                print(f"{name}, seed {seed}, {level}", flush=True)
                report = report_of(model, task, heldout, level, name, seed, options)
                print(report, flush=True)
                reports[level].setdefault(name, []).append(report)
                lines[level] += rows(name, seed, report)
                curves[level] += curve_rows(name, seed, report)
                about[level] = f"{report.n_players:,} {level}; {task.n_prompts} prompts, {heldout.n_prompts} held out"
                write(options, lines, curves, about, reports)


def report_of(
    model: Any, task: cx.Task, heldout: cx.Task, level: str, name: str, seed: int, options: argparse.Namespace
) -> MIBReport:
    """The report of one task and seed; read where the folder has it, else made and kept there."""
    kept = options.folder / f"{level}_{name}_{seed}.json" if options.folder else None
    if kept is not None and kept.is_file():
        return MIBReport.load(kept)
    if level == "edges":
        report = of_edges(model, task, heldout, options.budget, seed, options.edges)
    else:
        report = of_nodes(model, task, heldout, options.budget, seed)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        report.save(kept)
    return report


def write(options: argparse.Namespace, lines: Any, curves: Any, about: dict[str, str], reports: Any) -> None:
    """The page, after each report, so that a run that is stopped leaves what it had."""
    given = " ".join(
        f"--{name.replace('_', '-')} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in vars(options).items()
        if name != "folder" and value is not None
    )
    text = ["# Edges and nodes by MIB's protocol", f"`python tools/bench/edges.py {given}`"]
    text.append(" ".join((__doc__ or "").split("\n\n")[2].split()))
    shares = tuple(f"{100 * share:g} %" for share in SHARES)
    for level in about:
        text += [f"## {level.capitalize()}", f"{options.model}, {about[level]}. On average over the seeds:"]
        head = tuple(each.format("EAP-IG" if level == "edges" else "NAP-IG") for each in SUMMARY)
        text += [table(head, [summary(task, found) for task, found in reports[level].items()])]
        text += ["Each seed by itself:", table(HEAD, lines[level])]
        text += ["Faithfulness by share:", table(("task", "seed", "way", *shares), curves[level])]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("\n\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What pages say of a circuit's numbers: tiles, the bars of a verification, what is needed to run it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from circuitspex.circuits.circuit import Circuit, Estimate, Interaction, Verification
from circuitspex.circuits.relation import RELATIONS
from circuitspex.export.drawing.claims import doubt_text, few_text, is_hollow
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.style import budget_text, interval, number, percent, verification_decimals

MAX_ROWS = 10
"""How many rows a table in a notebook has."""
Facts = list[tuple[str, Any]]


def tiles(circuit: Circuit, places: int) -> list[tuple[str, ...]]:
    """The numbers to read first: name, value and note."""
    verified, run = circuit.verification, circuit.run
    unknown = "undefined" if circuit.faithfulness.n_masks else "not measured"
    found = [r2_tile(circuit, unknown)]
    if verified is not None and verified.faithfulness is not None:
        less, share = (
            f"with {verified.n_components} {'edges' if is_of_edges(circuit) else 'components'} kept",
            verified.share_kept,
        )
        over = f"{verified.n_prompts} held-out prompts{few_text(verified.n_prompts)}"
        ends = "" if share is None else f"[{percent(share.low)}, {percent(share.high)}] over {over}; "
        found.append(("Behaviour that the circuit keeps", percent(verified.faithfulness), f"{ends}{less}"))
    n_all = run.get("n_components")
    of = (
        f"of {n_all:,} that could be {'closed' if is_of_edges(circuit) else 'ablated'}"
        if isinstance(n_all, int)
        else ""
    )
    hollow = sum(map(is_hollow, circuit.nodes))
    of += f"; {hollow} not distinguishable from 0 by {'itself' if hollow == 1 else 'themselves'}" if hollow else ""
    found.append(("Edges" if is_of_edges(circuit) else "Components", f"{len(circuit.nodes):,}", of.removeprefix("; ")))
    dropped = f"; {len(circuit.dropped)} more did not replicate" if circuit.dropped else ""
    if circuit.looked_for_interactions:
        found.append(interactions_tile(circuit, dropped))
    if budget_text(circuit):
        count, _, what = budget_text(circuit).partition(" ")
        found.append(("Budget", count, what))
    elif isinstance(circuit.task.get("unablated"), int | float):
        found.append(("Metric, nothing ablated", number(circuit.task["unablated"], places), ""))
    return found


def r2_tile(circuit: Circuit, unknown: str) -> tuple[str, ...]:
    """R² with its interval, or the text for where there is none; and what may help where it is small."""
    found = circuit.faithfulness
    r2 = unknown if found.r2 is None else number(found.r2, 2, sign=False)
    doubt = tuple(filter(None, [doubt_text(circuit)]))
    if found.exact and found.r2 is not None:
        return "R² over all ablations", r2, f"exact over all {found.n_masks} masks", *doubt
    ends = "" if found.low is None or found.high is None else f"[{found.low:z.2f}, {found.high:z.2f}] "
    return "R² on held-out ablations", r2, f"{ends}on {found.n_masks} masks".replace("-", "−"), *doubt


def interactions_tile(circuit: Circuit, more: str = "") -> tuple[str, ...]:
    """How many interactions there are, and how many of each relation, in the order of the words' table."""
    edges = circuit.interactions
    count = Counter(edge.relation.word for edge in edges)
    said = ", ".join(f"{word}: {count[word]}" for word in RELATIONS if count[word])
    return "Interactions", f"{len(edges):,}", f"{said}{more}".removeprefix("; ")


def strongest_first(edges: tuple[Interaction, ...]) -> list[Interaction]:
    """Interactions by the size of their effects."""
    return sorted(edges, key=lambda edge: (-abs(edge.effect), edge.components))


def bars(found: Verification) -> list[dict[str, str]]:
    """What verification measured, each with its text and its place on one scale."""
    colours = ("muted", "positive", "muted", "negative", "muted", "muted")
    rows = [(name[0].upper() + name[1:], value) for name, value in found.rows]
    return drawn_rows(rows, colours, verification_decimals(found))


def drawn_rows(
    rows: Sequence[tuple[str, float | Estimate]], colours: Sequence[str], places: int
) -> list[dict[str, str]]:
    """Numbers with their intervals, where they have one, as text and as places on one scale, in percent."""
    ends = [(v.value, v.low, v.high) if isinstance(v, Estimate) else (v, v, v) for _, v in rows]
    low, high = min(0.0, *map(min, ends)), max(0.0, *map(max, ends))
    scale = 96 / ((high - low) or 1.0)
    return [
        {
            "name": name,
            "colour": colour,
            "shown": number(numbers[0], places),
            "between": interval(*numbers[1:], places) if isinstance(value, Estimate) else "",
        }
        | {
            at: f"{2 + scale * (x - low):.2f}%"
            for at, x in zip(("middle", "low", "high", "zero"), (*numbers, 0.0), strict=True)
        }
        for (name, value), colour, numbers in zip(rows, colours, ends, strict=True)
    ]


def facts(circuit: Circuit) -> Facts:
    """Everything needed to run it again, as far as the circuit says it."""
    model, task, run = circuit.model, circuit.task, circuit.run
    shape = [f"{model[k]} {word}" for k, word in (("n_layers", "layers"), ("n_heads", "heads a layer")) if k in model]
    ablations = [
        f"{run[key]:,} {word}"
        for key, word in (
            ("gradient_ablations", "with gradients"),
            ("pilot_ablations", "in the pilot"),
            ("plain_ablations", "plain"),
            ("heldout_ablations", "held out"),
            ("measurement_ablations", "to measure again"),
        )
        if isinstance(run.get(key), int) and run[key]
    ]
    accuracy, budget = task.get("accuracy"), run.get("budget")
    held = (model.get("dtype"), model.get("quantization"))
    return said(
        ("Model", _joined(model.get("name"), model.get("architecture"), *shape, *held)),
        ("Weights", model.get("identity")),
        ("Task", _joined(task.get("name"), task.get("metric"))),
        ("Numbers a mask" if run.get("lens") in ("training", "game") else "Prompts", task.get("n_prompts")),
        ("Accuracy", f"{accuracy:.0%}" if isinstance(accuracy, int | float) else None),
        ("Components", run.get("components")),
        ("Baseline", run.get("baseline")),
        ("Method", run.get("method")),
        ("Share kept", "–".join(map(str, run["keep_range"])) if "keep_range" in run else run.get("keep")),
        ("Seed", run.get("seed")),
        ("Budget", f"{budget:,} ablations" if isinstance(budget, int) else None),
        ("Ablations", ", ".join(ablations)),
        ("Executor", run.get("executor")),
        (
            "Seconds",
            pairs(run.get("timings"), lambda value: f"{value:.1f} s" if isinstance(value, int | float) else ""),
        ),
        ("Versions", pairs(run.get("versions"))),
    )


def said(*rows: tuple[str, Any]) -> Facts:
    """The facts that are known."""
    return [(name, value) for name, value in rows if value is not None and str(value)]


def pairs(mapping: Any, say: Callable[[Any], str] = lambda value: str(value or "")) -> str:
    """'torch 2.6, numpy 1.26' of a mapping; what has nothing to say is left out."""
    found = mapping.items() if isinstance(mapping, Mapping) else ()
    return ", ".join(f"{name} {text}" for name, value in found if (text := say(value)))


def _joined(*values: Any) -> str:
    return ", ".join(str(value) for value in values if value)

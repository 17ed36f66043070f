"""What pages say of a circuit's numbers: tiles, the bars of a verification, what is needed to run it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from circuitspex.circuits.circuit import Circuit, Estimate, Interaction, Verification
from circuitspex.circuits.relation import RELATIONS
from circuitspex.export.drawing.claims import doubt_text, few_text, is_hollow, of_game
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.style import budget_parts, interval, number, percent, verification_decimals
from circuitspex.export.words.saying import say, say_term

MAX_ROWS = 10
"""How many rows a table in a notebook has."""
Facts = list[tuple[str, Any]]


def tiles(circuit: Circuit, places: int) -> list[tuple[str, ...]]:
    """The numbers to read first: name, value and note."""
    verified = circuit.verification
    unknown = say("facts.undefined") if circuit.faithfulness.n_masks else say("facts.not_measured")
    found = [r2_tile(circuit, unknown)]
    if verified is not None and verified.faithfulness is not None:
        found.append((say("facts.kept"), percent(verified.faithfulness), _kept(circuit, verified)))
    found.append(_parts_tile(circuit))
    if circuit.looked_for_interactions:
        dropped = say("facts.dropped", n=len(circuit.dropped)) if circuit.dropped else ""
        found.append(interactions_tile(circuit, dropped))
    if spent := budget_parts(circuit):
        (count, what), *more = spent
        found.append((say("facts.budget"), f"{count:,}", " + ".join([what, *(f"{n:,} {other}" for n, other in more)])))
    elif isinstance(circuit.task.get("unablated"), int | float):
        found.append((say("facts.unablated"), number(circuit.task["unablated"], places), ""))
    return found


def _kept(circuit: Circuit, found: Verification) -> str:
    n, share = found.n_components, found.share_kept
    kept = say("facts.kept_edges", n=n) if is_of_edges(circuit) else say("facts.kept_components", n=n)
    if share is None:
        return kept
    ends, few = f"[{percent(share.low)}, {percent(share.high)}]", few_text(found.n_prompts)
    return say("facts.over_prompts", interval=ends, n=found.n_prompts, few=few, kept=kept)


def _parts_tile(circuit: Circuit) -> tuple[str, ...]:
    edges, said, count = is_of_edges(circuit), list[str](), f"{len(circuit.nodes):,}"
    if isinstance(n_all := circuit.run.get("n_components"), int):
        said.append(say("facts.of_closed", all=f"{n_all:,}") if edges else say("facts.of_ablated", all=f"{n_all:,}"))
    if hollow := sum(map(is_hollow, circuit.nodes)):
        said.append(say("facts.hollow", n=hollow))
    return say("facts.edges") if edges else say("facts.components"), count, "; ".join(said)


def r2_tile(circuit: Circuit, unknown: str) -> tuple[str, ...]:
    """R² with its interval, or the text for where there is none; and what may help where it is small."""
    found = circuit.faithfulness
    r2 = unknown if found.r2 is None else number(found.r2, 2, sign=False)
    doubt = tuple(filter(None, [doubt_text(circuit)]))
    if found.exact and found.r2 is not None:
        return say("facts.r2_all"), r2, say("facts.exact", masks=found.n_masks), *doubt
    ends = "" if found.low is None or found.high is None else f"[{found.low:z.2f}, {found.high:z.2f}] "
    return say("facts.r2"), r2, ends.replace("-", "−") + say("facts.on_masks", n=found.n_masks), *doubt


def interactions_tile(circuit: Circuit, more: str = "") -> tuple[str, ...]:
    """How many interactions there are, and how many of each relation, in the order of the words' table."""
    edges = circuit.interactions
    count = Counter(edge.relation.word for edge in edges)
    said = ", ".join(f"{say_term('relation', word)}: {count[word]}" for word in RELATIONS if count[word])
    return say("facts.interactions"), f"{len(edges):,}", "; ".join(part for part in (said, more) if part)


def strongest_first(edges: tuple[Interaction, ...]) -> list[Interaction]:
    """Interactions by the size of their effects."""
    return sorted(edges, key=lambda edge: (-abs(edge.effect), edge.components))


def bars(found: Verification) -> list[dict[str, str]]:
    """What verification measured, each with its text and its place on one scale."""
    colours = ("muted", "positive", "muted", "negative", "muted", "muted")
    n = found.n_random
    rows: list[tuple[str, float | Estimate]] = [
        (say("terms.row.full"), found.full),
        (say("terms.row.circuit_kept"), found.circuit_kept),
        (say("terms.row.random_kept", n=n), found.random_kept),
        (say("terms.row.circuit_removed"), found.circuit_removed),
        (say("terms.row.random_removed", n=n), found.random_removed),
        (say("terms.row.empty"), found.empty),
    ]
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
    layers = say("facts.layers", n=model["n_layers"]) if "n_layers" in model else ""
    heads = say("facts.heads", n=model["n_heads"]) if "n_heads" in model else ""
    ablations = [
        f"{run[key]:,} {word}"
        for key, word in (
            ("gradient_ablations", say("facts.with_gradients")),
            ("pilot_ablations", say("facts.in_pilot")),
            ("plain_ablations", say("facts.plain")),
            ("heldout_ablations", say("facts.held_out")),
            ("measurement_ablations", say("facts.to_measure")),
        )
        if isinstance(run.get(key), int) and run[key]
    ]
    accuracy, budget = task.get("accuracy"), run.get("budget")
    held = (model.get("dtype"), model.get("quantization"))
    return said(
        (say("facts.model"), _joined(model.get("name"), model.get("architecture"), layers, heads, *held)),
        (say("facts.weights"), model.get("identity")),
        (say("facts.task"), _joined(task.get("name"), task.get("metric"))),
        (say("trust.numbers") if of_game(circuit) else say("facts.prompts"), task.get("n_prompts")),
        (say("facts.accuracy"), f"{accuracy:.0%}" if isinstance(accuracy, int | float) else None),
        (say("facts.components"), run.get("components")),
        (say("facts.baseline"), run.get("baseline")),
        (say("facts.method"), run.get("method")),
        (say("facts.share_kept"), "–".join(map(str, run["keep_range"])) if "keep_range" in run else run.get("keep")),
        (say("facts.seed"), run.get("seed")),
        (say("facts.budget"), say("facts.budget_ablations", n=f"{budget:,}") if isinstance(budget, int) else None),
        (say("facts.ablations_row"), ", ".join(ablations)),
        (say("facts.executor"), run.get("executor")),
        (
            say("facts.seconds"),
            pairs(run.get("timings"), lambda value: f"{value:.1f} s" if isinstance(value, int | float) else ""),
        ),
        (say("facts.versions"), pairs(run.get("versions"))),
    )


def said(*rows: tuple[str, Any]) -> Facts:
    """The facts that are known."""
    return [(name, value) for name, value in rows if value is not None and str(value)]


def pairs(mapping: Any, shown: Callable[[Any], str] = lambda value: str(value or "")) -> str:
    """'torch 2.6, numpy 1.26' of a mapping; what has nothing to say is left out."""
    found = mapping.items() if isinstance(mapping, Mapping) else ()
    return ", ".join(f"{name} {text}" for name, value in found if (text := shown(value)))


def _joined(*values: Any) -> str:
    return ", ".join(str(value) for value in values if value)

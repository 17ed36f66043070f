"""The circuit as a table for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from circuitspex.circuits.circuit import Circuit, Combination, Estimate, Interaction, Node, Verification
from circuitspex.export.drawing.claims import doubt_text, few_text, interval_note, is_hollow
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.style import (
    budget_text,
    decimals,
    faithfulness_text,
    is_signed,
    others_text,
    percent,
    share_text,
    title_of,
    verification_decimals,
)
from circuitspex.export.tables.columns import MAX_ROWS, in_columns, joined, left_out, shortened, wrapped
from circuitspex.files import file_writer
from circuitspex.text import printable

if TYPE_CHECKING:
    from circuitspex.circuits.prompt_map import Word


MAX_WORDS = 40
"""The longest relation of a pair with its names; names are whole in the first column, as far as there is room."""


def render(circuit: Circuit) -> str:
    """The circuit as text: what it is, how faithful, the strongest parts, what verification measured."""
    places = decimals(circuit)
    lines = wrapped(f"Circuit: {title_of(circuit)}") + _facts(circuit) + [""]
    nodes = sorted(circuit.nodes, key=lambda node: (-abs(node.effect), node.name))
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    told = [node for node in nodes if not is_hollow(node)]
    apart = [*(node for node in nodes if is_hollow(node)), *circuit.dropped_nodes]
    what = "edge" if is_of_edges(circuit) else "component"
    lines += section(f"{what}s".capitalize(), what, [(node.name, node, "") for node in told], places)
    if apart:
        inside = {node.name for node in nodes}
        rows = [(node.name, node, "in an interaction" if node.name in inside else "left out") for node in apart]
        lines += ["", *section("Not distinguishable from 0 by themselves", what, rows, places)]
    named = [(" × ".join(one.components), one, shortened(one.relation.short, MAX_WORDS)) for one in edges]
    lines += [""] + (
        section("Interactions", "interaction", named, places)
        if named or circuit.looked_for_interactions
        else ["Interactions: not in the file of scores that this was read from"]
    )
    lines += pair_tables(edges, others_text(circuit), places)
    if circuit.dropped:
        n = len(circuit.dropped)
        who, were = ("1 interaction", "was") if n == 1 else (f"{n} interactions", "were")
        lines += ["", f"{who} {were} measured again, did not replicate, and {were} dropped."]
    if interval_note(circuit):
        lines += ["", *wrapped(interval_note(circuit))]
    if circuit.verification is not None:
        lines += ["", *_verification(circuit.verification)]
    return joined(lines)


write = file_writer(render)


def _facts(circuit: Circuit) -> list[str]:
    run = circuit.run
    facts = [faithfulness_text(circuit), doubt_text(circuit)]
    spent = budget_text(circuit)
    how = [printable(run[key]) for key in ("method", "components") if run.get(key)]
    if isinstance(run.get("edges"), Mapping) and how:  # of many, which all have names
        how[-1] = f"the strongest {run.get('n_components')} of {printable(run['edges'].get('searched'))}"
    if run.get("baseline"):
        how.append(f"{printable(run['baseline'])} baseline")
    if run.get("seed") is not None:
        how.append(f"seed {printable(run['seed'])}")
    if run.get("peak_memory_bytes"):
        how.append(f"peak memory {run['peak_memory_bytes'] / 1e9:.1f} GB")
    facts += [", ".join(part for part in (spent, *how) if part)]
    return [line for fact in facts if fact for line in wrapped(fact)]


def section(
    title: str, kind: str, rows: Sequence[tuple[str, Node | Interaction | Word, str]], places: int, exact: bool = False
) -> list[str]:
    """The strongest rows under a title: name, effect with interval (none where effects are exact), decoded, label."""
    if not rows:
        return [f"{title}: none"]
    table = [(kind, "effect", "interval", "decoded", "")]
    for name, part, label in rows[:MAX_ROWS]:
        effect, decoded = f"{part.effect:+z.{places}f}", f"{part.decoded:+z.{places}f}"
        if not is_signed(part):
            effect, decoded = f"|{part.effect:z.{places}f}|", f"|{part.decoded:z.{places}f}|"
        between = "estimate" if part.shown is None else "exact" if exact else _interval(part.shown, places)
        table.append((name, effect, between, decoded, label))
    return [f"{title} ({len(rows)})", *in_columns(table, right=(1, 2, 3)), *left_out(len(rows), "weaker")]


def pair_tables(edges: Sequence[Interaction], others: str, places: int) -> list[str]:
    """The mean metric with neither, one and both of a pair kept; of the strongest pairs that carry it."""
    pairs = [edge for edge in edges if edge.order == 2 and len(edge.table) == 4][:MAX_ROWS]
    if not pairs:
        return []
    whole = any(len(edge.unablated) == 4 for edge in pairs)
    heads = ("neither", "first", "second", "both")
    table = [("pair", *heads, *((f"| {heads[0]}", *heads[1:]) if whole else ()))]
    for edge in pairs:
        cells = [[f"{value:+z.{places}f}" for value in in_order(rows)] for rows in (edge.table, edge.unablated)]
        beside = (f"| {cells[1][0]}", *cells[1][1:]) if cells[1] else ("|", "", "", "")
        table.append((" × ".join(edge.components), *cells[0], *(beside if whole else ())))
    about = f"Mean metric with neither, only the first, only the second, both of a pair kept, averaged over {others}"
    about += "; right of the bar with all others kept" if whole else ""
    return ["", *wrapped(f"{about}:"), *in_columns(table, right=range(1, len(table[0])))]


def in_order(rows: Sequence[Combination]) -> list[float]:
    """The values with neither, only the first, only the second, and both of two components kept."""
    value_of = {row.kept: row.value for row in rows}
    order = ((False, False), (True, False), (False, True), (True, True))
    return [value_of[kept] for kept in order] if len(value_of) == 4 else []


def _verification(found: Verification) -> list[str]:
    places, rows = verification_decimals(found), found.rows
    width = max(len(name) for name, _ in rows)
    values = [f"{v.value if isinstance(v, Estimate) else v:+z.{places}f}" for _, v in rows]
    few = few_text(found.n_prompts)
    lines = [f"Verification on {found.n_prompts} held-out prompts{few} ({found.n_components} components)"]
    for (name, value), shown in zip(rows, values, strict=True):
        between = _interval(value, places) if isinstance(value, Estimate) else ""
        lines.append(f"  {name.ljust(width)}  {shown.rjust(max(map(len, values)))}  {between}")
    if found.faithfulness is None:
        return [*lines, "  faithfulness: undefined, because ablating everything changes nothing"]
    kept = percent(found.faithfulness) if found.share_kept is None else share_text(found.share_kept)
    return [*lines, f"  faithfulness: the circuit keeps {kept} of what ablating everything takes away"]


def _interval(estimate: Estimate, places: int) -> str:
    return f"{estimate:z.{places}f}".partition(" ")[2]

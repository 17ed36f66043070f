"""The parts of the HTML page that are made of a circuit's numbers: tiles, tables, verification, run facts, legend.

Every function gives HTML in which all of the circuit's own text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from circuitspex.circuits.circuit import Circuit, Estimate, Interaction, Node, Verification
from circuitspex.export.drawing.style import (
    budget_text,
    corners,
    interval,
    legend_of,
    number,
    percent,
    printable,
    shape_of,
    verification_decimals,
)


def text(value: object) -> str:
    """A value as text that is safe in HTML, inside tags and attributes."""
    return escape(printable(value), quote=True)


def example(task: Mapping[str, Any]) -> str:
    """The example prompt, its answers and its counterfactual."""
    shown = task.get("example")
    if not isinstance(shown, Mapping) or not shown.get("prompt"):
        return ""
    line = f"<q>{text(shown['prompt'])}</q>"
    if shown.get("answer"):
        line += f" → <b>{text(shown['answer'])}</b>"
    if shown.get("wrong_answer"):
        line += f", not <b>{text(shown['wrong_answer'])}</b>"
    if shown.get("counterfactual"):
        line += f"<br>Counterfactual: <q>{text(shown['counterfactual'])}</q>"
    return f'<p class="example">{line}</p>'


def tiles(circuit: Circuit, places: int) -> str:
    """The numbers to read first."""
    found, verified, run = circuit.faithfulness, circuit.verification, circuit.run
    unknown = "undefined" if found.n_masks else "not measured"
    r2 = unknown if found.r2 is None else number(found.r2, 2, sign=False)
    ends = "" if found.low is None or found.high is None else f"[{found.low:.2f}, {found.high:.2f}] "
    parts = [("R² on held-out ablations", r2, f"{ends}on {found.n_masks} masks".replace("-", "−"))]
    if verified is not None and verified.faithfulness is not None:
        less = f"with {verified.n_components} components kept"
        parts.append(("Behaviour that the circuit keeps", percent(verified.faithfulness), less))
    n_all = run.get("n_components")
    of = f"of {n_all:,} that could be ablated" if isinstance(n_all, int) else ""
    parts.append(("Components", f"{len(circuit.nodes):,}", of))
    redundant = sum(edge.effect < 0 for edge in circuit.interactions)
    kinds = f"{redundant} redundant, {len(circuit.interactions) - redundant} synergistic"
    parts.append(("Interactions", f"{len(circuit.interactions):,}", kinds + _dropped_note(circuit)))
    if budget_text(circuit):
        count, _, what = budget_text(circuit).partition(" ")
        parts.append(("Budget", count, what))
    elif isinstance(circuit.task.get("unablated"), int | float):
        parts.append(("Metric, nothing ablated", number(circuit.task["unablated"], places), ""))
    cells = (f'<dl class="tile"><dt>{text(a)}</dt><dd>{text(b)}<small>{text(c)}</small></dd></dl>' for a, b, c in parts)
    return "".join(cells)


def orders(edges: Iterable[Interaction]) -> str:
    """A checkbox for each order of interaction that occurs."""
    boxes = (
        f'<label><input type="checkbox" value="{order}" checked> {order}</label>'
        for order in sorted({edge.order for edge in edges})
    )
    return "".join(boxes) or "–"


def interactions(edges: Sequence[Interaction], dropped: Sequence[Interaction], places: int) -> str:
    """The sortable table of interactions, those that did not replicate last."""
    if not edges and not dropped:
        return '<p class="muted">No interactions: every component acts on its own.</p>'
    heads = [
        ("Components", ""),
        ("Effect", "n"),
        ("95 % interval", "n"),
        ("Decoded", "n"),
        ("Order", "n"),
        ("Kind", ""),
    ]
    has_q = any(edge.q is not None for edge in (*edges, *dropped))
    heads += [("q", "n")] if has_q else []
    rows = [_edge_row("edge", i, edge, edge.label, places, has_q) for i, edge in enumerate(edges)]
    rows += [_edge_row("dropped", i, edge, "not replicated", places, has_q) for i, edge in enumerate(dropped)]
    return sortable("Interactions", heads, rows)


def components(nodes: Sequence[Node], places: int, layers: bool = True) -> str:
    """The sortable table of components, the strongest first; rows keep the index of the diagram."""
    if not nodes:
        return '<p class="muted">No component was kept.</p>'
    heads = [("Component", ""), ("Effect", "n"), ("95 % interval", "n"), ("Decoded", "n")]
    heads += [*([("Layer", "n")] if layers else []), ("Kind", "")]
    order = sorted(range(len(nodes)), key=lambda i: (-abs(nodes[i].effect), nodes[i].name))
    rows = [
        _row("node", i, [nodes[i].name], nodes[i], places)
        + (f'<td class="num">{nodes[i].layer}</td>' if layers else "")
        + f"<td>{text(nodes[i].kind)}</td></tr>"
        for i in order
    ]
    return sortable("Components", heads, rows)


def verification(found: Verification | None, metric: str) -> str:
    """What was measured with only the circuit kept, and with only the circuit removed, against random circuits."""
    if found is None:
        return ""
    places = verification_decimals(found)
    random = f"{found.n_random} random circuits"
    rows: list[tuple[str, float | Estimate, str]] = [
        ("Nothing ablated", found.full, "muted"),
        ("Only the circuit kept", found.circuit_kept, "positive"),
        (f"{random} kept", found.random_kept, "muted"),
        ("Only the circuit removed", found.circuit_removed, "negative"),
        (f"{random} removed", found.random_removed, "muted"),
        ("Everything ablated", found.empty, "muted"),
    ]
    numbers = [0.0] + [n for _, v, _ in rows for n in ((v.value, v.low, v.high) if isinstance(v, Estimate) else (v,))]
    low, high = min(numbers), max(numbers)
    body = "".join(
        f'<tr><td class="name">{text(name)}</td><td class="num">{_value(value, places)}</td>'
        f"<td>{_bar(value, low, high, colour)}</td></tr>"
        for name, value, colour in rows
    )
    sizes = f"{found.n_components} components each, {found.n_prompts} held-out prompts, mean {text(metric)}"
    return (
        '<section class="card"><h2>Verification</h2>'
        f'<p class="muted">{sizes}</p><div class="scroll"><table class="verify"><thead><tr>'
        f'<th scope="col">Ablation</th><th scope="col" class="num">{text(metric)}</th>'
        '<th scope="col" aria-label="drawn"></th></tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def facts(circuit: Circuit) -> str:
    """Everything needed to run it again."""
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
    timings = _pairs(
        run.get("timings"), lambda name, value: f"{name} {value:.1f} s" if isinstance(value, int | float) else ""
    )
    versions = _pairs(run.get("versions"), lambda name, value: f"{name} {value}" if value else "")
    accuracy = task.get("accuracy")
    rows = [
        (
            "Model",
            ", ".join(str(p) for p in (model.get("name"), model.get("architecture"), *shape, model.get("dtype")) if p),
        ),
        ("Weights", model.get("identity")),
        ("Task", ", ".join(str(part) for part in (task.get("name"), task.get("metric")) if part)),
        ("Numbers a mask" if run.get("lens") in ("training", "game") else "Prompts", task.get("n_prompts")),
        ("Accuracy", f"{accuracy:.0%}" if isinstance(accuracy, int | float) else None),
        ("Components", run.get("components")),
        ("Baseline", run.get("baseline")),
        ("Method", run.get("method")),
        ("Share kept", "–".join(map(str, run["keep_range"])) if "keep_range" in run else run.get("keep")),
        ("Seed", run.get("seed")),
        ("Budget", f"{run['budget']:,} ablations" if isinstance(run.get("budget"), int) else None),
        ("Ablations", ", ".join(ablations)),
        ("Executor", run.get("executor")),
        ("Seconds", timings),
        ("Versions", versions),
    ]
    cells = "".join(f"<dt>{a}</dt><dd>{text(b)}</dd>" for a, b in rows if b is not None and str(b))
    return f'<dl class="facts">{cells}</dl>' if cells else '<p class="muted">The file does not say.</p>'


def _mark(kind: str, colour: str) -> str:
    shape = shape_of(kind)
    if shape == "circle":
        return f'<circle cx="7" cy="7" r="5.5" fill="{colour}"/>'
    if shape == "square":
        return f'<rect x="2" y="2" width="10" height="10" rx="2" fill="{colour}"/>'
    points = " ".join(f"{x:.3g},{y:.3g}" for x, y in corners(shape, 7, 7, 6))
    return f'<polygon points="{points}" fill="{colour}"/>'


def legend(kinds: set[str], arrows: bool = False) -> str:
    """Samples of the marks that the diagram uses."""
    muted, positive, negative = "var(--cx-muted)", "var(--cx-positive)", "var(--cx-negative)"
    entries = [(_mark(kind, muted), 14, label) for kind, label in legend_of(kinds)]
    entries += [
        (_line(positive), 26, "positive, synergistic"),
        (_line(negative, ' stroke-dasharray="5 3"'), 26, "negative, redundant"),
        (_line(muted), 26, "measured"),
        (_line(muted) + '<path d="M1 7H25" stroke="var(--cx-background)" stroke-width="1.6"/>', 26, "estimate"),
    ]
    if arrows:
        shaft = f'<path d="M1 7H17" stroke="{muted}" stroke-width="2"/>'
        arrow = f'{shaft}<polygon points="26,7 16,2.5 16,11.5" fill="{muted}"/>'
        entries.append((arrow, 26, "arrow: travels that way"))
    items = (
        f'<li><svg width="{width}" height="14" viewBox="0 0 {width} 14" aria-hidden="true">{mark}</svg>{name}</li>'
        for mark, width, name in entries
    )
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}<li>Size and width: |effect|</li></ul>'


def _line(colour: str, more: str = "") -> str:
    return f'<path d="M1 7H25" stroke="{colour}" stroke-width="3.6"{more}/>'


def _dropped_note(circuit: Circuit) -> str:
    return f"; {len(circuit.dropped)} more did not replicate" if circuit.dropped else ""


def _pairs(mapping: Any, say: Any) -> str:
    if not isinstance(mapping, Mapping):
        return ""
    return ", ".join(part for part in (say(str(name), value) for name, value in mapping.items()) if part)


def sortable(name: str, heads: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    """A table that the page's script sorts by its heads; those with a second text are numeric."""
    cells = "".join(
        f'<th scope="col"{" class=num data-numeric" if kind else ""}><button type="button">{head}</button></th>'
        for head, kind in heads
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table class="sortable"><thead>'
        f"<tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _edge_row(kind: str, index: int, edge: Interaction, label: str, places: int, has_q: bool) -> str:
    q = "" if not has_q else '<td class="num" data-v="9">–</td>'
    if edge.q is not None:
        q = f'<td class="num" data-v="{edge.q:.7g}">{edge.q:.2g}</td>'
    sign = "" if kind == "dropped" else "sign negative" if edge.effect < 0 else "sign"
    return (
        _row(kind, index, edge.components, edge, places)
        + f'<td class="num">{edge.order}</td><td><span class="{sign}">{label}</span></td>{q}</tr>'
    )


def _row(kind: str, index: int, names: Sequence[str], part: Node | Interaction, places: int) -> str:
    measured = part.measured
    between = "est." if measured is None else interval(measured.low, measured.high, places)
    width = -1.0 if measured is None else measured.high - measured.low
    spans = " × ".join(f"<span>{text(one)}</span>" for one in names)
    return (
        f'<tr data-kind="{kind}" data-index="{index}"{" class=dropped" if kind == "dropped" else ""}>'
        f'<td class="name"><button class="link">{spans}</button></td>'
        f'<td class="num" data-v="{part.effect:.7g}">{number(part.effect, places)}</td>'
        f'<td class="num" data-v="{width:.7g}">{between}</td>'
        f'<td class="num" data-v="{part.decoded:.7g}">{number(part.decoded, places)}</td>'
    )


def _value(value: float | Estimate, places: int) -> str:
    if isinstance(value, Estimate):
        between = interval(value.low, value.high, places)
        return f'{number(value.value, places)} <span class="muted">{between}</span>'
    return number(value, places)


def _bar(value: float | Estimate, low: float, high: float, colour: str) -> str:
    """The value on a common scale, with a whisker for its interval."""
    span = (high - low) or 1.0

    def at(x: float) -> str:
        return f"{2 + 96 * (x - low) / span:.2f}%"

    middle = value.value if isinstance(value, Estimate) else value
    fill = f"var(--cx-{colour})"
    whisker = ""
    if isinstance(value, Estimate):
        ends = f'x1="{at(value.low)}" x2="{at(value.high)}"'
        whisker = f'<line {ends} y1="11" y2="11" stroke="{fill}" stroke-width="5" stroke-opacity=".35"/>'
    return (
        f'<svg aria-hidden="true"><line x1="2%" x2="98%" y1="11" y2="11" stroke="var(--cx-line)"/>'
        f'<line x1="{at(0)}" x2="{at(0)}" y1="4" y2="18" stroke="var(--cx-muted)"/>{whisker}'
        f'<circle cx="{at(middle)}" cy="11" r="5" fill="{fill}"/></svg>'
    )

"""The map of a prompt as one HTML page, and as a cell's output in a notebook.

The page is made like that of a circuit (``html.py``): one file, no network, and a content security policy that names
its style and its script by their hashes.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.prompt_layout import layout
from circuitspex.export.drawing.style import faithfulness_text, interval, number, printable, title_of
from circuitspex.export.pages import parts as page_parts
from circuitspex.export.pages.circuit import filled, hash_of, script_of, stylesheet
from circuitspex.export.pages.prompt_svg import picture
from circuitspex.export.tables.prompt import answer_text, how_text
from circuitspex.files import write_atomically


def render_page(found: PromptMap) -> str:
    """The whole page as text."""
    placed = layout(found)
    title = title_of(found.circuit)
    style, script = stylesheet("page.css", "prompt.css"), script_of("page_common.js", "prompt.js")
    metric = printable(found.circuit.task.get("metric") or "the metric")
    edges = [arc.edge for arc in placed.arcs]
    return filled(
        "prompt.html",
        {
            "script_hash": hash_of(script),
            "style_hash": hash_of(style),
            "style": style,
            "script": script,
            "title": page_parts.text(f"{title} · prompt"),
            "heading": page_parts.text(title),
            "answer": page_parts.text(answer_text(found)),
            "tiles": _tiles(found, placed.places),
            "picture": picture(found, placed, interactive=True),
            "legend": _legend(),
            "words": _words(found, placed.places),
            "interactions": page_parts.interactions(edges, found.circuit.dropped, placed.places),
            "facts": page_parts.facts(found.circuit),
            "metric": page_parts.text(metric),
        },
    )


def write(found: PromptMap, path: Path) -> Path:
    """Write the page."""
    return write_atomically(path, render_page(found).encode("utf-8"))


def render_cell(found: PromptMap) -> str:
    """An HTML fragment without scripts or styles, for notebooks, trusted or not."""
    placed = layout(found)
    drawing = picture(found, placed)
    drawing = drawing.replace("<svg ", f'<svg width="{placed.width:.0f}" height="{placed.height:.0f}" ', 1)
    facts = f"{how_text(found)} · {faithfulness_text(found.circuit)}"
    return (
        '<div style="font-family:system-ui,sans-serif;line-height:1.4;background:#fff;color:#1a1f26;padding:12px;'
        'border-radius:8px">'
        f'<div style="font-weight:650;font-size:15px">{escape(title_of(found.circuit))}: {escape(answer_text(found))}'
        f'</div><div style="font-size:12.5px;color:#59636e;margin-bottom:8px">{escape(facts)}</div>'
        f'<div style="overflow:auto;max-height:620px">{drawing}</div></div>'
    )


def _tiles(found: PromptMap, places: int) -> str:
    circuit = found.circuit
    r2, low, high = circuit.faithfulness.r2, circuit.faithfulness.low, circuit.faithfulness.high
    ends = "" if low is None or high is None else f"[{low:.2f}, {high:.2f}] "
    unablated = circuit.task.get("unablated")
    whole = number(unablated, places) if isinstance(unablated, int | float) else "–"
    strongest = max(found.words, key=lambda word: abs(word.effect), default=None)
    redundant = sum(edge.effect < 0 for edge in circuit.interactions)
    parts = [
        ("Metric, nothing ablated", whole, printable(circuit.task.get("metric") or "")),
        (
            "R² on held-out ablations",
            "–" if r2 is None else number(r2, 2, sign=False),
            f"{ends}on {circuit.faithfulness.n_masks} masks".replace("-", "−"),
        ),
        ("Players", f"{len(found.words):,}", how_text(found).partition(", ")[2]),
        (
            "Interactions",
            f"{len(circuit.interactions):,}",
            f"{redundant} redundant, {len(circuit.interactions) - redundant} synergistic",
        ),
    ]
    if strongest is not None:
        parts.append(("Strongest word", strongest.name, number(strongest.effect, places)))
    text = page_parts.text
    return "".join(
        f'<dl class="tile"><dt>{text(a)}</dt><dd>{text(b)}<small>{text(c)}</small></dd></dl>' for a, b, c in parts
    )


def _words(found: PromptMap, places: int) -> str:
    """The sortable table of words, in the order of the text."""
    rows = []
    for index, word in enumerate(found.words):
        m = word.measured
        between, wide = ("est.", -1.0) if m is None else (interval(m.low, m.high, places), m.high - m.low)
        sign = "sign negative" if word.effect < 0 else "sign"
        rows.append(
            f'<tr data-kind="word" data-index="{index}"><td class="num">{index + 1}</td>'
            f'<td class="name"><span class="{sign}">{page_parts.text(word.name)}</span></td>'
            f'<td class="num" data-v="{word.effect:.7g}">{number(word.effect, places)}</td>'
            f'<td class="num" data-v="{wide:.7g}">{between}</td>'
            f'<td class="num" data-v="{word.decoded:.7g}">{number(word.decoded, places)}</td></tr>'
        )
    heads = [("Place", "n"), ("Word", ""), ("Effect", "n"), ("95 % interval", "n"), ("Decoded", "n")]
    return page_parts.sortable("Words", heads, rows)


def _legend() -> str:
    def sample(kind: str, dash: str) -> str:
        line = f'<path d="M1 7H25" stroke="var(--cx-{kind})" stroke-width="3.6"{dash}/>'
        return f'<svg width="26" height="14" viewBox="0 0 26 14" aria-hidden="true">{line}</svg>'

    dashed = sample("negative", ' stroke-dasharray="5 3"')
    return (
        '<ul class="legend" aria-label="Legend">'
        f"<li>{sample('positive', '')}raises the metric; an arc: work together only</li>"
        f"<li>{dashed}lowers it; an arc: back up or reverse each other</li>"
        "<li>Depth and width: |effect|</li><li>Grey: never ablated</li></ul>"
    )

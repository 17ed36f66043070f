"""The page of a circuit of edges: parts of the model and the edges between them, of which as many as one likes.

It is the page of a circuit without what edges don't have (heat map, roles, groups), and with what they have: the
strongest so many, and the paths from the embeddings to the logits through what is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.claims import interval_note, is_hollow
from circuitspex.export.drawing.edge_layout import EdgeLayout, edge_layout
from circuitspex.export.drawing.edge_marks import edge_diagram, is_mixed
from circuitspex.export.drawing.edge_parts import IN_LEGENDS
from circuitspex.export.drawing.style import decimals, title_of
from circuitspex.export.drawing.svg_pen import BUTTON, SvgPen
from circuitspex.export.pages.circuit_data import data
from circuitspex.export.pages.parts import bars, facts, tiles
from circuitspex.export.pages.rendering import page
from circuitspex.export.pages.trust import checks
from circuitspex.export.words.saying import say
from circuitspex.text import printable

STYLES = ("work.css", "card.css", "edges.css")
SCRIPTS = (
    "page_common.js",
    "bars.js",
    "prompt_words.js",
    "state.js",
    "component_card.js",
    "pair_card.js",
    "cards.js",
    "downloads.js",
    "paths.js",
    "edges.js",
)
MOST_EDGES = 1_000
"""Of more edges the page has the strongest."""
MOST_BYTES = 2_000_000
"""Of a page; where it would be larger, it has fewer edges."""
FEWEST = 50
"""So many edges it has in any case."""
MOST_JSON = 200_000
"""A ``circuit.json`` of more characters than this is not carried by the page of so many edges."""
_CLOSED = {"resample": "resample", "mean": "mean", "mean_vector": "mean", "zero": "zero"}
"""What is said of a closed edge, by the baseline."""


def render_page(circuit: Circuit) -> str:
    """The whole page as text."""
    most = MOST_EDGES
    while True:
        text = _page_of(circuit, most)
        size = len(text.encode("utf-8", "replace"))
        if size <= MOST_BYTES or most <= FEWEST:
            return text
        most = max(FEWEST, int(0.9 * min(most, len(circuit.nodes)) * MOST_BYTES / size))


def _page_of(circuit: Circuit, most: int) -> str:
    placed, places, title = edge_layout(circuit, most), decimals(circuit), title_of(circuit)
    nodes, example = [mark.node for mark in placed.nodes], circuit.task.get("example")
    shown = example if isinstance(example, Mapping) else {}
    rows = sorted(enumerate(nodes), key=lambda row: (-abs(row[1].effect), row[1].name))
    kinds, found = {each.part.kind for each in placed.parts}, checks(circuit)
    given = page_data(placed, circuit, places)
    return page(
        "edges.html",
        STYLES,
        SCRIPTS,
        title=title,
        example={key: shown.get(key) for key in ("prompt", "answer", "wrong_answer", "counterfactual")},
        tiles=tiles(circuit, places),
        checks=found,
        good=all(check.state == "good" for check in found),
        breakdown=(),
        heat=None,
        of_edges=True,
        diagram=Markup(picture(placed, say("circuit.picture", title=title), interactive=True)),
        part_kinds=[(kind, say(f"diagram.kind.{kind}")) for kind in IN_LEGENDS if kind in kinds],
        mixed=is_mixed(placed),
        all_measured=all(node.measured for node in nodes),
        edges=[mark.edge for mark in placed.edges],
        dropped=circuit.dropped,
        left_out=placed.note,
        closed=say(f"edges.closed.{_CLOSED.get(str(circuit.run.get('baseline')), 'other')}"),
        ranks={node.name: rank for rank, node in enumerate(nodes)},
        note=interval_note(circuit),
        looked_for=circuit.looked_for_interactions,
        nodes=[row for row in rows if not is_hollow(row[1])],
        hollow=[row for row in rows if is_hollow(row[1])],
        verification=circuit.verification,
        bars=[] if circuit.verification is None else bars(circuit.verification),
        facts=facts(circuit),
        layered=False,
        metric=given["metric"],
        places=places,
        data=given,
    )


def page_data(placed: EdgeLayout, circuit: Circuit, places: int) -> dict[str, Any]:
    """What the script needs: that of a circuit's page, and the parts with the numbers of those at each edge's ends."""
    found = data(placed, circuit, places, printable(circuit.task.get("metric") or say("page.metric")))
    number = {each.part.name: i for i, each in enumerate(placed.parts)}
    if found["json"] is not None and len(found["json"]) > MOST_JSON:
        found["json"] = None
    shown = ("name", "per_prompt", "signed", "q", "hollow", "effect", "value", "interval", "shown", "decoded")
    return found | {
        "focus": [placed.width / 2, 0.0],  # it starts at the logits
        "nodes": [{key: node[key] for key in shown if key in node} for node in found["nodes"]],
        "part_words": {each.part.kind: say(f"terms.part.{each.part.kind}") for each in placed.parts},
        "parts": [[each.part.name, each.part.kind, each.part.layer] for each in placed.parts],
        "ends": [[number[each.edge.source], number[each.edge.target], each.edge.port] for each in placed.nodes],
        "frames": [[number[name] for name in names] for names, _ in placed.frames],
        "feeds": [[number[shared], number[head]] for shared, head in placed.feeds],
    }


def picture(placed: EdgeLayout, title: str, interactive: bool = False) -> str:
    """The layout as an ``<svg>`` element; ``interactive`` where its marks can be focused and clicked."""
    pen = SvgPen(button=BUTTON if interactive else "")
    edge_diagram(pen, placed)
    return pen.element("cx-diagram", placed.width, placed.height, title)

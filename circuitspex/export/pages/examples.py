"""What training data does, as one HTML page with the examples themselves; no script, no other file, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.circuits.found import Found
from circuitspex.errors import UserError
from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.examples import Shown, circuit_of, examples_of
from circuitspex.export.drawing.style import decimals, interval, number, title_of
from circuitspex.export.pages import parts as page_parts
from circuitspex.export.pages.circuit import filled, hash_of, stylesheet
from circuitspex.export.pages.parts import text
from circuitspex.export.pages.svg import diagram
from circuitspex.files import write_atomically
from circuitspex.games import TrainingGame


def examples_page(
    found: Found | Circuit,
    game: TrainingGame,
    path: str | Path,
    *,
    pictures: Any = None,
    captions: Sequence[Any] | None = None,
    per_player: int = 6,
) -> Path:
    """Write the page and give its path.

    Args:
        found: what ``explain`` gave, or its circuit.
        game: the game that was explained.
        path: the file.
        pictures: one a training example, ``(N, H, W)`` or ``(N, H, W, 3)``; numbers of any range, or bytes. By default
            the training inputs, where they have such a shape.
        captions: one text a training example, its label for example.
        per_player: of a group so many examples are shown, the first ones.

    Raises:
        UserError: pictures or captions that don't fit the training data, or a circuit of another game.
    """
    if per_player < 1:
        raise UserError(f"per_player must be at least 1, not {per_player}")
    circuit, shown = circuit_of(found), examples_of(found, game, pictures, captions)
    places, title = decimals(circuit), title_of(circuit)
    placed = layout(circuit)
    style = stylesheet("page.css", "examples.css")
    word = game.part(0)[1]
    values = {
        "style": style,
        "style_hash": hash_of(style),
        "title": text(f"{title} · training data"),
        "heading": text(title),
        "tiles": page_parts.tiles(circuit, places),
        "diagram": diagram(placed, f"Graph of {title}"),
        "legend": page_parts.legend({mark.node.kind for mark in placed.nodes}),
        "interactions": _interactions(circuit, shown, places, per_player),
        "players": _players(circuit.nodes, shown, places, per_player),
        "facts": _training(circuit) + page_parts.facts(_without_prompts(circuit)),
        "metric": text(circuit.task.get("metric") or "the value"),
        "players_word": text(word),
        "columns": "training seeds" if game.columns == "seeds" else "test examples",
    }
    return write_atomically(Path(path), filled("examples.html", values).encode("utf-8"))


def _training(circuit: Circuit) -> str:
    """What a training was, in a sentence; empty where the run does not say."""
    run = circuit.run
    if not isinstance(run.get("n_examples"), int):
        return ""
    batch = f"batches of {run['batch_size']}" if run.get("batch_size") else "all examples in each step"
    seeds = len(run.get("seeds") or [1])
    return (
        f"<p>Each training: {run['n_examples']:,} examples less those left out, {text(run.get('steps'))} steps of "
        f"{text(run.get('optimizer'))}, {batch}, {seeds} seed{'s' if seeds != 1 else ''}; "
        f"{text(run.get('n_tests'))} test examples.</p>"
    )


def _without_prompts(circuit: Circuit) -> Circuit:
    """The columns of a training game are no prompts."""
    return replace(circuit, task={key: value for key, value in circuit.task.items() if key != "n_prompts"})


def _interactions(circuit: Circuit, shown: Shown, places: int, count: int) -> str:
    dropped = f'<p class="muted">{len(circuit.dropped)} more did not replicate.</p>' if circuit.dropped else ""
    if not circuit.interactions:
        return '<p class="muted">No interactions: each acts on its own.</p>' + dropped
    cards = "".join(_card(edge, edge.components, edge.label, shown, places, count) for edge in circuit.interactions)
    return f'<div class="cards pair">{cards}</div>{dropped}'


def _players(nodes: Sequence[Node], shown: Shown, places: int, count: int) -> str:
    if not nodes:
        return '<p class="muted">No effect could be told from zero.</p>'
    return f'<div class="cards">{"".join(_card(node, (node.name,), "", shown, places, count) for node in nodes)}</div>'


def _card(part: Node | Interaction, names: Sequence[str], label: str, shown: Shown, places: int, count: int) -> str:
    measured = part.measured
    between = "estimated" if measured is None else interval(measured.low, measured.high, places)
    sign = " negative" if part.effect < 0 else ""
    several = len(names) > 1
    members = "".join(_member(name, shown, count, several) for name in names)
    return (
        f'<article class="item{sign}"><h3>{text(" × ".join(names))}</h3>'
        f'<p class="effect">{number(part.effect, places)}<small>{between}{" · " + label if label else ""}</small></p>'
        f"{members}{_combinations(part, places) if isinstance(part, Interaction) else ''}</article>"
    )


def _member(name: str, shown: Shown, count: int, named: bool) -> str:
    members = shown.members[name]
    size = f"{len(members)} example{'s' if len(members) != 1 else ''}"
    head = f"{text(name)}, {size}" if named else size
    return f'<div class="member"><p>{head}</p>{_thumbs(members[:count], shown)}</div>'


def _thumbs(indices: Sequence[int], shown: Shown) -> str:
    cells = []
    for index in indices:
        caption = text(shown.captions[index])
        if shown.pictures is not None:
            alt = caption or f"example {index}"
            cells.append(f'<li><img src="{shown.data_url(index)}" alt="{alt}" title="example {index}">{caption}</li>')
        else:
            cells.append(f'<li class="text">{caption or f"example {index}"}</li>')
    return f'<ul class="thumbs">{"".join(cells)}</ul>'


def _combinations(edge: Interaction, places: int) -> str:
    """The mean metric with each of the members in training or left out."""
    if not edge.table:
        return ""
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in edge.components)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{'in' if kept else 'left out'}</td>" for kept in row.kept)
        + f'<td class="num">{number(row.value, places, sign=False)}</td></tr>'
        for row in edge.table
    )
    head = f'{heads}<th scope="col" class="num">value</th>'
    return f'<table class="combos"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

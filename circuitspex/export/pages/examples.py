"""What training data does, as one HTML page with the examples themselves; no script, no other file, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.found import Found
from circuitspex.errors import UserError
from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.examples import circuit_of, examples_of
from circuitspex.export.drawing.style import decimals, others_text, title_of
from circuitspex.export.pages.parts import facts, tiles
from circuitspex.export.pages.rendering import page
from circuitspex.export.pages.svg import diagram
from circuitspex.export.words.saying import say
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
    places, title, placed = decimals(circuit), title_of(circuit), layout(circuit)
    made = page(
        "examples.html",
        ["examples.css"],
        title=title,
        tiles=tiles(circuit, places),
        diagram=Markup(diagram(placed, say("examples.picture", title=title))),
        kinds={mark.node.kind for mark in placed.nodes},
        edges=circuit.interactions,
        dropped=len(circuit.dropped),
        nodes=circuit.nodes,
        shown=shown,
        per_player=per_player,
        training=_training(circuit),
        facts=facts(_without_prompts(circuit)),
        metric=circuit.task.get("metric") or say("examples.value_metric"),
        word=game.part(0)[1],
        others=others_text(circuit),
        columns=say("examples.over_seeds") if game.columns == "seeds" else say("examples.over_tests"),
        places=places,
    )
    return write_atomically(Path(path), made.encode("utf-8"))


def _training(circuit: Circuit) -> str:
    """What a training was, in a sentence; empty where the run does not say."""
    run = circuit.run
    if not isinstance(run.get("n_examples"), int):
        return ""
    batch = say("examples.batches", size=run["batch_size"]) if run.get("batch_size") else say("examples.full_batch")
    seeds = len(run.get("seeds") or [1])
    return say(
        "examples.training",
        examples=f"{run['n_examples']:,}",
        steps=run.get("steps"),
        optimizer=run.get("optimizer"),
        batch=batch,
        n=seeds,
        tests=run.get("n_tests"),
    )


def _without_prompts(circuit: Circuit) -> Circuit:
    """The columns of a training game are no prompts."""
    return replace(circuit, task={key: value for key, value in circuit.task.items() if key != "n_prompts"})

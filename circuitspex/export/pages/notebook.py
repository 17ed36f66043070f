"""What a notebook shows: the page, in a frame that a script opens; and the picture where no script runs.

Notebooks that are not trusted, and viewers such as GitHub, take scripts and frames out of what they show, so that the
picture is left. The page is in the output itself, as text; nothing is asked of a network or of the kernel.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable

from markupsafe import Markup

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.comparison import Comparison
from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.pages import circuit, comparison, prompt
from circuitspex.export.pages.rendering import asset, render
from circuitspex.export.words.saying import say

HEIGHT = 780
"""Of the frame in pixels, unless the page is shorter; its lower edge can be dragged."""
LARGEST = 4_000_000
"""Characters of a page that is put into a notebook; of a larger one the picture is shown."""


def render_circuit(made: Circuit) -> str:
    """A circuit in a notebook."""
    return _cell(circuit.render_cell(made), lambda: circuit.render_page(made), say("circuit.name"))


def render_comparison(made: Comparison) -> str:
    """A comparison in a notebook."""
    return _cell(comparison.render_cell(made), lambda: comparison.render_page(made), say("comparison.name"))


def render_prompt(made: PromptMap) -> str:
    """The map of a prompt in a notebook."""
    return _cell(prompt.render_cell(made), lambda: prompt.render_page(made), say("prompt.name"))


def _cell(static: str, page_of: Callable[[], str], title: str) -> str:
    page = page_of()
    if len(page) > LARGEST:
        said = say("notebook.too_large", size=f"{len(page) / 1e6:.1f}")
        return static + f"<div>{html.escape(said)}</div>"
    name = hashlib.sha256(page.encode("utf-8", "replace")).hexdigest()[:12]
    script = Markup(asset("notebook.js").replace("$HASH", name))
    parts = {"static": Markup(static), "page": Markup(html.escape(page)), "script": script}
    return render("notebook.html", hash=name, title=title, height=HEIGHT, **parts)

"""Jinja2 templates (``templates/``) with the style sheets and scripts beside them (``assets/``), as finished pages.

Everything that a template prints is made printable and escaped, unless it is ``Markup``: drawings and our own assets.
A page is one file that asks no network for anything. Its content security policy names its style and script by their
hashes and forbids everything else, so that text from prompts or names can't run even if it got past the escaping.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from circuitspex.export.drawing import style
from circuitspex.export.drawing.claims import few_text
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, KINDS_OF_CHANGE
from circuitspex.export.words import relations
from circuitspex.export.words.saying import say, say_term, script_words
from circuitspex.text import printable

_PAGE_LIGHT, _PAGE_DARK = "#eef1f4", "#0b0e12"


def render(template: str, **values: Any) -> str:
    """The template of that name, filled."""
    return environment().get_template(template).render(values)


def page(template: str, styles: Sequence[str], scripts: Sequence[str] = (), **values: Any) -> str:
    """A page with these assets; a template that needs ``data`` for its script gets it embedded as JSON."""
    script = Markup(_assets(*scripts))
    return render(template, style=_stylesheet("page.css", "frame.css", *styles), script=script, **values)


def sized(drawing: str, placed: Any) -> Markup:
    """An SVG element as wide and high as its layout, for documents without style sheets."""
    size = f'<svg width="{placed.width:.0f}" height="{placed.height:.0f}" '
    return Markup(drawing.replace("<svg ", size, 1))


@functools.cache
def environment() -> Environment:
    """Where templates are found, what they may call, and how they escape."""
    made = Environment(
        loader=PackageLoader("circuitspex.export.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    words = ("corners", "effect_number", "effect_text", "interval", "is_signed", "legend_of", "number", "shape_of")
    made.globals |= {name: getattr(style, name) for name in words} | {
        "KIND_MARKS": KIND_MARKS,
        "KINDS_OF_CHANGE": KINDS_OF_CHANGE,
    }
    made.globals |= {"few_text": few_text, "relation_short": relations.short, "say": say, "say_term": say_term}
    made.filters |= {"policy_hash": _policy_hash, "by_rank": _by_rank, "script_words": script_words}
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return made


def asset(name: str) -> str:
    """The text of an asset."""
    return _assets(name)


@functools.cache
def _assets(*names: str) -> str:
    """The assets of these names, one after the other."""
    folder = resources.files("circuitspex.export.pages").joinpath("assets")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8").strip() for name in names)


@functools.cache
def _stylesheet(*names: str) -> Markup:
    """The style sheets of these names, after the colours of the light and the dark palette."""
    light, dark = _variables(style.LIGHT, _PAGE_LIGHT), _variables(style.DARK, _PAGE_DARK)
    return Markup(
        f":root{{{light};color-scheme:light}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark};color-scheme:dark}}}}\n"
        f':root[data-theme="light"]{{{light};color-scheme:light}}\n'
        f':root[data-theme="dark"]{{{dark};color-scheme:dark}}\n' + _assets(*names)
    )


def _variables(palette: style.Palette, background: str) -> str:
    colours = ";".join(f"--cx-{field.name}:{getattr(palette, field.name)}" for field in fields(palette))
    return f"{colours};--page:{background}"


def _by_rank(names: Sequence[str], ranks: Mapping[str, int]) -> list[str]:
    """Names in the order of their ranks; those without one stay where they are, behind the others."""
    return sorted(names, key=lambda name: ranks.get(name, len(ranks)))


def _policy_hash(text: str) -> Markup:
    """The text's hash as a content security policy names it."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return Markup(f"'sha256-{base64.b64encode(digest).decode()}'")

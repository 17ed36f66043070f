"""Who says which text with which values: found in the templates, the scripts and the modules of export."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import nodes

import circuitspex.export
from circuitspex.export.pages.rendering import environment

EXPORT = Path(circuitspex.export.__file__).parent
PAGES = resources.files("circuitspex.export.pages")
TEMPLATES = {path.name: path.read_text("utf-8") for path in Path(str(PAGES / "templates")).glob("*.html")}
SCRIPTS = {path.name: path.read_text("utf-8") for path in Path(str(PAGES / "assets")).glob("*.js")}
MODULES = {
    str(path.relative_to(EXPORT)): path.read_text("utf-8")
    for path in EXPORT.rglob("*.py")
    if path.parent.name != "words" or path.name in ("saying.py", "relations.py")
}
TERMS = "say_term"


@dataclass(frozen=True)
class Use:
    """A text said somewhere; a key that ends in '.' stands for all that begin so."""

    place: str
    key: str
    values: frozenset[str]
    in_script: bool = False

    def is_of(self, key: str) -> bool:
        return key.startswith(self.key) if self.key.endswith(".") else key == self.key


def in_templates() -> Iterator[Use]:
    for name, text in TEMPLATES.items():
        for call in environment().parse(text).find_all(nodes.Call):
            called = call.node.name if isinstance(call.node, nodes.Name) else ""
            if called == "say":
                assert call.dyn_kwargs is None, f"{name}: values must be named"
                values = frozenset(pair.key for pair in call.kwargs)
                key = call.args[0].nodes[0] if isinstance(call.args[0], nodes.Concat) else call.args[0]
                assert isinstance(key, nodes.Const), f"{name}: {call} must name its key"
                yield Use(name, key.value, values)
            elif called == TERMS:
                yield Use(name, f"terms.{call.args[0].value}.", frozenset())


_CALL = re.compile(r"\bsay(?:With)?\(")
_PLAIN = re.compile(r'\bsay(?:With)?\("(?P<key>[a-z0-9_.]+)"(?P<after>\)|, )')


def in_scripts() -> Iterator[Use]:
    for name, text in SCRIPTS.items():
        for found in _CALL.finditer(text):
            plain = _PLAIN.match(text, found.start())
            if plain is None:
                assert name == "page_common.js", f"{name}: a key is not written out: {text[found.start() :][:60]}"
                continue
            rest = text[plain.end() :]
            values = frozenset() if plain["after"] == ")" else _names(rest, text)
            yield Use(name, plain["key"], values, in_script=True)


def _names(rest: str, whole: str) -> frozenset[str]:
    """The names in an object that is written here, or in the constant of that name."""
    if not rest.startswith("{"):
        name = re.match(r"\w+", rest)[0]
        rest = whole[re.search(rf"\b{name} = (?=\{{)", whole).end() :]
    depth, parts = 0, [""]
    for character in rest:
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            break
        if depth == 1 and character == ",":
            parts.append("")
        else:
            parts[-1] += character
    return frozenset(re.match(r"[{\s]*(\w*)", part)[1] for part in parts)


def in_modules() -> Iterator[Use]:
    for name, text in MODULES.items():
        for call in ast.walk(ast.parse(text)):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            if call.func.id == "say" and name != "words/saying.py":
                values = frozenset(str(keyword.arg) for keyword in call.keywords)
                yield Use(name, _key(call.args[0], name), values)
            elif call.func.id == TERMS:
                assert isinstance(call.args[0], ast.Constant), f"{name}: a group of terms is not written out"
                yield Use(name, f"terms.{call.args[0].value}.", frozenset())


def _key(given: ast.expr, name: str) -> str:
    first = given.values[0] if isinstance(given, ast.JoinedStr) else given
    assert isinstance(first, ast.Constant), f"{name}: a key is not written out: {ast.unparse(given)}"
    assert given is first or str(first.value).endswith("."), f"{name}: {ast.unparse(given)} must begin with a group"
    return str(first.value)


def all_uses() -> list[Use]:
    return [*in_templates(), *in_scripts(), *in_modules()]

"""Every message of an error that a user can cause, read from the code, by area."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

AREAS = {
    "models": "Models",
    "tasks": "Tasks and prompts",
    "components": "Components and selectors",
    "ablation": "Ablations, baselines and the store",
    "games": "Games: words, training data, functions of your own",
    "kernels": "Kernels",
    "masks": "Masks",
    "recovery": "Decoders",
    "circuits": "Searching, choosing, comparing, describing",
    "export": "Files and pictures",
    "cli": "The command line",
    "": "Anywhere",
}


@dataclass(frozen=True)
class Message:
    """A message as the code has it, with what is filled in written ``‹so›``, and the error that carries it."""

    area: str
    error: str
    text: str


def kinds(root: Path) -> set[str]:
    """``UserError`` and its kin, with the error that options' types raise."""
    tree = ast.parse((root / "circuitspex/errors.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Error")} | {
        "ArgumentTypeError"
    }


def messages(root: Path) -> list[Message]:
    """All messages, in the order of areas and of their words."""
    known, found = kinds(root), set()
    for file in sorted((root / "circuitspex").rglob("*.py")):
        parts = file.relative_to(root / "circuitspex").parts
        area = parts[0] if len(parts) > 1 else ""
        for error, text in _in(ast.parse(file.read_text(encoding="utf-8")), known):
            found.add(Message(area, "UserError" if error == "ArgumentTypeError" else error, text))
    order = list(AREAS)
    return sorted(found, key=lambda m: (order.index(m.area), m.text.lstrip("‹").lower()))


def _in(tree: ast.AST, known: set[str]) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        call = node.exc if isinstance(node, ast.Raise) else node.value if isinstance(node, ast.Return) else None
        if isinstance(call, ast.Call) and call.args:
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in known:
                for text in _texts(call.args[0]):
                    if re.search(r"[a-z]{3}.* .*[a-z]{2}", re.sub(r"‹[^›]*›", "", text)):
                        yield name, text


def _texts(node: ast.expr) -> list[str]:
    """The texts that an expression may give; what is filled in has its name between ‹ and ›."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return _joined([_texts(value) for value in values])
        case ast.FormattedValue(value=ast.Constant() | ast.IfExp() | ast.JoinedStr() as inner):
            return _texts(inner)
        case ast.FormattedValue(value=value):
            return [f"‹{_named(value)}›"]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([_texts(left), _texts(right)])
        case ast.IfExp(body=body, orelse=orelse):
            return [*_texts(body), *_texts(orelse)]
    return [f"‹{_named(node)}›"]


def _joined(parts: list[list[str]]) -> list[str]:
    """Their combinations; where these would be many, the first of each."""
    joined = [""]
    for part in parts:
        joined = [a + b for a in joined for b in (part if len(joined) * len(part) <= 4 else part[:1])]
    return joined


def _named(node: ast.expr) -> str:
    """A word for a value: the last name in it."""
    names = [
        n.attr if isinstance(n, ast.Attribute) else n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute | ast.Name)
    ]
    return names[0].strip("_").replace("_", " ") if names else "…"


def page(root: Path) -> str:
    """A table for each area."""
    parts = [
        "# All messages",
        "Every message of a wrong call, file or environment, as the code has it. What is filled in stands "
        "between ‹ and ›. Most name what is allowed; for "
        "those that people meet most there is a page with [causes and remedies](errors.md).",
    ]
    found = messages(root)
    for area, title in AREAS.items():
        rows = [f"| {_cell(m.text)} | `{m.error}` |" for m in found if m.area == area]
        if rows:
            parts += [f"## {title}", "\n".join(["| message | error |", "| --- | --- |", *rows])]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    plain = " ".join(text.split())
    return re.sub(r"([|\\`*_<\[\]])", r"\\\1", plain)

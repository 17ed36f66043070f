"""The public names of the package, read from its faces, and the page of the site on each face."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

IN_FULL = ("circuitspex.typing", "circuitspex.errors")
"""Modules beside the folders whose public names are all documented."""


@dataclass(frozen=True)
class Face:
    """A package as users import it: its public names, each with the place that it is imported from."""

    name: str
    about: str
    names: dict[str, str]


def faces(root: Path) -> list[Face]:
    """All faces of the package, the top one first; ``root`` is the folder that ``circuitspex/`` is in."""
    found = [_of_stub(root, stub) for stub in (root / "circuitspex").rglob("__init__.pyi")]
    found += [_of_masks(root), _of_export(root)]
    return sorted(found, key=lambda face: face.name)


@functools.cache
def _of_stub(root: Path, stub: Path) -> Face:
    package = _dotted(root, stub.parent)
    names = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            place = ".".join([package, *([node.module] if node.module else [])])
            names |= {alias.asname: f"{place}.{alias.name}" for alias in node.names if alias.asname}
    return Face(package, _about(stub.with_suffix(".py")), names)


def _of_masks(root: Path) -> Face:
    """``masks`` imports its names at once."""
    file = root / "circuitspex/masks/__init__.py"
    body = ast.parse(file.read_text(encoding="utf-8")).body
    names = {
        alias.name: f"{node.module}.{alias.name}"
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return Face("circuitspex.masks", _about(file), names)


def _of_export(root: Path) -> Face:
    """``export`` names the places of its functions: ``name = _in("module:function")``."""
    file = root / "circuitspex/export/__init__.py"
    names = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            name, arguments = node.targets[0].id, node.value.args
            if not name.startswith("_") and arguments and isinstance(arguments[0], ast.Constant):
                names[name] = f"circuitspex.export.{str(arguments[0].value).replace(':', '.')}"
    return Face("circuitspex.export", _about(file), names)


def _dotted(root: Path, folder: Path) -> str:
    return ".".join(folder.relative_to(root).parts)


def _about(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def pages(root: Path) -> dict[str, str]:
    """The reference of Python: Markdown by the page's path in the site."""
    shown: dict[str, str] = {}
    written = {}
    for face in faces(root):
        written[page_of(face.name)] = _page(root, face, shown)
    for module in IN_FULL:
        about = _about(root / f"{module.replace('.', '/')}.py")
        options = _options({"show_root_heading": False, "show_root_toc_entry": False})
        written[page_of(module)] = f"# {module}\n\n{about}\n\n::: {module}\n{options}"
    return written


def page_of(name: str) -> str:
    """Where the page on a face is."""
    return f"reference/api/{name}.md"


def _page(root: Path, face: Face, shown: dict[str, str]) -> str:
    """The page on a face; ``shown`` has the places that earlier pages describe, and then this one's, too."""
    parts = [f"# {face.name}", face.about]
    elsewhere, here = [], []
    for name in sorted(face.names, key=str.lower):
        place = face.names[name]
        if _is_module(root, place):
            elsewhere.append(f"- [`{name}`]({place}.md): a package of its own.")
            continue
        canonical = _canonical(root, place)
        if canonical in shown:
            elsewhere.append(f"- [`{name}`][{shown[canonical]}]")
        else:
            shown[canonical] = f"{face.name}.{name}"
            here.append(
                f"::: {face.name}.{name}" if not canonical.startswith("circuitspex.export.") else f"::: {place}"
            )
    if elsewhere:
        parts += ["Described on other pages:", "\n".join(elsewhere)]
    return "\n\n".join([*parts, *here]) + "\n"


def _is_module(root: Path, place: str) -> bool:
    path = root / place.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def _canonical(root: Path, place: str) -> str:
    """The place where a name is defined, through the faces that pass it on."""
    package, _, name = place.rpartition(".")
    folder = root / package.replace(".", "/")
    if (folder / "__init__.pyi").is_file():
        return _canonical(root, _of_stub(root, folder / "__init__.pyi").names[name])
    if package == "circuitspex.masks":
        return _of_masks(root).names[name]
    if (folder / "__init__.py").is_file():
        for node in ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
                return f"{node.module}.{name}"
    return place


def _options(options: dict[str, object]) -> str:
    lines = [f"      {key}: {str(value).lower()}" for key, value in options.items()]
    return "\n".join(["    options:", *lines, ""])

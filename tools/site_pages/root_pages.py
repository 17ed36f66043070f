"""Pages made of files at the root of the repository: what changed, how to contribute, to cite, to report a problem."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import yaml

FROM_ROOT = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CITATION.cff": "cite.md",
    "SECURITY.md": "reporting_security.md",
}
"""Which page of the site a file at the root becomes."""


def cite(citation: dict[str, Any]) -> str:
    """How to cite, from ``CITATION.cff``."""
    works = [citation | {"type": "software"}, *citation["references"]]
    parts = ["# Cite", str(citation["message"])]
    for work in works:
        parts += [f"## {work['title']}", f"```bibtex\n{_bibtex(work)}\n```"]
    parts.append("The same in a file that reference managers read: [CITATION.cff](CITATION.cff).")
    return "\n\n".join(parts) + "\n"


def _bibtex(work: dict[str, Any]) -> str:
    fields = {
        "title": "{" + str(work["title"]) + "}",
        "author": " and ".join(_author(author) for author in work["authors"]),
        "year": work.get("year"),
        "url": work.get("url"),
        "version": work.get("version"),
        "license": work.get("license"),
    }
    kind, key = ("software", "circuitspex") if work["type"] == "software" else ("misc", _key(work))
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value is not None]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _author(author: dict[str, str]) -> str:
    return "{" + author["name"] + "}" if "name" in author else f"{author['family-names']}, {author['given-names']}"


def _key(work: dict[str, Any]) -> str:
    return f"{work['authors'][0]['family-names'].lower()}{work['year']}{str(work['title']).split(':')[0].lower()}"


def pages(root: Path) -> dict[str, str]:
    """Markdown by the page's path in the site."""
    return {
        "changelog.md": (root / "CHANGELOG.md").read_text(encoding="utf-8"),
        "contributing.md": (root / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        "reporting_security.md": (root / "SECURITY.md").read_text(encoding="utf-8"),
        "cite.md": cite(yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))),
    }


def source_of(page: str) -> str:
    """Where in the repository a page is written, from which its links are relative."""
    return next((file for file, made in FROM_ROOT.items() if made == page), f"docs/{page}")


def linked(text: str, page: str, root: Path) -> tuple[str, set[str]]:
    """The page with its links as they have to be in the site, and the files outside of docs/ that they lead to."""
    source, files = source_of(page), set()

    def moved(link: re.Match[str]) -> str:
        path, hash_mark, anchor = link[2].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return link[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if target in FROM_ROOT and page != "cite.md":
            target = f"docs/{FROM_ROOT[target]}"
        elif target == "README.md":
            target = "docs/index.md"
        elif not target.startswith("docs/"):
            if not (root / target).is_file():
                return link[0]  # and the strict build says that there is no such file
            files.add(target)
            target = f"docs/{target}"
        to = posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page) or ".")
        return f"{link[1]}{to}{hash_mark}{anchor})"

    pieces = re.split(r"(^ *```.*?^ *```)", text, flags=re.MULTILINE | re.DOTALL)
    pieces[::2] = [re.sub(r"(\]\()([^)\s]+)\)", moved, piece) for piece in pieces[::2]]
    return "".join(pieces), files

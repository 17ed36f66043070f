"""The blocks of code and commands of a page, with the marks that stand before them as HTML comments.

``<!-- needs: gpu, hub -->`` names what a block can't be run without; ``<!-- given: model, task -->`` what the page says
in words and the block takes as given.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS = {
    "gpu": "a CUDA device",
    "hub": "the Hugging Face hub or a package index",
    "long": "minutes; run with DOCS_LONG=1",
    "yours": "something of the reader's own: a file, a stored run, an autoencoder",
    "weights": "the real SmolLM2-135M; not run with DOCS_MODEL=miniature",
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = ("circuitspex", "make", "python", "pip")
SHOWN = {"", "text", "toml", "json", "mermaid", "bibtex"}
"""Languages of blocks that are shown and not run."""


@dataclass(frozen=True)
class Block:
    """A block as it stands on its page, its first line counted from 1."""

    page: Path
    line: int
    language: str
    text: str
    marks: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def needs(self) -> set[str]:
        """What it can't be run without."""
        return {each for kind, values in self.marks if kind == "needs" for each in values}

    @property
    def given(self) -> list[str]:
        """What it takes as given."""
        return [each for kind, values in self.marks if kind == "given" for each in values]

    @property
    def commands(self) -> list[list[str]]:
        """Its commands, split as a shell does; empty where it is Python."""
        if self.language != "bash":
            return []
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All fenced blocks, and indented ones that are commands."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    i = 0
    while i < len(lines):
        fence = re.match(r"^( *)```(\w*)$", lines[i])
        if fence:
            end = next(j for j in range(i + 1, len(lines)) if lines[j] == f"{fence[1]}```")
            text = "\n".join(line.removeprefix(fence[1]) for line in lines[i + 1 : end])
            found.append(Block(page, i + 2, fence[2], text, _marks(lines, i)))
            i = end
        elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            end = next((j for j in range(i, len(lines)) if not lines[j].startswith("    ")), len(lines))
            text = "\n".join(line[4:] for line in lines[i:end])
            if re.match(rf"(\w+=\S+ )?({'|'.join(PROGRAMS)}) ", text) or " cx." in text:
                found.append(Block(page, i + 1, "bash", text, _marks(lines, i)))
            i = end - 1
        i += 1
    return found


def _marks(lines: list[str], at: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Of the comments right above a line."""
    found = []
    while at > 0 and (not lines[at - 1].strip() or lines[at - 1].strip().startswith("<!--")):
        at -= 1
        mark = re.fullmatch(r"<!-- (\w+): (.+) -->", lines[at].strip())
        if mark:
            found.append((mark[1], tuple(value.strip() for value in mark[2].split(","))))
    return tuple(reversed(found))

"""Pages are read on the site as on GitHub: with the lists, tables, blocks and headings that CommonMark sees."""

from __future__ import annotations

import random
import re
from pathlib import Path

import markdown
import pytest
from markdown_it import MarkdownIt
from site_pages.github_markdown import for_the_site

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TAGS = ("h1", "h2", "h3", "ul", "ol", "li", "table", "tr", "pre", "strong")


def on_the_site(text: str) -> str:
    return markdown.markdown(for_the_site(text), extensions=["tables", "pymdownx.superfences", "md_in_html"])


def on_github(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def counted(html: str) -> dict[str, int]:
    return {tag: len(re.findall(rf"<{tag}[ >]", html)) for tag in TAGS}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_pages_have_the_same_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert counted(on_the_site(text)) == counted(on_github(text))


@pytest.mark.parametrize("seed", range(30))
def test_random_lists_have_the_same_parts(seed: int) -> None:
    rng = random.Random(seed)
    lines: list[str] = []

    def items(indent: str, depth: int, mark: str) -> None:
        for _ in range(rng.randint(1, 3)):
            lines.append(f"{indent}{mark} item")
            inner = indent + " " * (len(mark) + 1)
            if rng.random() < 0.4:
                lines.append(f"{inner}goes on")
            if rng.random() < 0.2 and depth == 1:
                lines.extend(["", f"{inner}```python", f"{inner}x = 1", "", f"{inner}    y = 2", f"{inner}```"])
            elif rng.random() < 0.4 and depth < 3:
                items(inner, depth + 1, mark)

    for _ in range(3):
        lines.append("A paragraph.")
        if rng.random() < 0.5:
            lines.append("")
        start = len(lines)
        items("", 1, rng.choice(["-", "1."]))
        if lines[start].startswith("1.") and lines[start - 1]:
            lines.insert(start, "")  # a numbered list that interrupts a paragraph is one in CommonMark, too
        lines.extend(["", "Next.", ""])
    text = "\n".join(lines)
    assert counted(on_the_site(text)) == counted(on_github(text)), text

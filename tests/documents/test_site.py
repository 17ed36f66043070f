"""The site: every page is in its navigation, it builds without a warning, and its pages ask no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flow_picture
import pytest
from mkdocs.config import load_config
from site_pages import made

ROOT = Path(__file__).parents[2]


def entries(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from entries(each)


def test_the_navigation_has_every_page_once() -> None:
    listed = list(entries(load_config(str(ROOT / "mkdocs.yml"))["nav"]))
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) == written | set(made.pages(ROOT))
    assert not written & set(made.pages(ROOT))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet, under which warnings are neither shown nor counted as failures.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = f"{done.stdout}{done.stderr}"
    assert (done.returncode, re.findall(r"^(?:WARNING|ERROR).*", said, re.MULTILINE)) == (0, []), said
    return folder


def test_it_builds_strictly_and_asks_no_other_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        html = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?([^\" >]+)", html)
        fetched += [
            address
            for tag in re.findall(r"<link\b[^>]*>", html)
            if not re.search(r"rel=\"?(?:canonical|prev|next)", tag)
            for address in re.findall(r"href=\"?([^\" >]+)", tag)
        ]
        assert [address for address in fetched if re.match(r"(?:https?:)?//", address)] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_public_names_have_their_anchor(site: Path) -> None:
    for path, text in made.pages(ROOT).items():
        if path.startswith("reference/api/"):
            html = (site / path.replace(".md", ".html")).read_text(encoding="utf-8")
            names = [line[4:] for line in text.splitlines() if line.startswith("::: ")]
            missing = [name for name in names if f'id="{name}"' not in html and f"id={name}" not in html]
            assert [name for name in missing if name not in ("circuitspex.typing", "circuitspex.errors")] == []


def test_the_picture_of_the_flow_is_what_its_tool_draws() -> None:
    assert (ROOT / "docs/images/flow.svg").read_text(encoding="utf-8") == flow_picture.draw()
    folders = {path.parent.name for path in (ROOT / "circuitspex").glob("*/__init__.py")}
    assert set(flow_picture.BOXES) == folders
    assert all(start in folders and end in folders for start, end, _ in flow_picture.ARROWS)


def test_every_picture_is_in_the_gallery_beside_what_makes_it() -> None:
    page = ROOT / "docs/gallery.md"
    sections = page.read_text(encoding="utf-8").split("\n## ")[1:]
    shown = {name: section for section in sections for name in re.findall(r"\]\(images/([^)]+)\)", section)}
    assert set(shown) == {path.name for path in (ROOT / "docs/images").iterdir()}
    assert [name for name, section in shown.items() if "```" not in section] == []

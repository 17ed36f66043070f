"""Notebooks open in Colab from a site whose repository is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from site_pages.colab import VARIABLE, with_colab

ROOT = Path(__file__).parents[2]
FRONT = (ROOT / "docs/index.md").read_text(encoding="utf-8")


def test_each_notebook_of_the_front_page_has_its_link() -> None:
    text = with_colab(FRONT, "someone/circuits")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        address = f"https://colab.research.google.com/github/someone/circuits/blob/main/notebooks/{path.name}"
        assert f"(../notebooks/{path.name}) ([Colab]({address}))" in text


def test_without_a_repository_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert with_colab(FRONT) == FRONT
    monkeypatch.setenv(VARIABLE, "https://github.com/someone/circuits")
    with pytest.raises(ValueError, match="must be OWNER/NAME"):
        with_colab(FRONT)


def test_pages_in_folders_and_other_links() -> None:
    text = "[a](../../notebooks/02_words.ipynb), [b](tokens.md), [c](https://x.org/notebooks/d.ipynb)"
    found = with_colab(text, "a/b")
    assert found.count("Colab") == 1
    assert found.endswith("[b](tokens.md), [c](https://x.org/notebooks/d.ipynb)")

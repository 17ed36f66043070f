"""The tables of names in the docs are those of the package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from circuitspex.recovery import DECODERS
from circuitspex.tasks import METRICS, TASKS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "heading", "table"),
    [("decoders", "method", DECODERS), ("tasks", "built in", TASKS), ("tasks", "metric", METRICS)],
)
def test_the_names_in_a_page_are_those_of_the_table(page: str, heading: str, table: Mapping[str, Any]) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    rows = text.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)) == set(table)


def test_each_decoder_says_what_it_needs_as_its_entry_does() -> None:
    text = (DOCS / "decoders.md").read_text(encoding="utf-8")
    needs = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE))
    for name, decoder in DECODERS.items():
        assert ("gradients" in needs[name]) == (decoder.uses_gradients == "needs"), name
        assert ("of its own masks" in needs[name]) == decoder.makes_its_own_masks, name

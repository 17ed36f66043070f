"""A part of the table of families, small enough for every run of the tests; ``make families`` tries all of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from architectures import architectures, outcome, tried
from conform import BASELINES, KINDS, examine
from table import FAMILIES, NOT_TRIED

PAGE = Path(__file__).parents[2] / "docs/models.md"
# Each has something that the others have not; all are tried under one baseline, and one under all.
SOME = {
    "llama": BASELINES,
    "bloom": ["resample"],  # its modules add the residual stream themselves; one product for queries, keys and values
    "falcon": ["mean"],  # attention and MLP beside each other, one key for all queries
    "olmo2": ["zero"],  # norms after attention and MLP
    "granite": ["mean"],  # multiples of what is added
    "qwen2_moe": ["zero"],  # experts
}
ROWS = [(0, 1, 1), (0.5, 0.3, 0.7)]


@pytest.mark.some(3)
@pytest.mark.parametrize("name", SOME)
def test_what_the_package_says_is_what_plain_pytorch_says(name):
    found = dict(examine(FAMILIES[name], baselines=SOME[name], executors=["auto", "hooks"], gates=ROWS))
    assert {one.status for one in found.values()} <= {"right", "refused"}, found
    right = {kind for kind, one in found.items() if one.status == "right"}
    assert right >= {"load", "head", "query", "key", "value", "attention", "mlp", "residual"}
    assert ("neurons" in right) != ("expert" in right)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("attention", {"attention": "mlp"}),
        ("mlp", {"mlp": "post_attention_layernorm"}),
        ("head", {"n_heads": 8}),
        ("key", {"key": "self_attn.v_proj"}),
        ("neurons", {"neurons": "mlp"}),
    ],
)
def test_a_wrong_place_is_found(kind, place):
    """The comparison can fail: here it is the table that is wrong."""
    family = dataclasses.replace(FAMILIES["llama"], **place)
    found = dict(examine(family, kinds=[kind], baselines=["mean"], executors=["hooks"], gates=ROWS))
    assert found["load"].status == "right"
    assert found[kind].status == "wrong"


def test_a_place_that_is_not_there_is_no_refusal():
    family = dataclasses.replace(FAMILIES["llama"], heads="nowhere")
    found = dict(examine(family, kinds=["head"], baselines=["zero"], executors=["hooks"], gates=ROWS))
    assert found["head"].status == "error"


def test_every_architecture_is_tried_refused_or_said_why_not():
    known = architectures()
    assert len(known) > 150
    for name, kinds in known.items():
        what, why = outcome(name, kinds)
        assert what in ("tried", "refused", "not tried")
        assert (what == "tried") != bool(why)
        assert "\n" not in why
    assert not set(NOT_TRIED) & set(tried())


def test_the_page_is_of_this_table():
    """Made anew by ``make families`` after a change."""
    page = PAGE.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| \w+ \| ([^|]+) \|", page, re.MULTILINE)) - {"tried as"}
    assert rows - {"its configuration"} == set(FAMILIES)
    for name in architectures():
        assert re.search(rf"\b{name}\b", page), name


def test_kinds_are_those_of_the_package():
    from circuitspex.components import KINDS as OF_PACKAGE

    assert set(KINDS) == set(OF_PACKAGE) - {"latents"}  # which are given, not found

"""A change that was made is found: planted transformers before and after one group of heads was weakened."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from circuitspex.circuits import compare

sys.path.insert(0, str(Path(__file__).parent))
import plants

N_PAIRS = 12


def weakened(plant, place):
    """The same plant with one group at a quarter of its size."""
    groups = [replace(g, size=g.size / 4) if i == place else g for i, g in enumerate(plant.groups)]
    return replace(plant, groups=tuple(groups))


@pytest.fixture(scope="module")
def comparisons():
    """Of each pair, what was found, and the group of heads that was weakened."""
    out = []
    for seed in range(N_PAIRS):
        before = plants.random_plant(seed)
        place = seed % len(before.groups)
        models = [plants.build(plant) for plant in (before, weakened(before, place))]
        options = {"budget": 96, "method": "pursuit", "n_heldout": 20, "n_contexts": 12, "seed": seed}
        found = compare(*models, plants.task(models[0]), progress=False, **options)
        out.append((found, before.groups[place]))
    return out


@pytest.mark.long
def test_the_made_change_is_found_in_every_pair(comparisons):
    for found, group in comparisons:
        names = {tuple(sorted(change.components)) for change in found.found}
        assert tuple(sorted(group.heads)) in names


@pytest.mark.long
def test_what_else_is_reported_keeps_to_the_false_discovery_rate(comparisons):
    changes = [(set(change.components), group) for found, group in comparisons for change in found.found]
    wrong = sum(not members <= set(group.heads) for members, group in changes)
    assert wrong <= 0.05 * len(changes)

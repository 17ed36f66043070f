"""What is no larger than the rounding of a game's numbers is no discovery."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.games.lens import unit_roundoff


class Shifted:
    """A main effect and a pair, beside a constant; with so many numbers a mask, in numbers of a type."""

    n_players = 6

    def __init__(self, constant, kind=np.float64, columns=1):
        self.constant, self.kind = kind(constant), kind
        self.columns = np.linspace(0.9, 1.1, columns)

    def __call__(self, masks):
        value = 0.02 * masks[:, 0] + 0.03 * (masks[:, 1] & masks[:, 2])
        return (value[:, None] * self.columns).astype(self.kind) + self.constant


@pytest.mark.some(4)
@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize(
    ("constant", "kind"), [(0, np.float64), (1e10, np.float64), (-3e9, np.float64), (50, np.float32)]
)
def test_rounding_makes_no_interaction(constant, kind, columns):
    found = cx.explain(
        cx.FunctionGame(Shifted(constant, kind, columns)), budget=40, progress=False, n_heldout=20, n_contexts=4
    )
    assert [one.components for one in found.circuit.interactions] == [("p1", "p2")]
    assert {node.name for node in found.circuit.nodes} == {"p0", "p1", "p2"}
    assert all(node.is_distinct for node in found.circuit.nodes)


def test_where_the_rounding_is_as_large_as_the_effects_nothing_is_found():
    found = cx.explain(Shifted(1e15), budget=40, progress=False, n_heldout=20, n_contexts=4)
    assert found.circuit.interactions == ()
    assert found.circuit.nodes == ()


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_no_sum_of_rounded_values_reaches_the_resolution(order, kind):
    """Values that are one number but for their last bit, which is as unlucky as can be."""
    rng = np.random.default_rng(order)
    value = kind(1e3)
    values = np.where(rng.random((200, 3)) < 0.5, value, np.nextafter(value, kind(0))).astype(np.float64)
    least = Resolution.of(values).least(order)
    signs = np.tile([-1.0, 1.0], (1000, 2 ** (order - 1)))
    picked = values[rng.integers(200, size=signs.shape), rng.integers(3, size=signs.shape)]
    assert np.abs((signs * picked).sum(1)).max() <= least
    assert least < 1e-3 * (1 if kind is np.float32 else 1e-8)


def test_resolution_follows_the_type_and_the_scale():
    values = np.random.default_rng(0).normal(3, 1, (64, 4))
    double, single, half = (
        Resolution.of(values, unit_roundoff(t)) for t in (torch.float64, torch.float32, torch.bfloat16)
    )
    assert double.least(2) < 1e-8 < single.least(2) < 1e-3 < half.least(2) < 0.1
    assert Resolution.of(1e200 * values).least(1) == pytest.approx(1e200 * double.least(1))
    assert Resolution.of(np.zeros((0, 3))).least(1) == 0
    assert unit_roundoff(torch.float32) == 2.0**-24
    assert unit_roundoff(torch.bfloat16) == unit_roundoff(torch.int8) == 2.0**-8

"""Gained and lost need an effect that is certain to be near zero; what is only not certain to be there is weaker."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.circuits._compare import _kind
from circuitspex.circuits.evidence._replicate import Measured


def measured(mean, spread, seed=0):
    """One component in 24 contexts on 8 prompts; its numbers have exactly this mean."""
    numbers = np.random.default_rng(seed).normal(size=(24, 8))
    return Measured((0,), mean + spread * (numbers - numbers.mean()), np.zeros((2, 24, 8)))


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ((1.0, 0.1), (0.01, 0.1), "lost"),
        ((1.0, 0.1), (0.05, 4.0), "weaker"),  # its interval holds zero, and 0.3 too
        ((1.0, 0.1), (0.4, 0.1), "weaker"),
        ((0.01, 0.1), (-1.0, 0.1), "gained"),
        ((0.05, 4.0), (1.0, 0.1), "stronger"),
        ((-0.4, 0.1), (-1.0, 0.1), "stronger"),
        ((1.0, 0.1), (-0.6, 0.1), "changed"),
        ((1.0, 0.1), (-0.3, 4.0), "weaker"),  # of the other sign, perhaps
    ],
)
def test_what_happened_to_an_effect(before, after, kind):
    assert _kind(measured(*before), measured(*after, seed=1), 0.02, 0.2) == kind


def test_near_zero_is_as_near_as_was_asked_for():
    """A tenth of what it was is near zero by default, but not to someone to whom 0.02 matters."""
    was, now = measured(1.0, 0.1), measured(0.1, 0.05, seed=1)
    assert _kind(was, now, 0.02, 0.2) == "lost"
    assert _kind(was, now, 0.02, None) == "weaker"
    assert _kind(was, now, 0.15, None) == "lost"


def test_one_context_shows_no_equivalence():
    once = Measured((0,), np.zeros((1, 8)), np.zeros((2, 1, 8)), same=True)
    assert not once.is_near_zero(0.1, once, None)


def test_wrongly_lost_is_rare():
    """Effects that are just as large as what counts as near zero are called lost about once in twenty, at most."""
    rng = np.random.default_rng(3)
    was = measured(1.0, 0.1)
    called = 0
    for _ in range(400):
        rows, columns = 0.3 * rng.normal(size=(24, 1)), 0.2 * rng.normal(size=(1, 8))
        now = Measured((0,), 0.2 + rows + columns + 0.3 * rng.normal(size=(24, 8)), np.zeros((2, 24, 8)))
        called += _kind(was, now, 0.02, 0.2) == "lost"
    assert called / 400 < 0.08

"""Placing vertices across rows: known answers of small graphs, and what holds for every graph."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuitspex.export.drawing.layered import Link, Reach, arrange, separated

SMALL = Reach(5.0, 5.0)


def crossings(x, links):
    """How many pairs of links of two rows cross."""
    return sum((x[a] - x[c]) * (x[b] - x[d]) < -1e-9 for (a, b), (c, d) in itertools.combinations(links, 2))


@pytest.mark.parametrize(
    ("wanted", "apart", "weights", "answer"),
    [
        ([7.0], [], None, [7.0]),
        ([0.0, 30.0], [10.0], None, [0.0, 30.0]),
        ([0.0, 0.0], [10.0], None, [-5.0, 5.0]),
        ([0.0, 0.0], [10.0], [3.0, 1.0], [-2.5, 7.5]),
        ([20.0, 0.0], [10.0], None, [5.0, 15.0]),
        ([0.0, 0.0, 0.0], [10.0, 20.0], None, [-40 / 3, -10 / 3, 50 / 3]),
        ([-50.0, 1.0, 0.0, 90.0], [4.0, 5.0, 6.0], None, [-50.0, -2.0, 3.0, 90.0]),
    ],
)
def test_separated_gives_the_known_places(wanted, apart, weights, answer):
    found = separated(np.array(wanted), np.array(apart), None if weights is None else np.array(weights))
    assert found.tolist() == pytest.approx(answer)


_places = st.floats(-100, 100)


@given(st.integers(2, 8).flatmap(lambda n: st.lists(st.tuples(*[_places] * 2, *[st.floats(0.1, 50)] * 3), min_size=n)))
def test_no_other_separated_places_are_nearer(rows):
    wanted, start, apart, weights, more = map(np.array, zip(*rows, strict=True))
    found = separated(wanted, apart[1:], weights)
    assert (np.diff(found) >= apart[1:] - 1e-6).all()
    cost = (weights * (found - wanted) ** 2).sum()
    others = [start[0] + np.append(0, np.cumsum(apart[1:])), start[0] + np.append(0, np.cumsum((apart + more)[1:]))]
    others += [found + 1e-3, found - 1e-3, found * 1.001 if (found > 0).all() else found]
    for other in others:
        if (np.diff(other) >= apart[1:]).all():
            assert (weights * (other - wanted) ** 2).sum() >= cost - 1e-6 * (1 + cost)


def test_two_links_are_uncrossed_and_straight():
    x = arrange([[0, 1], [2, 3]], [SMALL] * 4, [Link(0, 3), Link(1, 2)])
    assert crossings(x, [(0, 3), (1, 2)]) == 0
    assert x[0] == pytest.approx(x[3], abs=0.5)
    assert x[1] == pytest.approx(x[2], abs=0.5)
    assert abs(x[0] - x[1]) >= 10 - 1e-9


def test_a_chain_is_straight_and_in_the_middle():
    x = arrange(
        [[0], [1], [2], [3]], [Reach(5.0, 5.0), Reach(9.0, 9.0), SMALL, SMALL], [Link(i, i + 1) for i in range(3)]
    )
    assert x == pytest.approx([0.0] * 4, abs=1e-9)


def test_the_heavier_link_is_shorter():
    links = [Link(0, 2, 10.0), Link(1, 2, 1.0)]
    x = arrange([[0, 1], [2]], [Reach(20.0, 20.0)] * 3, links)
    assert abs(x[0] - x[2]) < abs(x[1] - x[2]) / 3


@pytest.mark.parametrize("seed", range(8))
def test_trees_are_drawn_without_crossings(seed):
    rng = random.Random(seed)
    rows = [[0], [1, 2], [3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13, 14]]
    links = [((child - 1) // 2, child) for child in range(1, 15)]
    shuffled = [rng.sample(row, len(row)) for row in rows]
    x = arrange(shuffled, [SMALL] * 15, [Link(*rng.sample(link, 2)) for link in rng.sample(links, len(links))])
    assert crossings(x, [link for link in links if link[0] > 2]) == 0
    assert crossings(x, [link for link in links if 0 < link[0] < 3]) == 0


def test_who_has_no_links_stands_in_the_gap_nearest_to_the_middle():
    wide, thin = Reach(40.0, 40.0), Reach(2.0, 2.0)
    reach = [wide, wide, thin, thin, thin]
    x = arrange([[0, 1], [2, 3, 4]], reach, [Link(0, 2), Link(1, 3)])
    assert x[2] < x[4] < x[3] or x[3] < x[4] < x[2]
    assert x[4] == pytest.approx(0.0)
    x = arrange([[0, 1], [2, 3, 4]], [thin, thin, thin, thin, wide], [Link(0, 2), Link(1, 3)])  # no gap is wide enough
    assert abs(x[4]) == pytest.approx(max(abs(x[2]), abs(x[3])) + 42)


def test_rows_without_any_links_are_centred():
    assert arrange([[0, 1, 2]], [SMALL] * 3, []) == pytest.approx([-10.0, 0.0, 10.0])
    assert arrange([], [], []) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_two_of_a_row_overlap_and_the_middle_is_zero(seed):
    rng = random.Random(seed)
    rows, n = [], 0
    for _ in range(rng.randint(1, 6)):
        rows.append(list(range(n, n := n + rng.randint(1, 9))))
    reach = [Reach(rng.uniform(1, 30), rng.uniform(1, 60)) for _ in range(n)]
    links = [Link(*rng.sample(range(n), 2), rng.uniform(0.5, 9)) for _ in range(rng.randint(0, 2 * n))] if n > 1 else []
    x = arrange(rows, reach, links)
    for row in rows:
        for a, b in itertools.pairwise(sorted(row, key=x.__getitem__)):
            assert x[b] - x[a] >= reach[a].right + reach[b].left - 1e-6
    used = {v for link in links for v in (link.first, link.second)}
    if used:
        left, right = min(x[v] - reach[v].left for v in used), max(x[v] + reach[v].right for v in used)
        assert left == pytest.approx(-right)
    assert arrange(rows, reach, links) == x

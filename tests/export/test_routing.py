"""Curves that keep to their points, arcs that clear each other, and labels that hide nothing."""

from __future__ import annotations

import itertools
import random

import pytest

from circuitspex.export.drawing.geometry import Box, sample, straight
from circuitspex.export.drawing.routing import arc, arc_levels, curve, place_labels

PAGE = Box(0, 0, 1000, 1000)


@pytest.mark.parametrize("seed", range(6))
def test_curves_pass_their_points_upright_at_the_ends_and_never_swing_past_one(seed):
    rng = random.Random(seed)
    points = [(rng.uniform(0, 500), 60.0 * i) for i in range(rng.randint(2, 7))]
    path = curve(points)
    assert path[::3] == tuple((round(x, 2), y) for x, y in points)
    assert path[0][0] == path[1][0]
    assert path[-1][0] == path[-2][0]
    along = sample(path, 30)
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(along))
    for i, (x, _) in enumerate(along):
        ends = [points[min(i // 30 + k, len(points) - 1)][0] for k in (0, 1)]
        assert min(ends) - 0.02 <= x <= max(ends) + 0.02


def test_a_curve_through_points_in_a_line_is_straight():
    for x, y in sample(curve([(0.0, 0.0), (30.0, 60.0), (60.0, 120.0), (90.0, 180.0)]), 10)[10:-10]:
        assert x == pytest.approx(y / 2, abs=0.02)


@pytest.mark.parametrize("ends", [((100.0, 50.0), (300.0, 50.0)), ((300.0, 50.0), (100.0, 50.0))])
def test_an_arc_rises_from_one_end_to_the_other_over_what_stands_between(ends):
    points = sample(arc(*ends, 30.0), 20)
    assert points[0] == (100.0, 50.0)
    assert points[-1] == (300.0, 50.0)
    assert min(y for _, y in points) == pytest.approx(20.0)
    assert all(19.99 < y < 50.01 and 99.99 < x < 300.01 for x, y in points)
    assert all(y < 28 for x, y in points if 112 < x < 288)


@pytest.mark.parametrize(
    ("spans", "levels"),
    [
        ([], []),
        ([(0, 0, 10), (0, 20, 30)], [0, 0]),
        ([(0, 0, 10), (0, 10, 30)], [0, 0]),  # they meet in one component
        ([(0, 0, 30), (0, 10, 20)], [1, 0]),
        ([(0, 30, 0), (0, 20, 10)], [1, 0]),
        ([(0, 0, 20), (0, 10, 30)], [0, 1]),
        ([(0, 0, 30), (2, 10, 20)], [0, 0]),
        ([(0, 0, 10), (0, 1, 12), (0, 2, 14), (0, 13, 40), (0, 20, 25)], [0, 1, 2, 3, 0]),  # above all that it meets
        ([(0, 0, 100), (0, 10, 50), (0, 20, 30), (0, 60, 90)], [2, 1, 0, 0]),
    ],
)
def test_an_arc_clears_the_shorter_ones_below_it(spans, levels):
    assert arc_levels(spans) == levels


@pytest.mark.parametrize("seed", range(10))
def test_arcs_of_one_row_that_overlap_have_levels_of_their_own(seed):
    rng = random.Random(seed)
    spans = [(rng.choice([0, 2]), *rng.sample(range(40), 2)) for _ in range(25)]
    levels = arc_levels(spans)
    for i, (row, a, b) in enumerate(spans):
        for j, (other, c, d) in enumerate(spans):
            if i == j or row != other or not (min(a, b) < max(c, d) and min(c, d) < max(a, b)):
                continue
            assert levels[i] != levels[j]
            if min(c, d) >= min(a, b) and max(c, d) <= max(a, b) and abs(c - d) < abs(a - b):
                assert levels[i] > levels[j]


def upright(x, top=100.0, bottom=300.0):
    return straight((x, top), (x, bottom))


def middle(box):
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def test_a_label_stands_in_the_middle_of_its_line_or_near_it_or_nowhere():
    wanted = [([upright(500.0)], None, 40.0, 10.0)]
    (free,) = place_labels(wanted, [], PAGE)
    assert middle(free) == pytest.approx((500, 200), abs=5)
    assert (free.right - free.left, free.bottom - free.top) == (44.0, 11.0)
    (moved,) = place_labels(wanted, [Box(400, 180, 600, 230)], PAGE)
    assert moved.bottom <= 180
    assert moved.top > 100
    assert place_labels(wanted, [Box(400, 50, 600, 350)], PAGE) == [None]
    assert place_labels([([upright(15.0)], None, 40.0, 10.0)], [], PAGE) == [None]  # it would leave the page


def test_labels_keep_clear_of_each_other_and_the_first_has_the_choice():
    wanted = [([upright(500.0)], None, 40.0, 10.0), ([upright(540.0)], None, 40.0, 10.0)]
    first, second = place_labels(wanted, [], PAGE)
    assert first == place_labels(wanted[:1], [], PAGE)[0]
    assert not first.overlaps(second)
    assert 0 < abs(middle(second)[1] - middle(first)[1]) < 25


@pytest.mark.parametrize(("left", "right"), [(440.0, 560.0), (440.0, 490.0), (510.0, 560.0)])
def test_a_label_prefers_where_it_hides_no_other_line(left, right):
    crossing = [straight((left, y), (right, y)) for y in (190.0, 196.0, 200.0, 204.0, 210.0)]
    (label, _) = place_labels([([upright(500.0)], None, 40.0, 10.0), (crossing, None, 1.0, 1.0)], [], PAGE)
    assert label.bottom < 190 or label.top > 210


def test_the_label_of_a_joint_stands_right_of_it_then_left_then_above_then_below():
    paths = [straight((500.0, 500.0), end) for end in ((450.0, 400.0), (500.0, 400.0), (550.0, 600.0))]
    wanted, taken, seen = [(paths, (500.0, 500.0), 40.0, 10.0)], [], []
    for _ in range(4):
        (label,) = place_labels(wanted, taken, PAGE)
        seen.append(middle(label))
        taken.append(label)
    assert seen == [(529.0, 500.0), (471.0, 500.0), (500.0, 487.0), (500.0, 513.0)]
    assert place_labels(wanted, taken, PAGE) == [None]


@pytest.mark.parametrize("seed", range(10))
def test_labels_hide_nothing_that_must_stay_visible(seed):
    rng = random.Random(seed)

    def point():
        return rng.uniform(50, 950), rng.uniform(50, 950)

    taken = [Box(x, y, x + rng.uniform(5, 120), y + rng.uniform(5, 60)) for x, y in (point() for _ in range(40))]
    wanted = []
    for i in range(40):
        joint = point() if i % 4 == 0 else None
        paths = [straight(joint or point(), point()) for _ in range(3 if joint else 1)]
        wanted.append((paths, joint, rng.uniform(20, 90), 10.0))
    labels = place_labels(wanted, taken, PAGE)
    there = [box for box in labels if box is not None]
    assert len(there) > 20
    joints = [Box(x - 6, y - 6, x + 6, y + 6) for _, (x, y) in ((w, w[1]) for w in wanted if w[1])]
    for i, box in enumerate(there):
        assert PAGE.contains(box)
        assert not any(box.overlaps(other) for other in (*taken, *joints, *there[i + 1 :]))
    assert place_labels([], taken, PAGE) == []

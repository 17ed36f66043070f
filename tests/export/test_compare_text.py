"""Tables of comparisons and series: at most 100 columns, everything named, aligned."""

import random
from dataclasses import replace

import pytest
from drawn_comparisons import comparison, measured, series, unchanged

from circuitspex.circuits.comparison import Series


def _wide(n_points):
    rng = random.Random(n_points)
    made = series(n_points, 40, seed=n_points)
    long = tuple(tuple(f"L{i}N{rng.randrange(10**6)}:{10**6 + i}@-{i + 10}" for i in range(5)) for _ in made.sets)
    points = tuple(replace(point, name=f"a/very/long/folder/name/{point.name}" * 3) for point in made.points)
    return replace(made, sets=long, points=points)


@pytest.mark.parametrize("made", [comparison(3), comparison(30), comparison(100), unchanged(), unchanged(True)])
def test_comparisons_fit_a_terminal(made):
    table = str(made)
    assert max(map(len, table.splitlines())) <= 100
    assert "\x1b" not in table
    assert "None" not in table


@pytest.mark.parametrize("made", [series(), series(1, 1), _wide(3), _wide(40), Series((), ())])
def test_series_fit_a_terminal(made):
    assert max(map(len, str(made).splitlines())) <= 100


def test_every_change_is_in_its_section():
    made = comparison(10, seed=6)
    lines = str(made).splitlines()
    for kind in ("gained", "lost", "stronger", "weaker", "changed"):
        start = lines.index(f"{kind.capitalize()} ({len(made.of(kind))})")
        rows = lines[start + 3 : start + 3 + len(made.of(kind))]
        for row, change in zip(rows, made.of(kind), strict=True):
            assert row.startswith(f"  {' × '.join(change.components)} ")
            for one in measured(change):
                assert f" {one.value:+.2f} " in row
        assert len({row.rindex("]") for row in rows}) == 1
    assert f"Unchanged: {len(made.of('unchanged'))}" in lines
    assert any("R² 0.910 [0.880, 0.940] on 100 held-out masks" in line for line in lines)
    assert any("+1.20" in line and "+3.10" in line and "+1.90 [+1.78, +2.02]" in line for line in lines)


def test_long_lists_are_cut_and_say_so():
    made = comparison(100, seed=0)
    count = len(made.of("changed"))
    assert count > 20
    assert f"… and {count - 20} smaller" in str(made)


def test_identical_models_are_one_sentence():
    assert "Identical: a and b have the same weights" in str(unchanged(True))
    assert "Gained" not in str(unchanged(True))
    assert "No change" in str(unchanged())


def test_series_name_repeats_and_mark_what_excludes_zero():
    made = series(6, 5, seed=1)
    lines = str(made).splitlines()
    assert next(line for line in lines if line.startswith("  step4000")).endswith("step3000")
    for i, members in enumerate(made.sets):
        row = next(line for line in lines if line.startswith(f"  {' × '.join(members)}  "))
        last = made.points[-1].effects[i]
        assert row.endswith(f"{last.value:+.2f}" + ("*" if last.excludes_zero else ""))


def test_files_hold_the_tables(tmp_path):
    for made in (comparison(5), series()):
        assert made.export("text", tmp_path / "x.txt").read_text(encoding="utf-8") == str(made)

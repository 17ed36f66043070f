"""Stages, learning curves and what they say about the budget: pure functions with known answers."""

from __future__ import annotations

import pytest

from circuitspex.circuits.found import LEAST, Stage
from circuitspex.circuits.search.stages import BEYOND, advice, likely_budget, stages


def power_law(sizes: tuple[int, ...], a: float = 20.0, b: float = 1.0, widening: float = 1.0) -> list[Stage]:
    """A curve with ``1 - R² = a K^-b`` exactly, whose interval's lower end misses ``widening`` times as much."""
    curve = []
    for size in sizes:
        missing = a * size**-b
        curve.append(Stage(size, 1 - missing, 1 - widening * missing, 1 - missing / 2, 50))
    return curve


@pytest.mark.parametrize(
    ("budget", "sizes"),
    [
        (2, (2,)),
        (31, (31,)),
        (32, (16, 32)),
        (100, (25, 50, 100)),
        (128, (16, 32, 64, 128)),
        (400, (50, 100, 200, 400)),
    ],
)
def test_stages(budget: int, sizes: tuple[int, ...]) -> None:
    assert stages(budget) == sizes


@pytest.mark.parametrize("budget", range(2, 400, 7))
def test_every_stage_is_large_enough_and_the_last_is_all(budget: int) -> None:
    sizes = stages(budget)
    assert sizes[-1] == budget
    assert all(after - before >= LEAST for before, after in zip((0, *sizes), sizes, strict=False)) or sizes == (budget,)


@pytest.mark.parametrize(("b", "answer"), [(1.0, 400), (0.8, 1800)])
def test_a_power_law_is_continued(b: float, answer: int) -> None:
    # 20 K^-1 = 0.05 at K = 400; 20 K^-0.8 = 0.05 at K = 400^(1/0.8) = 1789
    assert likely_budget(power_law((50, 100, 200), b=b), 0.95, 200) == answer


def test_the_width_of_the_interval_is_allowed_for() -> None:
    assert likely_budget(power_law((50, 100, 200), widening=1.5), 0.95, 200) == 600


def test_a_noisy_curve_is_fitted_not_read_off_its_end() -> None:
    curve = power_law((50, 100, 200, 400))
    bent = [*curve[:-1], Stage(400, 0.94, 0.94, 0.96, 50)]
    assert 410 <= likely_budget(bent, 0.95, 400) <= 600


@pytest.mark.parametrize(
    "curve",
    [
        power_law((50, 100, 200), b=0.2, a=1.0),  # 0.05 at 20^5
        power_law((50, 100, 200), b=-0.5, a=0.02),  # falls
        power_law((50,)),
        [],
        [Stage(50, None, None, None, 20), Stage(100, None, None, None, 20)],
    ],
)
def test_what_cannot_be_forecast_gives_no_number(curve: list[Stage]) -> None:
    assert likely_budget(curve, 0.95, 200) is None


def test_the_forecast_is_more_than_the_budget_that_failed_and_at_most_ten_times_it() -> None:
    for until in (0.5, 0.9, 0.99, 0.997):
        number = likely_budget(power_law((50, 100, 200)), until, 200)
        assert number is None or 200 < number <= BEYOND * 200 * 1.1
    assert likely_budget(power_law((50, 100, 200)), 0.5, 200) == 210
    assert likely_budget(power_law((50, 100, 200)), 0.9999, 200) is None


def test_a_fit_without_error_does_not_break_it() -> None:
    assert likely_budget([Stage(50, 0.5, 0.4, 0.6, 20), Stage(100, 1.0, 1.0, 1.0, 20)], 0.95, 100) == 110


def test_a_stage_reaches_the_target_with_the_lower_end_of_its_interval() -> None:
    assert Stage(50, 0.97, 0.95, 0.99, 30).reaches(0.95)
    assert not Stage(50, 0.97, 0.94, 0.99, 30).reaches(0.95)
    assert not Stage(50, 0.97, 0.95, 0.99, LEAST - 1).reaches(0.95)
    assert not Stage(50, None, None, None, 30).reaches(0.95)


def test_the_advice_is_one_sentence() -> None:
    known = advice(power_law((50, 100, 200)), 0.95, 200)
    assert known == (
        "until=0.95 was not reached: 200 ablations: R² 0.900 [0.900, 0.950] on 50 new masks; "
        "a budget of about 400 would likely reach it"
    )
    assert "more than 2000 ablations" in advice(power_law((50, 100, 200), b=0.2, a=1.0), 0.95, 200)
    assert "32 or more has stages" in advice(power_law((20,)), 0.95, 20)
    assert "could not be checked" in advice([Stage(50, None, None, None, 20)], 0.95, 100)
    assert "could not be checked" in advice([], 0.95, 100)
    assert str(Stage(50, None, None, None, 20)).startswith("50 ablations: R² undefined")

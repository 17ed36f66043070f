"""shapiq: our games as its games, our results as its values, and back."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.games import FunctionGame
from circuitspex.recovery import Interactions

shapiq = pytest.importorskip("shapiq")

N = 7
NAMES = tuple(f"part {i}" for i in range(N))


def played(masks: np.ndarray) -> np.ndarray:
    """Four main effects, two pairs and a triple."""
    m = np.asarray(masks, dtype=float)
    return 1.5 + m @ np.array([1, -2, 0, 3, 0, 0.5, 0]) + 2 * m[:, 0] * m[:, 4] - m[:, 1] * m[:, 2] + m[:, 3:6].prod(1)


def game_of() -> tuple[FunctionGame, list[int]]:
    """The game, and how many masks it has played."""
    counts: list[int] = []

    def play(masks: np.ndarray) -> np.ndarray:
        counts.append(len(masks))
        return played(masks)

    return FunctionGame(play, names=NAMES), counts


def exactly() -> Interactions:
    """The whole function, by all masks."""
    mobius = shapiq.ExactComputer(game=played, n_players=N)("Moebius", N)
    return Interactions.from_shapiq(mobius, names=NAMES)


def all_masks() -> np.ndarray:
    return (np.arange(2**N)[:, None] >> np.arange(N)) % 2 == 1


def test_our_games_are_games_of_shapiq() -> None:
    """`game.to_shapiq()` is a `shapiq.Game` with the players' names, which plays each mask once."""
    game, counts = game_of()
    theirs = game.to_shapiq()
    assert isinstance(theirs, shapiq.Game)
    assert theirs.n_players == N
    assert list(theirs.player_name_lookup) == list(NAMES)
    masks = all_masks()
    for _ in range(2):
        np.testing.assert_allclose(theirs(masks), played(masks) - played(masks[:1]))
    np.testing.assert_allclose(game.to_shapiq(normalize=False)(masks), played(masks))
    assert sum(counts) <= 2 * 2**N + 1


@pytest.mark.parametrize(
    ("approximator", "options", "wrapped"),
    [
        ("KernelSHAPIQ", {"index": "k-SII", "max_order": 2}, True),
        ("KernelSHAPIQ", {"index": "k-SII", "max_order": 2}, False),
        ("SVARMIQ", {"index": "k-SII", "max_order": 2}, True),
        ("PermutationSamplingSII", {"index": "k-SII", "max_order": 2}, True),
        ("RegressionFSII", {"max_order": 2}, True),
        ("RegressionFSII", {"max_order": 2}, False),
    ],
)
def test_approximators_of_shapiq_run_on_our_games(approximator: str, options: dict, wrapped: bool) -> None:
    """shapiq's approximators run on our games (KernelSHAP-IQ and regression also unwrapped), with equal values."""
    game, _ = game_of()

    class Theirs(shapiq.Game):
        def value_function(self, coalitions: np.ndarray) -> np.ndarray:
            return played(coalitions)

    nothing = float(played(np.zeros((1, N)))[0])
    reference = Theirs(N, normalize=wrapped, normalization_value=nothing)
    found, wanted = (
        getattr(shapiq, approximator)(n=N, random_state=1, **options).approximate(100, each)
        for each in (game.to_shapiq() if wrapped else game, reference)
    )
    for term in [(i,) for i in range(N)] + [(0, 4), (1, 2)]:
        assert found[term] == pytest.approx(wanted[term], abs=1e-9)
    assert max(abs(found[(i,)]) for i in range(N)) > 0.5


@pytest.mark.parametrize("index", ["SV", "k-SII", "STII", "FSII", "FBII", "BII"])
def test_results_are_interaction_values_and_back(index: str) -> None:
    """`found.interactions.to_shapiq(index)` has the values of shapiq's `ExactComputer`; `from_shapiq` reads them."""
    masks = all_masks()
    found = exactly()
    np.testing.assert_allclose(found.predict(masks), played(masks), atol=1e-9)
    order = 1 if index == "SV" else 2
    ours = found.to_shapiq(index, order)
    assert isinstance(ours, shapiq.InteractionValues)
    theirs = shapiq.ExactComputer(game=played, n_players=N)(index, order)
    for term in [(i,) for i in range(N)] + ([(0, 4), (1, 2), (3, 4)] if order == 2 else []):
        assert ours[term] == pytest.approx(theirs[term], abs=1e-6)
    whole = Interactions.from_shapiq(found.to_shapiq("mobius"), names=NAMES)
    np.testing.assert_allclose(whole.predict(masks), played(masks), atol=1e-9)


def test_values_that_shapiq_found_are_read_with_our_names() -> None:
    """`Interactions.from_shapiq(values, names=game.names)` reads what an approximator of shapiq found."""
    game, _ = game_of()
    values = shapiq.KernelSHAPIQ(n=N, index="k-SII", max_order=2, random_state=0).approximate(128, game.to_shapiq())
    read = Interactions.from_shapiq(values, names=game.names)
    assert read.names == NAMES
    assert read.top(1, order=2)[0].components == (NAMES[0], NAMES[4])


def test_plots_of_shapiq(tmp_path) -> None:
    """shapiq's network, force, stacked-bar and UpSet plots are drawn of our results in one line."""
    import matplotlib

    matplotlib.use("Agg")
    values = exactly().to_shapiq("k-SII")
    for name, options in {
        "network": {"feature_names": list(NAMES)},
        "stacked_bar": {},
        "force": {"feature_names": np.array(NAMES)},
        "upset": {"feature_names": list(NAMES)},
    }.items():
        drawn = getattr(values, f"plot_{name}")(show=False, **options)
        figure = drawn[0] if isinstance(drawn, tuple) else drawn
        getattr(figure, "figure", figure).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 3000

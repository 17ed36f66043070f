"""Ablations in stages and the share picked by a pilot: on a game with a known answer, and on a tiny model."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import Circuit, find_circuit
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.stages import explore
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import FunctionGame, RememberingGame, Run
from circuitspex.masks import sample_masks
from circuitspex.masks.members import unseen

N = 20
QUICK: dict[str, Any] = {"n_heldout": 60, "n_contexts": 3, "n_random": 3, "max_nodes": 4, "max_interactions": 2}


class Watched:
    """A game of main effects and one pair, plus noise that no decoder can predict; it remembers what it ran."""

    n_players = N

    def __init__(self, noise: float = 0.0, has_gradients: bool = True) -> None:
        self.noise, self.has_gradients = noise, has_gradients
        self.ran: list[bytes] = []

    def evaluate(self, masks: np.ndarray, *, gradients: bool = False, **_: Any) -> Run:
        if gradients and not self.has_gradients:
            raise NoGradientError("metric 'step' has no gradient")
        self.ran += [row.tobytes() for row in masks]
        x = masks.astype(float)
        weights = np.arange(1.0, N + 1)
        values = x @ weights + 30 * x[:, 0] * x[:, 1]
        luck = [np.random.default_rng(list(row)).normal() for row in masks.astype(int)]
        values = values + self.noise * np.array(luck)
        slopes = np.tile(weights, (len(x), 1))
        slopes[:, 0] += 30 * x[:, 1]
        slopes[:, 1] += 30 * x[:, 0]
        return Run(masks, np.stack([values - 1, values + 1], 1), slopes if gradients else None, 1.0)


def asking(game: Watched) -> Any:
    """From masks to what the game gives with gradients; what is known is not run again."""

    def play(masks: np.ndarray) -> np.ndarray:
        return game.evaluate(masks).per_prompt

    def gradients(masks: np.ndarray) -> Any:
        known = len(game.ran)
        found = game.evaluate(masks, gradients=True).gradients
        del game.ran[known:]  # the same masks again, for their gradients
        return found

    asked = RememberingGame(FunctionGame(play, N, gradients=gradients, batch_size=1000), progress=False)
    return lambda masks: asked.evaluate(masks, gradients=True)


def decode_run(run: Run) -> Any:
    return cx.decode(run.masks, run.values, gradients=run.gradients, method="gradspex", seed=0)


def quiet_find(*args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random models can't do the task
        return find_circuit(*args, **{**QUICK, "progress": False, **options})


def test_an_easy_game_stops_early_and_the_confirming_masks_are_used() -> None:
    game = Watched()
    masks = sample_masks(N, 400, seed=3)
    run, interactions, curve = explore(asking(game), masks, decode_run, until=0.95)
    assert [stage.n_ablations for stage in curve] == [50]
    assert curve[0].low >= 0.95
    assert curve[0].n_masks == 50
    np.testing.assert_array_equal(run.masks, masks[:100])
    assert interactions.n_ablations == 100
    assert len(game.ran) == len(set(game.ran)) == 100


@pytest.mark.long
def test_the_r2_of_a_stage_is_that_of_masks_its_fit_has_not_seen() -> None:
    masks = sample_masks(N, 128, seed=4)
    _, _, curve = explore(asking(Watched(noise=30)), masks, decode_run, until=0.999)
    assert [stage.n_ablations for stage in curve] == [16, 32, 64]
    game = Watched(noise=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = decode_run(game.evaluate(masks[:32], gradients=True))
    assert curve[1].r2 == pytest.approx(first.score(masks[32:64], game.evaluate(masks[32:64]).values).r2)
    assert curve[1].n_masks == 32


@pytest.mark.long
def test_a_target_that_is_never_reached_uses_the_whole_budget_once() -> None:
    game = Watched(noise=30)
    masks = sample_masks(N, 128, seed=4)
    run, interactions, _ = explore(asking(game), masks, decode_run, until=0.999)
    np.testing.assert_array_equal(run.masks, masks)
    assert len(game.ran) == len(set(game.ran)) == 128
    whole = decode_run(Watched(noise=30).evaluate(masks, gradients=True))
    np.testing.assert_array_equal(interactions.coefficients, whole.coefficients)


def test_without_a_target_there_is_one_stage() -> None:
    game = Watched()
    run, _, curve = explore(asking(game), sample_masks(N, 100), decode_run)
    assert (len(run), curve) == (100, ())


def test_unseen_masks_are_distinct_and_new() -> None:
    masks = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=bool)
    np.testing.assert_array_equal(unseen(masks, masks[3:]), masks[[0, 2]])
    assert unseen(masks, masks).shape == (0, 2)


@pytest.mark.parametrize("until", [0, 1, -0.5, 2, float("nan")])
def test_a_target_out_of_range_is_refused(until: float) -> None:
    with pytest.raises(UserError, match=r"until must lie between 0 and 1.*the R² to stop at"):
        Options(until=until).checked()


@pytest.fixture(scope="module")
def stopped(tiny: SimpleNamespace) -> Any:
    model = tiny.bridge("llama")
    return quiet_find(model, tiny.task(model, (5, 5, 5, 5)), budget=256, until=0.4)


@pytest.mark.long
def test_find_circuit_stops_early_and_says_so(stopped: Any) -> None:
    run = stopped.circuit.run
    assert run["budget"] == 256
    assert run["gradient_ablations"] == len(stopped.run) < 256
    assert run["until"] == 0.4
    assert [stage["n_ablations"] for stage in run["learning_curve"]] == [s.n_ablations for s in stopped.learning_curve]
    *staged, last = stopped.learning_curve
    assert staged[-1].reaches(0.4)
    assert not any(stage.reaches(0.4) for stage in staged[:-1])
    assert (last.n_ablations, last.r2, last.n_masks) == (
        len(stopped.run),
        stopped.faithfulness.r2,
        stopped.faithfulness.n_masks,
    )
    assert set(run["timings"]) == {"ablate", "decode", "held_out", "measure", "directions", "verify"}


@pytest.mark.long
def test_it_is_the_circuit_of_a_run_of_that_budget(stopped: Any, tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    same = quiet_find(model, tiny.task(model, (5, 5, 5, 5)), budget=len(stopped.run))
    np.testing.assert_array_equal(same.run.masks, stopped.run.masks)
    np.testing.assert_allclose(same.run.values, stopped.run.values, atol=1e-4)
    assert same.faithfulness.r2 == pytest.approx(stopped.faithfulness.r2, abs=0.02)
    assert len(same.learning_curve) == 1
    assert "learning_curve" not in same.circuit.run


@pytest.mark.long
def test_a_target_out_of_reach_warns_with_a_budget(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    with pytest.warns(UserWarning, match=r"until=0\.99999 was not reached: 64 ablations: R² .*ablations|budget of"):
        found = find_circuit(model, tiny.task(model, (5, 5, 5, 5)), budget=64, until=0.99999, progress=False, **QUICK)
    assert [stage.n_ablations for stage in found.learning_curve] == [16, 32, 64]
    assert len(found.run) == 64


def test_the_fields_survive_a_file(stopped: Any, tmp_path: Any) -> None:
    assert Circuit.load(stopped.circuit.save(tmp_path / "circuit.json")) == stopped.circuit


def test_auto_keeps_what_the_pilot_picked_and_runs_its_masks_once(
    tiny: SimpleNamespace, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[bytes] = []
    play = cx.ComponentGame._play

    def counted(game: Any, gates: Any, gradients: bool, done: Any) -> Any:
        if gradients:
            ran.extend(row.tobytes() for row in gates == 1)
        return play(game, gates, gradients, done)

    monkeypatch.setattr(cx.ComponentGame, "_play", counted)
    model = tiny.bridge("llama")
    found = quiet_find(model, tiny.task(model, (5, 5, 5, 5)), budget=40, keep="auto")
    run = found.circuit.run
    assert run["keep"] == found.pilot.keep
    assert run["keep_chosen"]["reason"] == found.pilot.reason
    assert [row["keep"] for row in run["keep_chosen"]["shares"]] == [row.keep for row in found.pilot.rows]
    assert all(row.explained is not None for row in found.pilot.rows)
    assert len(ran) == len(set(ran))
    assert run["pilot_ablations"] == len(ran) - len({row.tobytes() for row in found.run.masks})
    assert run["gradient_ablations"] == 40
    assert run["timings"]["pilot"] > 0
    assert found.interactions.keep == pytest.approx(found.pilot.keep)
    assert Circuit.load(found.circuit.save(tmp_path / "circuit.json")) == found.circuit


@pytest.mark.parametrize("method", ["auto", "linear"])
def test_auto_works_without_gradients(tiny: SimpleNamespace, method: Any) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 5, 5, 5), metric=lambda logits: logits.detach()[:, 7])
    found = quiet_find(model, task, budget=30, keep="auto", method=method)
    assert all(row.explained is None for row in found.pilot.rows)
    assert found.circuit.run["plain_ablations"] == 30


@pytest.mark.long
def test_mixed_shares_are_recorded(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    found = quiet_find(model, tiny.task(model), budget=40, keep=(0.4, 0.9))
    assert found.circuit.run["keep"] == pytest.approx(0.65)
    assert found.circuit.run["keep_range"] == [0.4, 0.9]
    assert found.pilot is None
    assert np.ptp(found.run.masks.mean(1)) > 0.3


def test_all_masks_used_gives_no_warning_of_a_budget(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = find_circuit(model, tiny.task(model), ["L0H0", "L1H1"], budget=60, until=0.99, progress=False, **QUICK)
    assert not any("until" in str(warning.message) for warning in caught)
    assert found.circuit.run["budget"] == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "most"}, r"keep must be a share such as 0.5.*'most'; 'auto' picks it"),
        ({"keep": (0.9, 0.3)}, "0 < low < high < 1"),
        ({"until": 1.0}, "until must lie between 0 and 1"),
    ],
)
def test_wrong_calls_are_one_clear_line(tiny: SimpleNamespace, options: dict[str, Any], message: str) -> None:
    model = tiny.bridge("llama")
    with pytest.raises(UserError, match=message) as error:
        quiet_find(model, tiny.task(model), **options)
    assert "\n" not in str(error.value)

"""Whatever holds numbers is taken from a game of one's own; what holds none is one line; its exceptions are its own."""

import numpy as np
import pandas as pd
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import choose, choose_curve, match, measure, verify
from circuitspex.errors import UserError
from circuitspex.games import FunctionGame, GroupedGame, as_game, per_prompt_of
from circuitspex.masks import sample_masks

MASKS = sample_masks(5, 20, seed=1)


def numbers(masks):
    return 2.0 * masks[:, 0] + masks[:, 1] * masks[:, 2]


AS = {
    "bfloat16": lambda y: torch.tensor(y).bfloat16(),
    "half": lambda y: torch.tensor(y).half(),
    "float8": lambda y: torch.tensor(y).to(torch.float8_e4m3fn),
    "gradient": lambda y: torch.tensor(y, requires_grad=True) * 1,
    "whole": lambda y: torch.tensor(y).long(),
    "sparse": lambda y: torch.tensor(y).to_sparse(),
    "lists": lambda y: y.tolist(),
    "numbers of PyTorch": lambda y: [torch.tensor(each, requires_grad=True).bfloat16() for each in y],
    "a tuple of columns": lambda y: tuple(torch.tensor([each]) for each in y),
    "Series": lambda y: pd.Series(y, index=[f"row {i}" for i in range(len(y))][::-1]),
    "nullable": lambda y: pd.Series(y).convert_dtypes(),
    "DataFrame": lambda y: pd.DataFrame({"a": y, "b": y}),
    "objects": lambda y: np.array(y, dtype=object),
    "a column": lambda y: y[:, None],
}


@pytest.mark.parametrize("kind", AS)
def test_numbers_in_any_holder_are_the_same_numbers(kind):
    game = FunctionGame(lambda masks: AS[kind](numbers(masks)), 5)
    np.testing.assert_array_equal(game(MASKS), numbers(MASKS))
    np.testing.assert_array_equal(per_prompt_of(lambda masks: AS[kind](numbers(masks)))(MASKS).mean(1), numbers(MASKS))


@pytest.mark.some(4)
@pytest.mark.parametrize("hold", [AS["bfloat16"], AS["gradient"], AS["lists"], pd.DataFrame])
def test_masks_values_and_gradients_to_decode_come_in_any_holder(hold):
    masks, slopes = sample_masks(5, 64, seed=0), np.tile([2.0, 0, 0, 0, 0], (64, 1))
    plain = cx.decode(masks, numbers(masks), gradients=slopes, method="gradspex")
    values = pd.Series(numbers(masks)) if hold is pd.DataFrame else hold(numbers(masks))
    assert cx.decode(hold(masks * 1.0), values, gradients=hold(slopes), method="gradspex").terms == plain.terms


def test_gradients_of_a_game_come_as_tensors_too():
    def slopes(masks):
        return torch.ones(len(masks), 5, requires_grad=True).bfloat16()

    run = FunctionGame(numbers, 5, gradients=slopes).evaluate(MASKS, gradients=True)
    np.testing.assert_array_equal(run.gradients, np.ones((20, 5)))


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda masks: None, "gave None; it must return one number a mask"),
        (lambda masks: {"a": 1}, "must give numbers, not dict"),
        (lambda masks: ["x"] * len(masks), "must give numbers, not list"),
        (lambda masks: pd.Series(["x"] * len(masks)), "must give numbers, not Series"),
        (lambda masks: torch.ones(len(masks), dtype=torch.complex64), "real numbers, not complex"),
        (lambda masks: pd.Series([None] * len(masks), dtype="Float64"), "gave nan"),
        (lambda masks: torch.full((len(masks),), torch.inf), "gave inf"),
        (lambda masks: [torch.ones(2), *[1.0] * (len(masks) - 1)], "must give numbers"),
    ],
)
def test_what_holds_no_numbers_is_one_line_that_names_the_function(gives, said):
    gives.__name__ = "mine"
    with pytest.raises(UserError, match=said) as caught:
        FunctionGame(gives, 5)(MASKS)
    assert "the game mine" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plain_function_is_explained_where_its_players_are_said():
    found = cx.explain(numbers, budget=32, n_players=5, progress=False)
    assert {node.name for node in found.circuit.nodes} == {"p0", "p1", "p2"}
    named = cx.explain(numbers, budget=32, names=list("abcde"), progress=False)
    assert {node.name for node in named.circuit.nodes} == {"a", "b", "c"}
    assert cx.spex(numbers, 32, names=list("abcde")).n_players == 5
    assert GroupedGame(FunctionGame(numbers, 5), [[0, 1], [2]]).n_players == 2


class Game:
    n_players = 5
    names = tuple("vwxyz")

    def __call__(self, masks):
        return numbers(masks)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cx.explain(numbers), r"of a plain function say it: n_players=…, or names=\[…\]"),
        (lambda: cx.explain(numbers, names="abcde"), "names are a list of texts"),
        (lambda: cx.explain(numbers, n_players=3, names=["a"]), "3 different texts"),
        (lambda: cx.explain(Game), "Game is a class; give a game of it"),
        (lambda: cx.explain("my_game.py:Game"), "a game is a callable with masks"),
        (lambda: as_game(FunctionGame(numbers, 5), 4), "5 players and names of its own"),
        (lambda: cx.explain(FunctionGame(numbers, 5), names=list("abcde")), "5 players and names of its own"),
        (lambda: cx.spex(numbers, 32), "of a plain function give their names"),
    ],
)
def test_what_can_not_be_explained_is_one_line(call, said):
    with pytest.raises(UserError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


class MyError(Exception):
    pass


@pytest.mark.parametrize("error", [MyError, ValueError, TypeError, KeyError, RuntimeError])
@pytest.mark.parametrize(
    "call",
    [
        lambda play: cx.explain(play, n_players=5, progress=False),
        lambda play: FunctionGame(play, 5)(MASKS),
        lambda play: cx.spex(play, 32, names=list("abcde")),
        lambda play: verify(play, 5, [0]),
        lambda play: measure(play, [(0,)], MASKS),
    ],
)
def test_what_a_game_raises_is_its_own(call, error):
    raised = error("mine")

    def play(masks):
        raise raised

    with pytest.raises(error) as caught:
        call(play)
    assert caught.value is raised
    assert caught.traceback[-1].name == "play"


def test_circuits_are_measured_verified_and_chosen_from_games_and_results():
    game = FunctionGame(lambda masks: torch.tensor(numbers(masks)).bfloat16(), 5)
    for given in (game, game._function, lambda masks: game.evaluate(masks).per_prompt):
        assert verify(given, 5, [0, 1], n_random=2).full == 3.0
        np.testing.assert_array_equal(measure(given, [(0,)], MASKS)[(0,)], np.full((20, 1), 2.0))
    found = cx.explain(game, budget=32, progress=False)
    assert choose(found, 2) == choose(found.interactions, 2)
    assert match(found, 2) == match(found.interactions, 2)
    assert choose_curve(found, [1, 2]) == choose_curve(found.interactions, [1, 2])
    with pytest.raises(UserError, match=r"chosen by the decoded function, found.interactions; not by Circuit"):
        choose(found.circuit, 2)


@pytest.mark.parametrize("executor", ["fused", "batched", "hooks"])
@pytest.mark.parametrize("error", [MyError, ValueError, RuntimeError])
def test_what_a_metric_raises_is_its_own(executor, error, tiny):
    raised, model = error("mine"), tiny.bridge("llama")

    def metric(logits):
        raise raised

    task = tiny.task(model, metric=metric)
    for call in (
        lambda: cx.ComponentGame(model, task, "heads", "zero", executor=executor)([[True] * 12]),
        lambda: task.report(model),
        lambda: cx.find_circuit(model, task, "mlps", "zero", budget=8, progress=False),
        lambda: cx.TokenGame(model, "w1 w2", " w3", metric=metric)([[True, True]]),
    ):
        with pytest.raises(error) as caught:
            call()
        assert caught.value is raised
        assert caught.traceback[-1].name == "metric"

"""``explain`` on games that the project does not know, from ten lines of code to files."""

from __future__ import annotations

import json

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import Node
from circuitspex.circuits.circuit import Faithfulness
from circuitspex.circuits.evidence._replicate import replicate
from circuitspex.circuits.formats import names as formats
from circuitspex.circuits.formats import render
from circuitspex.cli.main import main
from circuitspex.errors import UserError


class Pairs:
    """A lone player, a pair that works together, a pair that backs each other up, and a triple."""

    n_players = 12

    def __call__(self, masks):
        x = masks.astype(float)
        backup = 1 - (1 - x[:, 3]) * (1 - x[:, 4])
        return x[:, 0] + 2 * x[:, 1] * x[:, 2] + 1.5 * backup + x[:, 5] * x[:, 6] * x[:, 7]


WANTED = {("p1", "p2"): "needs", ("p3", "p4"): "backs up", ("p5", "p6", "p7"): "positive interaction"}


@pytest.mark.some(2)
@pytest.mark.parametrize("method", ["auto", "gp", "pursuit", "proxyspex", "spex"])
def test_what_is_in_a_game_is_found(method):
    found = cx.explain(Pairs(), 256 if method in ("spex", "proxyspex") else 120, method=method, seed=3)
    words = {edge.components: edge.relation.word for edge in found.circuit.interactions}
    for members, word in WANTED.items():
        assert words.get(members) == word
    assert found.faithfulness.r2 > 0.9
    assert found.report is None
    assert found.circuit.run["lens"] == "game"
    assert found.circuit.task["unablated"] == pytest.approx(Pairs()(np.ones((1, 12), dtype=bool))[0])
    by_name = {edge.components: edge for edge in found.circuit.interactions}
    assert by_name["p3", "p4"].measured.value == pytest.approx(-1.5)
    assert {node.kind for node in found.circuit.nodes} == {"player"}


def test_gradients_of_the_game_are_used():
    class Smooth(Pairs):
        def gradients(self, masks):
            x, out = masks.astype(float), np.zeros(masks.shape)
            out[:, 0] = 1
            out[:, 1], out[:, 2] = 2 * x[:, 2], 2 * x[:, 1]
            out[:, 3], out[:, 4] = 1.5 * (1 - x[:, 4]), 1.5 * (1 - x[:, 3])
            for i, j, k in ((5, 6, 7), (6, 5, 7), (7, 5, 6)):
                out[:, i] = x[:, j] * x[:, k]
            return out

    found = cx.explain(Smooth(), 40, seed=1)
    assert found.circuit.run["gradient_ablations"] == 40
    assert found.interactions.method == "gradspex"
    assert found.faithfulness.r2 > 0.95


def test_features_of_a_regression(tmp_path):
    """Ten lines: how much of y least squares explains with some of the columns; one column is there twice."""

    class Columns:
        names = ("height", "width", "depth", "age", "height again", "noise")
        n_players = len(names)

        def __init__(self):
            rng = np.random.default_rng(0)
            self.x = rng.normal(size=(80, 6))
            self.x[:, 4] = self.x[:, 0] + 0.01 * rng.normal(size=80)
            self.y = 2 * self.x[:, 0] + self.x[:, 1] + rng.normal(size=80)

        def __call__(self, masks):
            return np.array([self.explained(self.x[:, mask]) for mask in masks])

        def explained(self, x):
            return 1 - (self.y - x @ np.linalg.lstsq(x, self.y)[0]).var() / self.y.var()

    found = cx.explain(Columns(), 40, n_heldout=40, n_contexts=6, seed=0)
    (strongest, *_) = found.circuit.interactions
    assert set(strongest.components) == {"height", "height again"}
    assert strongest.relation.word == "backs up"
    found.circuit.save(tmp_path / "circuit.json")
    assert cx.Circuit.load(tmp_path / "circuit.json") == found.circuit


@pytest.mark.long
def test_every_export_takes_it_or_says_why_not(tmp_path):
    found = cx.explain(Pairs(), 100, seed=5)
    refused = set()
    for form in formats():
        try:
            path = found.circuit.export(form, tmp_path / f"circuit.{form}")
        except UserError:
            refused.add(form)
        else:
            assert path.stat().st_size > 0
    assert refused <= {"eap"}
    svg = (tmp_path / "circuit.svg").read_text()
    assert ">layer<" not in svg
    assert "p3" in svg


@pytest.mark.long
def test_the_same_seed_gives_the_same_result():
    first, second = (cx.explain(Pairs(), 60, seed=7).circuit for _ in range(2))
    assert first.nodes == second.nodes
    assert first.interactions == second.interactions


def test_of_tiny_games_all_masks_are_scored():
    game = cx.FunctionGame(lambda masks: masks.sum(1), 2)
    found = cx.explain(game, 16, n_heldout=8)
    assert game.n_run <= 4 + 4 * 3  # all four to decode; and those that the held-out and measuring steps ask for again
    assert len(found.run) == 4
    assert (found.faithfulness.n_masks, found.faithfulness.exact) == (4, True)
    assert {node.name: node.effect for node in found.circuit.nodes} == pytest.approx({"p0": 1, "p1": 1})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": 1}, "budget must be at least 2"),
        ({"keep": 1.5}, "keep"),
        ({"until": 2.0}, "until must lie between"),
        ({"n_contexts": 1}, "n_contexts must be at least 2"),
        ({"method": "spex", "keep": 0.8}, "spex"),
    ],
)
def test_wrong_arguments_are_one_line(options, said):
    with pytest.raises(UserError, match=said) as caught:
        cx.explain(Pairs(), **options)
    assert "\n" not in str(caught.value)


GAME = """
n = 5
class Game:
    n_players = n
    names = ["red", "green", "blue", "black", "white"]
    def __call__(self, masks):
        return masks[:, 0] * masks[:, 1] * 2.0 + masks[:, 2]
def make():
    return Game()
three = 3
"""


@pytest.mark.some(2)
@pytest.mark.parametrize("name", ["Game", "make"])
def test_a_game_in_a_file(name, tmp_path, capsys):
    file = tmp_path / "colours.py"
    file.write_text(GAME)
    assert main(["explain", f"{file}:{name}", "--budget", "20", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "red × green" in printed
    assert (tmp_path / "out" / "circuit.html").exists()
    assert main(["explain", f"{file}:{name}", "--budget", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["circuit"]["run"]["lens"] == "game"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing.py:Game", "there is no such file"),
        ("{file}:Other", "has no 'Other'"),
        ("{file}:three", "is not a game"),
        ("Game", "write FILE.py:NAME"),
    ],
)
def test_what_is_no_game_in_a_file(name, said, tmp_path, capsys):
    file = tmp_path / "colours2.py"
    file.write_text(GAME)
    assert main(["explain", name.format(file=file)]) == 1
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_few_players_are_measured_exactly(n):
    """Every mask is there to be run, so nothing is a sample: what is reported is the mean over all contexts."""
    values = np.random.default_rng().standard_t(3, size=2**n)
    every = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    found = cx.explain(cx.FunctionGame(lambda masks: values[masks @ (1 << np.arange(n))], n), 100, seed=1)
    assert len(found.circuit.nodes) == n
    for part in (*found.circuit.nodes, *found.circuit.interactions):
        names = [part.name] if isinstance(part, Node) else part.components
        sign = np.where(every[:, [int(name[1:]) for name in names]], 1, -1).prod(1)
        exact = pytest.approx(float((sign * values).mean() * 2 ** len(names)))
        assert (part.measured.value, part.measured.low, part.measured.high, part.decoded) == (exact,) * 4


def test_one_context_alone_shows_nothing():
    """Of three players a pair has two contexts; where only one was drawn, nothing tells how the effect varies."""
    contexts = np.array([[True, True, True], [False, True, True]])
    once = replicate(lambda masks: masks.sum(1)[:, None] * 1.0, [(0, 1), (1, 2)], contexts)
    assert once[0, 1].same
    assert once[0, 1].p_value() == 1.0
    assert not once[1, 2].same


def test_where_all_masks_are_run_r2_is_that_of_all_masks():
    """13 of 16 to decode, the three others to score: nothing is a sample of anything."""
    values = np.random.default_rng(3).normal(size=16)
    found = cx.explain(cx.FunctionGame(lambda masks: values[masks @ (1 << np.arange(4))], 4), 13)
    assert len(np.unique(found.run.masks, axis=0)) == 13, "a mask was drawn twice"
    every = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(bool)
    missed = ((values - found.interactions.predict(every)) ** 2).mean() / values.var()
    assert found.faithfulness == Faithfulness(pytest.approx(1 - missed), None, None, 16, exact=True)
    assert str(found.faithfulness).endswith(", exact over all 16 masks")
    assert found.circuit.run["exact_over_masks"]


def test_an_r2_of_a_few_masks_is_not_measured():
    found = cx.explain(cx.FunctionGame(lambda masks: masks @ np.arange(1.0, 3.0), 2), 20, keep=0.6)
    assert found.faithfulness.n_masks == 0
    assert "not measured" in str(found.faithfulness)


def test_complex_numbers_are_refused():
    with pytest.raises(UserError, match="real numbers"):
        cx.FunctionGame(lambda masks: np.ones(len(masks)) * 1j, 2)(np.ones((1, 2), dtype=bool))


def test_a_circuit_prints_as_its_table():
    circuit = cx.explain(Pairs(), 100, seed=5).circuit
    assert str(circuit) == circuit.table()
    for form in ("dot", "mermaid"):
        assert "layer 0" not in render(circuit, form)

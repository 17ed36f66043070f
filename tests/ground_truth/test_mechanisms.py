"""A planted model whose two halves of prompts use different heads has two mechanisms; the usual plant has one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitspex.circuits import find_circuit
from circuitspex.circuits.formats import render
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
import plants

OTHER = 22  # another place in the residual stream, which the second half of the labels writes to
FIRST, SECOND = {"L0H0", "L1H0"}, {"L0H1", "L1H1"}


@pytest.fixture(scope="module")
def two():
    """Labels 2 and 3 of each sign are read by the heads of the AND pair alone, labels 0 and 1 by the backup pair."""
    groups = (plants.Group("backup", tuple(sorted(FIRST)), 2.0), plants.Group("and", tuple(sorted(SECOND)), 2.0))
    model = plants.build(plants.Plant(groups))
    weights = {name.replace("_original_component.", ""): p for name, p in model.named_parameters()}
    with torch.no_grad():
        for word in ("plus2", "plus3", "minus2", "minus3"):
            embedding = weights["tok_embed.weight"][plants.WORDS.index(word)]
            embedding[OTHER], embedding[plants.SIGN] = embedding[plants.SIGN].clone(), 0.0
        for layer in range(2):
            values = weights[f"layers.{layer}.attn.v.weight"]
            row = plants.D_HEAD  # of head 1
            values[row, OTHER], values[row, plants.SIGN] = values[row, plants.SIGN].clone(), 0.0
    return searched(model)


def searched(model):
    task = plants.task(model)
    return find_circuit(
        model, task, budget=64, n_heldout=20, heldout=plants.heldout(model), directions=False, progress=False
    )


@pytest.fixture(scope="module")
def one():
    return searched(plants.build(plants.USUAL))


def test_the_two_halves_are_found_with_a_circuit_each(two):
    found = two.mechanisms()
    assert [mechanism.prompts for mechanism in found.mechanisms] == [(0, 1, 4, 5), (2, 3, 6, 7)]
    assert found.labels == (0, 0, 1, 1, 0, 0, 1, 1)
    for mechanism, heads, word, sign in zip(
        found.mechanisms, (FIRST, SECOND), ("backs up", "needs"), (-1, 1), strict=True
    ):
        assert {node.name for node in mechanism.circuit.nodes} == heads
        (pair,) = mechanism.circuit.interactions
        assert set(pair.components) == heads
        assert (pair.relation.word, np.sign(pair.effect)) == (word, sign)
        assert mechanism.circuit.task["n_prompts"] == 4
        # The record is of these prompts, not of all.
        assert "identity" not in mechanism.circuit.task
        assert set(mechanism.circuit.run["main_effects"]) <= set(mechanism.interactions.names)
        for name, effect in mechanism.circuit.run["main_effects"].items():
            assert effect == pytest.approx(mechanism.interactions.main_effects[name], rel=1e-4)
        assert mechanism.circuit.faithfulness.r2 > 0.9
    assert render(found, "text").startswith("2 mechanisms on 8 prompts")


def test_of_the_mixture_less_is_certain_than_of_its_halves(two):
    """Each effect is nothing on half of the prompts, so that its interval over all of them is wide."""
    whole = {node.name: node.measured for node in (*two.circuit.nodes, *two.circuit.dropped_nodes)}
    for mechanism in two.mechanisms().mechanisms:
        for node in mechanism.circuit.nodes:
            assert node.measured.high - node.measured.low < whole[node.name].high - whole[node.name].low


def test_the_usual_plant_is_one(one):
    found = one.mechanisms()
    assert found.is_one
    assert found[0].circuit is one.circuit
    assert found.labels == (0,) * 8
    assert render(found, "text").startswith("One mechanism on 8 prompts")


def test_the_effects_of_a_kind_are_those_measured_on_its_prompts(two):
    found = two.mechanisms()
    for mechanism in found.mechanisms:
        for node in mechanism.circuit.nodes:
            column = found.parts.index((node.name,))
            values = found.effects[list(mechanism.prompts), column]
            assert node.effect == pytest.approx(values.mean())
            np.testing.assert_allclose(node.per_prompt, values)


def test_too_few_prompts_or_no_measurements_are_said(two):
    few = replace(two, measurements=two.measurements.on(range(5)))
    found = few.mechanisms()
    assert found.is_one
    assert "5 prompts are too few" in found.note
    with pytest.raises(UserError, match="there is nothing of it"):
        replace(two, measurements=None).mechanisms()


def test_the_picture_has_a_row_for_each_prompt_and_is_written(two, tmp_path):
    found = two.mechanisms()
    path = found.plot(tmp_path / "mechanisms.svg")
    text = path.read_text(encoding="utf-8")
    assert "2 mechanisms on 8 prompts" in text
    assert all(name in text for name in FIRST | SECOND)
    assert found.plot(tmp_path / "mechanisms.png").stat().st_size > 1000

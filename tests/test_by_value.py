"""Results that hold arrays are equal where what they hold is, also after a file, a copy or another process."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.by_value import same
from circuitspex.half_precision import HalfMatrix

MASKS = cx.sample_masks(4, 30, seed=0)


def play(masks: Any) -> Any:
    return np.stack([masks[:, 0] * 2.0 - masks[:, 1] * masks[:, 2] + shift for shift in (0.0, 0.5)], 1)


def decoded(**options: Any) -> cx.Interactions:
    return cx.decode(MASKS, play(MASKS).mean(1), method="linear", **options)


def half(**options: Any) -> HalfMatrix:
    made = HalfMatrix.empty(2, 3)
    made.halves[:] = 1
    made.exponents[0] = options.get("exponent", 0)
    return made


def run(**options: Any) -> Any:
    return cx.FunctionGame(play, 4).evaluate(MASKS[options.get("first", 0) :])


MADE = {
    "Interactions": (decoded, {"seed": 1}),
    "Run": (run, {"first": 1}),
    "HalfMatrix": (half, {"exponent": 3}),
}


@pytest.mark.parametrize("name", MADE)
def test_equal_where_the_numbers_are(name: str) -> None:
    make, other = MADE[name]
    one = make()
    for again in (one, make(), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert one == again
        assert hash(one) == hash(again)
    different = make(**other)
    assert one != different
    assert one != name
    assert len({one, make(), different}) == 2


def test_what_was_saved_is_equal(tmp_path: Path) -> None:
    one = decoded()
    assert cx.Interactions.load(one.save(tmp_path / "one.json")) == one
    assert one.function == decoded().function != cx.decode(MASKS, MASKS[:, 3] * 1.0, method="linear").function


def test_searches_with_one_seed_are_equal(tiny: SimpleNamespace) -> None:
    task = tiny.task(tiny.bridge("llama"), (5, 4))
    first, second = (
        cx.find_circuit(tiny.bridge("llama"), task, "heads", budget=20, n_heldout=8, n_contexts=4, progress=False)
        for _ in range(2)
    )
    assert first.run == second.run
    assert first.interactions == second.interactions
    assert first.measurements == second.measurements


def test_values_of_every_kind() -> None:
    nan = np.array([1.0, np.nan])
    assert same(nan, nan.copy())
    assert same({"a": (nan, [1, nan])}, {"a": (nan.copy(), [1, nan.copy()])})
    assert not same(nan, [1.0, np.nan])
    assert not same((nan,), (nan, nan))
    assert not same({"a": 1}, {"b": 1})
    assert same(np.array(["a"]), np.array(["a"]))

"""The compiled check of a schema refuses exactly what jsonschema refuses, and always finds words for it."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from drawn_circuits import realistic, with_evidence
from drawn_comparisons import comparison, series
from jsonschema import Draft202012Validator

from circuitspex.export import schemas
from circuitspex.export.files import circuit, comparison_check
from circuitspex.export.files import comparison as compare_file

VALUES: list[Any] = [None, True, 0, 1, -1, 2.0, 1.5, "", "x", "L1H1", [], [[]], [{}, {}], ["a", "a"], {}, {"value": 1}]
SERIES = comparison_check.schema()["$defs"]["series"] | {"$defs": comparison_check.schema()["$defs"]}
FILES = {
    "circuit": (("files", "circuit.schema.json"), circuit.to_json(with_evidence(realistic(3)))),
    "comparison": (("files", "comparison.schema.json"), compare_file.to_json(comparison(3))),
    "series": (("files", "comparison.schema.json", "series"), compare_file.series_to_json(series(3, 3))),
}


def damaged(data: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The data with one thing in it changed, left out or added; not the version, which is checked before."""
    whole = copy.deepcopy(data)
    del whole["version"]
    at: Any = whole
    while True:
        key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not (isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8):
            break
        at = at[key]
    if rng.random() < 0.25:
        del at[key]
    elif isinstance(at, dict) and rng.random() < 0.15:
        at["extra"] = 1
    else:
        at[key] = rng.choice(VALUES)
    return {"version": data["version"], **whole}


@pytest.mark.parametrize("name", list(FILES))
def test_both_checks_refuse_the_same(name: str) -> None:
    place, data = FILES[name]
    validator = Draft202012Validator(SERIES if name == "series" else schemas.load(*place[:2]))
    rng, refused = random.Random(0), 0
    assert schemas.problem_of(data, *place) is None
    for _ in range(150):
        bad = damaged(data, rng)
        problem = schemas.problem_of(bad, *place)
        assert (problem is None) == validator.is_valid(bad), (problem, bad)
        refused += problem is not None
        assert "\n" not in (problem or "")
    assert refused > 50

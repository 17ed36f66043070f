"""Gradient-boosted trees on masks, and their exact expansion into parities."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import lightgbm
import numpy as np

from circuitspex.recovery.polynomial import Polynomial
from circuitspex.typing import FloatArray, Term, Values

# One thread: the data sets are small, and LightGBM's threads cost more than they save (and vary the sums).
_PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.1,
    "lambda_l2": 0.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
    "max_bin": 3,
    "min_data_in_bin": 1,
    "verbosity": -1,
}


def fit_trees(x: FloatArray, values: Values, *, depth: int, rounds: int, seed: int) -> lightgbm.Booster:
    """``rounds`` trees of at most ``depth`` levels on signs ``(K, n)``."""
    parameters = _PARAMETERS | {
        "max_depth": depth,
        "num_leaves": 2**depth,
        "min_data_in_leaf": max(1, min(20, len(values) // 10)),
        "seed": seed,
    }
    data = lightgbm.Dataset(x, label=values, free_raw_data=True, params={"verbosity": -1, "max_bin": 3})
    return lightgbm.train(parameters, data, num_boost_round=rounds)


def staged_predictions(booster: lightgbm.Booster, x: FloatArray, rounds: list[int]) -> FloatArray:
    """Predictions after so many rounds, ``(len(x), len(rounds))``."""
    return np.stack([booster.predict(x, num_iteration=count) for count in rounds], axis=1)


def tree_polynomial(booster: lightgbm.Booster, rounds: int | None = None) -> Polynomial:
    """The trees' function as an exact sum of parities.

    A leaf that is reached by keeping A and ablating B is ``value * prod_A (1 + x_i)/2 * prod_B (1 - x_i)/2``;
    multiplied out, it adds ``value 2^-d (-1)^|S and B|`` to every S within A and B (Butler et al., 'ProxySPEX', 2025).
    """
    table: dict[Term, float] = {}
    for tree in booster.dump_model(num_iteration=rounds or -1)["tree_info"]:
        _expand(tree["tree_structure"], {}, table)
    return Polynomial.of(table)


def _expand(node: dict[str, Any], path: dict[int, float], table: dict[Term, float]) -> None:
    if "leaf_value" in node:
        members = sorted(path)
        value = node["leaf_value"] * 0.5 ** len(members)
        for size in range(len(members) + 1):
            for subset in combinations(members, size):
                sign = 1.0
                for member in subset:
                    sign *= path[member]
                table[subset] = table.get(subset, 0.0) + value * sign
        return
    feature, threshold = node["split_feature"], node["threshold"]
    # x <= threshold goes left; a threshold outside (-1, 1) sends both signs the same way.
    for child, sign in (("left_child", -1.0), ("right_child", 1.0)):
        goes_left = sign <= threshold
        if threshold < -1 or threshold >= 1:
            if (child == "left_child") == goes_left:
                _expand(node[child], path, table)
            continue
        if path.get(feature, sign) == sign:
            _expand(node[child], {**path, feature: sign}, table)

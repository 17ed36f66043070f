"""Gradient-boosted trees on masks (Friedman 2001, by LightGBM), and their exact expansion into parities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.typing import FloatArray, IntArray, Term, Values
from circuitspex.unmoved import unmoved

with unmoved():
    import lightgbm

# One thread: the data sets are small, and LightGBM's threads cost more than they save (and vary the sums).
_PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.1,
    "lambda_l2": 0.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
    "max_bin": 2,
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
    data = lightgbm.Dataset(x, label=values, free_raw_data=True, params={"verbosity": -1, "max_bin": 2})
    # Otherwise the trees go through their text and back once more, which for few masks takes as long as growing them.
    return lightgbm.train(parameters, data, num_boost_round=rounds, keep_training_booster=True)


def staged_predictions(booster: lightgbm.Booster, x: FloatArray, rounds: list[int]) -> FloatArray:
    """Predictions after so many rounds, ``(len(x), len(rounds))``."""
    out = np.zeros((len(x), len(rounds)))
    start, total = 0, np.zeros(len(x))
    for column, stop in enumerate(rounds):
        if stop > start:
            total = total + booster.predict(x, start_iteration=start, num_iteration=stop - start, raw_score=True)
        out[:, column] = total
        start = stop
    return out


def tree_polynomial(booster: lightgbm.Booster, rounds: int | None = None) -> Polynomial:
    """The trees' function as an exact sum of parities.

    A leaf that is reached by keeping A and ablating B is ``value * prod_A (1 + x_i)/2 * prod_B (1 - x_i)/2``;
    multiplied out, it adds ``value 2^-d (-1)^|S and B|`` to every S within A and B (Butler et al., 'ProxySPEX', 2025).
    All leaves of one depth are multiplied out at once; ``tree_polynomial_one_by_one`` is the definition.
    """
    leaves = _Leaves.of(booster, rounds)
    if leaves is None:
        return tree_polynomial_one_by_one(booster, rounds)
    total: dict[Term, float] = {}
    for depth in np.unique(leaves.depth):
        rows = leaves.depth == depth
        order = np.argsort(leaves.features[rows, :depth], axis=1)
        features = np.take_along_axis(leaves.features[rows, :depth], order, axis=1)
        signs = np.take_along_axis(leaves.signs[rows, :depth], order, axis=1)
        value = leaves.values[rows] * 0.5**depth
        total[()] = total.get((), 0.0) + float(value.sum())
        for size in range(1, depth + 1):
            places = np.array(list(combinations(range(depth), size)), dtype=np.int64)
            members = features[:, places].reshape(-1, size)
            parts = (value[:, None] * signs[:, places].prod(2)).ravel()
            for term, part in _summed(members, parts):
                total[term] = total.get(term, 0.0) + part
    return Polynomial.of(total)


def tree_polynomial_one_by_one(booster: lightgbm.Booster, rounds: int | None = None) -> Polynomial:
    """``tree_polynomial`` by its definition: leaf after leaf, subset after subset."""
    table: dict[Term, float] = {}
    for tree in booster.dump_model(num_iteration=rounds or -1)["tree_info"]:
        _expand(tree["tree_structure"], {}, table)
    return Polynomial.of(table)


def _summed(members: IntArray, parts: FloatArray) -> list[tuple[Term, float]]:
    """Rows of increasing indices with their sums."""
    order = np.lexsort(members.T[::-1])
    members, parts = members[order], parts[order]
    first = np.concatenate([[True], (members[1:] != members[:-1]).any(1)])
    sums = np.add.reduceat(parts, np.flatnonzero(first))
    return list(zip(map(tuple, members[first].tolist()), sums.tolist(), strict=True))


@dataclass(frozen=True)
class _Leaves:
    """Every leaf of every tree: the features on its way with the sign that leads to it, and its value."""

    features: IntArray  # (leaves, deepest), -1 beyond the leaf's depth
    signs: FloatArray
    depth: IntArray
    values: FloatArray

    @classmethod
    def of(cls, booster: lightgbm.Booster, rounds: int | None) -> _Leaves | None:
        """Read from the model's text; None where a split does not divide -1 from +1 (it then is not a mask's)."""
        features, signs, depths, values = [], [], [], []
        text = booster.model_to_string(num_iteration=rounds or -1)
        for block in text.split("\nTree=")[1:]:
            fields = dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line)
            leaf_value = np.array(fields["leaf_value"].split(), dtype=np.float64)
            n_leaves = len(leaf_value)
            if n_leaves == 1:
                features.append(np.full((1, 1), -1, dtype=np.int64))
                signs.append(np.ones((1, 1)))
                depths.append(np.zeros(1, dtype=np.int64))
                values.append(leaf_value)
                continue
            threshold = np.array(fields["threshold"].split(), dtype=np.float64)
            if (threshold < -1).any() or (threshold >= 1).any():
                return None
            found = _paths(
                np.array(fields["split_feature"].split(), dtype=np.int64),
                np.array(fields["left_child"].split(), dtype=np.int64),
                np.array(fields["right_child"].split(), dtype=np.int64),
                n_leaves,
            )
            if found is None:
                return None
            features.append(found[0])
            signs.append(found[1])
            depths.append(found[2])
            values.append(leaf_value)
        deepest = max(part.shape[1] for part in features)
        wide = [np.pad(part, ((0, 0), (0, deepest - part.shape[1])), constant_values=-1) for part in features]
        wide_signs = [np.pad(part, ((0, 0), (0, deepest - part.shape[1])), constant_values=1.0) for part in signs]
        return cls(np.concatenate(wide), np.concatenate(wide_signs), np.concatenate(depths), np.concatenate(values))


def _paths(
    split: IntArray, left: IntArray, right: IntArray, n_leaves: int
) -> tuple[IntArray, FloatArray, NDArray[np.int64]] | None:
    """The way to each leaf of one tree; leaf l is written ``~l`` among the children. None if a feature comes twice."""
    n_nodes = len(split)
    parent = np.full(n_nodes + n_leaves, -1, dtype=np.int64)
    side = np.ones(n_nodes + n_leaves)
    nodes = np.arange(n_nodes)
    for children, sign in ((left, -1.0), (right, 1.0)):
        places = np.where(children >= 0, children, n_nodes - 1 - children)
        parent[places] = nodes
        side[places] = sign
    at = n_nodes + np.arange(n_leaves)
    features, signs = [], []
    while (parent[at] >= 0).any():
        up = parent[at]
        features.append(np.where(up >= 0, split[np.maximum(up, 0)], -1))
        signs.append(np.where(up >= 0, side[at], 1.0))
        at = np.where(up >= 0, up, at)
    way = np.stack(features, axis=1)
    for row in range(way.shape[1]):
        for other in range(row):
            if ((way[:, row] == way[:, other]) & (way[:, row] >= 0)).any():
                return None
    return way, np.stack(signs, axis=1), (way >= 0).sum(1)


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

"""Which training examples each player stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from circuitspex.errors import UserError
from circuitspex.typing import FloatArray, IntArray

_SHOWN = 3


@dataclass(frozen=True)
class Players:
    """The players: ``members[i]`` are the indices of the examples that ``names[i]`` stands for.

    Examples of no player are in every training.
    """

    names: tuple[str, ...]
    members: tuple[IntArray, ...]
    n_examples: int
    kind: Literal["example", "group"]

    def weights(self, gates: FloatArray) -> FloatArray:
        """The weight of each example: gates ``(K, n)`` in, ``(K, N)`` out; 1 for examples of no player."""
        owner = np.full(self.n_examples, -1)
        for index, members in enumerate(self.members):
            owner[members] = index
        return np.where(owner >= 0, gates[:, owner], 1.0)


def players_of(groups: Any, n_examples: int) -> Players:
    """Players from what a caller may say.

    Args:
        groups: None for one player an example; a mapping from names to the indices of examples; a sequence of such
            index lists; or one group number an example, ``(N,)`` integers, where -1 means no player.
        n_examples: how many training examples there are, ``N``.

    Raises:
        UserError: a group is empty, overlaps another, or names an example that is not there.
    """
    if groups is None:
        names = tuple(f"e{i}" for i in range(n_examples))
        return Players(names, tuple(np.array([i]) for i in range(n_examples)), n_examples, "example")
    if isinstance(groups, Mapping):
        named = {str(name): members for name, members in groups.items()}
    else:
        named = _unnamed(groups, n_examples)
    if isinstance(groups, Mapping) and len(named) < len(groups):
        raise UserError("names of groups must be different when written as text")
    if not named:
        raise UserError("there must be at least one group of examples")
    members = tuple(_indices(name, group, n_examples) for name, group in named.items())
    owner: dict[int, str] = {}
    for name, group in zip(named, members, strict=True):
        shared = [i for i in group.tolist() if i in owner]
        if shared:
            raise UserError(f"groups must not overlap: {_list(shared)} is in both {owner[shared[0]]} and {name}")
        owner |= dict.fromkeys(group.tolist(), name)
    return Players(tuple(named), members, n_examples, "group")


def _unnamed(groups: Any, n_examples: int) -> dict[str, Any]:
    if not isinstance(groups, Sequence | np.ndarray) or isinstance(groups, str):
        raise UserError(
            "groups must be None, a mapping from names to indices, a sequence of index lists, or a group number for "
            f"each example; not {type(groups).__name__}"
        )
    if len(groups) == 0 or np.ndim(groups[0]) > 0:
        return {f"g{i}": group for i, group in enumerate(groups)}
    numbers = np.asarray(groups)
    if numbers.shape != (n_examples,) or numbers.dtype.kind not in "iu":
        raise UserError(
            f"group numbers must be {n_examples} integers, one an example; not {numbers.dtype} of shape {numbers.shape}"
        )
    return {f"g{number}": np.flatnonzero(numbers == number) for number in np.unique(numbers) if number >= 0}


def _indices(name: str, group: Any, n_examples: int) -> IntArray:
    indices = np.asarray(group)
    if indices.size == 0:
        raise UserError(f"group {name} is empty; each group needs at least one example")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise UserError(f"group {name} must be a list of the indices of its examples")
    outside = indices[(indices < 0) | (indices >= n_examples)]
    if len(outside):
        raise UserError(f"group {name} has {_list(outside.tolist())}, but there are {n_examples} examples, from 0 on")
    if len(np.unique(indices)) < len(indices):
        raise UserError(f"group {name} lists an example twice; put a copy of it into the data instead")
    return indices.astype(np.int64)


def _list(indices: Sequence[int]) -> str:
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return f"example {', '.join(map(str, indices[:_SHOWN]))}{more}"

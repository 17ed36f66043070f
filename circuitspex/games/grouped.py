"""Groups of a game's players as the players: coarse questions asked of a fine game."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from circuitspex.errors import UserError
from circuitspex.games.chunks import Done
from circuitspex.games.function_game import as_game
from circuitspex.games.lens import LensGame
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.scale import MOST, whole
from circuitspex.typing import FloatArray, Game, Gradients, IntArray, Masks, PerPrompt


class GroupedGame(LensGame):
    """Several players of another game are kept or ablated together, as one player of this one.

    A group's gate is the gate of each of its members, so its gradient is the sum of theirs. Finished ablations are kept
    in the other game's store, under the other game's masks: what was run there is not run again here.

    Args:
        game: whose players are grouped.
        groups: the members of each group, as indices of the game's players; each at most once. A player in no group is
            always kept.
        names: what the groups are called; by default the names of their members, joined with ``+``.

    Raises:
        UserError: no groups, an empty one, a player that is not there or is in two groups, or wrong names.
    """

    lens: ClassVar[str] = "groups"

    def __init__(
        self, game: LensGame | Game, groups: Sequence[Sequence[int]], names: Sequence[str] | None = None
    ) -> None:
        super().__init__(None)
        self.game = game = as_game(game)
        self.unit_roundoff = game.unit_roundoff
        if not all(isinstance(group, Iterable) for group in _listed(groups, "groups")):
            raise UserError("groups are lists of players, such as [[0, 1], [2]]")
        self.groups = tuple(tuple(whole(member, "a player in a group", -MOST) for member in group) for group in groups)
        self._group_of = _group_of(self.groups, game.n_players)
        inner = game.names
        given = (
            ["+".join(inner[i] for i in group) for group in self.groups]
            if names is None
            else list(map(str, _listed(names, "names")))
        )
        if len(given) != len(self.groups) or len(set(given)) != len(given) or not all(map(str.strip, given)):
            raise UserError(f"names must be {len(self.groups)} different texts, one a group")
        self.names = tuple(given)

    @property
    def n_samples(self) -> int:
        """As the game's own."""
        return self.game.n_samples

    @property
    def workers(self) -> RayWorkers | None:  # type: ignore[override]
        """As the game's own."""
        return self.game.workers

    def played_by(self, workers: RayWorkers | None) -> GroupedGame:
        """The same groups of the same game, played by these processes."""
        return GroupedGame(self.game.played_by(workers), self.groups, self.names)

    @property
    def n_changes(self) -> int:  # type: ignore[override]
        """As the game's own."""
        return self.game.n_changes

    @property
    def executor(self) -> str:
        """As the game's own."""
        return self.game.executor

    def part(self, index: int) -> tuple[int, str]:
        """The layer and the kind of a group: those of its members where they agree, else the first layer, 'group'."""
        parts = {self.game.part(member) for member in self.groups[index]}
        if len(parts) == 1:
            return parts.pop()
        kinds = {kind for _, kind in parts}
        return min(layer for layer, _ in parts), kinds.pop() if len(kinds) == 1 else "group"

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """What the game says, with the groups as the components of the run."""
        about = self.game.describe()
        return {**about, "run": {**about.get("run", {}), "components": f"{self.n_players} groups"}}

    def on(self, *args: Any, **options: Any) -> GroupedGame:
        """The same groups of the game that ``game.on`` gives (on another task, for example)."""
        return GroupedGame(self.game.on(*args, **options), self.groups, self.names)  # type: ignore[attr-defined]

    def expanded(self, gates: FloatArray | Masks) -> FloatArray | Masks:
        """The gates of the game's players ``(K, n)`` from those of the groups ``(K, groups)``."""
        with_kept = np.concatenate([gates, np.ones((len(gates), 1), dtype=gates.dtype)], axis=1)
        return np.asarray(with_kept[:, self._group_of])

    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        per_prompt, slopes = self.game._play(np.asarray(self.expanded(gates), dtype=np.float64), gradients, done)
        return per_prompt, None if slopes is None else np.asarray(self._summed(slopes))

    def _in_chunks(
        self, gates: FloatArray | Masks, gradients: bool, done: Done
    ) -> tuple[PerPrompt, Gradients | HalfMatrix | None]:
        """The game's own way with its store; distinct gates of groups are distinct gates of players."""
        stored, run = self.game.n_stored, self.game.n_run
        per_prompt, slopes = self.game._in_chunks(self.expanded(gates), gradients, done)
        self.n_stored += self.game.n_stored - stored
        self.n_run += self.game.n_run - run
        return per_prompt, None if slopes is None else self._summed(slopes)

    def _summed(self, slopes: Gradients | HalfMatrix) -> Gradients | HalfMatrix:
        out = np.empty((len(slopes), self.n_players))
        for row in range(len(slopes)):
            sums = np.zeros(self.n_players + 1)
            np.add.at(sums, self._group_of, np.asarray(slopes[row], dtype=np.float64))
            out[row] = sums[:-1]
        return HalfMatrix.of(out) if self.n_players > HALF_FROM else out

    def _facts(self) -> dict[str, Any]:
        return {**self.game._facts(), "groups": [list(group) for group in self.groups]}

    def _about(self) -> dict[str, Any]:
        return {**self.game._about(), "selector": f"{self.n_players} groups"}

    def _bar_word(self) -> str:
        return self.game._bar_word()


def _group_of(groups: Sequence[Sequence[int]], n_players: int) -> IntArray:
    """The group of each player ``(n,)``; the number of groups where it is in none."""
    if not groups or not all(groups):
        raise UserError("groups must be one or more, of at least one player each")
    members = [member for group in groups for member in group]
    if min(members) < 0 or max(members) >= n_players:
        wrong = next(member for member in members if not 0 <= member < n_players)
        raise UserError(f"there is no player {wrong} to put into a group; the game has {n_players}")
    if len(set(members)) != len(members):
        double = next(member for member in members if members.count(member) > 1)
        raise UserError(f"player {double} is in two groups; each can be in one")
    out = np.full(n_players, len(groups), dtype=np.int64)
    for place, group in enumerate(groups):
        out[list(group)] = place
    return out


def _listed(given: Any, what: str) -> Iterable[Any]:
    """What was given, where it is a list or the like."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UserError(f"{what} are a list, one for each group, not {str(given)[:40]!r}")
    return given

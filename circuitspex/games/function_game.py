"""A game of the user's own: anything that gives a number for each mask, with what every lens has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from circuitspex.ablation import Store
from circuitspex.checks import check_name_lengths, plain
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games.chunks import Done
from circuitspex.games.lens import LensGame
from circuitspex.games.workers.ray_workers import RayWorkers, check_workers
from circuitspex.scale import MOST, whole
from circuitspex.typing import FloatArray, Game, Gradients, Masks, PerPrompt

MOST_PLAYERS = 10_000_000
"""Of a game: more are no number that anyone meant."""


class FunctionGame(LensGame):
    """Any callable from masks to numbers as a game.

    Args:
        play: masks bool ``(K, n)``, True = kept, in; float ``(K,)`` out, or ``(K, P)`` for ``P`` numbers a mask whose
            mean is the value (several prompts or seeds: intervals then count them too). Lists, arrays, PyTorch tensors
            (of any dtype and device) and pandas' Series and DataFrames will do. What it raises is not caught.
        n_players: how many players there are; by default ``play.n_players``, or as many as there are names.
        names: what they are called; by default ``play.names``, or their numbers.
        gradients: masks ``(K, n)`` in, d value / d gate ``(K, n)`` out; by default the method ``play.gradients`` where
            there is one.
        kind: what a player is, in a word.
        name: what the game is called.
        batch_size: how many masks ``play`` is given at once.
        store: see ``LensGame``; needs an ``identity``, as nothing else tells two functions apart.
        identity: a text that changes whenever the values do.
        workers: processes that play, each with a copy of ``play``; see ``RayWorkers``.

    Raises:
        UserError: no number of players, wrong names, or a store without an identity. When it is played: numbers of
            another shape, NaN or infinities.
    """

    lens: ClassVar[str] = "game"

    def __init__(
        self,
        play: Callable[[Masks], Any],
        n_players: int | None = None,
        *,
        names: Sequence[str] | None = None,
        gradients: Callable[[Masks], Any] | None = None,
        kind: str = "player",
        name: str | None = None,
        batch_size: int = 64,
        store: Store | str | Path | None = None,
        identity: str | None = None,
        workers: RayWorkers | None = None,
    ) -> None:
        given = getattr(play, "names", None) if names is None else names
        if given is not None and (isinstance(given, str) or not isinstance(given, Iterable)):
            raise UserError(f"names are a list of texts, one a player, not {str(given)[:40]!r}")
        given = None if given is None else tuple(given)
        own = getattr(play, "n_players", None)
        if n_players is None:
            n_players = own if own is not None or given is None else len(given)
        if not callable(play) or not isinstance(n_players, int | np.integer) or n_players < 1:
            raise UserError(
                "a game must be callable with masks and have n_players, its number of players (1 or more); of a plain "
                "function say it: n_players=…, or names=[…]"
            )
        n_players = whole(n_players, "the number of players", 1, MOST_PLAYERS)
        batch_size = whole(batch_size, "batch_size", 1, MOST)
        super().__init__(store)
        self.workers = check_workers(workers)
        if self.store is not None and identity is None:
            raise UserError("a store needs an identity: a text that changes whenever the game's values do")
        check_name_lengths(() if given is None else map(str, given))
        self.names = tuple(f"p{i}" for i in range(n_players)) if given is None else tuple(str(each) for each in given)
        if len(self.names) != n_players or len(set(self.names)) != n_players or not all(map(str.strip, self.names)):
            raise UserError(f"names must be {n_players} different texts, one a player")
        self._function = play
        if gradients is not None and not callable(gradients):
            raise UserError(f"gradients are a function of masks, not {str(gradients)[:40]!r}")
        if not isinstance(kind, str) or not (name is None or isinstance(name, str)):
            raise UserError("kind and name of a game are texts")
        self._slopes = getattr(play, "gradients", None) if gradients is None else gradients
        self._kind = kind
        self._name = name or getattr(play, "__name__", type(play).__name__)
        self._batch = batch_size
        self._given_identity = identity
        self._n_samples = 1

    @property
    def n_samples(self) -> int:
        """How many numbers a mask gave when the game was last played; 1 before."""
        return self._n_samples

    def part(self, index: int) -> tuple[int, str]:
        """All players are of one kind, and in no layer."""
        return 0, self._kind

    def describe(self) -> dict[str, Any]:
        """The game's name."""
        return {"task": {"name": self._name}}

    def _chunk(self, gradients: bool) -> int:
        return self._batch

    def _facts(self) -> dict[str, Any]:
        return {"game": self._given_identity, "players": list(self.names)}

    def _about(self) -> dict[str, Any]:
        return {"task_name": self._name, "selector": f"{self.n_players} players"}

    def _arrived(self, played: PerPrompt, notes: None) -> None:
        self._n_samples = played.shape[1]

    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        if bool(((gates > 0) & (gates < 1)).any()):
            raise UserError(f"the game {self._name} is played with masks, True or False; gates between were given")
        if gradients and self._slopes is None:
            raise NoGradientError(f"the game {self._name} gives no gradients; use gradients=False")
        values, slopes = [np.empty((0, self._n_samples))], [np.empty((0, self.n_players))]
        for start in range(0, len(gates), self._batch):
            masks = gates[start : start + self._batch] == 1
            values.append(self._numbers(self._function(masks), masks))
            if gradients and self._slopes is not None:
                slopes.append(_checked(self._slopes(masks), (len(masks), self.n_players), masks, "gradients"))
            done(len(masks))
        per_prompt = np.concatenate(values[1:] or values)
        return per_prompt, np.concatenate(slopes) if gradients else None

    def _numbers(self, given: Any, masks: Masks) -> PerPrompt:
        array = _real(given, f"the game {self._name}")
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] == 0:
            raise UserError(
                f"the game {self._name} must give one number a mask, shape ({len(masks)},), or several, shape "
                f"({len(masks)}, P), not {np.shape(given)}"
            )
        self._n_samples = array.shape[1]
        return _checked(array, (len(masks), array.shape[1]), masks, f"the game {self._name}")


def as_game(
    game: Game | LensGame | Callable[[Masks], Any], n_players: int | None = None, names: Sequence[str] | None = None
) -> LensGame:
    """The game itself where it is a lens; any other callable as a ``FunctionGame``.

    Args:
        game: a game, or a function of masks.
        n_players: how many players a plain function has; by default as many as ``names``, or ``game.n_players``.
        names: what they are called.

    Raises:
        UserError: no game, or one that does not say how many players it has; another number than it says.
    """
    if isinstance(game, LensGame):
        if n_players not in (None, game.n_players) or (names is not None and tuple(map(str, names)) != game.names):
            raise UserError(f"this game has {game.n_players} players and names of its own; give no others")
        return game
    if isinstance(game, type):
        raise UserError(f"{game.__name__} is a class; give a game of it, {game.__name__}(…)")
    if not callable(game):
        raise UserError(
            f"a game is a callable with masks, bool (K, n), or one of this package's games; not {type(game).__name__}"
        )
    return FunctionGame(game, n_players, names=names)


def per_prompt_of(game: LensGame | Callable[[Masks], Any]) -> Callable[[Masks], PerPrompt]:
    """A function from masks ``(K, n)`` to numbers ``(K, P)`` from a game, or a function that gives such numbers."""
    evaluate = getattr(game, "evaluate", None)
    if evaluate is not None:
        return lambda masks: np.asarray(evaluate(masks).per_prompt)

    def play(masks: Masks) -> PerPrompt:
        array = _real(game(masks), "the game")
        return _checked(array[:, None] if array.ndim == 1 else array, (len(masks), -1), masks, "the game")

    return play


def _real(given: Any, who: str) -> FloatArray:
    """Real numbers as an array, from whatever holds them: lists, arrays, PyTorch tensors, pandas' tables."""
    if given is None:
        raise UserError(f"{who} gave None; it must return one number a mask")
    try:
        array = plain(given)
        if np.iscomplexobj(array):
            raise UserError(f"{who} must give real numbers, not complex ones")
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{who} must give numbers, not {type(given).__name__}: {reason}") from error


def _checked(given: Any, shape: tuple[int, int], masks: Masks, who: str) -> FloatArray:
    array = _real(given, who)
    shape = (shape[0], array.shape[1] if shape[1] < 0 and array.ndim == 2 else shape[1])
    if array.shape != shape:
        raise UserError(f"{who} must have shape {shape}, not {array.shape}")
    wrong = np.flatnonzero(~np.isfinite(array).all(1))
    if len(wrong):
        n_kept = int(masks[wrong[0]].sum())
        raise UserError(
            f"{who} gave {array[wrong[0]][~np.isfinite(array[wrong[0]])][0]} for a mask that keeps {n_kept} of "
            f"{masks.shape[1]} players; all numbers must be finite"
        )
    return array

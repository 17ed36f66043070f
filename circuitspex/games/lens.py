"""What all lenses share: named players, and how their masks are asked for."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from circuitspex.games.chunks import ChunkedGame
from circuitspex.games.remembering import RememberingGame
from circuitspex.games.run import Run
from circuitspex.games.shapiq_game import shapiq_game
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.typing import FloatArray, Masks, Values


def unit_roundoff(dtype: Any) -> float:
    """Half the distance from 1 to the next number of a PyTorch type; bfloat16's for whole numbers."""
    import torch

    return min(float(torch.finfo(dtype).eps) / 2, 2.0**-8) if dtype.is_floating_point else 2.0**-8


class LensGame(ChunkedGame):
    """A game with names, a store and a progress bar; the lenses say how a mask is played.

    ``n_stored`` counts the ablations that were taken from the store, ``n_run`` those that were run.
    """

    lens: ClassVar[str] = "game"
    """What is ablated, in a word; it is written into ``circuit.json``."""

    doing: ClassVar[str] = "ablating"
    """What a progress bar says while masks are played."""

    unit_roundoff: float = 2.0**-53
    """Half the distance from 1 to the next number of the type that values are computed in; float64's by default."""

    names: tuple[str, ...]
    """What the players are called, in the order of the masks' columns; all different."""

    @property
    def n_players(self) -> int:
        """How many players there are, ``n``."""
        return len(self.names)

    @property
    def executor(self) -> str:
        """How masks are played, for people."""
        return self.lens

    def part(self, index: int) -> tuple[int, str]:
        """The layer and the kind of a player, as a node of a graph has them; without layers, all are in layer 0."""
        return 0, "player"

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """What ``circuit.json`` says of the ``model``, the ``task`` and the ``run`` besides what every search says."""
        return {}

    def played_by(self, workers: RayWorkers | None) -> Self:
        """The same game, played by these processes; by this one where there are none."""
        other = copy.copy(self)
        other.workers, other._identity, other._given_out = workers, None, None
        return other

    def __call__(self, masks: Masks) -> Values:
        """The value of each mask: bool ``(K, n)`` in, float ``(K,)`` out."""
        return self.evaluate(masks, progress=False).values

    def evaluate(
        self,
        masks: Masks | FloatArray,
        *,
        gradients: bool = False,
        progress: bool | None = None,
        label: str | None = None,
    ) -> Run:
        """Play each mask; a mask that occurs twice is played once.

        Args:
            masks: bool ``(K, n)``, True = kept. Floats in [0, 1] are gates between ablated and kept, where the lens
                has them.
            gradients: also d value / d gate ``(K, n)``, at the price of a backward pass. With more than 2,500 players
                they come chunk by chunk and are kept in half precision (``HalfMatrix``).
            progress: a progress bar; by default where standard error is a terminal.
            label: what the bar says; by default ``doing``.

        Raises:
            UserError: masks of another shape, gates outside [0, 1], or gradients that can't be had.
            TaskError: the metric gave NaN, an infinity or a wrong shape.
        """
        return RememberingGame(self, progress).evaluate(masks, gradients=gradients, stage=label or self.doing)

    def to_shapiq(self, *, normalize: bool = True) -> Any:
        """The game as a ``shapiq.Game``, for its approximators and explainers; needs ``pip install shapiq``.

        Coalitions are masks (True = kept), each played once; the players' names are ``player_name_lookup``.
        ``Interactions.from_shapiq(values, names=game.names)`` reads what shapiq makes of it.

        Args:
            normalize: subtract the value of nothing kept, which most of shapiq's methods expect; it is played at once.

        Raises:
            UserError: shapiq is not installed.
        """
        return shapiq_game(self, normalize)

    def _bar_word(self) -> str:
        return self.lens

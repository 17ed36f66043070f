"""A game of this package as one of shapiq, which is needed only here, and only for the class of its games."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from circuitspex.errors import UserError
from circuitspex.games.remembering import RememberingGame
from circuitspex.typing import Masks, Values


def shapiq_game(game: Any, normalize: bool) -> Any:
    """A ``shapiq.Game`` whose coalitions are played by ``game``; see ``LensGame.to_shapiq``."""
    try:
        shapiq = import_module("shapiq")
    except ImportError as error:
        raise UserError(f"shapiq can't be imported ({error}); pip install shapiq") from error
    played = RememberingGame(game, progress=False)

    class Played(shapiq.Game):  # type: ignore[misc, name-defined]
        """Coalitions are masks: True is kept."""

        def value_function(self, coalitions: Masks) -> Values:
            """The value of each coalition."""
            return played.evaluate(np.asarray(coalitions, dtype=bool), stage="shapiq").values

    Played.__name__ = type(game).__name__
    names = list(game.names)
    nothing = float(game(np.zeros((1, game.n_players), dtype=bool))[0]) if normalize else 0.0
    return Played(game.n_players, normalize=normalize, normalization_value=nothing, player_names=names)

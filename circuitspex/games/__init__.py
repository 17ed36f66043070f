"""The lenses: what is ablated, as a game that gives a value for each mask."""

from circuitspex.games.component_game import ComponentGame
from circuitspex.games.function_game import FunctionGame, as_game
from circuitspex.games.grouped import GroupedGame
from circuitspex.games.lens import LensGame
from circuitspex.games.run import Run
from circuitspex.games.token_game import TokenGame

__all__ = ["ComponentGame", "FunctionGame", "GroupedGame", "LensGame", "Run", "TokenGame", "as_game"]

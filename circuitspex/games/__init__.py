"""The lenses: what is ablated, as a game that gives a value for each mask."""

from circuitspex.games.component_game import ComponentGame
from circuitspex.games.run import Run

__all__ = ["ComponentGame", "Run"]

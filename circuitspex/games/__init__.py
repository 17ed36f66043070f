"""The lenses: what is ablated, as a game that gives a value for each mask."""

from circuitspex.games.component_game import ComponentGame
from circuitspex.games.function_game import FunctionGame, as_game
from circuitspex.games.grouped import GroupedGame
from circuitspex.games.lens import LensGame
from circuitspex.games.run import Run
from circuitspex.games.token_game import TokenGame
from circuitspex.games.training import SGD, Adam, TrainFunction, Training, TrainingGame

__all__ = [
    "SGD",
    "Adam",
    "ComponentGame",
    "FunctionGame",
    "GroupedGame",
    "LensGame",
    "Run",
    "TokenGame",
    "TrainFunction",
    "Training",
    "TrainingGame",
    "as_game",
]

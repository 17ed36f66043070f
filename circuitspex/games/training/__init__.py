"""Training data: what is trained (``Training``), many trainings at once, one at a time, or in a pool of processes."""

from circuitspex.games.training.game import TrainingGame
from circuitspex.games.training.optimizers import SGD, Adam
from circuitspex.games.training.pool import TrainFunction
from circuitspex.games.training.recipe import Training

__all__ = ["SGD", "Adam", "TrainFunction", "Training", "TrainingGame"]

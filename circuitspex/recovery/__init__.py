"""Values in, interactions out. Works on plain NumPy arrays; no model is needed."""

from circuitspex.recovery.decode import Method, decode
from circuitspex.recovery.interactions import Interactions, InteractionTable, Row
from circuitspex.recovery.score import Score, r_squared, score
from circuitspex.recovery.spex_game import spex

__all__ = ["InteractionTable", "Interactions", "Method", "Row", "Score", "decode", "r_squared", "score", "spex"]

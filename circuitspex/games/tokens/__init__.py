"""The pieces of the token lens: a prompt in players, its answer, and the four ways to ablate."""

from circuitspex.games.tokens.answer import Answer
from circuitspex.games.tokens.forward import Ablate
from circuitspex.games.tokens.prompt import Player, SplitPrompt, split_prompt
from circuitspex.games.tokens.spans import Unit

__all__ = ["Ablate", "Answer", "Player", "SplitPrompt", "Unit", "split_prompt"]

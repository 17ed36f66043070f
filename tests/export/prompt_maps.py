"""Prompts to draw: a short one, and one of 300 words with interactions on and across lines."""

from __future__ import annotations

import random

from drawn_circuits import estimate

from circuitspex import Circuit
from circuitspex.circuits.circuit import Faithfulness, Interaction, Node
from circuitspex.circuits.prompt_map import PromptMap, Word

WORDS = ["the", "film", "was", "not", "good", "but", "I", "hardly", "slept", "through", "so", "long", "an", "evening"]


def prompt_map(n_words: int = 12, n_edges: int = 5, seed: int = 0, text: str | None = None) -> PromptMap:
    """A prompt of random words and effects; interactions of two and three words, one in three an estimate."""
    draw = random.Random(seed)
    words: list[Word] = []
    if text is None:
        text = " ".join(draw.choice(WORDS) for _ in range(n_words))
    at = 0
    for index, piece in enumerate(text.split()):
        at = text.index(piece, at)
        effect = draw.gauss(0, 1)
        measured = estimate(effect, 0.2) if index % 2 else None
        words.append(Word(f"{piece}#{index}", at, at + len(piece), effect, measured))
        at += len(piece)
    edges: list[Interaction] = []
    while len(edges) < n_edges:
        index = len(edges)
        members = sorted(draw.sample(range(len(words)), 3 if index % 4 == 3 else 2))
        if index % 2 == 0:  # near each other, so that some stand on one line
            members = [members[0], min(members[0] + 2, len(words) - 1)] if members[0] + 1 < len(words) else members
        names = tuple(words[i].name for i in members)
        if names in [edge.components for edge in edges]:
            continue
        effect = draw.gauss(0, 1)
        measured = None if index % 3 == 2 else estimate(effect, 0.2)
        edges.append(Interaction(names, effect, measured))
    used = {name for edge in edges for name in edge.components}
    nodes = tuple(Node(w.name, 0, "word", w.decoded, w.measured) for w in words if w.name in used)
    circuit = Circuit(
        nodes=nodes,
        interactions=tuple(edges),
        faithfulness=Faithfulness(0.9, 0.8, 0.95, 100),
        model={"name": "tiny", "n_layers": 2, "n_heads": 2},
        task={
            "name": "prompt",
            "metric": "logit_diff",
            "unablated": 1.5,
            "example": {"prompt": text, "counterfactual": "", "answer": " good", "wrong_answer": " bad", "tokens": []},
        },
        run={"lens": "tokens", "components": "words", "baseline": "mean", "method": "linear", "budget": 100},
    )
    return PromptMap(text, text, tuple(words), circuit)

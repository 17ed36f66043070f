"""Games in which two of twelve components have a relation that is known, and how a found relation is counted.

The planted table is ``f(i, j) = a0 i + b0 j + I i j``, in units of a random size and sign:

    backup       both effects shrink, to 0 or to what is left of them
    and          neither does anything without the other
    opposing     i takes from what j gives
    flip         j turns i's effect round, and in half of the games i turns j's too
    one-way need i does nothing without j, j does something without i
    none         no interaction

It varies from prompt to prompt (by 30 %, and each effect by 10 % of the size besides), and from context to context: all
other components have effects of their own, interact with each other, and with i and j (each by 10 % of the size or so,
up and down, so that the mean over contexts is the table), and what no pair explains is a wave over masks. ``noise``
multiplies all of this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.circuits.evidence._replicate import replicate
from circuitspex.circuits.relation import PairEffects, Relation
from circuitspex.masks import sample_masks

KINDS = ("backup", "and", "opposing", "flip", "one-way need", "none")
N_PLAYERS = 12
PAIR = (3, 8)
NAMES = ("i", "j")


@dataclass(frozen=True)
class Planted:
    """One game: masks ``(K, 12)`` in, the metric ``(K, P)`` out; ``truth`` is the relation of components 3 and 8."""

    kind: str
    truth: Relation
    table: tuple[float, float, float]
    size: float
    prompts: np.ndarray
    others: np.ndarray
    linked: np.ndarray
    waves: np.ndarray
    wave: float

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """The metric of each prompt under each mask."""
        x, centred = masks.astype(float), masks - 0.5
        i, j = x[:, PAIR[0], None], x[:, PAIR[1], None]
        scale, shift_a, shift_b = self.prompts
        rest = np.delete(centred, list(PAIR), axis=1)
        a, b, both = self.table
        found = scale * (a * i + b * j + both * i * j) + shift_a * i + shift_b * j
        found += self.size * (i * (rest @ self.linked[0])[:, None] + j * (rest @ self.linked[1])[:, None])
        found += self.size * (i * j) * (rest @ self.linked[2])[:, None]
        found += self.size * np.einsum("ka,kb,ab->k", rest, rest, self.others)[:, None]
        return found + self.wave * self.size * np.sin(x @ self.waves)


def planted(kind: str, seed: int, n_prompts: int = 12, noise: float = 1.0) -> Planted:
    """A random game of that kind."""
    rng = np.random.default_rng((KINDS.index(kind), seed))
    size = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 3.0))
    (a, b, both), truth = _table(kind, rng)
    shifts = noise * 0.1 * abs(size) * rng.normal(size=(2, n_prompts))
    scale = 1 + noise * 0.3 * rng.normal(size=n_prompts)
    n = N_PLAYERS - 2
    return Planted(
        kind,
        truth,
        (a * size, b * size, both * size),
        abs(size),
        np.stack([scale, *shifts]),
        noise * 0.3 * rng.normal(size=(n, n)),
        noise * 0.1 * rng.normal(size=(3, n)),
        rng.normal(size=(N_PLAYERS, n_prompts)) * 7,
        noise * 0.05,
    )


def _table(kind: str, rng: np.random.Generator) -> tuple[tuple[float, float, float], Relation]:
    if kind == "backup":
        left = rng.uniform(0.0, 0.5)
        return (1.0, rng.uniform(1 - left, 1.5), left - 1.0), Relation("backs up")
    if kind == "and":
        return (0.0, 0.0, 1.0), Relation("needs")
    if kind == "opposing":
        table = (-rng.uniform(0.0, 0.3), rng.uniform(1.0, 1.6), -1.0)
        return table, Relation("opposes", *NAMES)
    if kind == "flip":
        before, after = rng.uniform(0.4, 1.0, size=2)
        if rng.random() < 0.5:
            return (before, rng.uniform(0.4, 0.6) * (before + after), -before - after), Relation("reverses")
        return (before, before + after + rng.uniform(0.0, 0.8), -before - after), Relation("reverses", *NAMES[::-1])
    if kind == "one-way need":
        return (0.0, rng.uniform(0.5, 1.5), 1.0), Relation("needs", *NAMES)
    signs = rng.choice([-1.0, 1.0], size=2) * rng.uniform(0.3, 1.5, size=2)
    return (float(signs[0]), float(signs[1]), 0.0), Relation("no interaction claimed")


def measured(game: Planted, seed: int, n_contexts: int = 16) -> PairEffects:
    """What a search would say of the pair: measured in 16 contexts, and as many again where they keep it uncertain."""
    contexts = sample_masks(N_PLAYERS, 2 * n_contexts, keep=0.5, seed=seed)
    found = replicate(game, [PAIR, *((i,) for i in PAIR)], contexts, start=n_contexts, precision=0.1)
    effects = found[PAIR].relation(NAMES)
    assert effects is not None
    return effects


def judged(found: Relation, game: Planted) -> str:
    """'right', 'wrong', or 'vague': true, but less than there is to say, or nothing.

    Vague are the plain positive or negative interaction of the right sign; 'strengthen each other' of a pair that needs
    each other or one the other, which is growth too; of two ways only one; and no claim where there is an interaction.
    """
    truth = game.truth
    if found == truth:
        return "right"
    if not found.is_claimed:
        return "vague"
    sign = "positive interaction" if game.table[2] > 0 else "negative interaction"
    if truth.is_claimed and found.word == sign:
        return "vague"
    if truth.word == "needs" and found.word == "strengthens":
        return "vague"
    one_of_two = found.word == truth.word and truth.source is None
    return "vague" if one_of_two else "wrong"

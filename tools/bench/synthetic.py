"""Random games whose interactions are known: sums of products of components.

Only numpy is needed, since the peers' worker reads this file too. A game goes from one process to another as arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
FAMILIES = ("and", "parity", "smooth", "hierarchical")
N_TERMS = 10
_ROWS = 512  # masks at a time, which bounds memory


@dataclass(frozen=True)
class SyntheticGame:
    """``f(m) = sum over p of weights[p] * prod over i in members[p] of the factor of i``.

    The factor of a component is its sign, +1 kept and -1 ablated (``of_signs``, parities), or its gate, 1 kept and 0
    ablated (conjunctions). ``members`` is ``(terms, largest order)``, filled up with -1, which stands for a factor 1.
    """

    members: NDArray[np.int64]
    weights: Floats
    n_players: int
    of_signs: bool

    def _factors(self, masks: Masks) -> Floats:
        factors = np.where(masks, 1.0, -1.0) if self.of_signs else masks.astype(float)
        return np.concatenate([factors, np.ones((len(masks), 1))], axis=1)  # index -1 is the column of ones

    def _products(self, factors: Floats, without: int | None = None) -> Floats:
        out = np.ones((len(factors), len(self.weights)))
        for place, members in enumerate(self.members.T):
            if place != without:
                out *= factors[:, members]
        return out

    def values(self, masks: Masks) -> Floats:
        parts = [masks[i : i + _ROWS] for i in range(0, len(masks), _ROWS)]
        return np.concatenate([self._products(self._factors(part)) @ self.weights for part in parts])

    def gradients(self, masks: Masks) -> Floats:
        """d value / d gate of the multilinear function, exactly; a sign changes by 2 as its gate goes from 0 to 1."""
        factors, slope = self._factors(masks), 2.0 if self.of_signs else 1.0
        out = np.zeros((len(masks), self.n_players + 1))
        for place, members in enumerate(self.members.T):
            np.add.at(out, (slice(None), members), slope * self.weights * self._products(factors, without=place))
        return out[:, :-1]


@dataclass
class NoisyGame:
    """A game that can be asked for the values of any masks, for decoders that choose their own; noise is added."""

    game: SyntheticGame
    spread: float
    seed: int
    asked: int = field(default=0, init=False)

    @cached_property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1])  # not the decoder's own

    @property
    def n_players(self) -> int:
        return self.game.n_players

    def __call__(self, masks: Masks) -> Floats:
        masks = np.asarray(masks, dtype=bool)
        self.asked += len(masks)
        return self.game.values(masks) + self.spread * self._rng.normal(size=len(masks))


def make_game(family: str, n: int, rng: np.random.Generator) -> SyntheticGame:
    """One random game of a family."""
    if family in ("and", "parity"):
        terms = {_choose(rng, n, int(rng.integers(1, 5))): float(rng.uniform(-1, 1)) for _ in range(N_TERMS)}
    elif family == "smooth":
        # All main effects and many pairs and triples; sizes decay over the components and over the orders.
        size = 1 / (1 + rng.permutation(n))
        terms = {(i,): float(rng.normal() * size[i]) for i in range(n)}
        for order in (2, 3):
            for _ in range(2 * n):
                chosen = _choose(rng, n, order, size / size.sum())
                terms[chosen] = float(rng.normal() * size[list(chosen)].prod() ** 0.5 / order)
    elif family == "hierarchical":
        terms = {}
        for _ in range(3):  # three sets of four, with all their subsets
            chosen = _choose(rng, n, 4)
            for code in range(1, 16):
                subset = tuple(chosen[place] for place in range(4) if code >> place & 1)
                terms[subset] = float(rng.normal() * 0.7 ** len(subset))
    else:
        raise ValueError(f"unknown family '{family}'; allowed: {', '.join(FAMILIES)}")
    widest = max(map(len, terms))
    members = np.array([[*term, *[-1] * (widest - len(term))] for term in terms], dtype=np.int64)
    return SyntheticGame(members, np.array(list(terms.values())), n, of_signs=family != "and")


def _choose(rng: np.random.Generator, n: int, order: int, weights: Floats | None = None) -> tuple[int, ...]:
    return tuple(sorted(rng.choice(n, order, replace=False, p=weights).tolist()))


def spread_of(noise: str, values: Floats) -> float:
    """The standard deviation of noise that is 'none', or so many decibels below the values' own ('20dB')."""
    return 0.0 if noise == "none" else float(values.std() * 10 ** (-float(noise.removesuffix("dB")) / 20))

"""The table of all decoders, what they are tried on, and what holds for every answer."""

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from planted import all_masks, gradients_of, random_table, values_of

import circuitspex
from circuitspex.masks.coded import CodedDesign
from circuitspex.masks.sample import sample_masks
from circuitspex.recovery import decode

# Scaling or shifting the values rounds each of them once more, by a part in 1e16. The solvers (least squares,
# coordinate descent, the likelihood's maximum) were seen to blow that up to 1e-9 of the values' spread; 1e-6 leaves
# room.
CLOSE = 1e-6


@dataclass(frozen=True)
class Decoder:
    """A way to decode, and the size of the games it is tried on.

    ``gradients`` are handed over; ``coded`` masks follow SPEX's design (which at 16 components and 240 masks has a
    coded part; at 7 and 32 its masks are random); ``game`` goes through ``circuitspex.spex``.
    """

    name: str
    method: str
    gradients: bool = False
    coded: bool = False
    game: bool = False

    @property
    def n(self):
        return 16 if self.coded else 7

    @property
    def n_masks(self):
        return 240 if self.coded else 32

    @property
    def any_masks(self):
        return not (self.coded or self.game)

    def masks(self, n=None, n_masks=None, seed=2):
        n, n_masks = n or self.n, n_masks or self.n_masks
        if self.method == "spex":
            return CodedDesign.choose(n, n_masks, seed=seed).masks()
        masks = sample_masks(n, n_masks, seed=seed)
        masks[0], masks[1] = True, False
        return masks

    def __call__(self, masks, values, gradients, *, seed=2, names=None):
        if self.game:
            return circuitspex.spex(Replay(masks, values), len(values), seed=seed, names=names)
        gradients = gradients if self.gradients else None
        return decode(masks, values, gradients=gradients, method=self.method, seed=seed, names=names)

    def quietly(self, *arguments, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self(*arguments, **options)


class Replay:
    """A game that knows the masks it will be asked for, and their values."""

    def __init__(self, masks, values):
        self.n_players = masks.shape[1]
        self.masks, self.values = masks, values
        self.start = 0

    def __call__(self, masks):
        rows = slice(self.start, self.start + len(masks))
        np.testing.assert_array_equal(masks, self.masks[rows])
        self.start += len(masks)
        return self.values[rows]


# 'auto' with gradients is 'gradspex', which is tested below, and so is left out here.
DECODERS = (
    Decoder("linear", "linear"),
    Decoder("pursuit", "pursuit"),
    Decoder("proxyspex", "proxyspex"),
    Decoder("gp", "gp"),
    Decoder("gradspex", "gradspex", gradients=True),
    Decoder("auto", "auto"),
    Decoder("spex on random masks", "spex"),
    Decoder("spex on coded masks", "spex", coded=True),
    Decoder("spex of a game", "spex", coded=True, game=True),
)
GRADSPEX = DECODERS[4]
ALL = pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: d.name)
# SPEX with a code takes the masks of its design and no others.
ON_ANY_MASKS = pytest.mark.parametrize("decoder", [d for d in DECODERS if d.any_masks], ids=lambda d: d.name)


def planted(decoder, noise=0.1):
    """Masks, values, gradients and the truth, all coefficients generic."""
    table = random_table(decoder.n, (4, 3, 1), seed=2)
    masks = decoder.masks()
    rng = np.random.default_rng(0)
    values = values_of(table, masks) + noise * rng.normal(size=len(masks))
    return masks, values, gradients_of(table, masks) + noise * rng.normal(size=masks.shape), table


@cache
def decoded(decoder):
    """The answer that others are compared with."""
    masks, values, gradients, _ = planted(decoder)
    return decoder.quietly(masks, values, gradients)


def some_masks(n):
    return all_masks(n) if n <= 7 else sample_masks(n, 300, seed=99)


def sound(found, masks):
    """What holds for every answer."""
    n = masks.shape[1]
    assert found.n_players == n
    assert found.n_ablations == len(masks)
    assert all(0 <= i < n for term in found.terms for i in term)
    for numbers in (found.predict(masks), found.predict(some_masks(n)), found.coefficients, found.standard_errors):
        assert np.isfinite(numbers).all()
    scores = [found.cross_validated.low, found.cross_validated.r2, found.cross_validated.high]
    if None in scores:
        assert scores == [None] * 3
    else:
        assert np.isfinite(scores).all()
        assert scores == sorted(scores)
        assert scores[-1] <= 1


def coefficients_close(found, expected, spread):
    """``expected`` by term; what neither has is 0."""
    table = dict(zip(found.terms, found.coefficients.tolist(), strict=True))
    for term in {*table, *expected}:
        assert table.get(term, 0.0) == pytest.approx(expected.get(term, 0.0), abs=CLOSE * spread), term


def one_line(caught):
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message

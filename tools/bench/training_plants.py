"""Training sets in which it is known which groups work together: planted duplicates, wrong labels and complements.

Both cases have the same plan. What the tests ask for is taught by one group each, so that groups do not interact unless
they were planted to:

- *duplicates*: two groups with the same examples, which nothing else teaches: either will do (a negative interaction);
- *complements*: two groups that teach different parts of tests which only count when both parts are right (positive);
- *wrong*: a group with wrong labels of what examples of no group teach rightly: it does harm (a negative main effect);
- *plain*: what one group alone teaches; *spare*: more of what examples of no group teach already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import circuitspex as cx
from circuitspex.games import Adam

IGNORED = -100


@dataclass
class Planted:
    """A training with its groups, and what is planted in it."""

    training: cx.Training
    groups: dict[str, list[int]]
    pairs: dict[tuple[str, str], int]
    """Planted interactions by sign."""
    harmful: set[str]
    pictures: np.ndarray | None = None
    captions: list[str] = field(default_factory=list)


class _Examples:
    """Examples as they are added, and which group each is in."""

    def __init__(self) -> None:
        self.x: list[Any] = []
        self.y: list[Any] = []
        self.groups: dict[str, list[int]] = {}

    def add(self, x: Any, y: Any, group: str | None = None) -> None:
        if group is not None:
            self.groups.setdefault(group, []).extend(range(len(self.x), len(self.x) + len(x)))
        self.x.extend(x)
        self.y.extend(y)


def digits(seed: int, *, size: int = 20, width: int = 32, steps: int = 150, batch_size: int = 32) -> Planted:
    """Scikit-learn's digits and a small network; each test is a number of one or two digits that must be read right.

    Of the ten digits two are duplicated, two pairs are complements and one is plain. Examples of no group teach the
    other three: two of these also have a mislabelled group, the third has five spare groups.
    """
    random = np.random.default_rng(seed)
    data = load_digits()
    images = {c: random.permutation(np.flatnonzero(data.target == c)) for c in range(10)}
    kinds = random.permutation(10)
    twice, halves, noisy, spare, plain = kinds[:2], kinds[2:6].reshape(2, 2), kinds[6:8], kinds[8], kinds[9]
    made = _Examples()

    def add(digit: int, start: int, label: int, group: str | None, count: int = size) -> None:
        made.add(images[digit][start : start + count], [label] * count, group)

    for c in twice:
        add(c, 0, c, f"twice-{c}a")
        add(c, 0, c, f"twice-{c}b")
    for pair in halves:
        for c in pair:
            add(c, 0, c, f"half-{c}")
    for c in noisy:
        add(c, 0, c, None)
        add(c, size, spare, f"wrong-{c}", 2 * size)
    add(spare, 0, spare, None)
    for place in range(5):
        add(spare, size + place * size // 2, spare, f"spare-{spare}{'abcde'[place]}", size // 2)
    add(plain, 0, plain, f"plain-{plain}")
    tests_x, tests_y = [], []
    for c in (*twice, *noisy, spare, plain):
        for i in images[c][-40:]:
            tests_x.append([i, i])
            tests_y.append([c, IGNORED])
    for pair in halves:
        for i, j in zip(images[pair[0]][-40:], images[pair[1]][-40:], strict=True):
            tests_x.append([i, j])
            tests_y.append(list(pair))
    scaled = (data.data / 16).astype(np.float32)
    training = cx.Training(
        lambda: nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)),
        (scaled[made.x], np.array(made.y)),
        (scaled[np.array(tests_x)], np.array(tests_y)),
        metric="exact_match",
        optimizer=Adam(0.01),
        steps=steps,
        batch_size=batch_size,
        name=f"digits {seed}",
    )
    pairs = {(f"twice-{c}a", f"twice-{c}b"): -1 for c in twice} | {(f"half-{a}", f"half-{b}"): 1 for a, b in halves}
    captions = [f"label {y}" for y in made.y]
    harmful = {f"wrong-{c}" for c in noisy}
    return Planted(training, made.groups, pairs, harmful, data.images[made.x], captions)


class Transformer(nn.Module):
    """One layer of causal attention and an MLP, over a few tokens."""

    def __init__(self, n_tokens: int, n_outputs: int, length: int, width: int = 16, n_heads: int = 2) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(n_tokens, width), nn.Parameter(0.1 * torch.randn(length, width))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.before, self.between, self.after = (nn.LayerNorm(width) for _ in range(3))
        self.head, self.n_heads = nn.Linear(width, n_outputs), n_heads

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.place
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3) for part in self.qkv(self.before(x)).chunk(3, -1)
        )
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        later = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool, device=x.device).triu(1)
        mixed = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
        x = x + self.out(mixed.transpose(-2, -3).flatten(-2))
        return self.head(self.after(x + self.mlp(self.between(x))))


def ciphers(seed: int, *, size: int = 24, steps: int = 100, batch_size: int = 64) -> Planted:
    """A small transformer that writes each letter of a sequence in cipher, one place later.

    There are ten families of three letters, each letter with a cipher of its own. A sequence has letters of two
    families, and is right when all of it is. Each training begins with a model that knows three families; each group
    teaches another, beside one of the known. Of the seven others two are duplicated, two pairs are complements (tests
    have letters of both) and one is plain; of the known ones, which examples of no group go on teaching, two have a
    mislabelled group and the third five spare groups.
    """
    random = np.random.default_rng(seed)
    n_families, n_letters, n_ciphers, length = 10, 3, 6, 4
    ciphers_of = random.integers(n_ciphers, size=(n_families, n_letters))
    kinds = random.permutation(n_families)
    twice, halves, noisy, spare, plain = kinds[:2], kinds[2:6].reshape(2, 2), kinds[6:8], kinds[8], kinds[9]
    taught = (*noisy, spare)
    made, tests = _Examples(), _Examples()

    def some(first: int, second: int, count: int, table: np.ndarray = ciphers_of) -> tuple[list[Any], list[Any]]:
        """Sequences with as many letters of the one family as of the other, and a stop."""
        families = random.permuted(np.tile([first, second] * (length // 2), (count, 1)), axis=1)
        letters = random.integers(n_letters, size=(count, length))
        stop = np.full((count, 1), n_families * n_letters)
        tokens = np.concatenate([families * n_letters + letters, stop], axis=1)
        targets = np.concatenate([np.full((count, 1), IGNORED), table[families, letters]], axis=1)
        return list(tokens), list(targets)

    def beside(family: int, table: np.ndarray = ciphers_of, count: int = size) -> tuple[list[Any], list[Any]]:
        return some(family, spare, count, table)

    for c in twice:
        same = beside(c)
        made.add(*same, f"twice-{c}a")
        made.add(*same, f"twice-{c}b")
    for c in halves.flatten():
        made.add(*beside(c), f"half-{c}")
    made.add(*beside(plain), f"plain-{plain}")
    for first in taught:
        for second in taught:
            made.add(*some(first, second, size // 2))
    for c in noisy:
        wrong = ciphers_of.copy()
        wrong[c] = (ciphers_of[c] + 1) % n_ciphers
        made.add(*beside(c, wrong, 3 * size), f"wrong-{c}")
    for place in "abcde":
        made.add(*some(spare, spare, size), f"spare-{spare}{place}")
    for c in (*twice, *noisy, spare, plain):
        tests.add(*beside(c, count=32))
    for a, b in halves:
        tests.add(*some(a, b, 32))
    known = _Examples()
    for first in taught:
        for second in taught:
            known.add(*some(first, second, 32))
    training = cx.Training(
        _knowing(n_families * n_letters + 1, n_ciphers, np.array(known.x), np.array(known.y), seed),
        (np.array(made.x), np.array(made.y)),
        (np.array(tests.x), np.array(tests.y)),
        metric="exact_match",
        optimizer=Adam(0.02, betas=(0.9, 0.98)),
        steps=steps,
        batch_size=batch_size,
        name=f"ciphers {seed}",
    )
    pairs = {(f"twice-{c}a", f"twice-{c}b"): -1 for c in twice} | {(f"half-{a}", f"half-{b}"): 1 for a, b in halves}
    return Planted(training, made.groups, pairs, {f"wrong-{c}" for c in noisy})


def _knowing(n_tokens: int, n_outputs: int, x: np.ndarray, y: np.ndarray, seed: int) -> Transformer:
    """A transformer trained on these sequences."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Transformer(n_tokens, n_outputs, x.shape[1])
    tokens, targets = torch.as_tensor(x), torch.as_tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        logits = model(tokens).flatten(0, 1)
        nn.functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED).backward()
        optimizer.step()
    return model


CASES = {"digits": digits, "ciphers": ciphers}

"""How often the intervals and tests of a search are right: many cheap games whose truth is known.

    python tools/bench/intervals.py --games 1200 --out docs/benchmarks/coverage.md

Each game is a sparse function of 6 to 12 players: main effects, pairs and triples as parities or as ANDs, which differ
from prompt to prompt, beside a dense remainder that no sparse function explains. ``explain`` searches it as it searches
any game. What its numbers are about is known: effects over all masks and all prompts of the kind (or over all masks on
the one prompt), and the R² of the decoded function over all masks that it was not decoded from.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PROMPTS = (1, 4, 8, 16, 24)
PLAYERS = (6, 10, 11, 12)
COUNTS = ("main effects", "interactions", "R²")
SHARES = ("false components", "false interactions", "wrong intervals of reported components")
SHARES += ("wrong intervals of reported interactions",)


PAGE = """# How often intervals and tests are right

`make coverage`, which is `python tools/bench/intervals.py --games 1200 --processes 2 --out docs/benchmarks/coverage.md`

Every game is a random sparse function of 6 to 12 players whose truth is known: main effects, pairs and triples, as
parities or as ANDs, that differ from prompt to prompt by nothing, 30 % or 80 %, beside a dense remainder that no
sparse function explains. `explain` searches it with 40 to 160 masks, with a decoder that is quick and picks many sets
that are none. The first columns count 95 % intervals that hold the truth, of *all* main effects and interactions that
were measured (`measured`; what does not vary at all has an interval without width, which is right and is not counted)
and of the held-out R²; 95 % is right. The next two are false discoveries as a share of all in a game, on average over
games: at most 5 % is right. The last two are wrong intervals among those that are *reported* (`adjusted`), on average
over games: at most 5 % is right. Where every mask was run, intervals are over prompts alone; on one prompt they are
over contexts, or there is none, and the truth is that of the prompt.

TABLE"""


@dataclass(frozen=True)
class KnownGame:
    """``f(m, p) = sum over S of c_S (1 + h z_Sp) g_S(m)``, and a remainder of wave shape that is as good as noise.

    ``g`` is a parity of signs, or the AND of kept players. Prompts are drawn: ``z`` and the waves' phases.
    """

    terms: tuple[tuple[int, ...], ...]
    ands: bool
    means: np.ndarray
    weights: np.ndarray
    mix: np.ndarray
    phases: np.ndarray
    remainder: float
    n_players: int

    @classmethod
    def draw(cls, n: int, n_prompts: int, rng: np.random.Generator) -> KnownGame:
        """A random game on random prompts."""
        sets = [(int(i),) for i in rng.choice(n, min(n - 1, 5), replace=False)]
        for order, count in ((2, 5), (3, 2)):
            sets += [tuple(sorted(map(int, rng.choice(n, order, replace=False)))) for _ in range(count)]
        terms = tuple(dict.fromkeys(sets))
        means = rng.choice([-1.0, 1.0], len(terms)) * rng.exponential(0.5, len(terms))
        spread = rng.choice([0.0, 0.3, 0.8])
        weights = means[:, None] * (1 + spread * rng.normal(size=(len(terms), n_prompts)))
        mix, phases = 900 * rng.normal(size=(n, n_prompts)), rng.uniform(0, 2 * math.pi, n_prompts)
        return cls(terms, bool(rng.random() < 0.5), means, weights, mix, phases, float(rng.choice([0.0, 0.2, 0.6])), n)

    def _factors(self, masks: np.ndarray) -> np.ndarray:
        values = masks.astype(float) if self.ands else np.where(masks, 1.0, -1.0)
        return np.stack([values[:, list(term)].prod(1) for term in self.terms], axis=1)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        waves = np.sin(np.where(masks, 1.0, -1.0) @ self.mix + self.phases)
        return np.asarray(self._factors(masks) @ self.weights + self.remainder * waves)

    def expected(self, masks: np.ndarray) -> np.ndarray:
        """The mean over all prompts of the kind: the waves' phases are anything, so they are 0 on average."""
        return np.asarray(self._factors(masks) @ self.means)


def fit_screen(samples: Any, *, max_order: int | None = None) -> Any:
    """A decoder that is cheap, and so picks many sets that are none: the largest correlations, by least squares.

    What is tested here is what comes after the decoder, whichever that is.
    """
    from circuitspex.recovery.bases.polynomial import Polynomial, products
    from circuitspex.recovery.samples import Fitted

    x, y = samples.x, samples.values
    sets = [term for order in (1, 2, 3) for term in itertools.combinations(range(x.shape[1]), order)]
    features = products(x, sets)
    largest = np.argsort(-np.abs(features.T @ (y - y.mean())))[: max(4, min(24, len(y) // 4))]

    def fit(rows: np.ndarray) -> Polynomial:
        design = np.column_stack([np.ones(rows.sum()), features[rows][:, largest]])
        found = np.linalg.lstsq(design, y[rows], rcond=None)[0]
        chosen = {sets[i]: float(c) for i, c in zip(largest, found[1:], strict=True)}
        return Polynomial.of({(): float(found[0]), **chosen})

    without = [fit(samples.fold != fold) for fold in samples.folds]
    held_out = samples.out_of_fold(function.predict for function in without)
    return Fitted(fit(np.ones(len(y), dtype=bool)), tuple(without), held_out)


def effect_of(members: Sequence[int], values: np.ndarray, masks: np.ndarray, weights: np.ndarray) -> float:
    """The |S|-fold difference, averaged over all masks of the others with their weights; masks in counting order."""
    bits = 1 << np.arange(masks.shape[1])
    base = np.flatnonzero(~masks[:, list(members)].any(1))
    total = np.zeros(len(base))
    for kept in itertools.product((0, 1), repeat=len(members)):
        sign = (-1) ** (len(members) - sum(kept))
        shift = int(sum(int(bits[i]) for i, one in zip(members, kept, strict=True) if one))
        total += sign * values[base + shift]
    return float(np.average(total, weights=weights[base]))


def play(seed: int) -> list[float]:
    """One game, searched: for each count (right, all), for each share (share, 1 where it counts), P, seconds."""
    import circuitspex as cx
    from circuitspex.recovery.decoders.table import DECODERS, Decoder

    DECODERS.add("screen", Decoder(fit_screen, "the largest correlations"))
    warnings.simplefilter("ignore")
    rng = np.random.default_rng([seed, 17])
    n, n_prompts = int(rng.choice(PLAYERS)), int(rng.choice(PROMPTS))
    keep = float(rng.choice([0.5, 0.5, 0.7])) if n > 6 else 0.5
    game, budget = KnownGame.draw(n, n_prompts, rng), int(rng.choice([40, 80, 160]))
    started = time.perf_counter()
    options: dict[str, Any] = {"method": "screen", "max_nodes": n, "n_heldout": 100, "seed": seed, "progress": False}
    found = cx.explain(cx.FunctionGame(game, n), budget, keep=keep, **options)
    seconds = time.perf_counter() - started
    circuit = found.circuit
    every = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    kept = every.sum(1)
    weights = keep**kept * (1 - keep) ** (n - kept)
    values = game(every)
    truth = values[:, 0] if n_prompts == 1 else game.expected(every)
    place = {name: i for i, name in enumerate(found.interactions.names)}
    tiny = 1e-9 * float(np.abs(truth).max())

    def true(part: Any) -> float:
        names = (part.name,) if hasattr(part, "name") else part.components
        return effect_of([place[name] for name in names], truth, every, weights)

    def holds(interval: Any, value: float) -> bool:
        return bool(interval.low - tiny <= value <= interval.high + tiny)

    nodes = [*circuit.nodes, *circuit.dropped_nodes]
    edges = [*circuit.interactions, *circuit.dropped]
    out = []
    for parts in (nodes, edges):
        open_ends = [part for part in parts if part.measured.high - part.measured.low > 2 * tiny]
        out += [float(sum(holds(part.measured, true(part)) for part in open_ends)), float(len(open_ends))]
    score, mean = circuit.faithfulness, values.mean(1)
    if score.low is None or score.high is None:
        out += [0.0, 0.0]  # not an estimate: all masks were run
    else:
        new = weights * ~np.isin(np.arange(2**n), found.run.masks @ (1 << np.arange(n)))
        missed = np.average((mean - found.interactions.predict(every)) ** 2, weights=new)
        r2 = 1 - missed / np.average((mean - np.average(mean, weights=new)) ** 2, weights=new)
        out += [float(score.low - 1e-9 <= r2 <= score.high + 1e-9), 1.0]
    discoveries = [[node for node in circuit.nodes if node.is_distinct], list(circuit.interactions)]
    # On one prompt every effect has a remainder, and none is 0.
    testable = float(n_prompts > 1 or game.remainder == 0)
    for shown in discoveries:
        out += [sum(abs(true(part)) <= tiny for part in shown) / max(1, len(shown)), testable]
    for shown in discoveries:
        wrong = sum(not holds(part.adjusted or part.measured, true(part)) for part in shown)
        out += [wrong / max(1, len(shown)), 1.0]
    return [*out, float(n_prompts), float(n), keep, seconds]


def main() -> None:
    """Play them all and write the table."""
    from circuitspex.processes import Workers

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--games", type=int, default=1200)
    parser.add_argument("--processes", type=int, default=0, help="0: this process only")
    parser.add_argument("--out", type=Path, help="a page to write; printed where there is none")
    options = parser.parse_args()
    started, rows = time.perf_counter(), []
    workers = Workers(play, options.processes)
    for index, values, error in workers.run([(seed,) for seed in range(options.games)]):
        if error is not None:
            raise SystemExit(f"game {index}: {error}")
        rows.append(values)
    workers.close()
    text = table(np.array(rows), options, time.perf_counter() - started)
    if options.out is None:
        print(text)
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(PAGE.replace("TABLE", text), encoding="utf-8")


def table(rows: np.ndarray, options: argparse.Namespace, seconds: float) -> str:
    prompts, n, keep = rows[:, -4], rows[:, -3], rows[:, -2]
    groups = [("all", np.ones(len(rows), dtype=bool))]
    groups += [(f"{p} prompt{'s' if p > 1 else ''}", prompts == p) for p in PROMPTS]
    groups += [("every mask run (6 players)", n == 6), ("70 % kept", keep == 0.7)]
    lines = ["| games | " + " | ".join(COUNTS) + " | " + " | ".join(SHARES) + " |"]
    lines.append("| --- |" + " --- |" * (len(COUNTS) + len(SHARES)))
    for name, which in groups:
        part, cells = rows[which], []
        for i in range(len(COUNTS)):
            right, count = part[:, 2 * i].sum(), part[:, 2 * i + 1].sum()
            cells.append(f"{100 * right / count:.1f} % of {count:,.0f}" if count else "–")
        for i in range(len(COUNTS), len(COUNTS) + len(SHARES)):
            counts = part[:, 2 * i + 1] > 0
            cells.append(f"{100 * part[counts, 2 * i].mean():.1f} %" if counts.any() else "–")
        lines.append(f"| {name} ({len(part)}) | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"{len(rows)} games, {seconds:.0f} s, {rows[:, -1].mean():.2f} s a search"]) + "\n"


if __name__ == "__main__":
    main()

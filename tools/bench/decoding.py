"""Held-out R² of the decoders on synthetic games, as a markdown table.

    python tools/bench/decoding.py --games and parity --players 32 128 --seeds 3

Each game is a sum of products of components whose gradients are those of the exact multilinear function; gradspex gets
them, and the other decoders do not. Where shapiq (1.3 or later) is installed, its ProxySPEX is run beside them with the
same number of ablations, which it chooses itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from circuitspex.recovery import decode

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
# Factors of products, each +1 or -1 kept (signs) or 1/0 kept (ANDs), with a coefficient.
Products = list[tuple[tuple[int, ...], float]]
N_HELD_OUT = 2000


class SyntheticGame:
    """A sum of products of components: of their signs (parities), or of their gates (ANDs)."""

    def __init__(self, products: Products, n: int, *, of_signs: bool) -> None:
        self.products, self.n, self.of_signs = products, n, of_signs

    def _factors(self, masks: Masks) -> tuple[Floats, float]:
        """The factors, and how much one changes with its gate."""
        return (np.where(masks, 1.0, -1.0), 2.0) if self.of_signs else (masks.astype(float), 1.0)

    def values(self, masks: Masks) -> Floats:
        factors, _ = self._factors(masks)
        total = np.zeros(len(masks))
        for members, weight in self.products:
            total += weight * factors[:, list(members)].prod(1)
        return total

    def gradients(self, masks: Masks) -> Floats:
        factors, slope = self._factors(masks)
        out = np.zeros(masks.shape)
        for members, weight in self.products:
            for i in members:
                out[:, i] += slope * weight * factors[:, [j for j in members if j != i]].prod(1)
        return out


def make_game(kind: str, n: int, rng: np.random.Generator) -> SyntheticGame:
    """One random game of a family; about ten products, except for 'smooth'."""
    if kind in ("and", "parity"):
        members = [tuple(sorted(rng.choice(n, rng.integers(1, 5), replace=False).tolist())) for _ in range(10)]
        return SyntheticGame([(each, float(rng.uniform(-1, 1))) for each in members], n, of_signs=kind == "parity")
    if kind == "smooth":
        # All main effects and many pairs and triples; sizes decay over the components and over the orders.
        size = 1 / (1 + rng.permutation(n))
        products = [((i,), float(rng.normal() * size[i])) for i in range(n)]
        for order in (2, 3):
            for _ in range(2 * n):
                chosen = tuple(sorted(rng.choice(n, order, replace=False, p=size / size.sum()).tolist()))
                products.append((chosen, float(rng.normal() * size[list(chosen)].prod() ** 0.5 / order)))
        return SyntheticGame(products, n, of_signs=True)
    # hierarchical: interactions of order 4 with all their subsets
    products = []
    for _ in range(3):
        chosen = sorted(rng.choice(n, 4, replace=False).tolist())
        for code in range(1, 16):
            subset = tuple(chosen[place] for place in range(4) if code >> place & 1)
            products.append((subset, float(rng.normal() * 0.7 ** len(subset))))
    return SyntheticGame(products, n, of_signs=True)


def r_squared(values: Floats, predicted: Floats) -> float:
    return float(1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum())


def shapiq_proxyspex(*, search: bool) -> tuple[Callable[..., Floats] | None, str]:
    """A function that fits shapiq's ProxySPEX and predicts, and what to say of it."""
    try:
        import shapiq
        from shapiq.approximator import ProxySPEX
    except ImportError:
        return None, "shapiq with ProxySPEX (1.3 or later) is not installed: no column for it."

    def run(game: Callable[[Masks], Floats], n: int, budget: int, fresh: Masks, seed: int) -> Floats:
        found: list[dict[tuple[int, ...], float]] = []

        class Kept(ProxySPEX):  # type: ignore[misc]
            """Keeps its Fourier coefficients, before interactions above ``max_order`` are left out of its answer."""

            def _refine(self, *arguments: object) -> dict[tuple[int, ...], float]:
                found.append(super()._refine(*arguments))
                return found[-1]

            def _process_moebius(self, **_: object) -> Floats:
                return np.zeros(1)

        # Binomial weights of the sizes of coalitions, which are its default, scaled so that they do not overflow.
        sizes = np.arange(n + 1)
        logs = np.cumsum(np.log(np.maximum(n - sizes + 1, 1)) - np.log(np.maximum(sizes, 1)))
        approximator = Kept(n=n, max_order=1, hpo=search, random_state=seed, sampling_weights=np.exp(logs - logs.max()))
        try:
            approximator.approximate(budget, game)
        except Exception:
            if not found:  # only what comes after the fit may fail here: its answer is not used
                raise
        # In its parities, each kept component counts as -1.
        signs = np.where(fresh, -1.0, 1.0)
        out = np.zeros(len(fresh))
        for members, weight in found[0].items():
            out += weight * signs[:, list(members)].prod(1)
        return out

    return (
        run,
        f"shapiq {shapiq.__version__}: its ProxySPEX {'with' if search else 'without'} its search of parameters.",
    )


def run_cell(
    kind: str, n: int, noise: str, budget: int, seed: int, methods: Iterable[str], peer: Callable[..., Floats] | None
) -> dict[str, tuple[float, float]]:
    """R² and seconds of each method on one game."""
    rng = np.random.default_rng([seed, n, budget])
    game = make_game(kind, n, rng)
    masks, fresh = rng.random((budget, n)) < 0.5, rng.random((N_HELD_OUT, n)) < 0.5
    truth = game.values(fresh)
    spread = float(truth.std()) * (10**-0.5 if noise == "10dB" else 0.0)

    def noisy(chosen: Masks) -> Floats:
        return game.values(chosen) + spread * rng.normal(size=len(chosen))

    values = noisy(masks)
    # The noise of the values is not in the gradients' direction: theirs is added at the same ratio.
    slopes = game.gradients(masks)
    if spread:
        slopes = slopes + 10**-0.5 * slopes.std() * rng.normal(size=slopes.shape)
    out = {}
    for method in methods:
        started = time.perf_counter()
        given = slopes if method == "gradspex" else None
        predicted = decode(masks, values, gradients=given, method=method, seed=seed).predict(fresh)
        out[method] = (r_squared(truth, predicted), time.perf_counter() - started)
    if peer is not None:
        started = time.perf_counter()
        predicted = peer(lambda chosen: noisy(np.asarray(chosen, dtype=bool)), n, budget, fresh, seed)
        out["shapiq"] = (r_squared(truth, predicted), time.perf_counter() - started)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", nargs="+", default=["and", "parity", "smooth", "hierarchical"])
    parser.add_argument("--players", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--budgets", nargs="+", type=int, default=[60], help="ablations")
    parser.add_argument("--noise", nargs="+", default=["none", "10dB"], choices=["none", "10dB"])
    parser.add_argument("--methods", nargs="+", default=["linear", "proxyspex", "gradspex"])
    parser.add_argument("--seeds", type=int, default=1, help="games a cell, averaged")
    parser.add_argument(
        "--shapiq",
        default="quick",
        choices=["quick", "search", "none"],
        help="its ProxySPEX without its search of parameters, with it (its default; minutes a game), or not at all",
    )
    options = parser.parse_args()
    for name in options.games:
        if name not in ("and", "parity", "smooth", "hierarchical"):
            parser.error(f"unknown game '{name}'; allowed: and, parity, smooth, hierarchical")
    peer, about = (
        (None, "shapiq left out.") if options.shapiq == "none" else shapiq_proxyspex(search=options.shapiq == "search")
    )
    warnings.simplefilter("ignore")
    print(f"`python {shlex.join(sys.argv)}`\n")
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}.",
        about,
    )
    print(f"R² on {N_HELD_OUT} held-out masks (seconds), mean of {options.seeds} game(s) a row.\n")
    columns = [*options.methods, *(["shapiq"] if peer else [])]
    print("| game | n | noise | ablations | " + " | ".join(columns) + " |")
    print("| --- | --- | --- | --- | " + " | ".join("---" for _ in columns) + " |")
    for kind in options.games:
        for n in options.players:
            for noise in options.noise:
                for budget in options.budgets:
                    runs = [
                        run_cell(kind, n, noise, budget, seed, options.methods, peer) for seed in range(options.seeds)
                    ]
                    means = {column: np.mean([each[column] for each in runs], axis=0) for column in columns}
                    cells = [f"{means[column][0]:.3f} ({means[column][1]:.1f} s)" for column in columns]
                    print(f"| {kind} | {n} | {noise} | {budget} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

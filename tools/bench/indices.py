"""Shapley values and interaction indices: how far from the truth, beside shapiq's approximators at equal budgets.

    python tools/bench/indices.py --peer-python PLACE/bin/python --out docs/benchmarks/indices.md

Random games whose interactions are known, so that their indices are known exactly. Each approximator chooses its own
masks, as it is meant to, and may ask for as many values as this library's `decode`, which is given uniform masks and
whose sparse function is converted to the index. *Error* is the squared distance to the true index over all sets of its
order, in shares of its own size: 0 is exact, 1 as good as nothing. The interpreter of the peers needs shapiq 1.8 and
lightgbm (Python 3.12).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import FAMILIES, NoisyGame, SyntheticGame, make_game, spread_of

import circuitspex as cx
from circuitspex.recovery.bases.indices import fourier_to_index
from circuitspex.recovery.bases.polynomial import mobius_to_fourier
from circuitspex.typing import Term

ORDERS = {"SV": 1, "SII": 2, "FSII": 2}
OURS, ALL_SIZES, WITH_GRADIENTS = "this library", "masks of all sizes", "with gradients"
CLOSE = 0.01
"""Errors that differ by less than this count as equal."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has shapiq")
    parser.add_argument("--players", nargs="+", type=int, default=[16, 32])
    parser.add_argument("--budgets", nargs="+", type=int, default=[5, 20], help="times the components")
    parser.add_argument("--noise", nargs="+", default=["none", "20dB"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    peers = subprocess.Popen(
        [options.peer_python, str(Path(__file__).with_name("index_peers.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    about = _read(peers)["about"]
    rows: list[tuple[str, str, dict[str, float | None]]] = []
    for family in FAMILIES:
        for n in options.players:
            for noise in options.noise:
                for times in options.budgets:
                    name = f"{family} | {n} | {noise} | {times * n}"
                    rows += [(name, *row) for row in one_game(peers, family, n, noise, times * n, options.seed)]
                    print(name, file=sys.stderr, flush=True)
    assert peers.stdin is not None
    peers.stdin.close()
    text = page(f"python {' '.join(sys.argv)}", about, rows)
    if options.out:
        options.out.write_text(text)
    print(text)


def one_game(
    peers: subprocess.Popen[str], family: str, n: int, noise: str, budget: int, seed: int
) -> list[tuple[str, dict[str, float | None]]]:
    """For each index the errors by column; None where a peer failed."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{family} {noise}".encode()), n])
    game = make_game(family, n, rng)
    truth = game.values(rng.random((2000, n)) < 0.5)
    spread = spread_of(noise, truth)
    asked = {
        "members": game.members.tolist(),
        "weights": game.weights.tolist(),
        "n": n,
        "of_signs": game.of_signs,
        "spread": spread,
        "seed": seed,
        "budget": budget,
    }
    assert peers.stdin is not None
    peers.stdin.write(json.dumps(asked) + "\n")
    peers.stdin.flush()
    ours = decoded(game, budget, spread, seed)
    theirs = _read(peers)
    found = []
    for index, order in ORDERS.items():
        true = fourier_to_index(parities(game), index.lower(), order, n)
        errors: dict[str, float | None] = {
            column: error(true, fit.to_basis(index.lower(), order=order)) for column, fit in ours.items()
        }
        for key, cell in theirs.items():
            if key.split(" ", 1)[0] == index:
                table = None if "failed" in cell else {tuple(term): value for term, value in cell["terms"]}
                errors[key.split(" ", 1)[1]] = None if table is None else error(true, table)
        found.append((index, errors))
    return found


def decoded(game: SyntheticGame, budget: int, spread: float, seed: int) -> dict[str, cx.Interactions]:
    """This library's fits: to values alone, and with the gradients that a model would give."""
    masks = cx.sample_masks(game.n_players, budget, seed=seed)
    values = NoisyGame(game, spread, seed)(masks)
    slopes = game.gradients(masks)
    rng = np.random.default_rng([seed, 2])
    slopes = slopes + spread / max(1e-12, float(values.std())) * slopes.std() * rng.normal(size=slopes.shape)
    spread_out = cx.sample_masks(game.n_players, budget, keep=(0.02, 0.98), seed=seed)
    return {
        OURS: cx.decode(masks, values, seed=seed),
        ALL_SIZES: cx.decode(spread_out, NoisyGame(game, spread, seed)(spread_out), seed=seed),
        WITH_GRADIENTS: cx.decode(masks, values, gradients=slopes, seed=seed),
    }


def parities(game: SyntheticGame) -> dict[Term, float]:
    """The game's function as a sum of parities."""
    table: dict[Term, float] = {}
    for members, weight in zip(game.members.tolist(), game.weights.tolist(), strict=True):
        term = tuple(sorted(each for each in members if each >= 0))
        table[term] = table.get(term, 0.0) + weight
    return table if game.of_signs else mobius_to_fourier(table)


def error(true: Mapping[Term, float], found: Mapping[Term, float]) -> float:
    """The squared distance over all sets but the empty one, as a share of the true squared size."""
    sets = {term for term in (*true, *found) if term}
    missed = sum((true.get(term, 0.0) - found.get(term, 0.0)) ** 2 for term in sets)
    return missed / sum(value**2 for term, value in true.items() if term)


def page(command: str, about: str, rows: list[tuple[str, str, dict[str, float | None]]]) -> str:
    """The tables as Markdown, one for each index."""
    parts = [
        "# Indices beside their peers",
        f"`{command}`",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        f"{about}; {time.strftime('%Y')}. A row is one random game. The column `{WITH_GRADIENTS}` has the gradients of "
        "the function at the same masks as well, as a model gives them; no peer can use them. "
        f"`{ALL_SIZES}` is the "
        "fit to masks that keep shares from 2 to 98 %, as Shapley values weigh them. A dash is a "
        "peer that failed, or a search of ProxySPEX's parameters from more than 100 values, which takes minutes.",
    ]
    for index in ORDERS:
        mine = [(name, errors) for name, what, errors in rows if what == index]
        columns = list(mine[0][1])
        peers = [column for column in columns if column not in (OURS, ALL_SIZES, WITH_GRADIENTS)]
        head = ["game", "n", "noise", "values", *columns]
        table = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        as_good = 0
        for name, errors in mine:
            cells = ["–" if errors[c] is None else f"{min(errors[c], 99):.3f}" for c in columns]
            table.append(f"| {name} | " + " | ".join(cells) + " |")
            best = min((errors[c] for c in peers if errors[c] is not None), default=np.inf)
            as_good += errors[OURS] <= best + CLOSE
        told = (
            f"`{OURS}` is better than the best of the peers, or within {CLOSE} of it, in {as_good} of {len(mine)} rows"
        )
        each = []
        for peer in peers:
            theirs = [(errors[OURS], errors[peer]) for _, errors in mine if errors[peer] is not None]
            each.append(f"{peer} in {sum(ours <= other + CLOSE for ours, other in theirs)} of {len(theirs)}")
        parts += [f"## {index}, order {ORDERS[index]}", f"{told}; than {', '.join(each)}.", "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def _read(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit("the peers' interpreter ended; does it have shapiq and lightgbm?")
    return json.loads(line)


if __name__ == "__main__":
    main()

"""How often the relation of a planted pair is named rightly, and how often wrongly.

    python tools/bench/relations.py --out docs/benchmarks/relations.md

The games are those of ``tests/ground_truth/related.py``: a pair of twelve components whose table is known, in a metric
that varies over prompts and contexts. Each pair is measured as a search does it; no model is needed.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "ground_truth"))

import related  # noqa: E402

import circuitspex as cx  # noqa: E402
from circuitspex.circuits import Relation  # noqa: E402

SETTINGS = ((12, 1.0), (40, 1.0), (4, 1.0), (1, 1.0), (12, 2.0), (12, 0.5))
"""Prompts, and by how much everything but the planted table is multiplied; the first is the one that is asked about."""

EXPLAINED = """\
# What pairs do to each other

`{command}`

A pair of twelve components has a planted table; its relation is read off paired ablations in 16 contexts (32 where
16 leave it uncertain), as in every search. Sizes, signs, prompts, contexts and the other ten components are random:

```
{kinds}
```

*Right* is the planted word with the right component on either side. *Vague* is what is true but says less: a plain
positive or negative interaction of the right sign, *strengthen each other* of a pair of which one needs the other
(growth too), one direction of two, and no claim where there is an interaction. Everything else is *wrong*, also any
claim about the pair that does not interact: at 95 %, one in twenty of these is expected. The last row is what `explain`
says from 200 ablations (`pursuit`), where an interaction must also replicate among all that were measured.

"""


def counted(kind: str, n: int, seed: int, n_prompts: int, noise: float) -> Counter[str]:
    """How n random games of a kind were judged."""
    found: Counter[str] = Counter()
    for each in range(seed, seed + n):
        game = related.planted(kind, each, n_prompts, noise)
        found[related.judged(related.measured(game, each).relation, game)] += 1
    return found


def searched(kind: str, n: int, seed: int) -> Counter[str]:
    """The same where the pair is found by a whole search; a pair that is not in its circuit is one without a claim."""
    found: Counter[str] = Counter()
    names = [{3: "i", 8: "j"}.get(place, f"p{place}") for place in range(related.N_PLAYERS)]
    for each in range(seed, seed + n):
        game = related.planted(kind, each)
        players = cx.FunctionGame(game, related.N_PLAYERS, names=names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how well the function predicts is not the question here
            circuit = cx.explain(players, 200, method="pursuit", n_heldout=50, seed=each, progress=False).circuit
        relations = [edge.relation for edge in circuit.interactions if {*edge.components} == {"i", "j"}]
        found[related.judged((relations or [Relation("no interaction claimed")])[0], game)] += 1
    return found


def main() -> None:
    """Print the tables, and write them where ``--out`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=50, help="games of each kind and setting")
    parser.add_argument("--searches", type=int, default=10, help="games of each kind that are searched as a whole")
    parser.add_argument("--seed", type=int, default=1000, help="of the first game; the tests use the first 15")
    parser.add_argument("--out", type=Path, help="where the tables go")
    options = parser.parse_args()
    kinds = related.__doc__.split("\n\n")[2].rstrip()
    more = "".join(
        f" --{name} {getattr(options, name)}"
        for name in ("each", "searches", "seed")
        if getattr(options, name) != parser.get_default(name)
    )
    text = EXPLAINED.format(command=f"python tools/bench/relations.py{more}", kinds=kinds)
    lines = ["| prompts | other variation | pair | right | vague | wrong |", "| --- | --- | --- | --- | --- | --- |"]
    for n_prompts, noise in SETTINGS:
        total: Counter[str] = Counter()
        rows = {kind: counted(kind, options.each, options.seed, n_prompts, noise) for kind in related.KINDS}
        for found in rows.values():
            total += found
        shown = {**rows, f"**all {total.total()}**": total} if (n_prompts, noise) == SETTINGS[0] else {"all": total}
        for kind, found in shown.items():
            shares = " | ".join(f"{found[word] / found.total():.1%}" for word in ("right", "vague", "wrong"))
            lines.append(f"| {n_prompts} | × {noise:g} | {kind} | {shares} |")
            print(lines[-1], flush=True)
    total = sum((searched(kind, options.searches, options.seed) for kind in related.KINDS), Counter())
    shares = " | ".join(f"{total[word] / total.total():.1%}" for word in ("right", "vague", "wrong"))
    lines.append(f"| 12 | × 1 | {total.total()} in a whole search | {shares} |")
    print(lines[-1], flush=True)
    if options.out:
        options.out.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

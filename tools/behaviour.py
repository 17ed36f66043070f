"""What the package computes, kept in a file: run before and after a change that must not change it, then compared.

    python tools/behaviour.py record --out before.json --recordings runs/recordings      (in the tree of before)
    python tools/behaviour.py record --out after.json --recordings runs/recordings       (in the tree of after)
    python tools/behaviour.py compare before.json after.json

Decoders are run on recorded games (``tools/bench/recordings.py``) and must agree to the last bit. Searches and a
comparison on SmolLM2-135M must give the same parts, with effects within 1e-4, since batches may be cut differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parent / "bench"), str(Path(__file__).parent)]

import recordings  # noqa: E402

import circuitspex as cx  # noqa: E402

GAMES = ("ioi_heads_0.5_4", "capitals_heads+mlps_0.5_4")
METHODS = ("linear", "proxyspex", "gp", "pursuit", "gradspex", "auto")
TOLERANCE = 1e-4


def decoders(folder: Path) -> dict[str, str]:
    """A checksum of every decoder's function on the recorded games, with and without gradients."""
    found = {}
    for spec in recordings.SPECS:
        if spec.name not in GAMES:
            continue
        game = recordings.record(spec, 1, folder)
        for method in METHODS:
            for gradients in (True, False):
                if method == "gradspex" and not gradients:
                    continue
                slopes = game.gradients[:60] if gradients else None
                decoded = cx.decode(
                    game.masks[:60], game.values[:60], gradients=slopes, method=method, seed=3, names=list(game.names)
                )
                digest = hashlib.sha256(repr(decoded.terms).encode())
                for numbers in (decoded.coefficients, decoded.standard_errors, decoded.predict(game.test_masks)):
                    digest.update(np.ascontiguousarray(np.nan_to_num(numbers), dtype=np.float64).tobytes())
                found[f"{spec.name} {method} {'values and gradients' if gradients else 'values'}"] = digest.hexdigest()
                print(f"{spec.name} {method} {gradients}", flush=True)
    return found


def _saved(thing: Any) -> Any:
    """What a result writes as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        thing.save(path)
        return json.loads(path.read_text(encoding="utf-8"))


def _planted(masks: Any) -> Any:
    signs = np.where(np.asarray(masks, dtype=bool), 1.0, -1.0)
    return 2 * signs[:, 0] - signs[:, 1] * signs[:, 2] + 0.5 * signs[:, 3] * signs[:, 4] * signs[:, 5]


_planted.n_players = 14  # type: ignore[attr-defined]


def searches() -> dict[str, Any]:
    """Results of the main functions: the demo's search first, then a comparison, and what is quick."""
    found: dict[str, Any] = {}
    model = cx.load_model("smollm2-135m")
    task = cx.tasks.ioi(model, n_prompts=8, seed=0)
    demo = cx.find_circuit(model, task, components="heads", baseline="mean", budget=100, progress=False)
    found["demo"] = _saved(demo.circuit)
    print("demo", flush=True)
    other = cx.load_model("smollm2-135m")
    with torch.no_grad():
        other.blocks[23].attn.o.weight.mul_(0.5)
    some = cx.tasks.ioi(model, n_prompts=4, seed=1)
    found["compare"] = _saved(cx.compare(model, other, some, components="layers[20:30].heads", budget=40))
    print("compare", flush=True)
    few = cx.find_circuit(
        model, some, "layers[22:26].heads", "resample", 32, keep=(0.4, 0.9), refine=2, until=0.99, n_heldout=60
    )
    found["find, refined"] = _saved(few.circuit)
    fine = cx.coarse_to_fine(model, some, ("layers[20:30]", "heads+mlps"), budget=40, n_heldout=60)
    found["coarse to fine"] = _saved(fine.circuit)
    found["explain"] = _saved(cx.explain(_planted, budget=60, n_heldout=40).circuit)
    return found


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two results differ by more than the tolerance; seconds, memory and versions are left out."""
    if where.rsplit(".", 1)[-1] in ("timings", "versions", "peak_memory_bytes", "memory_estimate_bytes"):
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        missing = [f"{where}.{key}: in one only" for key in sorted(set(one) ^ set(other))]
        return missing + [
            line
            for key in sorted(set(one) & set(other))
            for line in differences(one[key], other[key], f"{where}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [f"{where}: {len(one)} and {len(other)} entries"]
        return [
            line for i, (a, b) in enumerate(zip(one, other, strict=True)) for line in differences(a, b, f"{where}[{i}]")
        ]
    if isinstance(one, float) and isinstance(other, int | float):
        return [] if abs(one - other) <= TOLERANCE else [f"{where}: {one} and {other}"]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run everything and write what it gave")
    recording.add_argument("--out", type=Path, required=True)
    recording.add_argument("--recordings", type=Path, default=Path("runs/recordings"))
    recording.add_argument("--only", choices=("decoders", "searches"))
    comparing = verbs.add_parser("compare", help="say where two of these files differ")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    options = parser.parse_args()
    if options.verb == "compare":
        both = [json.loads(path.read_text(encoding="utf-8")) for path in (options.before, options.after)]
        lines = differences(*both)
        print("\n".join(lines) or "the same")
        return 1 if lines else 0
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options.only != "searches":
            found["decoders"] = decoders(options.recordings)
        if options.only != "decoders":
            found["searches"] = searches()
    options.out.write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The peers of ``indices.py``: shapiq's approximators of Shapley values and interaction indices, in its interpreter.

Reads games as JSON lines and answers each with the index that every approximator found. Needs numpy, shapiq 1.8 or
later and lightgbm, and not this library.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from typing import Any

import lightgbm  # noqa: F401  (without it ProxySPEX quietly becomes a single decision tree)
import numpy as np
import shapiq
from shapiq import approximator as peers
from synthetic import NoisyGame, SyntheticGame

# The search of ProxySPEX's parameters takes minutes from more values than these.
MOST_SEARCHED = 100
# What gives which index: the class, and its further arguments.
WAYS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "SV": {
        "ProxySPEX": ("ProxySPEX", {"hpo": False, "max_order": 1}),
        "ProxySHAP": ("ProxySHAP", {"adjustment": True, "max_order": 1}),
        "RegressionMSR": ("RegressionMSR", {}),
        "OddSHAP": ("OddSHAP", {}),
        "KernelSHAP": ("KernelSHAP", {}),
    },
    "SII": {
        "ProxySPEX": ("ProxySPEX", {"hpo": False, "max_order": 2}),
        "ProxySPEX, searched": ("ProxySPEX", {"hpo": True, "max_order": 2}),
        "ProxySHAP": ("ProxySHAP", {"adjustment": True, "max_order": 2}),
        "KernelSHAP-IQ": ("KernelSHAPIQ", {"max_order": 2}),
    },
    "FSII": {
        "ProxySPEX": ("ProxySPEX", {"hpo": False, "max_order": 2}),
        "ProxySHAP": ("ProxySHAP", {"adjustment": True, "max_order": 2}),
        "regression": ("RegressionFSII", {"max_order": 2}),
    },
}


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Of one game, every index by every approximator: the sets with their numbers, and seconds; or what failed."""
    game = SyntheticGame(np.array(asked["members"]), np.array(asked["weights"]), asked["n"], asked["of_signs"])
    found: dict[str, Any] = {}
    for index, ways in WAYS.items():
        for name, (kind, more) in ways.items():
            if more.get("hpo") and asked["budget"] > MOST_SEARCHED:
                found[f"{index} {name}"] = {"failed": "not run"}
                continue
            noisy = NoisyGame(game, asked["spread"], asked["seed"])
            given = {"index": index} if kind not in ("OddSHAP", "KernelSHAP", "RegressionFSII") else {}
            started = time.process_time()
            try:
                peer = getattr(peers, kind)(n=asked["n"], random_state=asked["seed"], **given, **more)
                values = peer.approximate(asked["budget"], noisy)
            except Exception as error:  # a peer that fails is a cell of the table
                found[f"{index} {name}"] = {"failed": f"{type(error).__name__}: {error}"[:200]}
                continue
            table = {tuple(map(int, term)): float(values[term]) for term in values.interaction_lookup if len(term)}
            found[f"{index} {name}"] = {
                "terms": [[list(term), value] for term, value in table.items()],
                "seconds": time.process_time() - started,
                "used": noisy.asked,
            }
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    # LightGBM writes to the standard output, also from C: that goes elsewhere, and answers alone go there.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps({"about": f"shapiq {shapiq.__version__}"}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

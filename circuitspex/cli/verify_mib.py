"""``circuitspex verify --protocol mib``: the circuits of a decoded function by the protocol of MIB's circuit track."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from circuitspex.errors import UserError

FILES = {"json": "mib.json", "text": "mib.txt"}
WRITTEN = (*FILES.values(), "mib.png", "mib.svg")
_MOST_STEPS = 100
# What is scored beside the circuit's own ways, by the name that the report gives it.
BASELINES = {"NAP": "nap", "NAP-IG": "nap-ig", "NAP-IG inputs": "nap-ig-inputs", "RelP": "relp"}


def check_circuit(path: Path, circuit: Any) -> None:
    """Nothing where a circuit can be scored by the protocol, as far as its file says.

    Raises:
        UserError: it was found in another way; it says how it must be found.
    """
    baseline = circuit.run.get("baseline", "mean")
    if baseline != "resample":
        raise UserError(
            f"{path} was found under the baseline '{baseline}'; MIB's protocol is counterfactual patching: find it "
            "with --baseline resample"
        )


def report_of(game: Any, interactions: Any, heldout: Any, options: argparse.Namespace) -> Any:
    """The report: the decoded function's circuits beside the field's attribution, scored on held-out prompts."""
    from circuitspex.circuits import attribution_scores, mib_scores
    from circuitspex.circuits.evidence.mib_sizes import players_of_mib
    from circuitspex.errors import NoGradientError

    players_of_mib(game)
    steps = options.steps or min(_MOST_STEPS, interactions.n_gradients or 1)
    ways: dict[str, Any] = {"decoded": interactions}
    for name, method in BASELINES.items():
        try:
            ways[name] = attribution_scores(game, method=method, steps=steps)
        except NoGradientError:
            break
        except UserError:
            if method != "relp":  # whose rules are known for dense models
                raise
    return mib_scores(game, ways, heldout, seed=options.seed)

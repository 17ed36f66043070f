"""``circuitspex verify --protocol mib``: circuits of every size by the protocol of MIB's circuit track."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from circuitspex.errors import UserError

FILES = {"json": "mib.json", "text": "mib.txt"}
WRITTEN = (*FILES.values(), "mib.png", "mib.svg")
_MOST_STEPS = 100
# What is scored beside the circuit's own ways, by the name that the report gives it.
OF_EDGES = {"EAP": "eap", "EAP-IG inputs": "eap-ig-inputs", "RelP": "relp"}
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
    if circuit.run.get("lens") == "edges":
        searched = circuit.run.get("edges", {}).get("searched")
        if searched not in ("edges", "edges:ungrouped"):
            raise UserError(
                f"{path} was found among {searched or 'some edges'}; MIB's protocol is of all of them: find it with "
                "--components edges"
            )


def report_of(game: Any, interactions: Any, heldout: Any, options: argparse.Namespace) -> Any:
    """The report: circuits found by rounds and decoded ones beside the field's attribution, on held-out prompts."""
    from circuitspex.circuits import mib_scores
    from circuitspex.circuits.evidence.mib_sizes import players_of_mib

    players_of_mib(game)
    steps = options.steps or min(_MOST_STEPS, interactions.n_gradients or 1)
    ways: dict[str, Any] = {**_by_rounds(game, options.seed), "decoded": interactions}
    return mib_scores(game, ways | _scores(game, BASELINES, steps), heldout, seed=options.seed)


def _by_rounds(game: Any, seed: int) -> dict[str, Any]:
    """Circuits of every size, found as ``find_nodes`` finds them; nothing where the metric has no gradient."""
    from circuitspex.circuits.search.nodes._find_nodes import games_of, search_nodes
    from circuitspex.errors import NoGradientError

    try:
        return {"by rounds": search_nodes(*games_of(game, seed))}
    except NoGradientError:
        return {}


def report_of_edges(circuit: Any, model: Any, task: Any, heldout: Any, store: Any, options: argparse.Namespace) -> Any:
    """The report of edges. The file of a circuit has its strongest edges, so those of every size are found again.

    On the same prompts, with the same seed and as many passes, the search is the same; a store has its passes.
    """
    from circuitspex.circuits import find_edges, mib_scores
    from circuitspex.games import EdgeGame

    about = circuit.run["edges"]
    found = find_edges(
        model,
        task,
        about["searched"],
        budget=int(about["gradient_passes"]),
        seed=int(circuit.run.get("seed") or 0),
        store=store,
    )
    game = EdgeGame(model, task, about["searched"], store=store)
    ways: dict[str, Any] = {"found": found, **_scores(game, OF_EDGES, options.steps or found.passes)}
    return mib_scores(game, ways, heldout, seed=options.seed)


def _scores(game: Any, methods: dict[str, str], steps: int) -> dict[str, Any]:
    """The field's scores that can be had."""
    from circuitspex.circuits import attribution_scores
    from circuitspex.errors import NoGradientError

    found: dict[str, Any] = {}
    for name, method in methods.items():
        try:
            found[name] = attribution_scores(game, method=method, steps=steps)
        except NoGradientError:
            break
        except UserError:
            if method in ("nap", "nap-ig", "eap"):  # the others are known for dense models, plain activations
                raise
    return found

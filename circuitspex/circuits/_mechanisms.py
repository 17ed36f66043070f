"""``found.mechanisms``: one mechanism or several, told from what was measured on each prompt."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from circuitspex.circuits.circuit import Circuit, Faithfulness
from circuitspex.circuits.evidence._strongest import Measurements, parts_of
from circuitspex.circuits.evidence.clusters import LEAST, Split, kinds
from circuitspex.circuits.found import Found
from circuitspex.circuits.mechanism import Mechanism, Mechanisms
from circuitspex.circuits.record import recorded_main_effects
from circuitspex.errors import UserError
from circuitspex.recovery import Interactions, Method, decode
from circuitspex.recovery.result import LittleExplained
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.typing import FloatArray


def mechanisms(found: Found, *, most: int = 4, n_null: int = 99, method: Method = "auto", seed: int = 0) -> Mechanisms:
    """The kinds of prompts that use different parts of the model, and a circuit for each kind.

    Prompts are told apart by the effects of all components and sets that were measured, on each prompt, each divided by
    the error with which it is known there. One mechanism is the default: prompts are split only where clusters found
    from one half of the parts explain more of the other half than prompts of one kind ever do, and lie clearly apart
    (``circuitspex.circuits.evidence.clusters`` says how; of prompts of one kind at most 5 % are split).

    No ablation is run. Each circuit has the effects that paired ablations gave on the kind's prompts, tested anew; its
    function is decoded from the search's masks and the mean metric of these prompts, without gradients, which are of
    all prompts together. With one mechanism both are what ``found`` has.

    Args:
        found: of a search on six prompts or more.
        most: no more mechanisms than this.
        n_null: samples of the null of each test.
        method: of decoding, as in ``decode``.
        seed: of the test and of decoding; the same seed gives the same result.

    Raises:
        UserError: an argument out of range, or a result without measurements: read from a file, or nothing was found.
    """
    most, n_null, seed = whole(most, "most", 1, 64), whole(n_null, "n_null", 19, MOST), check_seed(seed)
    measured = found.measurements
    if measured is None or not measured.found:
        raise UserError(
            "mechanisms are told from what the search measured on each prompt, and there is nothing of it: no part was "
            "found, or the result was read from a file"
        )
    terms = [*measured.singles, *measured.sets]
    effects = np.stack([measured.found[term].differences.mean(0) for term in terms], axis=1)
    errors = np.array([_error(measured.found[term].differences) for term in terms])
    n_prompts, tests = len(effects), tuple[Split, ...]()
    labels = np.zeros(n_prompts, dtype=np.int64)
    if n_prompts < 2 * LEAST:
        note = f"{n_prompts} prompts are too few to tell: two kinds need {LEAST} each"
    else:
        least = np.array([measured.resolution.least(len(term)) for term in terms])
        scaled = effects / np.maximum(np.maximum(errors, least), 1e-9 * max(1e-300, float(np.abs(effects).max())))
        labels, tests = kinds(scaled, most=most, n_null=n_null, seed=seed)
        note = "" if tests else "the effects do not differ between prompts" if most > 1 else "only one was asked for"
    rows = [tuple(map(int, np.flatnonzero(labels == kind))) for kind in range(int(labels.max()) + 1)]
    texts = found.circuit.task.get("prompts")
    shown = [str(each.get("prompt", "")) for each in texts] if isinstance(texts, list | tuple) else []
    return Mechanisms(
        tuple(_mechanism(found, measured, each, method, seed) for each in rows)
        if len(rows) > 1
        else (Mechanism(rows[0], found.circuit, found.interactions),),
        tuple(measured.names_of(term) for term in terms),
        effects,
        errors,
        tests,
        tuple(shown) if len(shown) == n_prompts else (),
        note,
    )


def _error(differences: FloatArray) -> float:
    """The standard error of one prompt's mean over contexts: what is left of ``(C, P)`` without both margins.

    What a context does to all prompts alike tells none of them apart. 0 where there is one context.
    """
    n_contexts, n_prompts = differences.shape
    if n_contexts < 2 or n_prompts < 2:
        return 0.0
    rest = differences - differences.mean(0) - differences.mean(1, keepdims=True) + differences.mean()
    return float(np.sqrt((rest**2).sum() / ((n_contexts - 1) * (n_prompts - 1)) / n_contexts))


def _mechanism(found: Found, measured: Measurements, prompts: tuple[int, ...], method: Method, seed: int) -> Mechanism:
    run, before = found.run, found.interactions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LittleExplained)  # its R² stands with the circuit
        decoded = decode(
            run.masks,
            run.per_prompt[:, list(prompts)].mean(1),
            method=method,
            keep=before.keep,
            seed=seed,
            names=before.names,
        )
    parts = parts_of(measured.on(prompts), decoded)
    circuit = replace(
        found.circuit,
        nodes=parts.nodes,
        interactions=parts.interactions,
        dropped=parts.dropped,
        dropped_nodes=parts.dropped_nodes,
        faithfulness=_faithfulness(decoded),
        verification=None,
        task=_task(found.circuit, prompts, run.per_prompt.shape[1]),
        run={
            **{name: value for name, value in found.circuit.run.items() if name != "main_effects"},
            "method": decoded.method,
            "gradient_ablations": 0,
            "plain_ablations": len(run),
            **recorded_main_effects(decoded),
        },
        description=None,
    )
    return Mechanism(prompts, circuit, decoded)


def _faithfulness(decoded: Interactions) -> Faithfulness:
    """R² on masks that the fit has not seen: cross-validated, as all masks of these prompts were decoded."""
    score = decoded.cross_validated
    return Faithfulness(score.r2, score.low, score.high, score.n_masks)


def _task(circuit: Circuit, prompts: tuple[int, ...], n_prompts: int) -> dict[str, Any]:
    """What is known of these prompts; the model's accuracy and metric are of all of them, and left out."""
    of_all = ("accuracy", "unablated", "ablated", "identity", "prompts", "example")
    task = {name: value for name, value in circuit.task.items() if name not in of_all}
    texts = circuit.task.get("prompts")
    if isinstance(texts, list | tuple) and len(texts) == n_prompts:
        task |= {"prompts": [texts[i] for i in prompts], "example": _example(texts[prompts[0]])}
    return {**task, "n_prompts": len(prompts)}


def _example(prompt: dict[str, Any]) -> dict[str, Any]:
    fields = ("prompt", "counterfactual", "answer", "wrong_answer", "tokens")
    return {name: prompt[name] for name in fields if name in prompt}

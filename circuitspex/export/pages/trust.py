"""How far a circuit can be trusted: a few checks, each with what would mend it where it is poor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.claims import FEW_PROMPTS, doubt_text, is_hollow, n_prompts_of, prompts_word
from circuitspex.export.drawing.style import number, percent
from circuitspex.tasks.report import ACCURACY_WARNING

MANY_INDISTINCT = 1 / 3
"""A larger share of measured parts that can't be told from 0 says that the measurement is too coarse for them."""


@dataclass(frozen=True)
class Check:
    """One thing that decides about trust: its value, whether it is good, and what to do where it is not."""

    name: str
    value: str
    state: Literal["good", "poor", "unknown"]
    remedy: str = ""


def checks(circuit: Circuit) -> list[Check]:
    """The checks that this circuit allows, in the order in which to read them."""
    of_model = circuit.run.get("lens", "components") == "components"
    found = [_r2(circuit), *_prompts(circuit), *_indistinct(circuit)]
    return [*found, *_accuracy(circuit), *_verified(circuit)] if of_model else found


def _r2(circuit: Circuit) -> Check:
    found = circuit.faithfulness
    name = "R², exact over all masks" if found.exact else "R² on held-out ablations"
    if found.r2 is None:
        why = (
            "The metric does not change when components are ablated: take a task that the model does, or another metric"
            if found.n_masks
            else "No mask was left to test the decoded function on: run the search anew with n_heldout masks"
        )
        return Check(name, "undefined" if found.n_masks else "not measured", "unknown", why)
    doubt = doubt_text(circuit)
    return Check(name, number(found.r2, 2, sign=False), "poor" if doubt else "good", _sentence(doubt))


def _prompts(circuit: Circuit) -> Iterator[Check]:
    count = n_prompts_of(circuit)
    if count is None:
        return
    word = prompts_word(circuit, count).partition(" ")[2].capitalize()
    few = count < FEW_PROMPTS and circuit.run.get("lens") not in ("training", "game")
    more = (
        f"With fewer than {FEW_PROMPTS}, intervals are rough: take more (n_prompts=32, or --prompts 32)" if few else ""
    )
    yield Check(word, f"{count:,}", "poor" if few else "good", more)


def _indistinct(circuit: Circuit) -> Iterator[Check]:
    nodes = [node for node in (*circuit.nodes, *circuit.dropped_nodes) if node.measured]
    edges = [edge for edge in (*circuit.interactions, *circuit.dropped) if edge.measured]
    count = len(nodes) + len(edges)
    if not count:
        return
    lost = sum(map(is_hollow, nodes)) + len([edge for edge in circuit.dropped if edge.measured])
    many = lost > MANY_INDISTINCT * count
    remedy = "Much is too small to be measured so: take more prompts or more contexts (n_contexts=32)" if many else ""
    yield Check("Parts not told from 0", f"{percent(lost / count)} of {count}", "poor" if many else "good", remedy)


def _accuracy(circuit: Circuit) -> Iterator[Check]:
    found = circuit.task.get("accuracy")
    if not isinstance(found, int | float):
        return
    low = found < ACCURACY_WARNING
    remedy = "The model hardly does this task, so there is little to explain: take a larger model or easier prompts"
    yield Check("Accuracy of the model", percent(float(found)), "poor" if low else "good", remedy if low else "")


def _verified(circuit: Circuit) -> Iterator[Check]:
    found = circuit.verification
    name = "Kept by the circuit alone"
    if found is None:
        yield Check(name, "not verified", "unknown", "It was not run on held-out prompts: circuitspex verify does that")
        return
    share = found.faithfulness
    towards = found.full - found.empty  # the circuit has to be further this way than random ones of its size
    kept, chance = found.circuit_kept, found.random_kept
    beats = kept.low > chance.high if towards > 0 else kept.high < chance.low
    good = share is not None and share >= 0.5 and beats
    remedy = ""
    if not beats:
        remedy = "No better for certain than random circuits of its size: take more held-out prompts or a larger budget"
    elif not good:
        remedy = "Much of the behaviour is elsewhere: let it have more components (max_nodes=32)"
    yield Check(name, percent(share), "good" if good else "poor", remedy)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]

"""How far a circuit can be trusted: a few checks, each with what would mend it where it is poor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.claims import FEW_PROMPTS, doubt_text, is_hollow, n_prompts_of, of_game
from circuitspex.export.drawing.style import number, percent
from circuitspex.export.words.saying import say
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
    name = say("trust.r2_exact") if found.exact else say("facts.r2")
    if found.r2 is None:
        why = say("trust.constant") if found.n_masks else say("trust.no_masks")
        return Check(name, say("facts.undefined") if found.n_masks else say("facts.not_measured"), "unknown", why)
    doubt = doubt_text(circuit)
    return Check(name, number(found.r2, 2, sign=False), "poor" if doubt else "good", _sentence(doubt))


def _prompts(circuit: Circuit) -> Iterator[Check]:
    count = n_prompts_of(circuit)
    if count is None:
        return
    word = say("trust.numbers") if of_game(circuit) else say("facts.prompts")
    few = count < FEW_PROMPTS and not of_game(circuit)
    more = say("trust.few_prompts", few=FEW_PROMPTS) if few else ""
    yield Check(word, f"{count:,}", "poor" if few else "good", more)


def _indistinct(circuit: Circuit) -> Iterator[Check]:
    nodes = [node for node in (*circuit.nodes, *circuit.dropped_nodes) if node.measured]
    edges = [edge for edge in (*circuit.interactions, *circuit.dropped) if edge.measured]
    count = len(nodes) + len(edges)
    if not count:
        return
    lost = sum(map(is_hollow, nodes)) + len([edge for edge in circuit.dropped if edge.measured])
    many = lost > MANY_INDISTINCT * count
    remedy = say("trust.too_coarse") if many else ""
    yield Check(
        say("trust.indistinct"),
        say("trust.indistinct_value", share=percent(lost / count), count=count),
        "poor" if many else "good",
        remedy,
    )


def _accuracy(circuit: Circuit) -> Iterator[Check]:
    found = circuit.task.get("accuracy")
    if not isinstance(found, int | float):
        return
    low = found < ACCURACY_WARNING
    remedy = say("trust.low_accuracy")
    yield Check(say("trust.accuracy"), percent(float(found)), "poor" if low else "good", remedy if low else "")


def _verified(circuit: Circuit) -> Iterator[Check]:
    found = circuit.verification
    name = say("trust.kept")
    if found is None:
        yield Check(name, say("trust.not_verified"), "unknown", say("trust.verify"))
        return
    share = found.faithfulness
    towards = found.full - found.empty  # the circuit has to be further this way than random ones of its size
    kept, chance = found.circuit_kept, found.random_kept
    beats = kept.low > chance.high if towards > 0 else kept.high < chance.low
    good = share is not None and share >= 0.5 and beats
    remedy = ""
    if not beats:
        remedy = say("trust.by_chance")
    elif not good:
        remedy = say("trust.elsewhere")
    yield Check(name, percent(share), "good" if good else "poor", remedy)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]

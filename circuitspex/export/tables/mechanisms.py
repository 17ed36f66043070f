"""One mechanism or several, as text for a terminal."""

from __future__ import annotations

import numpy as np

from circuitspex.circuits.evidence.clusters import GAP, LEAST, Split
from circuitspex.circuits.mechanism import Mechanism, Mechanisms
from circuitspex.export.drawing.style import number
from circuitspex.export.tables.columns import in_columns, joined, shortened
from circuitspex.files import file_writer

MAX_PARTS = 12
MAX_PROMPTS = 3


def render(found: Mechanisms) -> str:
    """How many mechanisms there are and how that was told; the effects that differ most; the prompts of each."""
    n_prompts = len(found.effects)
    head = "One mechanism" if found.is_one else f"{len(found)} mechanisms"
    lines = [f"{head} on {n_prompts} prompts, by the effects of {len(found.parts)} parts"]
    lines += [f"  {found.note}"] if found.note else [_said(test) for test in found.tests]
    if not found.is_one:
        lines += ["", *_differences(found)]
        for place, mechanism in enumerate(found.mechanisms):
            lines += ["", *_about(place, mechanism, found)]
    return joined(lines)


write = file_writer(render)


def _said(test: Split) -> str:
    sizes = " + ".join(str(len(side)) for side in test.sides)
    verdict = "split" if test.accepted else "not split"
    why = ""
    if test.p <= test.level and not test.accepted:
        why = f", below {GAP:.0f}" if test.gap < GAP else f", fewer than {LEAST} in one"
    return (
        f"  {sizes} prompts: {verdict}; held-out share between {test.share:.2f} (one kind: below {test.usual:.2f}), "
        f"p {test.p:.2f}, {min(test.gap, 999):.1f} sd apart{why}"
    )


def _differences(found: Mechanisms) -> list[str]:
    """The parts whose mean effects differ most, in units of their error."""
    means = np.array([found.effects[list(each.prompts)].mean(0) for each in found.mechanisms])
    order = np.argsort(-np.ptp(means, axis=0), kind="stable")[:MAX_PARTS]
    rows = [["mean effect of", *(f"{place + 1} ({len(m.prompts)})" for place, m in enumerate(found.mechanisms))]]
    rows += [[" x ".join(found.parts[part]), *(number(value, 2) for value in means[:, part])] for part in order]
    return in_columns(rows, range(1, len(found) + 1))


def _about(place: int, mechanism: Mechanism, found: Mechanisms) -> list[str]:
    circuit = mechanism.circuit
    lines = [
        f"Mechanism {place + 1}: {len(mechanism.prompts)} prompts, {len(circuit.nodes)} components, "
        f"{len(circuit.interactions)} interactions, {circuit.faithfulness} (cross-validated)"
    ]
    texts = [found.prompts[i] for i in mechanism.prompts] if found.prompts else []
    lines += [f"  {shortened(text, 96)}" for text in texts[:MAX_PROMPTS]]
    return lines + ([f"  … and {len(texts) - MAX_PROMPTS} more"] if len(texts) > MAX_PROMPTS else [])

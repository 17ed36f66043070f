"""Reports and mechanisms as small as pictures of them can be."""

from __future__ import annotations

import numpy as np
from drawn_circuits import empty, estimate

from circuitspex.circuits.evidence.clusters import Split
from circuitspex.circuits.evidence.curve import Curve
from circuitspex.circuits.mechanism import Mechanism, Mechanisms
from circuitspex.circuits.mib_report import MIBReport
from circuitspex.circuits.report import Part, Report

ABOUT = {"model": "smollm2-135m", "task": "ioi", "metric": "logit_diff"}
SIZES = tuple(range(1, 11))
VALUES = tuple(estimate(size / 10) for size in SIZES)


def _curves() -> dict[str, Curve]:
    return {name: Curve(name, SIZES, VALUES, estimate(0.6), estimate(0.3)) for name in ("chosen", "matched", "random")}


def report() -> Report:
    parts = (Part("L1H0", estimate(1)), Part("L2M", estimate(0.0)))
    return Report(
        16, 3.1, 0.1, 5, _curves(), VALUES, {}, (), ("L1H0",), estimate(2), estimate(1), parts, {}, None, ABOUT
    )


def mib_report(level: str = "nodes") -> MIBReport:
    return MIBReport(level, 12, 16, 3.1, 0.1, estimate(3), _curves(), about=ABOUT)


def mechanisms(*kinds: tuple[int, ...]) -> Mechanisms:
    """Of three prompts, in these groups."""
    effects = np.array([[0.4, -0.2], [0.3, 0.1], [-0.4, 0.2]])
    parts = (("L1H0",), ("L2M", "L3H1"))
    split = Split(((0, 1), (2,)), 0.5, 0.1, 0.01, 0.05, 3.0)
    made = tuple(Mechanism(prompts, empty(), None) for prompts in kinds)
    return Mechanisms(made, parts, effects, effects / 9, (split,))

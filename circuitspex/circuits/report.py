"""What an examination of a circuit found: faithfulness over size beside the baselines, and what hangs on each part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.evidence.curve import Curve


@dataclass(frozen=True)
class Gain:
    """How much better one way to choose circuits is than another, in the two areas; above zero is better."""

    way: str
    other: str
    cpr: Estimate
    cmd: Estimate


@dataclass(frozen=True)
class Part:
    """One component of the circuit: how much the metric falls when the circuit loses just it."""

    name: str
    loss: Estimate

    @property
    def needed(self) -> bool:
        """Whether the circuit is worse without it, with an interval that excludes zero."""
        return self.loss.low > 0


@dataclass(frozen=True)
class Stability:
    """How much of the circuit comes again from other masks and other prompts.

    Jaccard similarity (shared over all, 1 = the same) of the sets of components and of interactions, one for each
    repetition, in which as many new masks were run on new prompts; there are none of interactions where the circuit
    has none.
    """

    n_prompts: int
    fresh_prompts: bool
    nodes: tuple[float, ...]
    interactions: tuple[float, ...]


@dataclass(frozen=True)
class Report(formats.Result):
    """The examination of a circuit on held-out prompts.

    ``curves`` by way of choosing: 'chosen' maximises the decoded function, 'matched' brings it nearest to the whole
    model's value, 'main effects' ranks by them, 'NAP' and 'NAP-IG' are attribution patching, with '|…|' ranked by
    absolute score, 'random' is the mean of ``n_random`` orders, whose range is in ``random_areas``.
    ``removed`` is the share of the behaviour that is left when the chosen circuit of each size is removed
    (completeness: low is complete). ``parts`` says what the circuit loses with each component (minimality).
    ``passes`` is how many gradient ablations each way was given.
    """

    n_prompts: int
    full: float
    empty: float
    n_random: int
    curves: Mapping[str, Curve]
    removed: tuple[Estimate, ...]
    random_areas: Mapping[str, Estimate]
    gains: tuple[Gain, ...]
    circuit: tuple[str, ...]
    kept: Estimate
    left: Estimate
    parts: tuple[Part, ...]
    passes: Mapping[str, int]
    stability: Stability | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many components the circuits of the curves have."""
        return next(iter(self.curves.values())).sizes

    def plot(self, path: str | Path, *, dark: bool = False) -> Path:
        """Draw the curves, what removal leaves, and what each component is needed for; PNG, SVG or PDF by ending.

        ``dark``: on a dark ground.
        """
        return formats.write(self, "plot", path, dark=dark)

"""What ``found.mechanisms()`` gives: the kinds of prompts that use different parts of the model, a circuit for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.evidence.clusters import Split
from circuitspex.recovery import Interactions
from circuitspex.typing import FloatArray


@dataclass(frozen=True)
class Mechanism:
    """One kind of prompts, by their places in the task, and what the model does on them.

    ``circuit`` has the effects measured on these prompts alone; ``interactions`` is the function decoded from the mean
    of the metric over them. Neither took new ablations.
    """

    prompts: tuple[int, ...]
    circuit: Circuit
    interactions: Interactions


@dataclass(frozen=True, repr=False)
class Mechanisms(formats.Result):
    """One or several mechanisms, the one with most prompts first.

    ``parts`` are the components and sets whose effects tell prompts apart, by the names of their components;
    ``effects`` ``(P, T)`` the measured effect of each on each prompt, in units of the metric, and ``errors`` ``(T,)``
    how well one of them is known (a standard error over contexts). ``tests`` are the tests that split prompts, or did
    not, the first of them over all prompts; ``note`` says why there was none. ``prompts`` are the texts, where the
    circuit's record has them.
    """

    mechanisms: tuple[Mechanism, ...]
    parts: tuple[tuple[str, ...], ...]
    effects: FloatArray = field(compare=False)
    errors: FloatArray = field(compare=False)
    tests: tuple[Split, ...] = ()
    prompts: tuple[str, ...] = ()
    note: str = ""

    def __len__(self) -> int:
        return len(self.mechanisms)

    def __getitem__(self, place: int) -> Mechanism:
        return self.mechanisms[place]

    def __repr__(self) -> str:
        return self.table()

    def plot(self, path: str | Path, *, dark: bool = False) -> Path:
        """Draw prompts by components, as PNG, SVG or PDF by ending, on a dark ground where asked for."""
        return formats.write(self, "plot", path, dark=dark)

    @property
    def is_one(self) -> bool:
        """Whether one mechanism explains all prompts as well as several would."""
        return len(self.mechanisms) == 1

    @property
    def labels(self) -> tuple[int, ...]:
        """The mechanism of each prompt, by its place."""
        found = np.zeros(len(self.effects), dtype=np.int64)
        for place, mechanism in enumerate(self.mechanisms):
            found[list(mechanism.prompts)] = place
        return tuple(map(int, found))

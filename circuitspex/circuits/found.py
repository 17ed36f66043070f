"""What a search gives, and what its record says: seconds by step, versions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from circuitspex.circuits.budget import Stage
from circuitspex.circuits.circuit import Circuit, Faithfulness, Verification
from circuitspex.circuits.refine import Refined
from circuitspex.games import Run
from circuitspex.masks import Pilot
from circuitspex.recovery import Interactions
from circuitspex.tasks import TaskReport

_PACKAGES = ("circuitspex", "torch", "transformer-lens", "transformers", "numpy", "scipy", "lightgbm")


@dataclass(frozen=True, repr=False)
class Found:
    """What ``find_circuit`` and ``explain`` give.

    ``circuit`` the graph; ``interactions`` the whole decoded function; ``faithfulness`` its R² on held-out masks;
    ``verification`` the circuit on held-out prompts, where it was verified; ``run`` the ablations that were decoded;
    ``report`` how well the model does the task, where there is one; ``learning_curve`` the R² on new masks after each
    stage, and last on the held-out masks; ``pilot`` how the share kept was picked, where it was; ``refined`` the
    circuits that were chosen and run, where ``refine`` was asked for; ``n_stored`` how many ablations of the whole
    search came from the store, ``n_run`` how many were run; ``levels`` all levels of a search from coarse to fine.
    """

    circuit: Circuit
    interactions: Interactions
    run: Run
    report: TaskReport | None = None
    learning_curve: tuple[Stage, ...] = ()
    pilot: Pilot | None = None
    n_stored: int = 0
    n_run: int = 0
    refined: Refined | None = None
    levels: tuple[Level, ...] = ()

    @property
    def faithfulness(self) -> Faithfulness:
        """R² of the decoded function on masks that no fit has seen, with its interval."""
        return self.circuit.faithfulness

    @property
    def verification(self) -> Verification | None:
        """The circuit alone, and the model without it, on held-out prompts."""
        return self.circuit.verification

    def __repr__(self) -> str:
        return self.circuit.table()

    def _repr_html_(self) -> str:
        return self.circuit._repr_html_()


@dataclass(frozen=True)
class Level:
    """One level of a search from coarse to fine: what was asked, what it gave, and what was opened for the next."""

    selector: str
    opened: tuple[str, ...]
    found: Found

    def __str__(self) -> str:
        about = f"{self.selector}: {self.found.interactions.n_players} components, {self.found.faithfulness}"
        return about + (f"; opened {', '.join(self.opened)}" if self.opened else "")


class Clock:
    """Seconds since the last mark, added up by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str) -> None:
        """What took the time since the last mark."""
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 3)
        self._last = now


def versions() -> dict[str, str]:
    """The versions of the packages that a result depends on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

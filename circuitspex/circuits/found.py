"""What a search gives: the circuit, the decoded function, the ablations, and how the search went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Circuit, Faithfulness, Verification
from circuitspex.circuits.edge_circuits import EdgeCircuits
from circuitspex.circuits.evidence._strongest import Measurements
from circuitspex.circuits.formats import Shown
from circuitspex.circuits.mechanism import Mechanisms
from circuitspex.circuits.plots import FoundPlots
from circuitspex.errors import UserError
from circuitspex.games import Run
from circuitspex.masks import Pilot
from circuitspex.recovery import Interactions
from circuitspex.registry import Later
from circuitspex.renamed import renamed_fields, warn_renamed
from circuitspex.tasks import TaskReport
from circuitspex.text import message
from circuitspex.typing import Term

_to_mib = Later("circuitspex.export.graphs.mib:write")
_mechanisms = Later("circuitspex.circuits._mechanisms:mechanisms")

LEAST = 16
"""The fewest masks of a stage, and the fewest that can confirm a target."""


@dataclass(frozen=True)
class Stage:
    """One point of the learning curve.

    A function decoded from ``n_ablations`` masks predicts ``n_masks`` further ones, which its fit has not seen, with
    this R² and 95 % interval over masks; None where the values do not vary.
    """

    n_ablations: int
    r2: float | None
    low: float | None
    high: float | None
    n_masks: int

    def __str__(self) -> str:
        if self.r2 is None or self.low is None or self.high is None:
            return f"{self.n_ablations} ablations: R² undefined, the values do not vary on {self.n_masks} new masks"
        interval = f"[{self.low:z.3f}, {self.high:z.3f}]"
        return f"{self.n_ablations} ablations: R² {self.r2:z.3f} {interval} on {self.n_masks} new masks"

    def reaches(self, until: float) -> bool:
        """Whether the lower end of the interval is at least ``until``, on at least ``LEAST`` masks."""
        return self.low is not None and self.low >= until and self.n_masks >= LEAST


@dataclass(frozen=True)
class Tried:
    """A circuit that was run: what the function then in use predicted for it, and what it gave."""

    members: Term
    predicted: float
    value: float

    @property
    def size(self) -> int:
        """How many components it keeps."""
        return len(self.members)


@dataclass(frozen=True)
class Refined:
    """What refinement gives.

    ``interactions`` is the function decoded from all data, ``run`` the data, ``rounds`` the circuits that were tried in
    each round, and ``agreed`` whether the last of them were predicted within the tolerance.
    """

    interactions: Interactions
    run: Run
    rounds: tuple[tuple[Tried, ...], ...]
    agreed: bool

    def highest(self, size: int) -> Tried:
        """Of the circuits of this size that were run, the one with the highest value.

        Raises:
            UserError: none of this size was run.
        """
        return max(self._of(size), key=lambda tried: tried.value)

    def nearest(self, size: int, value: float) -> Tried:
        """Of the circuits of this size that were run, the one whose value is nearest to this one."""
        return min(self._of(size), key=lambda tried: abs(tried.value - value))

    def _of(self, size: int) -> list[Tried]:
        found = [tried for each in self.rounds for tried in each if tried.size == size]
        if not found:
            sizes = sorted({tried.size for each in self.rounds for tried in each})
            raise UserError(f"no circuit of {size} components was run; there are circuits of {sizes}")
        return found


@dataclass(frozen=True, repr=False)
class Found(FoundPlots):
    """What ``find_circuit`` and ``explain`` give.

    ``circuit`` the graph; ``interactions`` the whole decoded function; ``faithfulness`` its R² on held-out masks;
    ``verification`` the circuit on held-out prompts, where it was verified; ``run`` the ablations that were decoded;
    ``report`` how well the model does the task, where there is one; ``learning_curve`` the R² on new masks after each
    stage, and last on the held-out masks; ``pilot`` how the share kept was picked, where it was; ``refined`` the
    circuits that were chosen and run, where ``refine`` was asked for; ``n_stored`` how many ablations of the whole
    search came from the store, ``n_run`` how many were run; ``levels`` all levels of a search from coarse to fine;
    ``measurements`` what paired ablations gave on each prompt, which ``mechanisms`` needs; ``edges`` the circuits of
    edges at every size, where edges were searched.
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
    measurements: Measurements | None = None
    edges: EdgeCircuits | None = None

    def mechanisms(self, **options: Any) -> Mechanisms:
        """One mechanism or several: the kinds of prompts by their own effects, and a circuit for each; no ablations.

        See ``circuitspex.circuits._mechanisms.mechanisms`` for options and errors.
        """
        found: Mechanisms = _mechanisms(self, **options)
        return found

    def to_mib(self, folder: str | Path) -> tuple[Path, ...]:
        """Write what the circuit track of MIB (the Mechanistic Interpretability Benchmark) takes; the files' paths.

        A score for every node and edge, and one circuit a share of the edges, as ``choose`` and ``match`` make them:
        see ``circuitspex.export.graphs.mib``.

        Raises:
            UserError: the circuit is not of heads and MLPs, or of edges; or the folder can't be written to.
        """
        found: tuple[Path, ...] = _to_mib(self.circuit, self.edges or self.interactions, folder)
        return found

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

    def show(self, *, static: bool = False) -> Shown:
        """Its circuit as a notebook shows it; see ``Circuit.show``."""
        return self.circuit.show(static=static)

    def _repr_html_(self) -> str:
        return self.circuit._repr_html_()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.circuit._repr_mimebundle_(include, exclude)


@renamed_fields(opened="expanded")
@dataclass(frozen=True)
class Level:
    """One level of a search from coarse to fine: what was asked, what it gave, and what was expanded for the next."""

    selector: str
    expanded: tuple[str, ...]
    found: Found

    @property
    def opened(self) -> tuple[str, ...]:
        """The old name of ``expanded``; it warns."""
        warn_renamed("Level.opened", "Level.expanded")
        return self.expanded

    def __str__(self) -> str:
        about = f"{self.selector}: {self.found.interactions.n_players} components, {self.found.faithfulness}"
        return message(about + (f"; expanded {', '.join(self.expanded)}" if self.expanded else ""))

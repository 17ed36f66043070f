"""What MIB's protocol gives: faithfulness over size under counterfactual patching, and its areas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from circuitspex.circuits import formats
from circuitspex.circuits.evidence.curve import Curve
from circuitspex.circuits.report import Gain
from circuitspex.statistics import Estimate


@dataclass(frozen=True)
class MIBReport(formats.Result):
    """Ways to choose circuits, scored as MIB's circuit track scores them.

    ``curves`` by way: faithfulness f at MIB's ten shares of all ``n_players`` nodes or edges, CPR and CMD, with 95 %
    intervals over prompts. Scores are ranked signed, and by absolute value as '|…|'. CPR has no upper end (circuits
    without what works against a behaviour show more of it than the model), so CMD and the curve stand beside it.
    ``full`` and ``empty`` are the metric of the model and with everything replaced, the counterfactual's own run, and
    ``span`` their difference, of which f is a share: where its interval holds 0, f means little.
    ``edges`` is how many edges each circuit has as MIB counts them (of a circuit of nodes, all between kept nodes);
    empty where the model can't be cut into edges. ``passes`` is how many passes with a gradient each way took, where
    that is known. ``gains`` are differences on the same prompts.
    """

    level: Literal["nodes", "edges"]
    n_players: int
    n_prompts: int
    full: float
    empty: float
    span: Estimate
    curves: Mapping[str, Curve]
    gains: tuple[Gain, ...] = ()
    edges: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    passes: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many nodes or edges the circuits have."""
        return next(iter(self.curves.values())).sizes

    def plot(self, path: str | Path, *, dark: bool = False) -> Path:
        """Draw the curves and the areas; PNG, SVG or PDF by ending, on a dark ground where asked for."""
        return formats.write(self, "plot", path, dark=dark)

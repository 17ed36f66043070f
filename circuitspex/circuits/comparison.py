"""What changed between two checkpoints: each component and interaction with its effect in both, and the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness
from circuitspex.registry import Later
from circuitspex.renamed import renamed_fields, warn_renamed

_frame, _frame_of_series = (
    Later(f"circuitspex.export.tables.frames:{name}") for name in ("of_comparison", "of_series")
)

Kind = Literal["gained", "lost", "stronger", "weaker", "changed", "unchanged"]


@dataclass(frozen=True)
class Change:
    """One component, or one interaction, in both models.

    ``before`` and ``after`` are its measured effects in the first and the second model, ``difference`` the second minus
    the first, measured in the same contexts on the same prompts. ``q`` is the smallest false discovery rate at which it
    is a discovery that the difference is larger than the comparison's ``min_effect``. ``kind`` is 'unchanged' where it
    is none; else 'gained' where the effect before is certain to be near zero, 'lost' where that after is, 'changed'
    where both are certain and of opposite signs, and 'stronger' or 'weaker' otherwise. Near zero is what an equivalence
    test shows (TOST at 5 %): an interval that holds zero shows only that too little was measured. The test is against
    ``min_effect`` where one was asked for, else a fifth of the effect in the other model will do, too.
    """

    components: tuple[str, ...]
    before: Estimate
    after: Estimate
    difference: Estimate
    decoded: float
    q: float
    kind: Kind

    @property
    def order(self) -> int:
        """How many components it has."""
        return len(self.components)


@renamed_fields(least="min_effect", rate="fdr")
@dataclass(frozen=True)
class Comparison(formats.Drawn):
    """Two models on the same prompts under the same masks.

    ``changes`` are all components and interactions that were tested, the largest difference first; ``found`` those of
    them that changed. ``metric_before``, ``metric_after`` and ``metric_difference`` are the unablated metric over the
    prompts. ``faithfulness`` is the R² of the decoded *difference* on held-out masks. ``min_effect`` is the smallest
    difference of interest, in units of the metric, and ``fdr`` the false discovery rate.
    ``before``, ``after`` and ``difference`` are circuits, ready to be drawn: the measured effects in the first model,
    in the second, and what changed.
    """

    identical: bool
    changes: tuple[Change, ...]
    before: Circuit
    after: Circuit
    difference: Circuit
    faithfulness: Faithfulness
    min_effect: float
    fdr: float
    metric_before: Estimate | None = None
    metric_after: Estimate | None = None
    metric_difference: Estimate | None = None
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def least(self) -> float:
        """The old name of ``min_effect``; it warns."""
        warn_renamed("Comparison.least", "Comparison.min_effect")
        return self.min_effect

    @property
    def rate(self) -> float:
        """The old name of ``fdr``; it warns."""
        warn_renamed("Comparison.rate", "Comparison.fdr")
        return self.fdr

    @property
    def found(self) -> tuple[Change, ...]:
        """What changed."""
        return tuple(change for change in self.changes if change.kind != "unchanged")

    def of(self, kind: Kind) -> tuple[Change, ...]:
        """The changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each change; UserError where pandas is not installed."""
        return _frame(self)


@dataclass(frozen=True)
class Point:
    """One checkpoint of a series: its name, the unablated metric, and the measured effect of each set."""

    name: str
    identity: str
    metric: Estimate
    effects: tuple[Estimate, ...]


@dataclass(frozen=True)
class Series(formats.Result):
    """The same components and interactions measured in a series of checkpoints.

    ``sets`` are the components and interactions; each point's ``effects`` are in their order.
    ``same_as`` names, for each checkpoint whose weights are those of an earlier one, that earlier one.
    """

    sets: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...]
    same_as: Mapping[str, str] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` in long form: the metric and each set at each checkpoint, a row each.

        Raises:
            UserError: pandas is not installed.
        """
        return _frame_of_series(self)

    def plot(self, path: str | Path, *, dark: bool = False) -> Path:
        """Draw the timeline; PNG, SVG or PDF by the ending, on a dark ground where asked for."""
        return formats.write(self, "plot", path, dark=dark)

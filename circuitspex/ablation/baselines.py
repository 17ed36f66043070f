"""The table of baselines: what an ablated component outputs instead.

Another package adds one by naming a ``Baseline`` in the entry points of ``circuitspex.baselines``. Nothing heavy is
imported until one is used, so that the command line can list them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from circuitspex.errors import UserError
from circuitspex.models.protocol import Model
from circuitspex.registry import Later, Table

if TYPE_CHECKING:
    from circuitspex.ablation.shapes import BaselineOfSite
    from circuitspex.ablation.sites import Site
    from circuitspex.tasks import TaskGroup


@dataclass(frozen=True)
class Baseline:
    """What stands in for the output of ablated components.

    Args:
        about: what it is, in a line.
        needs: what of the task it needs: 'reference prompts' (those of the prompts' length), 'all reference prompts',
            'counterfactuals', or nothing.
        activations: from the model, sites and prompts of one length to the baseline of each site, by the hook's name:
            ``[1, pos, ...]`` for all prompts or ``[prompts, pos, ...]``, the rest as ``Site.read`` gives it. A site
            that is missing has zeros.
        vectors: of a baseline that is the same at every position of every prompt, so that it holds for prompts that
            are not the task's (``Circuit.applied``, ``Circuit.prune``): from the model, sites and prompts as lists of
            tokens to ``[1, 1, ...]`` by the hook's name. None where there is no such thing.
    """

    about: str
    needs: Literal["", "reference prompts", "all reference prompts", "counterfactuals"]
    activations: Callable[[Any, Sequence[Site], TaskGroup], Mapping[str, BaselineOfSite]]
    vectors: Callable[[Any, Sequence[Site], Sequence[Sequence[int]]], Mapping[str, BaselineOfSite]] | None = None


BASELINES: Table[Baseline] = Table("baseline", Baseline, "circuitspex.baselines")
"""All baselines, by name."""

BASELINES.add("zero", Baseline("zeros", "", lambda model, sites, group: {}, lambda model, sites, prompts: {}))
BASELINES.add(
    "mean",
    Baseline(
        "the mean over the reference prompts, by position",
        "reference prompts",
        Later("circuitspex.ablation.baseline_activations:mean"),
    ),
)
BASELINES.add(
    "mean_vector",
    Baseline(
        "the mean over the reference prompts and their positions: one vector, for any prompt",
        "all reference prompts",
        Later("circuitspex.ablation.mean_vectors:mean_vector"),
        Later("circuitspex.ablation.mean_vectors:mean_vectors"),
    ),
)
BASELINES.add(
    "resample",
    Baseline(
        "the output on the paired counterfactual prompt",
        "counterfactuals",
        Later("circuitspex.ablation.baseline_activations:resample"),
    ),
)


def check_baseline(baseline: str) -> str:
    """The name itself.

    Raises:
        UserError: there is no baseline of that name.
    """
    if baseline not in BASELINES:
        raise UserError(f"unknown baseline '{baseline}'; allowed: {', '.join(BASELINES)}")
    return baseline


def baselines_of(
    name: str, model: Model, sites: Sequence[Site], group: TaskGroup
) -> Mapping[str, BaselineOfSite | None]:
    """The baseline at each site for the prompts of one group, by hook name: None is zero, or that there is none.

    Raises:
        TaskError: the task lacks what the baseline needs.
    """
    nothing: dict[str, BaselineOfSite | None] = {site.hook: None for site in sites}
    replaced = [site for site in sites if site.has_baseline]
    return nothing | (dict(BASELINES[name].activations(model, replaced, group)) if replaced else {})

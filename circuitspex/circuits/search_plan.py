"""What a search will cost, said before it runs: the type that ``plan`` gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a search: ``ablations`` at most, each on ``prompts`` prompts, ``gradients`` with a backward pass."""

    name: str
    ablations: int
    prompts: int
    gradients: bool = False


@dataclass(frozen=True)
class SearchPlan:
    """What a search will run, and how long it will take; printed, it is a table.

    ``seconds_forward`` and ``seconds_backward`` are of one ablation of all prompts, as measured on ``timed`` masks that
    ran together; the second is with gradients, None where the search takes none. Decoding, writing and what is learned
    of a model when it is first used come on top. ``kept_bytes`` is what the search keeps in memory beside model and
    batches.
    """

    n_components: int
    n_prompts: int
    n_tokens: int
    executor: str
    stages: tuple[PlannedStage, ...]
    timed: int
    seconds_forward: float
    seconds_backward: float | None
    weights_bytes: int
    kept_bytes: int

    @property
    def ablations(self) -> int:
        """How many ablations it will run at most."""
        return sum(stage.ablations for stage in self.stages)

    @property
    def passes(self) -> int:
        """How many prompts will be run at most, over all ablations; a backward pass counts as one more."""
        return sum(stage.ablations * stage.prompts * (2 if stage.gradients else 1) for stage in self.stages)

    def seconds_of(self, stage: PlannedStage) -> float:
        """How long a stage will take at most."""
        each = self.seconds_backward if stage.gradients and self.seconds_backward else self.seconds_forward
        return stage.ablations * each * stage.prompts / self.n_prompts

    @property
    def seconds(self) -> float:
        """How long all stages will take at most."""
        return sum(self.seconds_of(stage) for stage in self.stages)

    def __str__(self) -> str:
        lines = [
            f"{self.n_components:,} components, {self.n_prompts} prompts of at most {self.n_tokens} tokens",
            self.executor,
            f"{'stage':14}{'ablations':>10}{'prompts':>9}{'seconds':>10}",
        ]
        for stage in self.stages:
            count = f"{stage.ablations:>10,}{stage.prompts:>9}{self.seconds_of(stage):>10.1f}"
            lines.append(f"{stage.name:14}{count}{'  with gradients' if stage.gradients else ''}")
        lines.append(f"{'at most':14}{self.ablations:>10,}{'':>9}{self.seconds:>10.1f}")
        lines.append(
            f"measured on {self.timed} masks; memory: weights {_size(self.weights_bytes)}, results "
            f"{_size(self.kept_bytes)}, and batches as large as what is free allows"
        )
        return "\n".join(lines)


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    raise AssertionError

"""The circuits of a comparison: the first model's, the second's, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction, Node
from circuitspex.circuits.comparison import Change, Comparison
from circuitspex.circuits.evidence._replicate import RATE, Measured
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.circuits.record import versions
from circuitspex.circuits.search.options import Options
from circuitspex.games import RememberingGame
from circuitspex.masks.members import masks_keeping
from circuitspex.models import model_identity, model_name
from circuitspex.models.protocol import Model
from circuitspex.recovery import Interactions
from circuitspex.statistics import q_values
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray, Term


@dataclass(frozen=True)
class Parts:
    """What the circuits of a comparison are made of."""

    both: Sequence[RememberingGame]
    task: Task
    faithfulness: Faithfulness
    about: dict[str, Any]
    sets: Sequence[Term]
    decoded: Sequence[Interactions]
    measured: dict[Term, tuple[Measured, Measured, Measured]]
    changes: Sequence[Change]
    resolution: Resolution

    def circuit(self, which: int) -> Circuit:
        """The components and interactions that are discoveries in the first (0) or second (1) model."""
        q_of = self._q_of(which)
        shown = [members for members in self.sets if q_of[members] <= RATE]
        unablated = float(whole(self.both[which]).mean())
        model = _named(self.both[which].game.model)
        return self._circuit(shown, which, model=model, task={**_fields(self.task), "unablated": unablated})

    def difference(self) -> Circuit:
        """What changed: effects are the second model's minus the first's."""
        found = {change.components for change in self.changes if change.kind != "unchanged"}
        names = self.both[0].names
        shown = [members for members in self.sets if tuple(names[i] for i in members) in found]
        return self._circuit(shown, 2, model=_minus(*(each.game.model for each in self.both)), task=_fields(self.task))

    def _q_of(self, which: int) -> dict[Term, float]:
        """The q value of each set, over all components or over all interactions that were measured."""
        found: dict[Term, float] = {}
        for alike in ([m for m in self.sets if len(m) == 1], [m for m in self.sets if len(m) > 1]):
            tests = [self.measured[m][which].p_value(self.resolution.least(len(m))) for m in alike]
            found |= dict(zip(alike, q_values(tests), strict=True))
        return found

    def _circuit(self, shown: Sequence[Term], which: int, **about: Any) -> Circuit:
        game, decoded = self.both[0].game, self.decoded[(which + 1) % 3]
        edges = [members for members in shown if len(members) > 1]
        inside = sorted({i for members in edges for i in members} | {m[0] for m in shown if len(m) == 1})

        def numbers(members: Term) -> tuple[float, Estimate, tuple[float, ...]]:
            part = self.measured[members][which]
            return decoded_effect(decoded, members), part.estimate(), part.per_prompt

        parts = game.components
        # What changed was tested against the smallest difference of interest: of a member, the interval says if it did.
        q_of: dict[Term, float] = {} if which == 2 else self._q_of(which)
        nodes = [Node(game.names[i], parts[i].layer, parts[i].kind, *numbers((i,)), q=q_of.get((i,))) for i in inside]
        nodes.sort(key=lambda node: (-abs(node.effect), node.name))
        drawn = []
        for members in edges:
            names, part = tuple(game.names[i] for i in members), self.measured[members][which]
            one = Interaction(names, *numbers(members), q=q_of.get(members))
            # What changed has a sign, but is no relation of two components in any model.
            drawn.append(one if which == 2 else replace(one, table=part.table, pair=part.relation(names)))
        drawn.sort(key=lambda one: (-abs(one.effect), one.components))
        score = self.faithfulness if which == 2 else Faithfulness(None, None, None, 0)
        return Circuit(tuple(nodes), tuple(drawn), score, run=self.about, **about)


def _fields(task: Task) -> dict[str, Any]:
    return {"name": task.name, "identity": task.identity, "metric": task.metric.name, "n_prompts": task.n_prompts}


def _named(model: Model) -> dict[str, Any]:
    return {"name": model_name(model), "identity": model_identity(model)}


def _minus(before: Model, after: Any) -> dict[str, Any]:
    return {"name": f"{model_name(after)} minus {model_name(before)}"}


def decoded_effect(decoded: Interactions, members: Term) -> float:
    """The effect of a set that the function has a term for; 0 for others."""
    return decoded.effect(*members) if members in decoded.terms else 0.0


def whole(game: RememberingGame) -> FloatArray:
    """The metric of each prompt with nothing ablated, ``(P,)``."""
    everything = masks_keeping([range(game.n_players)], game.n_players)
    return np.asarray(game.evaluate(everything, stage="nothing ablated").per_prompt[0])


def identical(before: Model, after: Model, task: Task, baseline: str, options: Options) -> Comparison:
    """The comparison of two models with the same weights: nothing is run."""
    about = {"baseline": baseline, "seed": options.seed, "versions": versions()}
    none = Faithfulness(None, None, None, 0)
    models = (_named(before), _named(after), _minus(before, after))
    one, two, gap = (Circuit((), (), none, model=model, task=_fields(task), run=about) for model in models)
    return Comparison(True, (), one, two, gap, none, 0.0, options.fdr, run=about)

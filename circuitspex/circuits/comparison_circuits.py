"""The circuits of a comparison: the first model's, the second's, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.circuits.circuit import Circuit, Faithfulness, Interaction, Node
from circuitspex.circuits.comparison import Change, Comparison
from circuitspex.circuits.evidence._replicate import Measured
from circuitspex.circuits.record import versions
from circuitspex.circuits.search.options import Options
from circuitspex.games import RememberingGame
from circuitspex.masks.members import masks_keeping
from circuitspex.models import model_identity, model_name
from circuitspex.models.protocol import Model
from circuitspex.recovery import Interactions
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

    def circuit(self, which: int) -> Circuit:
        """The components and interactions whose effect in one model excludes zero."""
        shown = [m for m in self.sets if self.measured[m][which].estimate().excludes_zero]
        model = self.both[which].game.model
        return self._circuit(
            shown, which, {"name": model_name(model), "identity": model_identity(model)}, self.decoded[1 + which]
        )

    def difference(self) -> Circuit:
        """What changed: effects are the second model's minus the first's."""
        found = {change.components for change in self.changes if change.kind != "unchanged"}
        names = self.both[0].names
        shown = [members for members in self.sets if tuple(names[i] for i in members) in found]
        titles = [each.game.model_name for each in self.both]
        return self._circuit(shown, 2, {"name": f"{titles[1]} minus {titles[0]}"}, self.decoded[0])

    def _circuit(self, shown: Sequence[Term], which: int, model: dict[str, Any], decoded: Interactions) -> Circuit:
        game = self.both[0].game
        edges = [members for members in shown if len(members) > 1]
        inside = sorted({i for members in edges for i in members} | {m[0] for m in shown if len(m) == 1})
        nodes = []
        for i in inside:
            part = self.measured[i,][which]
            about = game.components[i]
            effect = _decoded_effect(decoded, (i,))
            nodes.append(Node(game.names[i], about.layer, about.kind, effect, part.estimate(), part.per_prompt))
        nodes.sort(key=lambda node: (-abs(node.effect), node.name))
        drawn = [
            Interaction(
                tuple(game.names[i] for i in members),
                _decoded_effect(decoded, members),
                self.measured[members][which].estimate(),
                self.measured[members][which].per_prompt,
            )
            for members in edges
        ]
        drawn.sort(key=lambda edge: (-abs(edge.effect), edge.components))
        unablated = None if which == 2 else float(whole(self.both[which]).mean())
        task = {
            "name": self.task.name,
            "identity": self.task.identity,
            "metric": self.task.metric.name,
            "n_prompts": self.task.n_prompts,
            **({} if unablated is None else {"unablated": unablated}),
        }
        score = self.faithfulness if which == 2 else Faithfulness(None, None, None, 0)
        return Circuit(tuple(nodes), tuple(drawn), score, model=model, task=task, run=self.about)


def _decoded_effect(decoded: Interactions, members: Term) -> float:
    return decoded.effect(*members) if members in decoded.terms else 0.0


def whole(game: RememberingGame) -> FloatArray:
    """The metric of each prompt with nothing ablated, ``(P,)``."""
    everything = masks_keeping([range(game.n_players)], game.n_players)
    return np.asarray(game.evaluate(everything, stage="nothing ablated").per_prompt[0])


def identical(before: Model, after: Model, task: Task, baseline: str, options: Options) -> Comparison:
    """The comparison of two models with the same weights: nothing is run."""
    about = {"baseline": baseline, "seed": options.seed, "versions": versions()}
    what = {"name": task.name, "identity": task.identity, "metric": task.metric.name, "n_prompts": task.n_prompts}
    none = Faithfulness(None, None, None, 0)

    def empty(model: Model) -> Circuit:
        named = {"name": model_name(model), "identity": model_identity(model)}
        return Circuit((), (), none, model=named, task=what, run=about)

    gap = Circuit((), (), none, model={"name": f"{model_name(after)} minus {model_name(before)}"}, task=what, run=about)
    return Comparison(True, (), empty(before), empty(after), gap, none, 0.0, options.fdr, run=about)

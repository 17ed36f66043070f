"""Path patching between two components: one is shown what it would see without the other, nothing else is.

Two passes for each mask (Goldowsky-Dill et al., 'Localizing Model Behavior with Path Patching', 2023). In the first the
source is ablated, and the target's output is written down. In the second the source is kept again and the target gives
that output, so that all that changes is what reaches the target from the source, straight or through others.
"""

from __future__ import annotations

from typing import Any

from circuitspex.ablation.executors.hooks import GroupForward
from circuitspex.ablation.passes import run_with
from circuitspex.ablation.shapes import Activation, Gates, ReadLogits
from circuitspex.components import Component


class PathForward(GroupForward):
    """Runs masks with the target's output taken from a pass in which the source is ablated too.

    Plain TransformerLens hooks along the batch axis, every layer; it works for every architecture.

    Args:
        *given: what ``GroupForward`` is given.
        source: the column of the earlier component.
        target: the later component, which is one of the sites' members and an activation of the model.
    """

    def __init__(self, *given: Any, source: int, target: Component) -> None:
        super().__init__(*given)
        self._source, self._target = source, target
        self._site, self._index = next(
            (site, index) for site, index in self._sites if any(target == member for _, member in site.members)
        )
        self._player = next(player for player, member in self._site.members if member == target)

    def __call__(self, gates: Gates, prompts: slice, first_layer: int, first_position: int = 0) -> ReadLogits:
        """See ``GroupForward``."""
        rows = self.tokens[prompts].repeat(gates.shape[0], 1)
        without = gates.clone()
        without[:, self._source] = 0
        seen: list[Activation] = []

        def note(activation: Activation, hook: Any) -> None:
            seen.append(self._site.read(activation.detach()).clone())

        only = gates.new_ones((1, gates.shape[1]))
        only[0, self._player] = 0

        def patch(activation: Activation, hook: Any) -> Activation:
            # The target is ablated, with what it gave in the first pass as the baseline.
            return self._site.gate(activation, only, self._index, seen[0])

        # First in the lists: hooks at the same place run in this order, and the gates come after.
        first = [(self._site.hook, note), *self.hooks(without, prompts, 0)]
        run_with(self.model, rows, first, stop_at_layer=self._target.layer + 1)
        hooks = [(self._site.hook, patch), *self.hooks(gates, prompts, 0)]
        return self.logits(rows, hooks, self.reads[prompts].repeat(gates.shape[0], 1))

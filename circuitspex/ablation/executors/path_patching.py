"""Path patching between two components: one is shown what it would see without the other, nothing else is.

Two passes for each mask (Goldowsky-Dill et al., 'Localizing Model Behavior with Path Patching', 2023). In the first the
source is ablated, and the target's output is written down. In the second the source is kept again and the target gives
that output, so that all that changes is what reaches the target from the source, straight or through others.
"""

from __future__ import annotations

from typing import Any

from circuitspex.ablation.executors.hooks import GroupForward
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
        self._hook = next(site.hook for site, _ in self._sites if any(target == member for _, member in site.members))

    def __call__(self, gates: Gates, prompts: slice, first_layer: int, first_position: int = 0) -> ReadLogits:
        """See ``GroupForward``."""
        rows = self.tokens[prompts].repeat(gates.shape[0], 1)
        without = gates.clone()
        without[:, self._source] = 0
        seen: list[Activation] = []

        def note(activation: Activation, hook: Any) -> None:
            seen.append(activation.detach().clone())

        def patch(activation: Activation, hook: Any) -> Activation:
            patched = activation.clone()
            patched[self._place()] = seen[0][self._place()]
            return patched

        # First in the lists: hooks at the same place run in this order, and the gates come after.
        self.model.run_with_hooks(
            rows,
            fwd_hooks=[(self._hook, note), *self.hooks(without, prompts, 0)],
            use_cache=False,
            stop_at_layer=self._target.layer + 1,
        )
        hooks = [(self._hook, patch), *self.hooks(gates, prompts, 0)]
        return self.logits(rows, hooks, self._reads[prompts].repeat(gates.shape[0], 1))

    def _place(self) -> tuple[slice | int, ...]:
        """Where in the site's activation the target is."""
        position = slice(None) if self._target.position is None else self._target.position
        if self._target.is_whole:
            return slice(None), position
        return slice(None), position, slice(self._target.start, self._target.stop)

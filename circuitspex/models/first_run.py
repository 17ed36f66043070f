"""The first run of a model that was just loaded, by itself and wrapped; not again for weights that passed it before.

A model that is not run here must still be as if it had been. Some models' first pass leaves something behind in them,
so that what was found is remembered only of those whose state was the same after it.
"""

from __future__ import annotations

from typing import Any

from circuitspex.models.remembered import is_on, recalled, remember
from circuitspex.models.remembered_of_model import facts_of_class
from circuitspex.models.state import model_state
from circuitspex.models.trial import check_runs, found_causal, own_logits, trial_prompts

_PASSED = b"passed"


class FirstRun:
    """The Hugging Face model is run by itself here, before it is wrapped, and wrapped in ``check``.

    Args:
        model: the Hugging Face model.
        where: it came from, for messages.
        identity: the hash of its weights; without it nothing is remembered.

    Raises:
        ModelNotFoundError: it can't run.
    """

    def __init__(self, model: Any, where: str, identity: str | None) -> None:
        self._where = where
        self._facts = None
        if identity is not None and is_on():
            self._facts = {"trial": "first run", "weights": identity, **facts_of_class(model)}
        self._passed = self._facts is not None and recalled("trial", self._facts) == _PASSED
        if not self._passed:
            self._prompts = trial_prompts(model)
            self._own = own_logits(model, self._prompts, where)

    def check(self, bridge: Any) -> None:
        """Refuse a model that TransformerLens can't run, runs as another one, or that is not causal.

        Raises:
            ModelNotFoundError: one line with the reason.
        """
        if self._passed:
            found_causal(bridge)
            return
        before = None if self._facts is None else model_state(bridge)
        check_runs(bridge, self._prompts, self._own, self._where)
        if before is not None and self._facts is not None and not before.foreign and model_state(bridge) == before:
            remember("trial", self._facts, _PASSED)

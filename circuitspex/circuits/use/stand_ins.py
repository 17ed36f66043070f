"""What stands in for ablated components on prompts of any kind: nothing, or one vector each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch

from circuitspex.ablation.baselines import BASELINES, check_baseline
from circuitspex.ablation.shapes import BaselineOfSite
from circuitspex.ablation.sites import Site
from circuitspex.circuits.circuit import Circuit
from circuitspex.errors import UserError
from circuitspex.models.protocol import Model
from circuitspex.models.tokens import decode_token, encode
from circuitspex.tasks import Task

Prompts: TypeAlias = "Task | Sequence[str] | Sequence[Sequence[int]] | torch.Tensor"
"""Prompts to take means over: a task (its reference prompts), texts, or rows of tokens."""


def baseline_for(circuit: Circuit, baseline: str | None) -> str:
    """The name of the baseline that was asked for, or the circuit's own, if it holds for any prompt.

    Raises:
        UserError: it does not; those that do are named.
    """
    whose = "" if baseline else "the circuit was found with "
    return check_for_any_prompt(baseline or str(circuit.run.get("baseline") or "mean"), whose)


def check_for_any_prompt(baseline: str, whose: str = "") -> str:
    """The name itself, of a baseline that holds for any prompt.

    Args:
        baseline: the name.
        whose: what a message says before it.

    Raises:
        UserError: it does not; those that do are named.
    """
    name = check_baseline(baseline)
    if BASELINES[name].vectors is not None:
        return name
    allowed = " or ".join(f"baseline='{each}'" for each in BASELINES if BASELINES[each].vectors is not None)
    raise UserError(
        f"{whose}baseline '{name}', which is by position or by prompt and holds for no other prompts; give {allowed}"
    )


def stand_ins(
    circuit: Circuit, model: Model, sites: Sequence[Site], baseline: str, prompts: Prompts | None
) -> dict[str, BaselineOfSite | None]:
    """What each site gives instead, ``[1, 1, ...]`` by hook name; None is zero.

    Args:
        circuit: whose reference prompts means are taken over by default.
        model: the model.
        sites: where components are ablated.
        baseline: one that ``baseline_for`` allows.
        prompts: to take means over.

    Raises:
        UserError: prompts that are none, or the circuit's file does not hold its own.
    """
    vectors = BASELINES[baseline].vectors
    assert vectors is not None
    nothing: dict[str, BaselineOfSite | None] = {site.hook: None for site in sites}
    replaced = [site for site in sites if site.has_baseline]
    if not replaced or not BASELINES[baseline].needs:
        return nothing
    rows = rows_of(circuit, model, prompts)
    found: Mapping[str, BaselineOfSite] = vectors(model, replaced, rows)
    return nothing | dict(found)


def rows_of(circuit: Circuit, model: Model, prompts: Prompts | None) -> list[list[int]]:
    """The tokens of the prompts that means are taken over; by default the reference prompts of the circuit's task.

    Raises:
        UserError: prompts that are none, or the circuit's file does not hold its own.
    """
    return _own(circuit, model) if prompts is None else tokens_of(model, prompts)


def tokens_of(model: Model, prompts: Prompts) -> list[list[int]]:
    """The tokens of prompts.

    Raises:
        UserError: they are none.
    """
    if isinstance(prompts, Task):
        return [row for tokens in prompts.all_references for row in tokens.tolist()]
    if isinstance(prompts, torch.Tensor):
        prompts = prompts.tolist()
    if isinstance(prompts, str) or not isinstance(prompts, Sequence) or not len(prompts):
        raise UserError("prompts are a task, a list of texts, or rows of tokens; at least one")
    rows = [encode(model, each) if isinstance(each, str) else each for each in prompts]
    if not all(isinstance(row, Sequence) and row and all(isinstance(t, int) for t in row) for row in rows):
        raise UserError("prompts are a task, a list of texts, or rows of tokens; none of them empty")
    return [list(row) for row in rows]


def _own(circuit: Circuit, model: Model) -> list[list[int]]:
    """The reference prompts of the circuit's task, as tokens."""
    kept = circuit.task.get("prompts")
    complete = isinstance(kept, list | tuple) and bool(kept) and len(kept) == circuit.task.get("n_prompts")
    texts = circuit.task.get("reference")
    if texts is None and complete:
        texts = [each[side] for side in ("prompt", "counterfactual") for each in kept or ()]
    if not texts:
        raise UserError(
            "the circuit does not say which prompts means are over; give prompts=…, a task or a list of texts"
        )
    for begins in (None, True, False):
        if not kept or [decode_token(model, t) for t in _row(model, kept[0]["prompt"], begins)] == kept[0]["tokens"]:
            break
    else:
        begins = None
    return [_row(model, str(text), begins) for text in texts]


def _row(model: Model, text: str, begins: bool | None) -> list[int]:
    """The tokens of a prompt; without a BOS token where one is asked for that the tokenizer lacks."""
    try:
        return encode(model, text, prepend_bos=begins)
    except UserError:
        if not begins:
            raise
        return encode(model, text, prepend_bos=False)

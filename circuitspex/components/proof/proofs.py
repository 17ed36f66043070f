"""What is proved of each kind of component on one model, before it is offered."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from circuitspex.components.proof.claims import Claim, HeadsRead, IsRead, Moves
from circuitspex.components.proof.mixtures import mixtures
from circuitspex.components.proof.proposals import Shape
from circuitspex.components.proof.seen import LENGTH
from circuitspex.components.proof.trial import NOTHING_PASSES, Verdicts, probe_tokens, trial
from circuitspex.components.proof.what_is_proved import Proof, Proofs, Wanted, as_text, from_text
from circuitspex.errors import UserError
from circuitspex.models.alone import running
from circuitspex.models.in_float32 import asked_in_float32
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.overflow import overflow_error, overflowed
from circuitspex.models.protocol import FwdHook, Model
from circuitspex.models.remembered import recalled, remember
from circuitspex.models.remembered_of_model import facts_of
from circuitspex.models.standing import state_now
from circuitspex.models.state import ModelState
from circuitspex.registry import Later

_ROUNDS = 12
"""Trials at most; nearly all models need one."""


_known: WeakKeyDictionary[Any, dict[Any, tuple[ModelState, Proofs]]] = WeakKeyDictionary()


def proofs(model: Model, wanted: Mapping[str, Wanted]) -> Proofs:
    """Prove what there is to prove of these kinds, once for each model; again when it was changed.

    Two passes over texts of different lengths show the axes of every activation. Then, in one trial of a few short
    rows, activations are changed at TransformerLens's hooks, and plain PyTorch hooks on the Hugging Face modules see
    whether that does what the names promise (``claims.py``). What fails and could be something else gets another trial.
    The model and the generators of random numbers are left as they were. What was found of the same weights by an
    earlier process, with the same versions of all that takes part, is not tried again.
    """
    with running(model):
        state = state_now(model)
        kept = _known.setdefault(model, {})
        key = tuple(wanted.items())
        if key not in kept or kept[key][0] != state or state.foreign:
            with _without_dropout(model):
                kept[key] = state, _proved_before_or_now(model, wanted, state, ran=bool(kept))
        return kept[key][1]


def _proved_before_or_now(model: Model, wanted: Mapping[str, Wanted], state: ModelState, *, ran: bool) -> Proofs:
    facts = facts_of(model, state)
    ours = all(isinstance(each.proposed, Later | None) for each in wanted.values())
    if facts is None or not ours or not hasattr(model, "blocks"):
        return _prove(model, wanted, ran=ran)
    facts = {**facts, "wanted": {word: [each.hooks, repr(each.proposed)] for word, each in wanted.items()}}
    text = recalled("proofs", facts)
    if text is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return from_text(text, mixtures(model))
    found = _prove(model, wanted, ran=ran)
    remember("proofs", facts, as_text(found))
    return found


@contextlib.contextmanager
def _without_dropout(model: Model) -> Iterator[None]:
    """Every module in eval mode, then as it was: of numbers that chance changes nothing can be proved."""
    from torch.nn import Module

    roots = (model, getattr(model, "original_model", None))
    training = [each for root in roots if isinstance(root, Module) for each in root.modules() if each.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _prove(model: Model, wanted: Mapping[str, Wanted], *, ran: bool) -> Proofs:
    """``ran``: the model was run before, so that an exception now is no sign of one that can't be run."""
    if not hasattr(model, "blocks"):
        return Proofs({}, {}, {})
    n_layers = int(model.cfg.n_layers)
    names = [
        name
        for layer in range(n_layers)
        for each in wanted.values()
        for hook in each.hooks
        if (name := f"blocks.{layer}.{hook}") in model.hook_dict
    ]
    try:
        shapes = shapes_at(model, names)
    except Exception as error:  # whatever an unknown architecture raises
        if ran or is_out_of_memory(error):
            raise
        name = getattr(model.cfg, "model_name", None) or "this model"
        raise UserError(f"{name} can't be run: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
    _check_finite(model)
    found: dict[tuple[int, str], Proof] = {}
    proposals = {
        (layer, word): _proposals(model, layer, each, shapes)
        for layer in range(n_layers)
        for word, each in wanted.items()
    }
    standing: dict[int, dict[str, Claim]] = {}
    moving: set[str] = set()
    for _ in range(_ROUNDS):
        claims: dict[int, dict[str, Claim]] = {}
        for (layer, word), each in proposals.items():
            claim = next(each, None)
            if claim is not None:
                claims.setdefault(layer, {})[word] = claim
                moving |= {word} if isinstance(claim, Moves) else set()
        if not claims:
            break
        open_again = {}
        for (layer, word), why in _verdicts(model, claims, standing).items():
            claim = claims[layer][word]
            if why is None:
                found[layer, word] = _proved(claim, shapes[claim.hook])
                standing.setdefault(layer, {})[word] = claim
            else:
                # The reason against what is likeliest is the one that is told.
                found.setdefault((layer, word), Proof(claim.hook, why))
                open_again[layer, word] = proposals[layer, word]
        proposals = open_again
    return Proofs(shapes, _told_apart(found, standing, moving), mixtures(model))


def _told_apart(
    found: dict[tuple[int, str], Proof], standing: Mapping[int, Mapping[str, Claim]], moving: set[str]
) -> dict[tuple[int, str], Proof]:
    """Heads stand only where queries, or keys or values of every head, showed that so many heads act by themselves.

    Keys and values of groups of heads don't tell the heads of a group apart.
    """
    for (layer, word), proof in list(found.items()):
        if proof.why is not None or not isinstance(standing[layer].get(word), HeadsRead):
            continue
        stand = [claim for claim in standing[layer].values() if isinstance(claim, Moves)]
        counts = {claim.n_heads for claim in stand if claim.n_units == claim.n_heads}
        failed = [why for other in moving if (layer, other) in found and (why := found[layer, other].why) is not None]
        heard = [why for why in failed if not why.startswith(NOTHING_PASSES)]
        if heard and not counts:
            found[layer, word] = replace(proof, why=f"they could not be told apart ({heard[0]})")
        elif counts and proof.n_units not in counts:
            found[layer, word] = replace(proof, why=f"they act as {max(counts)}, not as {proof.n_units}")
    return found


def _proposals(model: Model, layer: int, wanted: Wanted, shapes: Mapping[str, Shape]) -> Iterator[Claim]:
    for hook in wanted.hooks:
        name = f"blocks.{layer}.{hook}"
        if name in shapes and wanted.proposed is not None:
            yield from wanted.proposed(model, layer, name, shapes[name])


def _proved(claim: Claim, shape: Shape) -> Proof:
    numbers = math.prod(shape.a_token)
    n_units = claim.n_units if isinstance(claim, (IsRead, Moves)) else 1
    width = numbers // n_units
    if claim.layout is not None:
        width = len(range(width)[claim.layout.start : claim.layout.stop])
    return Proof(claim.hook, None, n_units, width, claim.layout)


def _verdicts(
    model: Model, claims: Mapping[int, Mapping[str, Claim]], standing: Mapping[int, Mapping[str, Claim]]
) -> Verdicts:
    """A trial of all claims; where it breaks, one for each kind, so that one broken hook does not hide the others."""

    def tried(words: set[str]) -> Verdicts:
        # What heads give is seen by claims that stand, or are made in the same trial.
        beside = {
            layer: {
                word: claim
                for word, claim in (*standing.get(layer, {}).items(), *of_layer.items())
                if word in words
                or (isinstance(claim, HeadsRead) and any(isinstance(of_layer.get(w), Moves) for w in words))
                or (word in standing.get(layer, {}) and isinstance(claim, Moves))
            }
            for layer, of_layer in claims.items()
            if words & set(of_layer)
        }
        # In half precision large changes overflow, or round off what is to be seen.
        found = asked_in_float32(model, lambda _: trial(model, beside))
        return {(layer, word): why for (layer, word), why in found.items() if word in words and word in claims[layer]}

    words = {word for of_layer in claims.values() for word in of_layer}
    try:
        return tried(words)
    except Exception as error:  # whatever an unknown architecture raises
        if is_out_of_memory(error):
            raise
        found: Verdicts = {}
        for word in sorted(words):
            try:
                found.update(tried({word}))
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                reason = f"a trial of it failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
                found.update({(layer, word): reason for layer, of_layer in claims.items() if word in of_layer})
        return found


def _check_finite(model: Model) -> None:
    """Of numbers that are none nothing can be proved: where they begin is the reason, not what they seem to show.

    Raises:
        TaskError: the logits of a short text are not finite; the dtype and the layer are named.
    """
    import torch

    tokens = probe_tokens(model, LENGTH)
    with torch.no_grad():
        logits = model(tokens)
    if isinstance(logits, torch.Tensor) and bool(overflowed(logits).any()):
        raise overflow_error(model, logits.dtype, lambda: model(tokens))


def shapes_at(model: Model, names: list[str]) -> dict[str, Shape]:
    """What passes these hooks on one row of two tokens, and on two rows of three."""
    import torch

    passed: list[dict[str, tuple[int, ...]]] = []
    for rows, length in ((1, 2), (2, 3)):
        seen: dict[str, tuple[int, ...]] = {}

        def look(activation: Any, hook: Any, name: str, seen: dict[str, tuple[int, ...]] = seen) -> None:
            if isinstance(activation, torch.Tensor):
                seen[name] = tuple(activation.shape)

        hooks: list[FwdHook] = [(name, functools.partial(look, name=name)) for name in names]
        tokens = probe_tokens(model, length).expand(rows, -1)
        with torch.no_grad():
            model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)
        passed.append(seen)
    found = {}
    for name, first in passed[0].items():
        second = passed[1].get(name, ())
        if len(first) != len(second):
            continue
        grown = [axis for axis in range(1, len(first)) if (first[axis], second[axis]) == (2, 3)]
        others = [axis for axis in range(1, len(first)) if axis not in grown and first[axis] != second[axis]]
        alone = len(grown) == 1 and not others and (first[0], second[0]) == (1, 2)
        found[name] = Shape(second, grown[0] if alone else None)
    return found

"""A trial pass: all claims about all layers at once, each in rows of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circuitspex.components.proof.claims import Claim, HeadsRead, Moves, is_causal
from circuitspex.components.proof.codes import code_rows
from circuitspex.components.proof.seen import CLEAN, CODES, LENGTH, OTHER_ENTRY, Seen, size
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.protocol import Model

if TYPE_CHECKING:
    import torch

Claims = Mapping[int, Mapping[str, Claim]]
"""By layer, and by the name of the kind."""
Verdicts = dict[tuple[int, str], str | None]
"""By layer and kind: None for what stands, else the reason."""

NOTHING_PASSES = "nothing passes"
"""How the reason begins where a hook was not reached within the layer."""


def trial(model: Model, claims: Claims) -> Verdicts:
    """Run the model once on a batch of one short text, with every claim's changes in its own rows.

    Each layer is given the residual stream of the first row, where nothing is changed, so that what a layer shows is
    its own.
    """
    import torch

    n_rows = _give_rows(claims)
    tokens = probe_tokens(model, LENGTH).expand(n_rows, -1)
    verdicts: Verdicts = {}
    hooks: list[Any] = []
    with contextlib.ExitStack() as stack, torch.no_grad():
        for layer, of_layer in claims.items():
            seen = Seen(n_rows, torch.Generator().manual_seed(layer))

            def judge(seen: Seen, layer: int = layer, of_layer: Mapping[str, Claim] = of_layer) -> None:
                verdicts.update({(layer, kind): reason for kind, reason in _judged(of_layer, seen).items()})

            stack.enter_context(_watched(model.blocks[layer], seen, judge))
            hooks += [(claim.hook, _change(claim, seen)) for claim in of_layer.values()]
        if "unembed.hook_in" in model.hook_dict:  # the logits are not looked at
            hooks.append(("unembed.hook_in", lambda activation, hook: activation[:1, -1:]))
        model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)
    for layer, of_layer in claims.items():
        for kind in of_layer:
            verdicts.setdefault((layer, kind), "the layer is not run as a module of its own")
    return verdicts


def probe_tokens(model: Model, length: int) -> torch.Tensor:
    """``[1, length]`` different tokens, none of them special in any usual vocabulary."""
    import torch

    n = int(model.cfg.d_vocab)
    return torch.tensor([[(n // 2 + 37 * i) % n for i in range(length)]], device=next(model.parameters()).device)


def _give_rows(claims: Claims) -> int:
    """Rows for the codes of queries, keys and values, the same in all layers; how many rows there are."""
    moves = [(kind, claim) for of_layer in claims.values() for kind, claim in of_layer.items()]
    n_rows = CODES
    for kind in dict.fromkeys(kind for kind, claim in moves if isinstance(claim, Moves)):
        own = [claim for of, claim in moves if of == kind and isinstance(claim, Moves)]
        for claim in own:
            claim.first_row = n_rows
        n_rows += max(code_rows(claim.n_units) for claim in own)
    return n_rows


def _change(claim: Claim, seen: Seen) -> Callable[[Any, Any], Any]:
    def change(activation: torch.Tensor, hook: Any) -> torch.Tensor | None:
        if len(activation) != seen.n_rows:
            return None
        seen.passed.add(id(claim))
        return claim.changed(activation.clone(), seen)

    return change


def _judged(of_layer: Mapping[str, Claim], seen: Seen) -> dict[str, str | None]:
    found: dict[str, str | None] = {
        kind: f"{NOTHING_PASSES} '{claim.hook}'" for kind, claim in of_layer.items() if id(claim) not in seen.passed
    }
    of_layer = {kind: claim for kind, claim in of_layer.items() if kind not in found}
    for kind, claim in of_layer.items():
        if not isinstance(claim, Moves):
            found[kind] = _asked(claim.reason, seen)
    moves = {kind: claim for kind, claim in of_layer.items() if isinstance(claim, Moves)}
    heads = [claim for claim in of_layer.values() if isinstance(claim, HeadsRead)]
    projected = next((claim.projected for claim in heads if claim.projected is not None), None)
    values = [claim for claim in moves.values() if claim.is_value]
    for one, other in (("query", "key"), ("key", "query")):
        if one in moves:
            moves[one].facing = moves.get(other)
    for kind, claim in moves.items():
        if projected is None:
            found[kind] = _asked(claim.reason, seen)
            continue
        found[kind] = _asked(claim.reason_at, projected, not values or is_causal(projected))
        if found[kind] is not None:
            others = _before(projected, seen, values)
            found[kind] = None if any(_asked(claim.reason_at, x, True) is None for x in others) else found[kind]
    return found


def _before(projected: torch.Tensor, seen: Seen, values: Sequence[Moves]) -> Iterator[torch.Tensor]:
    """What modules read that values move as heads' outputs, before the projection does: a norm may lie between."""
    for _, x in seen.read:
        if x is projected:
            break
        # Only what values move are outputs of heads: queries, which a norm may read too, are not.
        if x.shape == projected.shape and any(_asked(value.reason_at, x, True) is None for value in values):
            yield x


def _asked(reason: Callable[..., str | None], *about: Any) -> str | None:
    try:
        return reason(*about)
    except (RuntimeError, IndexError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return f"a trial of it failed ({' '.join(str(error).split())[:120]})"


@contextlib.contextmanager
def _watched(block: Any, seen: Seen, judge: Callable[[Seen], None]) -> Iterator[None]:
    """Within the block, plain hooks on a layer's modules: every row enters alike, and what modules read is kept."""
    layer = block.original_component
    handles = []

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x: Any = args[0] if args else kwargs.get("hidden_states")
        if seen.by_token(x) is None or x.ndim != 3:
            return None
        seen.arrived = x.detach()
        entry = x[:1].expand_as(x).clone()
        # Large beside what other branches of the layer make of it, which norms bound.
        seen.change = 64 * (size(x[CLEAN]) or 1.0) * seen.random(x[CLEAN])
        entry[OTHER_ENTRY] = entry[OTHER_ENTRY] + seen.change
        seen.entry = entry
        if args:
            return (entry, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": entry}

    def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        x = seen.by_token(given)
        if x is not None:
            seen.read.append((module, x.clone()))

    def gave(module: Any, args: Any, output: Any) -> None:
        x = seen.by_token(output)
        if x is not None:
            seen.gave[id(module)] = x

    def leave(module: Any, args: Any, output: Any) -> None:
        seen.left = seen.by_token(output[0] if isinstance(output, (tuple, list)) else output)
        judge(seen)
        seen.read.clear()
        seen.gave.clear()
        seen.left = seen.arrived = seen.entry = None

    try:
        handles.append(layer.register_forward_pre_hook(enter, with_kwargs=True))
        for module in modules_within(layer):
            handles.append(module.register_forward_pre_hook(keep, with_kwargs=True))
            handles.append(module.register_forward_hook(gave))
        handles.append(layer.register_forward_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


def modules_within(layer: Any) -> Sequence[Any]:
    """The modules that a Hugging Face layer calls, without itself and TransformerLens's hook points.

    TransformerLens has put modules of its own in the places of some, which plain hooks see as well: a norm that it
    computes itself calls no module of Hugging Face.
    """
    return [module for module in layer.modules() if module is not layer and type(module).__name__ != "HookPoint"]


def plain_modules(layer: Any) -> Sequence[Any]:
    """Those of Hugging Face and PyTorch only."""
    return [module for module in modules_within(layer) if not type(module).__module__.startswith("transformer_lens")]

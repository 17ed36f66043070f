"""Which model this is: a hash over all that its values depend on, the same in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from circuitspex.models.as_built import changed_since_built
from circuitspex.models.contents import beside, checksums, raw, tensor_parts
from circuitspex.models.protocol import Model
from circuitspex.models.remembered import is_on, recalled, remember
from circuitspex.models.state import VOLATILE, ModelState, model_state

_MOST = 8  # states of one model whose identities are remembered


@dataclass
class _Known:
    """What is known of one model object: its state when it was loaded, and the identities of the latest states."""

    loaded: ModelState | None = None
    identities: list[tuple[ModelState, str]] = field(default_factory=list)


_known: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()


def model_identity(model: Model, state: ModelState | None = None) -> str:
    """SHA-256, in hexadecimal, over all that the model's values depend on.

    These are its weights and buffers (in the dtype they have), its configuration, and what of its modules' attributes
    is not as it was loaded (a norm's epsilon, a rotary frequency written in place). Every byte of the weights is read
    anew in each call, so a write through ``parameter.data`` is seen. What a hook or a replaced ``forward`` does can't
    be hashed: with one of these a model has an identity of its own, which no other model ever has.

    The names of parameters don't count, only their order, so a model saved again from what was loaded is the same model
    (a GGUF file and the directory it was made from may differ in rounded settings, and so in identity). For a model
    from ``load_model`` the hash is taken before TransformerLens wraps it.

    Args:
        model: the model.
        state: what it is now, where that was read a moment ago.
    """
    state = model_state(model) if state is None else state
    if state.foreign:
        return hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    known = _known.setdefault(model, _Known())
    for other, identity in known.identities:
        if other == state:
            return identity
    found = _identity(getattr(model, "original_model", model), state, known.loaded)
    known.identities = [(state, found), *known.identities[: _MOST - 1]]
    return found


def remember_identity(model: Model, identity: str) -> None:
    """Record the identity of a model object that was just loaded, as it is now."""
    state = model_state(model)
    _known[model] = _Known(state, [(state, identity)])


def _identity(hf_model: Any, state: ModelState, loaded: ModelState | None) -> str:
    plain = weights_hash(hf_model)
    before = (set(), set()) if loaded is None else (set(loaded.described), set(loaded.buffers))
    changed: list[Any] = [each for each in state.described if each not in before[0]]
    changed += [(path, digest.hex()) for path, digest in state.buffers if (path, digest) not in before[1]]
    if loaded is not None:
        now = {path for path, *_ in state.described}, {path for path, _ in state.buffers}
        changed += [("gone", path) for path, *_ in loaded.described if path not in now[0]]
        changed += [("gone", path) for path, _ in loaded.buffers if path not in now[1]]
    return hashlib.sha256(repr([plain, changed]).encode()).hexdigest() if changed else plain


def identity_of_given(hf_model: Any) -> str:
    """The identity of a Hugging Face model that the caller has loaded, and may have changed."""
    state = model_state(hf_model)
    changed = changed_since_built(hf_model, state)
    plain = weights_hash(hf_model)
    return hashlib.sha256(repr([plain, changed]).encode()).hexdigest() if changed else plain


def weights_hash(hf_model: Any) -> str:
    """The hash of a Hugging Face model as it is loaded: parameters, persistent buffers, configuration."""
    quick = _quick_facts(hf_model)
    if quick is not None and (known := recalled("weights", quick)) is not None:
        return known.decode()
    # In the order of the model's own code: sorted, two models with layers in another order would pass for the same.
    tensors = [_digest(parameter) for parameter in hf_model.parameters()]  # tied weights come once
    buffers = [_digest(buffer) for buffer in _persistent_buffers(hf_model)]
    # Models without such buffers keep the hash that they had before buffers counted.
    text = json.dumps([_settings(hf_model), tensors, *([buffers] if buffers else [])], sort_keys=True, default=str)
    found = hashlib.sha256(text.encode()).hexdigest()
    if quick is not None:
        remember("weights", quick, found.encode())
    return found


def _settings(hf_model: Any) -> dict[str, Any]:
    config = getattr(hf_model, "config", None)
    fields: dict[str, Any] = {} if config is None else config.to_dict()
    return {key: value for key, value in fields.items() if key not in VOLATILE}


def _quick_facts(hf_model: Any) -> dict[str, Any] | None:
    """What is hashed, by checksums that are read several times faster; None where these are weaker, on other devices.

    XXH3 with 128 bits: two models of chance or of training don't share it.
    """
    parameters = list(hf_model.parameters())
    groups = [parameters, _persistent_buffers(hf_model), [part for each in parameters for part in beside(each)]]
    if any(tensor.device.type != "cpu" for group in groups for tensor in group) or not is_on():
        return None
    sums, counts = checksums(groups), [len(group) for group in groups]
    settings = json.dumps(_settings(hf_model), sort_keys=True, default=str)
    return {"tensors": [each.hex() for each in sums], "counts": counts, "settings": settings}


def _persistent_buffers(hf_model: Any) -> list[Any]:
    """Buffers that are saved with the model, such as the correction of a router's scores."""
    return [
        buffer
        for module in hf_model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    ]


def _digest(tensor: Any) -> str:
    parts = [part.to("cpu") for part in (*tensor_parts(tensor.detach()), *beside(tensor))]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{tuple(part.shape)} {part.dtype}".encode())
        digest.update(raw(part))
    return digest.hexdigest()

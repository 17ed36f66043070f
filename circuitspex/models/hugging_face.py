"""A Hugging Face model that the caller has loaded: a copy that may be wrapped, and its tokenizer."""

from __future__ import annotations

import copy
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from circuitspex.errors import ModelNotFoundError
from circuitspex.models.quiet import quiet_transformers

if TYPE_CHECKING:
    import torch


def is_hugging_face(given: object) -> bool:
    """Whether this is a PyTorch model with a Hugging Face configuration, and not one that is wrapped already."""
    return (
        hasattr(given, "config")
        and hasattr(given, "named_parameters")
        and hasattr(given, "forward")
        and not hasattr(given, "hook_dict")
    )


def unwrapped(given: Any) -> Any:
    """The Hugging Face model itself, of one that nnsight has wrapped; anything else as it is.

    Raises:
        ModelNotFoundError: nnsight has not loaded it yet.
    """
    wrapped = any(base.__module__.partition(".")[0] == "nnsight" for base in type(given).__mro__)
    model = getattr(given, "_module", None) if wrapped else None
    if model is None:
        return given
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ModelNotFoundError(
            f"nnsight has not loaded the weights of this {type(model).__name__}; make it with dispatch=True, or call "
            "its dispatch()"
        )
    return model


def own_copy(model: Any, dtype: torch.dtype | None) -> Any:
    """A copy of a model that shares its weights: the caller's stays as it is, whatever is done to the copy's modules.

    Raises:
        ModelNotFoundError: its modules are tied to devices by accelerate, which a copy can't be.
    """
    import torch

    if any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise ModelNotFoundError(
            f"this {type(model).__name__} is spread by accelerate (device_map); give its name or folder to load_model, "
            "with the device_map"
        )
    shared: dict[int, Any] = {}
    for parameter in model.parameters():
        # Of a class of its own (quantised weights) the parameter itself: it may hold more than its numbers.
        plain = type(parameter) is torch.nn.Parameter
        shared[id(parameter)] = torch.nn.Parameter(parameter.detach(), requires_grad=False) if plain else parameter
    shared |= {id(buffer): buffer for buffer in model.buffers()}
    made = copy.deepcopy(model, shared)
    for module in made.modules():
        _without_nnsight(module)
    if hasattr(made, "set_attn_implementation"):
        made.set_attn_implementation("eager")
    if not getattr(made.config, "architectures", None):
        made.config.architectures = [type(made).__name__]
    return made if dtype is None else made.to(dtype)


def _without_nnsight(module: Any) -> None:
    """Give a module the forward that it had before nnsight put its own, which belongs to the caller's model, there."""
    state = module.__dict__.pop("__nnsight__", None)
    if state is None:
        return
    module.__dict__.pop("forward", None)
    original = getattr(state, "original", None)
    if original is not None and original is not type(module).forward:
        module.forward = MethodType(original, module)


def name_of(model: Any) -> str:
    """Where a model was loaded from, or the name of its class."""
    said = getattr(model, "name_or_path", "") or getattr(model.config, "_name_or_path", "")
    return str(said or type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__)


def tokenizer_for(model: Any) -> Any:
    """The tokenizer in the folder, or of the name on the hub, that a model was loaded from; None where there is none.

    Only what is on this machine is looked at, and no code that comes with it is run. A model of nnsight has its own.
    """
    if (given := unwrapped(model)) is not model and getattr(model, "tokenizer", None) is not None:
        return model.tokenizer
    return tokenizer_in(name_of(given))


def tokenizer_in(name: str | Path) -> Any:
    """As ``tokenizer_for``, of a folder or of a name on the hub."""
    from transformers import AutoTokenizer

    folder = Path(name)
    if folder.is_dir() and not any(folder.glob("tokenizer*")):
        return None
    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(name, local_files_only=True, trust_remote_code=False)
    except Exception:  # not there, or not readable here: asked for where text has to be read
        return None

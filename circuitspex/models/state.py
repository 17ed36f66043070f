"""What a model is at this moment: all that its values depend on, read in a moment and compared with what it was before.

Weights and buffers count byte by byte (a write through ``parameter.data`` too), plain attributes of modules by value,
configurations by their fields. What a hook or a replaced method *does* can't be read: it is listed as foreign, and a
model with anything foreign is never taken for another one, nor for what it was a moment ago.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from circuitspex.models.contents import checksums
from circuitspex.models.float32_products import float32_products, tf32_on_cuda

Described = tuple[tuple[str, str, Any], ...]
"""Path, class and attributes of each module that has any; all by value, so that it means the same in every process."""

# Code that belongs to a model as it is built: what it puts into modules is part of their class.
_LIBRARIES = {"torch", "transformers", "transformers_modules", "transformer_lens", "accelerate", "peft", "bitsandbytes"}
_LIBRARIES |= {"torchao", "functools", "builtins", "_operator", "math"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_SKIPPED = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_is_full_backward_hook"}
_SKIPPED |= {*_HOOKS, "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs"}
_SKIPPED |= {"_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"}
_SKIPPED |= {
    "training",
    "forward",
    "_is_hf_initialized",
    "_output_capturing_hooks_installed",
    "_hf_hook",
    "_old_forward",
    "name_or_path",
    "_weight_conversions",
    "_use_kernels",
    "warnings_issued",
    "generation_config",
}
# Fields of a configuration that say where it came from or how it was read, not what the model computes.
VOLATILE = {"_name_or_path", "transformers_version", "architectures", "quantization_config", "dtype", "torch_dtype"}
VOLATILE |= {"_attn_implementation_autoset", "use_cache", "name_or_path"}
# Fields of TransformerLens's configuration that are about text, names and how a model was made.
_OF_TEXT = ("default_p", "tokenizer", "model_name", "original_arch", "device", "seed", "init", "checkpoint", "from_ch")
# Hooks that a first pass, or a pass that was asked for more than logits, leaves in place; they change nothing.
_OF_PASSES = ("transformer_lens.", "transformers.utils.output_capturing.")
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_NUMBERS = {bool, int, float}
_DEEPEST = 4


@dataclass(frozen=True)
class ModelState:
    """A model at one moment; two that are equal compute the same."""

    weights: bytes
    """Checksum of all parameters."""
    buffers: tuple[tuple[str, bytes], ...]
    """Checksums of buffers, and of tensors among the attributes, by path."""
    described: Described
    code: tuple[Any, ...]
    """What the ``forward`` of each class is; means something in this process only."""
    foreign: tuple[str, ...]
    """What can't be read, one text each: hooks, replaced methods, dropout that is on."""
    numerics: tuple[tuple[str, str], ...]
    """Settings of PyTorch that change numbers and are not as usual, such as autocast."""


def model_state(model: Any) -> ModelState:
    """Read the model: a bridge or a Hugging Face model. Costs less than one pass over a short prompt."""
    parameters: dict[int, Any] = {}
    reader = _Reader()
    for path, module in _modules(model, reader):
        own = module.__dict__
        for parameter in own["_parameters"].values():
            if parameter is not None and id(parameter) not in parameters:
                parameters[id(parameter)] = parameter
                extra = vars(parameter)
                if extra and extra.keys() - _SKIPPED:  # quantised weights have their scales here
                    reader.note(f"{path}.weights", type(parameter), reader.attributes(path, extra))
        if own["_buffers"] and not _writes_its_buffers(own):
            found = ((f"{path}.{name}", buffer) for name, buffer in own["_buffers"].items())
            reader.tensors += [(place, buffer) for place, buffer in found if buffer is not None]
        reader.read(path, module)
    reader.note("cfg", dict, _settings(getattr(model, "cfg", None)))
    reader.global_hooks()
    weights, *others = checksums([parameters.values(), *([tensor] for _, tensor in reader.tensors)])
    return ModelState(
        weights,
        tuple((path, each) for (path, _), each in zip(reader.tensors, others, strict=True)),
        tuple(reader.described),
        tuple(reader.code.values()),
        tuple(reader.foreign),
        _numerics({parameter.device.type for parameter in parameters.values()} or {"cpu"}),
    )


def why_foreign(state: ModelState) -> str:
    """What of the model can't be read, for people; empty where everything can."""
    if not state.foreign:
        return ""
    more = f" (and {len(state.foreign) - 1} more such)" if len(state.foreign) > 1 else ""
    return state.foreign[0].replace("._original_component", "") + more


def _modules(model: Any, reader: _Reader) -> Iterator[tuple[str, Any]]:
    """Every module of the model, those of the Hugging Face model first, each once and with a path.

    Of hook points, more than half of all, only the hooks are read.
    """
    import torch

    seen: set[int] = set()
    roots = [("", getattr(model, "original_model", None)), ("bridge", model)]
    waiting = [(path, root) for path, root in reversed(roots) if isinstance(root, torch.nn.Module)]
    while waiting:
        path, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield path, module
        start = f"{path}." if path else ""
        children = module.__dict__["_modules"]
        for name in reversed(children):
            child = children[name]
            if child is None or id(child) in seen:
                continue
            if type(child).__name__ == "HookPoint":
                seen.add(id(child))
                reader.hooks(start, child.__dict__, name)
            else:
                waiting.append((start + name, child))


class _Reader:
    """Collects what the modules say."""

    def __init__(self) -> None:
        self.tensors: list[tuple[str, Any]] = []
        self.described: list[tuple[str, str, Any]] = []
        self.foreign: list[str] = []
        self.code: dict[type, Any] = {}
        self._configs: dict[int, int] = {}

    def note(self, path: str, of: type, attributes: Any) -> None:
        """Keep attributes, if there are any."""
        if attributes:
            self.described.append((path, of.__qualname__, attributes))

    def read(self, path: str, module: Any) -> None:
        """One module: its hooks, its class, its own attributes."""
        own, kind = module.__dict__, type(module)
        self.hooks(path, own)
        if kind not in self.code:
            self.code[kind] = self._class(kind)
        if "forward" in own and not _is_library(own["forward"]):
            self.foreign.append(f"a replaced forward of {path or 'the model'}")
        if kind.__module__.startswith("transformer_lens."):
            # What a wrapper keeps while it runs (names with a line before them) is no part of the model.
            found = tuple(
                (key, value)
                for key, value in own.items()
                if type(value) in _NUMBERS and key[0] != "_" and key != "training"
            )
        else:
            found = self.attributes(path, own)
        if own.get("training"):
            found = (*found, ("training", True))
            if any(isinstance(v, float) and v > 0 and (k == "p" or "dropout" in k) for k, v in own.items()):
                self.foreign.append(f"dropout of {path or 'the model'}, which is in training mode")
        self.note(path, kind, found)

    def attributes(self, path: str, own: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
        """A module's own attributes by value."""
        return tuple(
            (key, value if type(value) in _PLAIN else self._value(f"{path}.{key}", value, ()))
            for key, value in own.items()
            if key not in _SKIPPED
        )

    def global_hooks(self) -> None:
        """Hooks on every module of the process."""
        from torch.nn.modules import module as every

        for hooks in _HOOKS:
            if found := getattr(every, f"_global{hooks}", None):
                self._hooks("every module", hooks, found.values())

    def hooks(self, path: str, own: Mapping[str, Any], name: str = "") -> None:
        """The hooks of one module, at ``path`` and ``name``."""
        if own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"]:
            for kind in _HOOKS:
                if own[kind]:
                    self._hooks(path + name, kind, own[kind].values())

    def _hooks(self, path: str, kind: str, hooks: Any) -> None:
        lens = [hook for hook in hooks if getattr(hook, "__module__", "") == "transformer_lens.hook_points"]
        others = [hook for hook in hooks if not _is_library(hook)]
        what = "a " + kind.strip("_").removesuffix("s").replace("_", " ")
        self.foreign += [f"{what} on {path or 'the model'}"] * (len(lens) + len(others))
        # TransformerLens puts hooks of its own in at the first pass; those of other libraries are part of the model.
        standing = [_named(hook) for hook in hooks if _is_library(hook)]
        # So do outputs that transformers was once asked for: its hooks then stay.
        named = tuple((kind, name) for name in standing if not name.startswith(_OF_PASSES))
        self.note(path, type(self), named)

    def _class(self, kind: type) -> Any:
        forward = getattr(kind, "forward", None)
        if forward is not None and not _is_library(forward):
            home = {each.__module__.partition(".")[0] for each in kind.__mro__}
            if (getattr(forward, "__module__", None) or "").partition(".")[0] not in home:
                self.foreign.append(f"a replaced forward of the class {kind.__name__}")
        return getattr(forward, "__code__", forward)

    def _value(self, path: str, value: Any, within: tuple[int, ...]) -> Any:
        """An attribute by value: nested tuples of plain values."""
        import torch

        if id(value) in self._configs:  # before anything else is asked of it, which takes a configuration long
            return type(value).__qualname__, self._configs[id(value)]
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, torch.Tensor):
            self.tensors.append((path, value))
            return "tensor"
        if isinstance(value, torch.dtype | torch.device | torch.Size | slice):
            return str(value)
        if id(value) in within:
            return "again"
        if isinstance(value, torch.nn.Module):
            return type(value).__qualname__
        within = (*within, id(value))
        if isinstance(value, Mapping):
            return tuple((str(key), self._value(f"{path}.{key}", each, within)) for key, each in value.items())
        if isinstance(value, list | tuple | deque):
            return tuple(self._value(f"{path}.{place}", each, within) for place, each in enumerate(value))
        if isinstance(value, set | frozenset):
            return tuple(sorted(map(str, value)))
        if isinstance(value, FunctionType | MethodType | BuiltinFunctionType | functools.partial | type):
            if not _is_library(value) and not isinstance(value, type):
                self.foreign.append(f"{path.removeprefix('.')}, a function of your own")
            return _named(value)
        if type(value).__module__ == "numpy" and hasattr(value, "tobytes"):
            return str(value.dtype), str(getattr(value, "shape", "")), value.tobytes()
        return self._object(path, value, within)

    def _object(self, path: str, value: Any, within: tuple[int, ...]) -> Any:
        """An object by its class and its fields; a configuration, which many modules share, once."""
        name, fields = type(value).__qualname__, getattr(value, "__dict__", None)
        if fields is None or len(within) > _DEEPEST:
            return name
        shared = hasattr(value, "to_dict")
        if shared:
            self._configs[id(value)] = len(self._configs)
        found = [(key, each) for key, each in list(fields.items()) if key not in VOLATILE and key not in _SKIPPED]
        return name, tuple((key, self._value(f"{path}.{key}", each, within)) for key, each in found)


def _numerics(devices: set[str]) -> tuple[tuple[str, str], ...]:
    import torch

    found = [
        ("autocast", str(torch.get_autocast_dtype(each)))
        for each in devices - {"meta"}
        if torch.is_autocast_enabled(each)
    ]
    if (precision := float32_products()) != "highest":
        found.append(("float32 products", precision))
    if "cuda" in devices and tf32_on_cuda():
        found.append(("float32 products on CUDA", "tf32"))
    return tuple(found)


def _writes_its_buffers(own: Mapping[str, Any]) -> bool:
    """Whether passes themselves write a module's buffers: rotary frequencies that follow the length of the prompt."""
    return any(word in str(own.get("rope_type", "")) for word in ("dynamic", "longrope"))


def _settings(cfg: Any) -> tuple[tuple[str, Any], ...]:
    """The plain fields of TransformerLens's configuration that could change what is computed."""
    fields = getattr(cfg, "__dict__", {})
    return tuple((k, v) for k, v in fields.items() if isinstance(v, bool | int | float) and not k.startswith(_OF_TEXT))


def _is_library(function: Any) -> bool:
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    module = getattr(inner, "__module__", None) or getattr(type(inner), "__module__", None) or ""
    return module.partition(".")[0] in _LIBRARIES


def _named(function: Any) -> str:
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    return f"{getattr(inner, '__module__', None)}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"

"""Adapters (LoRA and its kin, of the PEFT library): a base model and a small change of its weights, merged into one.

A merged model is an ordinary one, whose weights are those that take effect, so all that holds for models holds for it.
Merging is tried: the merged model must give the logits of the base with its adapter beside it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex import strict_json
from circuitspex.errors import FileFormatError, ModelNotFoundError
from circuitspex.models.quiet import quiet_transformers
from circuitspex.models.trial import own_logits, spread, trial_prompts

if TYPE_CHECKING:
    import torch

INSTALL = "pip install 'circuitspex[peft]'"
AND = " + "
"""Between the base and the adapter, in the name of a model."""
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Kinds that add tokens, or that weigh their parts anew for each prompt: no weights of a model give the same.
_BESIDE = {"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "CARTRIDGE"}
_BESIDE |= {"ADAPTION_PROMPT", "XLORA", "POLY"}
# Ways to begin a training that change the base and can't be repeated from what is saved.
_OTHER_BASE = {"corda", "loftq", "lora_ga"}
# How far the merged model's logits may be off in float32, relative to how much the logits differ among themselves.
_SAME = 1e-4


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder, and the base that it is for."""

    folder: Path
    base: str
    revision: str | None = None
    """Of the base, where that is on the hub."""

    @property
    def name(self) -> str:
        """Of the model that the two are."""
        return f"{self.base}{AND}{self.folder}"


def adapter_at(source: str | Path) -> Adapter | None:
    """The adapter that this is the folder, or (as in a circuit's file) the ``Adapter.name`` of; None where it is none.

    Only its configuration is read.

    Raises:
        ModelNotFoundError: an adapter that can't be taken; one line with the reason.
    """
    base, _, folder = str(source).rpartition(AND)
    for path, named in ((Path(source).expanduser(), ""), (Path(folder).expanduser(), base)):
        if (path / _CONFIG).is_file():
            return _read(path, named)
    return None


def _read(folder: Path, named: str) -> Adapter:
    try:
        fields = strict_json.read(folder / _CONFIG)
    except FileFormatError as error:
        raise ModelNotFoundError(f"{folder / _CONFIG}: {error}") from error
    if not isinstance(fields, Mapping) or not isinstance(fields.get("peft_type"), str):
        raise ModelNotFoundError(f"{folder / _CONFIG} has no peft_type, so it is no adapter's")
    kind, base, revision = fields["peft_type"], named or fields.get("base_model_name_or_path"), fields.get("revision")
    _check_kind(kind, f"the adapter in {folder}")
    if (
        fields.get("init_lora_weights") in _OTHER_BASE
        or fields.get("megatron_config")
        or fields.get("alora_invocation_tokens")
    ):
        raise ModelNotFoundError(
            f"can't merge the adapter in {folder}: it was made for a base that was changed, or that runs in another way"
        )
    if not (folder / _WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").exists()
        more = " (adapter_model.bin is pickled, which is never read here)" if pickled else ""
        raise ModelNotFoundError(f"{folder} holds an adapter without weights: it has no {_WEIGHTS}{more}")
    if not isinstance(base, str) or not base:
        raise ModelNotFoundError(
            f"{folder / _CONFIG} names no base model (base_model_name_or_path); load the base, and give the PeftModel"
        )
    beside = folder / base
    if not Path(base).expanduser().exists() and beside.is_dir():
        base = str(beside)
    base_folder = Path(base).expanduser()
    if (base_folder / _CONFIG).is_file():
        raise ModelNotFoundError(f"the base of the adapter in {folder} is {base}, itself an adapter; merge that first")
    if importlib.util.find_spec("peft") is None:
        raise ModelNotFoundError(f"{folder} holds an adapter, for which peft is needed: {INSTALL}")
    return Adapter(folder, base, revision if isinstance(revision, str) and not base_folder.exists() else None)


def with_adapter(base: Any, adapter: Adapter) -> Any:
    """The Hugging Face model of the base with the adapter merged in; the base is used up.

    Raises:
        ModelNotFoundError: the adapter does not fit the base, or can't be merged.
    """
    from peft import PeftModel

    where = f"the adapter in {adapter.folder}"
    _check_base(base, where)
    try:
        with quiet_transformers():
            both = PeftModel.from_pretrained(base, str(adapter.folder))
    except Exception as error:  # whatever peft raises
        raise ModelNotFoundError(f"can't load {where} on {adapter.base}: {_reason(error)}") from error
    lack, extra = _unmatched(both, adapter.folder / _WEIGHTS)
    if lack:
        raise ModelNotFoundError(f"can't load {where}: its file lacks {lack}, for which its configuration asks")
    if extra:
        raise ModelNotFoundError(f"{where} does not fit {adapter.base}: there is no place for {extra}")
    return _merge(both, where)


def is_peft(model: Any) -> bool:
    """Whether a model is a ``PeftModel``.

    Raises:
        ModelNotFoundError: it is none, and yet has adapters in it (the base of a ``PeftModel`` has, too).
    """
    if (peft := sys.modules.get("peft")) is None:
        return False
    from peft.tuners.tuners_utils import BaseTunerLayer

    if isinstance(model, peft.PeftModel):
        return True
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise ModelNotFoundError(
            f"this {type(model).__name__} has adapters in its layers; give the peft.PeftModel, or the adapter's "
            "folder, and as its base a model that was loaded for itself"
        )
    return False


def merged(model: Any, copied: Any) -> Any:
    """The Hugging Face model that a PEFT model amounts to, with its active adapters.

    Args:
        model: of PEFT; it stays as it is.
        copied: a copy that shares its weights, which is used up.

    Raises:
        ModelNotFoundError: no adapter is active, or it can't be merged.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds: Any = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    for module in copied.modules():
        if isinstance(module, kinds):
            for parameter in module.parameters():  # merging writes to these, and the caller's stay as they are
                parameter.data = parameter.data.clone()
            for buffer in module.buffers():
                buffer.data = buffer.data.clone()
    return _merge(copied.eval(), f"this {type(model).__name__}")


def check_active(model: Any) -> None:
    """Refuse a PEFT model without an active adapter, or with one that can't be merged."""
    where = f"this {type(model).__name__}"
    for name in _active(model):
        config = model.peft_config.get(name)
        _check_kind(str(getattr(config.peft_type, "value", config.peft_type)), where)
        if config.is_prompt_learning or getattr(config, "alora_invocation_tokens", None):
            raise ModelNotFoundError(f"can't merge the adapter of {where}: it acts on tokens, not on weights")
    if not _active(model) or not getattr(model, "has_active_enabled_adapter", True):
        raise ModelNotFoundError(
            f"no adapter of {where} is active; activate one (set_adapter), or give its base (get_base_model())"
        )
    _check_base(model.get_base_model(), where)


def adapters_of(model: Any) -> str:
    """The active adapters of a PEFT model, by name."""
    return AND.join("adapter" if name == "default" else name for name in _active(model))


def _active(model: Any) -> list[str]:
    found = model.active_adapters
    return [found] if isinstance(found, str) else list(found)


def _check_kind(kind: str, where: str) -> None:
    if kind in _BESIDE:
        raise ModelNotFoundError(
            f"{where} is of the kind {kind}, which is no change of weights; taken are adapters that can be "
            "merged, such as LoRA"
        )


def _check_base(base: Any, where: str) -> None:
    if getattr(base, "is_quantized", False) or getattr(base, "quantization_method", None) is not None:
        raise ModelNotFoundError(
            f"can't merge {where} into quantised weights, which would round it; load the base in float32 or bfloat16"
        )


def _merge(both: Any, where: str) -> Any:
    """Merge, and compare the logits of before and after; half precision is rounded to after that, once."""
    import torch

    dtypes = _dtypes(both)
    main = next(iter(dtypes.values()))
    if half := main in (torch.bfloat16, torch.float16):
        _to(both, lambda parameter: torch.float32)
    tokens = trial_prompts(both)
    beside = own_logits(both, tokens, where)
    kinds = sorted({str(getattr(both.peft_config[name].peft_type, "value", "")) for name in _active(both)})
    try:
        with torch.no_grad(), quiet_transformers():
            model = both.merge_and_unload(safe_merge=True).eval()
    except Exception as error:  # whatever peft raises
        raise ModelNotFoundError(f"can't merge {where}: {_reason(error)}") from error
    off = float((own_logits(model, tokens, where) - beside).abs().max())
    if not off <= (1e-8 if main == torch.float64 else _SAME) * spread(beside):
        raise ModelNotFoundError(
            f"can't merge {where}: the merged model's logits are off by {off / spread(beside):.1g} of their spread "
            "(where embeddings are tied, an adapter of one of the two can't be merged)"
        )
    if half:
        _to(model, lambda parameter: dtypes.get(id(parameter), main))
    model.config.merged_adapter = kinds  # a part of its identity, also where the adapter changes nothing
    return model


def _dtypes(both: Any) -> dict[int, torch.dtype]:
    """The dtypes of the base's own parameters, by their ids; adapters may be of another."""
    named = both.named_parameters()
    return {id(parameter): parameter.dtype for name, parameter in named if ".modules_to_save." not in name}


def _to(model: Any, dtype: Callable[[Any], torch.dtype]) -> None:
    """Parameters alone: buffers, such as rotary frequencies, keep their precision."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype(parameter))


def _unmatched(model: Any, file: Path) -> tuple[str, str]:
    """A tensor that the adapter has and the file lacks, and one of the file that no module takes; '' for none."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(str(file), framework="pt") as stored:
        names = set(stored.keys())
    wanted, taken = (set(get_peft_model_state_dict(model, save_embedding_layers=kept)) for kept in (False, True))
    return min(wanted - names, default=""), min(names - taken, default="")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

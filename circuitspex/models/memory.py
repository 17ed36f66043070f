"""How much memory a model's weights will take, said and checked before any are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import UserError
from circuitspex.models.adapters import adapter_at
from circuitspex.models.free_memory import free_memory
from circuitspex.models.quantization import QUANTIZATIONS
from circuitspex.models.sources import torch_device, torch_dtype
from circuitspex.models.stored_sizes import Stored, config_fields, stored_tensors

if TYPE_CHECKING:
    import torch

ANNOUNCED_FROM = 2**30
"""Models with as many bytes of weights are announced when they are loaded."""

# A matrix with queries, keys and values head by head, which TransformerLens holds a second time, in another order.
_BY_HEAD = "query_key_value."


@dataclass(frozen=True)
class ModelMemory:
    """Bytes that a model takes; ``str()`` says it in a line.

    Attributes:
        name: of the model.
        dtype: that its weights are held in.
        quantization: of its linear maps, or None.
        weights: bytes of the weights once it is loaded.
        reading: bytes of its files that are mapped into memory, on the CPU, while it is read, on top of the weights.
            The system counts them as this process's own and takes them back where memory is short.
        free: bytes that are free where it will live.
        place: in words, where that is.
        n_parameters: how many weights there are.
    """

    name: str
    dtype: str
    quantization: str | None
    weights: int
    reading: int
    free: int
    place: str
    n_parameters: int

    @property
    def peak(self) -> int:
        """The most bytes while it is loaded, mapped files included."""
        return self.weights + self.reading

    def __str__(self) -> str:
        held = f"{self.quantization} weights beside {self.dtype}" if self.quantization else self.dtype
        more = f" and {_gb(self.reading)} of its files while it is read" if self.reading else ""
        return f"{self.name} in {held}: {_gb(self.weights)} of memory{more}; {_gb(self.free)} are free on {self.place}"


def model_memory(
    source: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    quantization: str | None = None,
) -> ModelMemory | None:
    """What ``load_model`` with the same arguments will take; only the headers of files are read.

    Returns:
        The memory; None where the sizes can't be told: GGUF files, and models that are neither here nor on the hub.
    """
    tensors = stored_tensors(source, revision)
    if tensors is None:
        return None
    wanted = torch_dtype(dtype)
    fields = config_fields(source, revision)
    about = fields.get("text_config") if isinstance(fields.get("text_config"), dict) else fields
    vocab = int((about or {}).get("vocab_size") or 0)
    stored_so = bool(fields.get("quantization_config"))
    weights = sum(_held(each, wanted, None if stored_so else quantization, vocab) for each in tensors)
    names = {"torch.float64": "F64", "torch.float32": "F32", "torch.bfloat16": "BF16", "torch.float16": "F16"}
    free, place, on_cpu = _free_for(device, device_map)
    same = on_cpu and quantization is None
    reading = sum(each.n_bytes for each in tensors if not (same and each.dtype == names[str(wanted)]))
    if adapter_at(source) is not None and wanted.itemsize < 4:  # merged in float32, and rounded after that
        reading = max(reading, sum(each.n_numbers for each in tensors) * 4 - int(weights))
    return ModelMemory(
        str(source),
        str(wanted).removeprefix("torch."),
        quantization,
        int(weights),
        reading,
        free,
        place,
        sum(each.n_numbers for each in tensors),
    )


def check_fits(wanted: Iterable[ModelMemory | None]) -> None:
    """Nothing where all of these models fit beside each other into the memory that is free.

    Raises:
        UserError: they don't; with what they need, what is free, and what would help.
    """
    known = [each for each in wanted if each is not None]
    needed = sum(each.weights for each in known)
    if not known or needed <= known[0].free:
        return
    first = known[0]
    names = " and ".join(dict.fromkeys(each.name for each in known))
    wide = {"float64": 8, "float32": 4}.get(first.dtype, 2)
    helps = []
    if first.quantization is None:
        if wide > 2:
            helps.append(f"dtype='bfloat16' needs {_gb(needed * 2 // wide)}")
        for name, way in QUANTIZATIONS.items():
            count = sum(each.n_parameters for each in known)
            helps.append(f"quantization='{name}' about {_gb(int(count * way.per_weight))}")
    helps.append("device_map='auto' spreads it over several GPUs")
    raise UserError(
        f"the weights of {names} need {_gb(needed)} in {first.quantization or first.dtype}, and {_gb(first.free)} are "
        f"free on {first.place}; {', '.join(helps)}"
    )


def _held(tensor: Stored, dtype: torch.dtype, quantization: str | None, vocab: int) -> float:
    """Bytes of a tensor once it is loaded, with what TransformerLens holds of it a second time."""
    way = None if quantization is None else QUANTIZATIONS[quantization]
    linear = len(tensor.shape) == 2 and min(tensor.shape) > 1 and tensor.shape[0] != vocab
    if way is not None and linear and tensor.is_float:
        return tensor.n_numbers * way.per_weight + tensor.shape[0] * way.per_output
    size = tensor.n_numbers * dtype.itemsize if tensor.is_float else tensor.n_bytes
    return size * (2 if _BY_HEAD in tensor.name else 1)


def _free_for(device: str | torch.device | None, device_map: str | dict[str, Any] | None) -> tuple[int, str, bool]:
    """Bytes that are free where a model will live, where that is, and whether it is the CPU alone."""
    import torch

    if device_map is None:
        found = torch_device(device)
        return free_memory(found), str(found), found.type == "cpu"
    cards = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if isinstance(device_map, dict):
        places = set(device_map.values())
        named = {torch.device("cuda", each) if isinstance(each, int) else torch.device(each) for each in places}
    elif device_map in ("auto", "balanced", "balanced_low_0", "sequential"):
        named = {*cards} or {torch.device("cpu")}
    else:
        named = {torch.device(device_map)}
    place = ", ".join(sorted(map(str, named)))
    return sum(map(free_memory, named)), place, all(each.type == "cpu" for each in named)


def _gb(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size < 1e10 else f"{size / 1e9:,.1f} GB"

"""Latents of a sparse autoencoder, given by the user as its encoder and decoder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import ComponentError, FileFormatError
from circuitspex.files import write_atomically
from circuitspex.strict_json import check_regular, short

if TYPE_CHECKING:
    import torch

_HOOK = re.compile(r"blocks\.([0-9]{1,6})\.\S{1,200}")
_TOP = re.compile(r"topk:([1-9][0-9]{0,9})")
_TENSORS = ("encoder", "decoder", "encoder_bias", "decoder_bias", "thresholds")
_ACTIVATIONS = "'relu', 'topk:K' (the K largest of each token) or 'jumprelu' (with thresholds)"


@dataclass(frozen=True, eq=False)
class Latents:
    """A sparse autoencoder on one activation of a model: its latents can be ablated as ``L5S123``.

    At the hook the model carries an activation x of d numbers a token; the latents are
    ``f = activation(x @ encoder + encoder_bias)``, and latent i writes ``f_i * decoder[i]``.

    Args:
        hook: where it reads and writes, such as 'blocks.5.hook_resid_post'; one set of latents a layer.
        encoder: ``(d, m)`` for m latents.
        decoder: ``(m, d)``.
        encoder_bias: ``(m,)``, or None for zeros.
        decoder_bias: ``(d,)``, or None for zeros. It matters only with ``subtract_decoder_bias``, since what the
            decoder does not explain is kept as it is.
        activation: 'relu'; 'topk:K', which keeps the K largest latents of each token, and of these the positive ones;
            or 'jumprelu', which keeps those above their ``thresholds``.
        thresholds: ``(m,)``, for 'jumprelu' only.
        subtract_decoder_bias: whether the encoder reads ``x - decoder_bias`` instead of x, as some autoencoders do.

    Tensors, or anything that ``torch.as_tensor`` takes. They are kept as they are given and used in the model's dtype.

    Raises:
        ComponentError: shapes that don't fit each other, numbers that aren't finite, an unknown activation, or a hook
            that names no layer.
    """

    hook: str
    encoder: torch.Tensor
    decoder: torch.Tensor
    encoder_bias: torch.Tensor | None = None
    decoder_bias: torch.Tensor | None = None
    activation: str = "relu"
    thresholds: torch.Tensor | None = None
    subtract_decoder_bias: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.hook, str) or _HOOK.fullmatch(self.hook) is None:
            what = "latents belong to a layer: their hook is written like 'blocks.5.hook_resid_post'"
            raise ComponentError(f"{what}, not {short(self.hook)}")
        for name in _TENSORS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _tensor(value, f"the {name.replace('_', ' ')} of the latents"))
        if self.encoder.ndim != 2 or 0 in self.encoder.shape:
            raise ComponentError(
                f"the encoder of the latents must have the shape (d_model, latents), not {tuple(self.encoder.shape)}"
            )
        d, m = self.encoder.shape
        for name, shape in zip(_TENSORS, ((d, m), (m, d), (m,), (d,), (m,)), strict=True):
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ComponentError(
                    f"the {name.replace('_', ' ')} of the latents must have the shape {shape} to fit an encoder of "
                    f"({d}, {m}), not {tuple(value.shape)}"
                )
        top = self.n_active
        if self.activation not in ("relu", "jumprelu") and top is None:
            raise ComponentError(f"unknown activation {short(self.activation)} of latents; allowed: {_ACTIVATIONS}")
        if top is not None and top > m:
            raise ComponentError(f"'{self.activation}': there are only {m} latents")
        if (self.activation == "jumprelu") != (self.thresholds is not None):
            raise ComponentError("thresholds of latents go with the activation 'jumprelu', and only with it")
        if self.subtract_decoder_bias and self.decoder_bias is None:
            raise ComponentError("subtract_decoder_bias needs the decoder_bias of the latents")

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file, which ``load`` and ``circuitspex find --latents`` read; whole or not at all.

        Raises:
            UserError: the path can't be written.
        """
        from safetensors.torch import save

        tensors = {name: getattr(self, name) for name in _TENSORS if getattr(self, name) is not None}
        said = {"hook": self.hook, "activation": self.activation}
        if self.subtract_decoder_bias:
            said["subtract_decoder_bias"] = "true"
        data = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, said)
        return write_atomically(Path(path), data)

    @classmethod
    def load(cls, path: str | Path) -> Latents:
        """Read a safetensors file.

        Its tensors are named as the arguments, and its metadata has 'hook' and, where they are not the usual ones,
        'activation' and 'subtract_decoder_bias' ('true').

        Raises:
            FileFormatError: the file is missing or damaged, or something is missing in it.
            ComponentError: what it says is no sparse autoencoder.
        """
        from safetensors import SafetensorError, safe_open

        try:
            check_regular(path)
        except FileFormatError as error:
            raise FileFormatError(f"{path}: {error}") from None
        try:
            with safe_open(str(path), framework="pt") as file:
                said: dict[str, str] = file.metadata() or {}
                found: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            why = " ".join(str(error).split())[:120]
            raise FileFormatError(f"{path}: not a safetensors file, or damaged ({why})") from None
        unknown = sorted(set(found) - set(_TENSORS))
        missing = [name for name in ("encoder", "decoder") if name not in found]
        if unknown or missing:
            names = ", ".join(unknown[:6] or missing)
            problem = "has tensors of other names" if unknown else "lacks tensors"
            raise FileFormatError(
                f"{path}: {problem} ({names}); latents have {', '.join(_TENSORS)}, of which the first two are needed"
            )
        if "hook" not in said:
            raise FileFormatError(f"{path}: its metadata needs 'hook', such as 'blocks.5.hook_resid_post'")
        try:
            return cls(
                said["hook"],
                **found,
                activation=said.get("activation", "relu"),
                subtract_decoder_bias=said.get("subtract_decoder_bias", "false").lower() == "true",
            )
        except ComponentError as error:
            raise ComponentError(f"{path}: {error}") from None

    @property
    def layer(self) -> int:
        """The layer of the hook."""
        return int(self.hook.split(".")[1])

    @property
    def width(self) -> int:
        """How many numbers a token the activation has, d."""
        return int(self.encoder.shape[0])

    @property
    def n_latents(self) -> int:
        """How many latents there are, m."""
        return int(self.encoder.shape[1])

    @property
    def n_active(self) -> int | None:
        """K of 'topk:K', else None."""
        match = _TOP.fullmatch(self.activation) if isinstance(self.activation, str) else None
        return None if match is None else int(match[1])

    @property
    def identity(self) -> str:
        """A hash of all that a value depends on: the hook, the activation and every number, as they are now."""
        digest = hashlib.sha256(f"{self.hook} {self.activation} {self.subtract_decoder_bias}".encode())
        for name in _TENSORS:
            value = getattr(self, name)
            digest.update(f"|{name} {None if value is None else (value.dtype, tuple(value.shape))}|".encode())
            if value is not None:
                digest.update(_bytes(value))
        return digest.hexdigest()


def one_a_layer(latents: Latents | Iterable[Latents] | None) -> dict[int, Latents]:
    """By layer, what a caller gives as ``latents``: one set, several, or None.

    Raises:
        ComponentError: something else, or two sets in one layer.
    """
    sets: list[Any] = [] if latents is None else list(latents) if isinstance(latents, (list, tuple)) else [latents]
    found: dict[int, Latents] = {}
    for one in sets:
        if not isinstance(one, Latents):
            raise ComponentError(f"latents must be circuitspex.Latents, or a list of them, not {type(one).__name__}")
        if one.layer in found:
            raise ComponentError(
                f"two sets of latents in layer {one.layer} ('{found[one.layer].hook}' and '{one.hook}'); "
                "one a layer is allowed, so that a name such as "
                f"'L{one.layer}S0' has one meaning"
            )
        found[one.layer] = one
    return found


def _tensor(value: Any, what: str) -> torch.Tensor:
    import torch

    try:
        tensor = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise ComponentError(f"{what} must be one tensor of numbers, not {type(value).__name__}") from None
    if not tensor.is_floating_point():
        raise ComponentError(f"{what} must be of floating-point numbers, not {tensor.dtype}")
    # Numbers of one byte (fp8) know no isfinite.
    if not bool(torch.isfinite(tensor.float() if tensor.element_size() == 1 else tensor).all()):
        raise ComponentError(f"there are NaN or infinite numbers in {what}")
    return tensor


def _bytes(tensor: torch.Tensor) -> bytes:
    import torch

    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

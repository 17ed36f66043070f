"""Latents of a sparse autoencoder or a transcoder, given by the user as its encoder and decoder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.components.sae_lens import arguments
from circuitspex.components.tensor_file import read_tensors
from circuitspex.errors import ComponentError, FileFormatError
from circuitspex.files import write_atomically
from circuitspex.strict_json import parse, short

if TYPE_CHECKING:
    import torch

_HOOK = re.compile(r"blocks\.([0-9]{1,6})\.\S{1,200}")
_TOP = re.compile(r"topk:([1-9][0-9]{0,9})")
_TENSORS = ("encoder", "decoder", "encoder_bias", "decoder_bias", "thresholds")
_ACTIVATIONS = "'relu', 'topk:K' (the K largest of each token) or 'jumprelu' (with thresholds)"


@dataclass(frozen=True, eq=False)
class Latents:
    """A sparse autoencoder or a transcoder of a model: its latents can be ablated as ``L5S123``.

    At the hook the model carries an activation x of d numbers a token; the latents are
    ``f = activation(x @ encoder + encoder_bias)``, and latent i writes ``f_i * decoder[i]``: into the same activation
    (an autoencoder), into that of another hook (a transcoder), or into several (a cross-layer transcoder).

    Args:
        hook: where it reads, such as 'blocks.5.hook_resid_post'; one set of latents a layer.
        encoder: ``(d, m)`` for m latents.
        decoder: ``(m, d_out)``, where d_out is d for an autoencoder; with K hooks to write at ``(K, m, d_out)``, a
            matrix for each.
        encoder_bias: ``(m,)``, or None for zeros.
        decoder_bias: ``(d_out,)``, or ``(K, d_out)``, or None for zeros. Ablations need it only with
            ``subtract_decoder_bias``, since what the decoder does not explain is kept as it is.
        activation: 'relu'; 'topk:K', which keeps the K largest latents of each token, and of these the positive ones;
            or 'jumprelu', which keeps those above their ``thresholds``.
        thresholds: ``(m,)``, for 'jumprelu' only.
        subtract_decoder_bias: whether the encoder reads ``x - decoder_bias`` instead of x, as some autoencoders do.
        output_hook: where it writes, if that is not where it reads: a hook of the same layer or a later one, such as
            'blocks.5.hook_mlp_out' for one that reads 'blocks.5.mlp.hook_in'; or a list of such hooks.

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
    output_hook: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_hook(self.hook)
        if self.output_hook is not None:
            several = not isinstance(self.output_hook, str)
            if several and not isinstance(self.output_hook, list | tuple):
                raise ComponentError(f"output_hook must be one hook or a list of them, not {short(self.output_hook)}")
            names = tuple(self.output_hook) if several else (self.output_hook,)
            _check_outputs(self.hook, names)
            object.__setattr__(self, "output_hook", names if several else names[0])
        for name in _TENSORS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _tensor(value, f"the {name.replace('_', ' ')} of the latents"))
        if self.encoder.ndim != 2 or 0 in self.encoder.shape:
            raise ComponentError(
                f"the encoder of the latents must have the shape (d_model, latents), not {tuple(self.encoder.shape)}"
            )
        d, m = self.encoder.shape
        d_out = d if self.output_hook is None or not self.decoder.ndim else int(self.decoder.shape[-1])
        each = () if self.output_hook is None or isinstance(self.output_hook, str) else (len(self.output_hook),)
        for name, shape in zip(_TENSORS, ((d, m), (*each, m, d_out), (m,), (*each, d_out), (m,)), strict=True):
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
        if self.subtract_decoder_bias and (self.decoder_bias is None or self.output_hook is not None):
            raise ComponentError(
                "subtract_decoder_bias needs the decoder_bias of the latents"
                if self.output_hook is None
                else "subtract_decoder_bias is for autoencoders; a transcoder's decoder_bias belongs to what it writes"
            )

    @classmethod
    def from_sae_lens(
        cls, sae: Any, *, hook: str | None = None, output_hook: str | Sequence[str] | None = None
    ) -> Latents:
        """The latents of an autoencoder or transcoder of SAELens (version 6).

        They are those of ``sae.encode``, and ``decode`` gives what ``sae.decode`` does.

        Args:
            sae: 'standard', 'topk', 'jumprelu' or 'gated', or a transcoder ('transcoder', 'jumprelu_transcoder', and
                those with a skip connection, which is left as it is in the model); or the folder that
                ``sae.save_model`` wrote, for which SAELens need not be installed. Its tensors are copied.
            hook: where it reads, by TransformerLens's name; by default what ``sae.cfg.metadata.hook_name`` says.
            output_hook: where a transcoder writes; by default ``sae.cfg.metadata.hook_name_out``.

        Raises:
            ComponentError: no such object, or one that does what latents can't: another architecture, activations
                that are normalised for each token, a hook of another naming, or a single head.
            FileFormatError: the folder's files are missing or damaged.
        """
        return cls(**arguments(sae, hook, output_hook))

    @property
    def output_hooks(self) -> tuple[str, ...]:
        """Where it writes."""
        given = self.hook if self.output_hook is None else self.output_hook
        return (given,) if isinstance(given, str) else tuple(given)

    def decoders(self) -> tuple[torch.Tensor, ...]:
        """The decoder ``(m, d_out)`` of each of ``output_hooks``."""
        return tuple(self.decoder) if self.decoder.ndim == 3 else (self.decoder,)

    def encode(self, x: Any) -> torch.Tensor:
        """All latents ``(..., m)`` of activations ``(..., d)``, in the dtype of the encoder."""
        import torch

        x = torch.as_tensor(x).to(self.encoder)
        before = (x - self.decoder_bias if self.subtract_decoder_bias else x) @ self.encoder
        return activated(before if self.encoder_bias is None else before + self.encoder_bias, self, self.thresholds)

    def decode(self, latents: Any) -> torch.Tensor:
        """What latents ``(..., m)`` are decoded to: ``(..., d_out)``; with K hooks to write at ``(K, ..., d_out)``."""
        import torch

        f = torch.as_tensor(latents).to(self.decoder)
        written = torch.stack([f @ decoder for decoder in self.decoders()])
        if self.decoder_bias is not None:
            written = written + self.decoder_bias.reshape(len(written), *[1] * (f.ndim - 1), -1)
        return written if self.decoder.ndim == 3 else written[0]

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
        if self.output_hook is not None:
            said["output_hook"] = json.dumps(self.output_hook)
        data = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, said)
        return write_atomically(Path(path), data)

    @classmethod
    def load(cls, path: str | Path) -> Latents:
        """Read a safetensors file, or the folder that SAELens's ``save_model`` wrote (``from_sae_lens``).

        The file's tensors are named as the arguments, and its metadata has 'hook' and, where they are not the usual
        ones, 'activation', 'subtract_decoder_bias' ('true') and 'output_hook' (as JSON).

        Raises:
            FileFormatError: the file is missing or damaged, or something is missing in it.
            ComponentError: what it says is no sparse autoencoder.
        """
        if Path(path).is_dir():
            return cls.from_sae_lens(path)
        said, found = read_tensors(path)
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
                output_hook=parse(said["output_hook"]) if "output_hook" in said else None,
            )
        except (ComponentError, FileFormatError) as error:
            raise type(error)(f"{path}: {error}") from None

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
        """A hash of all that a value depends on: the hooks, the activation and every number, as they are now."""
        written = "" if self.output_hook is None else f" {json.dumps(self.output_hook)}"
        digest = hashlib.sha256(f"{self.hook} {self.activation} {self.subtract_decoder_bias}{written}".encode())
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


def activated(before: torch.Tensor, about: Latents, thresholds: torch.Tensor | None) -> torch.Tensor:
    """The latents ``(..., m)`` of what the encoder gives; ``thresholds`` are those of these m."""
    import torch

    f = torch.relu(before)
    if thresholds is not None:
        return f * (before > thresholds)
    if about.n_active is not None:
        top = before.topk(about.n_active, dim=-1).indices
        f = f * torch.zeros_like(f).scatter(-1, top, 1.0)
    return f


def _check_hook(hook: Any) -> None:
    if not isinstance(hook, str) or _HOOK.fullmatch(hook) is None:
        what = "latents belong to a layer: their hook is written like 'blocks.5.hook_resid_post'"
        raise ComponentError(f"{what}, not {short(hook)}")


def _check_outputs(hook: str, names: tuple[Any, ...]) -> None:
    """Refuse hooks to write at that are none, the same twice, the one that is read, or before it."""
    for name in names:
        _check_hook(name)
    if not names or len(set(names)) != len(names):
        raise ComponentError(f"output_hook must be one hook or a list of different ones, not {short(list(names))}")
    if hook in names:
        raise ComponentError(f"latents that write where they read, at '{hook}', are an autoencoder's: no output_hook")
    if early := [name for name in names if int(name.split(".")[1]) < int(hook.split(".")[1])]:
        raise ComponentError(f"latents that read '{hook}' can't write at '{early[0]}', which comes before it")


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

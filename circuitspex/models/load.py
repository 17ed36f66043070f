"""``load_model``: one call for every place that a model can come from."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models.adapters import AND, adapter_at, adapters_of, check_active, is_peft, merged, with_adapter
from circuitspex.models.architecture import lens_name
from circuitspex.models.causal import check_config
from circuitspex.models.first_run import FirstRun
from circuitspex.models.hugging_face import is_hugging_face, name_of, own_copy, tokenizer_for, tokenizer_in, unwrapped
from circuitspex.models.identity import identity_of_given, remember_identity, weights_hash
from circuitspex.models.memory import ANNOUNCED_FROM, check_fits, model_memory
from circuitspex.models.origin import remember_origin
from circuitspex.models.own_tokenizer import remember_tokenizer, to_be_changed
from circuitspex.models.protocol import Model
from circuitspex.models.quiet import quiet_transformers
from circuitspex.models.read import Reading
from circuitspex.models.read import read_model as _read
from circuitspex.models.sources import check_model, torch_device, torch_dtype
from circuitspex.models.tokens import prepends_bos
from circuitspex.unmoved import same_environment, unmoved

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@same_environment()
def load_model(
    source: str | Path | PreTrainedModel,
    *,
    tokenizer: Any = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    quantization: str | None = None,
) -> Model:
    """Load a causal language model as a TransformerLens ``TransformerBridge`` in eval mode.

    No code that comes with a model is ever run, and no pickled weights are read. The model is run once on two short
    prompts: one that can't run, that TransformerLens runs as another model, or whose logits depend on later tokens, is
    refused, and so is one whose files lack tensors or hold others than its configuration asks for.

    Args:
        source: looked up in this order: a name of the offline catalogue (``circuitspex models list``); a ``.gguf``
            file; a directory with a Hugging Face model, or with an adapter of PEFT (``adapter_config.json`` names its
            base, which is looked up in the same way); a model name on the Hugging Face hub. Or a Hugging Face model
            that is loaded: what is wrapped shares its weights, and the model itself stays as it is. Or such a model
            within nnsight's ``LanguageModel`` or ``TransformersModel``, with the tokenizer there. Or a
            ``peft.PeftModel``, of which the active adapters count. Adapters are merged into a copy of the weights.
        tokenizer: of a Hugging Face model; by default the one in the folder, or of the name, that it was loaded from.
        device: where the model lives; the GPU if there is one, else the CPU; of a Hugging Face model, where it is.
        dtype: of the weights; float32 by default, or a Hugging Face model's own. A torch dtype or one of 'float32',
            'float64', 'bfloat16', 'float16'.
        revision: branch, tag or commit of a hub model; training checkpoints are often branches.
        device_map: spreads a model over several devices, as in transformers ('auto', 'balanced', or a dict of modules);
            instead of ``device``, and not for GGUF files. No weights may be left on disk.
        quantization: '8bit' (torchao) or '4bit' (bitsandbytes) holds the weights of linear maps in so many bits; the
            rest, and all activations, are of ``dtype``. Not for GGUF files and adapters. Values are those of the
            rounded weights, and the model has an identity of its own.

    Returns:
        The bridge. ``cfg.default_prepend_bos`` is set to what the model's own tokenizer does, parameters keep
        ``requires_grad`` off, and ``model_identity`` knows its hash.

    Raises:
        ModelNotFoundError: no such model, no network to look for it, or a model that is refused; the line says why.
        UserError: an unknown device, dtype or quantization, a package that is not installed, or weights that don't fit
            into the memory that is free; all said before weights are read.
    """
    arguments = dict(locals())
    import torch

    if not isinstance(source, str | Path):
        if not (revision is device_map is quantization is None):
            raise UserError(
                "revision, device_map and quantization are for models that are loaded from a name; this one is loaded"
            )
        return _wrapped(source, tokenizer, device, dtype)
    if tokenizer is not None:
        raise UserError(f"tokenizer is for a Hugging Face model that is loaded; {source} comes with its own")
    given: dict[str, Any] = {"device": device, "dtype": dtype, "revision": revision, "device_map": device_map}
    check_model(source, **given, quantization=quantization)
    needed = model_memory(source, **given, quantization=quantization)
    check_fits([needed])
    if needed is not None and needed.weights >= ANNOUNCED_FROM:
        print(needed, file=sys.stderr, flush=True)
    wanted_dtype = torch_dtype(dtype)
    name = str(source)
    wanted_device = torch_device(device) if device_map is None else None
    if quantization is not None and wanted_device is not None:  # what is quantised can't be moved afterwards
        device_map, wanted_device = {"": str(wanted_device)}, None
    how = Reading(wanted_dtype, device_map, quantization)
    if adapter := adapter_at(source):
        name = adapter.name
        model, tokenizer = _read(adapter.base, adapter.revision, how)
        model = with_adapter(model, adapter)
        tokenizer = tokenizer_in(adapter.folder) or tokenizer
    else:
        model, tokenizer = _read(source, revision, how)
    if any(parameter.device.type == "meta" for parameter in model.parameters()):
        raise UserError(
            f"device_map='{device_map}' leaves weights on disk or off the devices that compute; ablations need all of "
            "them in memory there"
        )
    with torch.no_grad():
        identity = weights_hash(model)
    if wanted_device is not None:
        model = model.to(wanted_device)
    bridge: Model = _bridge(name, model, tokenizer, wanted_dtype, wanted_device, identity)
    remember_identity(bridge, identity)
    remember_origin(bridge, arguments)
    return bridge


def _wrapped(given: Any, tokenizer: Any, device: str | torch.device | None, dtype: str | torch.dtype | None) -> Model:
    """A Hugging Face model that the caller has loaded, as a bridge of its own that shares the weights."""
    import torch

    if not is_hugging_face(given):
        raise UserError(
            "load_model takes a name, a directory, a .gguf file or a Hugging Face model, not "
            + (
                f"a {type(given).__name__}, which is wrapped already"
                if hasattr(given, "hook_dict")
                else repr(given)[:60]
            )
        )
    tokenizer = tokenizer_for(given) if tokenizer is None else tokenizer
    given = unwrapped(given)
    first = next(given.parameters())
    adapted = is_peft(given)
    if adapted:
        check_active(given)
    model = own_copy(given, None if dtype is None else torch_dtype(dtype)).eval()
    wanted_device = first.device if device is None else torch_device(device)
    name = f"{name_of(given)}{AND}{adapters_of(given)}" if adapted else name_of(given)
    check_config(model.config.to_dict(), name)
    if adapted:
        model = merged(given, model)
    with torch.no_grad():
        identity = identity_of_given(model)
    own_dtype = next(model.parameters()).dtype
    model = model.to(wanted_device).eval()
    bridge: Model = _bridge(name, model, tokenizer, own_dtype, wanted_device, identity)
    remember_identity(bridge, identity)
    return bridge


def model_name(model: Model) -> str:
    """The name a model was loaded by."""
    return str(getattr(model.cfg, "model_name", None) or type(model).__name__)


def _bridge(
    name: str,
    model: Any,
    tokenizer: Any,
    dtype: torch.dtype,
    device: torch.device | None,
    identity: str | None = None,
) -> Any:
    """Wrap a Hugging Face model; the one place that knows how TransformerLens does this.

    Raises:
        ModelNotFoundError: TransformerLens can't wrap or run it, or it is not causal.
    """
    with unmoved():
        from transformer_lens.model_bridge import TransformerBridge

    model.requires_grad_(False)
    if str(dtype) == "torch.float64":  # the grouped matrix products of mixtures of experts have no double precision
        model.set_experts_implementation("eager")
    architecture = type(model).__name__
    # The class that it is, whatever class its files were saved from: TransformerLens goes by this name.
    model.config.architectures = [lens_name(architecture) or architecture]
    first = FirstRun(model, name, identity)
    prepends = False
    with tempfile.TemporaryDirectory(prefix="circuitspex-tokenizer-") as folder, quiet_transformers():
        if tokenizer is not None:
            prepends = prepends_bos(tokenizer)
        # TransformerLens reads the tokenizer again from where it came from, which may be a GGUF file or the hub.
        (tokenizer or _stand_in()).save_pretrained(folder)
        saved = to_be_changed(tokenizer, folder)
        try:
            with _text_only():
                bridge = TransformerBridge.boot_transformers(
                    name,
                    hf_model=model,
                    tokenizer=saved,
                    dtype=dtype,
                    device=None if device is None else str(device),
                    trust_remote_code=False,
                )
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelNotFoundError(f"TransformerLens can't wrap {name} ({architecture}): {reason}") from error
    bridge.eval()
    bridge.requires_grad_(False)  # where query, key and value were one matrix, TransformerLens has made parameters
    bridge.cfg.default_prepend_bos = prepends
    if tokenizer is not None and tokenizer.bos_token_id is None:
        # TransformerLens puts the EOS token in its place, which would then be slipped in where a BOS is asked for.
        bridge.tokenizer.bos_token = None
    if tokenizer is None:
        bridge.tokenizer = None
    first.check(bridge)
    remember_tokenizer(bridge, tokenizer)
    return bridge


@contextlib.contextmanager
def _text_only() -> Iterator[None]:
    """Within the block, TransformerLens looks for no processor of images, for which it would install packages."""
    from transformer_lens.model_bridge.sources.transformers import source

    look = source.load_modality_processor
    source.load_modality_processor = lambda *args: None
    try:
        yield
    finally:
        source.load_modality_processor = look


def _stand_in() -> Any:
    """A tokenizer of nothing: without one, TransformerLens looks for the model's and fails where there is none."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    nothing = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    special = {f"{role}_token": "<unk>" for role in ("unk", "bos", "eos", "pad")}
    return PreTrainedTokenizerFast(tokenizer_object=nothing, **special)

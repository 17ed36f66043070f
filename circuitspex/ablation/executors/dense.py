"""A dense transformer, taken apart by its structure: the tensors and small functions that a pass needs.

TransformerLens gives the parts of every architecture the same names (``attn.q``, ``mlp.gate``, ``ln1_post``); what they
are made of and how they are put together is read off them, and never off the name of the model. That they were read
rightly is verified, not assumed: ``agreement.disagreement`` compares logits before anything is run with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float

from circuitspex.ablation.executors.linear import Linear, QuantizedLinear
from circuitspex.ablation.executors.norms import Norm
from circuitspex.components import ModelStructure
from circuitspex.kernels.definitions import ACTIVATIONS
from circuitspex.models.free_memory import free_memory
from circuitspex.models.protocol import Model
from circuitspex.models.quantization import is_plain

Rows = Float[torch.Tensor, "*rows width"]
"""Vectors along the last axis, whatever comes before."""

# Joined and packed weights are copies; models with more bytes of weights than this keep to one copy on a CPU.
_COPY_BELOW = 2 * 2**30


class NotDenseError(Exception):
    """A part of the model is not what a dense transformer has; the text says which."""


@dataclass(frozen=True)
class DenseAttention:
    """Projections and settings of one attention layer.

    ``joined`` computes queries, keys and values in one product, where the weights are small enough to hold them twice.
    """

    q: Linear
    k: Linear
    v: Linear
    o: Linear
    joined: Linear | None
    q_norm: Norm | None
    k_norm: Norm | None
    n_heads: int
    n_kv: int
    d_head: int
    scale: float
    softcap: float


@dataclass(frozen=True)
class DenseMLP:
    """``out(act(gate(x)) * up(x))``, or ``out(act(up(x)))`` where there is no gate.

    ``activation_name`` is the kernels' name of the activation, None where they have none that is the same function.
    """

    up: Linear
    gate: Linear | None
    joined: Linear | None
    out: Linear
    activation: Callable[[Rows], Rows]
    activation_name: str | None

    def neurons(self, x: Rows) -> Float[torch.Tensor, "*rows d_mlp"]:
        """The activations of the neurons, ``[..., d_mlp]``."""
        if self.joined is not None:
            gate, up = self.joined(x).chunk(2, dim=-1)
        else:
            up = self.up(x)
            if self.gate is None:
                return self.activation(up)
            gate = self.gate(x)
        active = self.activation(gate)
        return active * up if active.requires_grad else active.mul_(up)


@dataclass(frozen=True)
class DenseLayer:
    """One block: norms, attention and MLP; ``parallel`` where both read the residual stream of the block's entry."""

    norm_1: Norm
    norm_2: Norm
    post_1: Norm | None
    post_2: Norm | None
    attention: DenseAttention
    mlp: DenseMLP
    parallel: bool
    device: torch.device


@dataclass(frozen=True)
class DenseModel:
    """The blocks, the last norm and the unembedding."""

    layers: tuple[DenseLayer, ...]
    norm: Norm
    unembed: Linear
    softcap: float

    @property
    def is_quantized(self) -> bool:
        """Whether any weights of its blocks are held in few bits, so that they can't be read as a matrix."""
        parts = (part for layer in self.layers for half in (layer.attention, layer.mlp) for part in vars(half).values())
        return any(isinstance(part, QuantizedLinear) for part in parts)


def dense_model(model: Model, structure: ModelStructure, *, products: torch.dtype | None = None) -> DenseModel:
    """The parts of a TransformerBridge.

    Args:
        model: the bridge.
        structure: from ``model_structure``.
        products: the dtype of the matrix products of the blocks; None is the model's own.

    Raises:
        NotDenseError: a part is missing or of another kind.
    """
    hf_config = getattr(model.original_model, "config", None)
    if structure.n_layers == 0 or not hasattr(model, "blocks"):
        raise NotDenseError("it has no stack of blocks")
    copy = _may_copy(model)
    parallel = bool(getattr(model.cfg, "parallel_attn_mlp", False))
    layers = []
    for index, about in enumerate(structure.layers):
        heads = about.part("head")
        if any(about.part(kind).hook is None for kind in ("head", "mlp", "neurons")):
            raise NotDenseError(f"layer {index} has not one attention and one dense MLP")
        block = model.blocks[index]
        layers.append(_layer(block, heads.n_units, heads.width, parallel, products, copy=copy))
    return DenseModel(
        tuple(layers),
        _norm(getattr(model, "ln_final", None)),
        _linear(getattr(model, "unembed", None)),
        float(getattr(hf_config, "final_logit_softcapping", None) or 0.0),
    )


def _may_copy(model: Model) -> bool:
    """Whether weights may be held a second time, joined or packed: small ones, and where a card has room for four."""
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    devices = {p.device for p in model.parameters()}
    if size < _COPY_BELOW:
        return True
    return len(devices) == 1 and all(d.type == "cuda" and free_memory(d) > 3 * size for d in devices)


def _layer(
    block: Any, n_heads: int, d_head: int, parallel: bool, products: torch.dtype | None, *, copy: bool
) -> DenseLayer:
    attn, mlp = _part(block, "attn"), _part(block, "mlp")
    q, k, v, o = (_linear(_part(attn, name), products) for name in "qkvo")
    up, out = _linear(_part(mlp, "in"), products), _linear(_part(mlp, "out"), products)
    gate = _linear(mlp.submodules["gate"], products) if "gate" in mlp.submodules else None
    if q.n_outputs != n_heads * d_head or k.n_outputs % d_head or k.n_outputs != v.n_outputs:
        raise NotDenseError("the query, key and value projections don't fit its heads")
    original = attn.original_component
    scale = getattr(original, "scaling", None)
    copy = copy and not any(isinstance(part, QuantizedLinear) for part in (q, k, v, o, up, out, gate))
    join_qkv = copy and (q.bias is None) == (k.bias is None) == (v.bias is None)
    join_mlp = copy and gate is not None and (gate.bias is None) == (up.bias is None)
    joined_qkv = _join(q, k, v) if join_qkv else None
    joined_mlp = _join(gate, up) if join_mlp and gate is not None else None
    activation = _activation(mlp)
    if copy:
        for linear in (joined_qkv, joined_mlp, out, o, *((q, k, v) if joined_qkv is None else ()), up):
            if linear is not None and (linear is not up or joined_mlp is None):
                linear.pack()
    return DenseLayer(
        norm_1=_norm(_part(block, "ln1")),
        norm_2=_norm(_part(block, "ln2")),
        post_1=_optional_norm(block, "ln1_post"),
        post_2=_optional_norm(block, "ln2_post"),
        attention=DenseAttention(
            q,
            k,
            v,
            o,
            joined_qkv,
            _optional_norm(attn, "q_norm"),
            _optional_norm(attn, "k_norm"),
            n_heads,
            k.n_outputs // d_head,
            d_head,
            float(scale) if isinstance(scale, (int, float)) else d_head**-0.5,
            float(getattr(original, "attn_logit_softcapping", None) or 0.0),
        ),
        mlp=DenseMLP(up, gate, joined_mlp, out, activation, _name_of(activation)),
        parallel=parallel,
        device=o.weight.device,
    )


def _part(parent: Any, name: str) -> Any:
    part = getattr(parent, "submodules", {}).get(name)
    if part is None:
        raise NotDenseError(f"its blocks have no part '{name}'")
    found = getattr(parent, name, part)
    return found if found is not None else part


def _linear(part: Any, dtype: torch.dtype | None = None) -> Linear:
    original = getattr(part, "original_component", None)
    weight = getattr(original, "weight", None)
    if isinstance(original, torch.nn.Linear) and not is_plain(original.weight):
        if dtype is not None:
            raise NotDenseError("its weights are quantised, and round in a dtype of their own")
        return QuantizedLinear(original)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2 or not weight.is_floating_point():
        raise NotDenseError(f"a projection is a {type(original).__name__}, which has no matrix of weights")
    if type(original).__name__ == "Conv1D":  # keeps [in, out]
        weight = weight.T
    elif not isinstance(original, (torch.nn.Linear, torch.nn.Embedding)):
        raise NotDenseError(f"a projection is a {type(original).__name__}, not a plain linear map")
    bias = getattr(original, "bias", None)
    found = Linear(weight.detach(), None if bias is None else bias.detach())
    return found if dtype is None else found.to(dtype)


def _join(*parts: Linear) -> Linear:
    biases = [part.bias for part in parts if part.bias is not None]
    return Linear(torch.cat([part.weight for part in parts]).contiguous(), torch.cat(biases) if biases else None)


def _optional_norm(parent: Any, name: str) -> Norm | None:
    return _norm(_part(parent, name)) if name in parent.submodules else None


def _norm(part: Any) -> Norm:
    module = getattr(part, "original_component", None)
    if not isinstance(module, torch.nn.Module):
        raise NotDenseError("a norm is missing")
    return Norm(module)


def _activation(mlp: Any) -> Callable[[Rows], Rows]:
    """The one part of the MLP that has no weights; dropout does nothing outside training."""
    original = mlp.original_component
    for name in ("act_fn", "act", "activation_fn", "activation"):
        found = getattr(original, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    raise NotDenseError(f"the MLP ({type(original).__name__}) has no activation function of a known place")


def _name_of(activation: Callable[[Rows], Rows]) -> str | None:
    """The kernels' name of a function, if one of theirs gives the same numbers."""
    x = torch.linspace(-6, 6, 241)
    with torch.no_grad():
        try:
            found = activation(x.clone())
            same = (
                name for name, known in ACTIVATIONS.items() if torch.allclose(known(x), found, rtol=1e-5, atol=1e-6)
            )
            return next(same, None)
        except Exception:  # whatever a function of another kind raises
            return None

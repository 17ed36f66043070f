"""A model of cost of a pass on a GPU: operations, bytes and launches, and the time that these need at least.

A prediction by arithmetic, never a measurement: a launch takes as long as its operations at the ceiling of matrix
products, or its bytes at the ceiling of copies, whichever is longer, plus a gap. Every launch reads its inputs and
writes its outputs once, in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from model_shapes import ModelShape

NUMBER = 2  # bytes of bfloat16
# The executor's own limits: from how many rows under a mask on the output projection skips; above which share of masks
# kept an MLP runs for all; below how many bytes of weights queries, keys and values (gate and up) are one product.
SKIP_ALONG_K = 128
MOST_KEPT = 0.85
JOINED_BELOW = 2 * 2**30


@dataclass(frozen=True)
class Card:
    """What a card does at best: operations and bytes a second, and seconds of a launch.

    The two rates were reached on an H100 SXM, by a product of 8192 x 8192 x 8192 in bfloat16 and by a large copy.
    ``gap`` is from one kernel to the next in a replayed graph, ``launch`` what the host needs at least without one.
    ``kernel`` is the share of the ceiling that the project's own products are taken to reach.
    """

    operations: float = 798e12
    bytes: float = 3.0e12
    gap: float = 1e-6
    launch: float = 5e-6
    kernel: float = 0.7


@dataclass(frozen=True)
class Batch:
    """Masks in one pass, their prompts and positions, and the shares kept.

    ``kv`` is the share of key/value heads that serve at least one kept head. ``room`` is the share of masks that an MLP
    is computed for where that is more than those under which it is on: all layers of a pass have room for as many.
    """

    masks: int
    prompts: int
    positions: int
    heads: float = 1.0
    kv: float = 1.0
    mlps: float = 1.0
    room: float | None = None

    @property
    def computed(self) -> float:
        """The share of masks that an MLP is computed for."""
        return self.mlps if self.room is None else self.room

    @property
    def rows(self) -> int:
        """Rows of a mask."""
        return self.prompts * self.positions

    @property
    def all_rows(self) -> int:
        """Rows of the pass."""
        return self.masks * self.rows


@dataclass(frozen=True)
class Launch:
    """One kernel: operations, bytes, and whether it is a product of the project's own; ``times`` of it."""

    name: str
    operations: float
    bytes: float
    own: bool = False
    times: float = 1.0

    def seconds(self, card: Card) -> float:
        """On the device, with the gap before it."""
        rate = card.operations * (card.kernel if self.own else 1.0)
        return self.times * (max(self.operations / rate, self.bytes / card.bytes) + card.gap)


Pass = list[Launch]


def shares(shape: ModelShape, keep: float) -> dict[str, float]:
    """The shares of a batch where every head and MLP is kept with this chance, independently."""
    return {"heads": keep, "kv": 1 - (1 - keep) ** (shape.heads / shape.kv), "mlps": keep}


def room(masks: int, keep: float, layers: int, *, recorded: bool) -> float:
    """The share of masks that the MLPs of a pass have room for, where each is kept under ``keep`` of them at random.

    That is the most of all layers; in a recorded pass, which serves many batches, a bound that they seldom exceed.
    """
    spread = (masks * keep * (1 - keep)) ** 0.5
    if recorded:
        step = max(1, masks // 16)
        bound = step * -(-int(masks * keep + 3.5 * spread) // step)
    else:
        bound = round(masks * keep + spread * NormalDist().inv_cdf(0.5 ** (1 / layers)))
    return 1.0 if bound > MOST_KEPT * masks else bound / masks


def joined(shape: ModelShape) -> bool:
    """Whether weights that read the same are kept beside each other, for one product."""
    d, width = shape.d_model, shape.d_head * (2 * shape.heads + 2 * shape.kv)
    layer = d * (width + (3 if shape.gated else 2) * shape.d_mlp)
    return NUMBER * (shape.layers * layer + 2 * shape.vocab * d) < JOINED_BELOW


def product(name: str, rows: float, inputs: float, outputs: float, *, own: bool = False, extra: float = 0.0) -> Launch:
    """``[rows, inputs] @ [inputs, outputs]``, weights read once; ``extra`` numbers are read besides."""
    numbers = rows * inputs + inputs * outputs + rows * outputs + extra
    return Launch(name, 2.0 * rows * inputs * outputs, NUMBER * numbers, own)


def attention(shape: ModelShape, batch: Batch, queries: int, *, causal: bool, own: bool) -> Launch:
    """Scores and values of the kept heads. ``causal``: only the pairs that are seen count."""
    pairs = queries * batch.positions
    if causal:
        pairs = sum(batch.positions - i for i in range(queries))
    sequences, width = batch.masks * batch.prompts, shape.d_head
    heads, kv = batch.heads * shape.heads, batch.kv * shape.kv
    numbers = sequences * width * (2 * queries * heads + 2 * batch.positions * kv)
    return Launch("attention", 4.0 * sequences * heads * width * pairs, NUMBER * numbers, own)


def ablated_layer(shape: ModelShape, batch: Batch, *, tail: int | None = None, causal: bool = True) -> Pass:
    """One layer of the fused executor, one launch a line; only ``tail`` positions a sequence leave the last layer."""
    n, d, m = batch.all_rows, shape.d_model, shape.d_mlp
    out = n if tail is None else batch.masks * batch.prompts * tail
    queries = batch.positions if tail is None else tail
    width, kv = shape.heads * shape.d_head, batch.kv * shape.kv * shape.d_head
    q, on = batch.heads * width, batch.computed * out
    one = joined(shape)
    if one and tail is None:
        parts = [product("queries, keys, values that are needed", n, d, q + 2 * kv, own=True)]
    else:
        keys = (["keys and values"], 2 * kv) if one else (["keys", "values"], kv)
        parts = [product("queries of kept heads", out, d, q, own=True)]
        parts += [product(f"{name} that serve one", n, d, keys[1], own=True) for name in keys[0]]
    if queries * batch.prompts >= SKIP_ALONG_K:
        project = [product("output projection of kept heads, residual", out, q, d, own=True, extra=out * d)]
    else:
        add = Launch("residual and what baselines give", 0, NUMBER * 2 * out * d)
        project = [add, product("output projection of gated heads", out, width, d, extra=out * d)]
    if not shape.gated:
        up = [product("up", on, d, m)]
    elif one:
        up = [product("gate and up", on, d, 2 * m)]
    else:
        up = [product("gate", on, d, m), product("up", on, d, m)]
    return [
        *parts,
        attention(shape, batch, queries, causal=causal, own=True),
        *project,
        Launch("norm of the rows whose MLP is on", 0, NUMBER * 2 * on * d),
        *up,
        Launch("activation", 0, NUMBER * on * (3 if shape.gated else 2) * m),
        product("down", on, m, d),
        # Rows whose MLP is off get what their baseline adds: every row is read, written and normed.
        Launch("add and norm", 0, NUMBER * (3 * out + on) * d),
    ]


def ablated_pass(shape: ModelShape, batch: Batch, *, reads: int = 1, causal: bool = True) -> Pass:
    """All layers; then only the positions that are read are unembedded.

    The first layer, whose attention is computed once a prompt, is counted like the others.
    """
    layer = ablated_layer(shape, batch, causal=causal)
    last = ablated_layer(shape, batch, tail=reads, causal=causal)
    read = batch.masks * batch.prompts * reads
    first = Launch("norm at the entry", 0, NUMBER * 2 * batch.all_rows * shape.d_model)
    middle = [replace(launch, times=shape.layers - 1.0) for launch in layer]
    return [first, *middle, *last, product("unembedding", read, shape.d_model, shape.vocab)]


def plain_pass(shape: ModelShape, batch: Batch, *, last_only: bool, fused: bool = False, causal: bool = True) -> Pass:
    """A plain pass of Hugging Face over as many rows; nothing is ablated, so the shares of ``batch`` are not used.

    ``fused``: as if compiled, so that what is between the products takes one kernel each; else eager, where a norm is
    eight kernels, rotary positions are ten and an activation is two.
    """
    n, d, m = batch.all_rows, shape.d_model, shape.d_mlp
    whole = replace(batch, heads=1.0, kv=1.0, mlps=1.0)
    width, kv = shape.heads * shape.d_head, shape.kv * shape.d_head
    one = 1.0 if fused else 0.0
    layer = [
        *([Launch("norm", 0, NUMBER * 2 * n * d)] if fused else _eager_norm(n * d)),
        product("queries", n, d, width),
        product("keys", n, d, kv),
        product("values", n, d, kv),
        # On queries and on keys: x * cos, half of x negated, joined with the other half, times sin, the sum of both.
        Launch("rotary", 0, NUMBER * (2 if fused else 1) * n * (width + kv), times=one or 10),
        attention(shape, whole, batch.positions, causal=causal, own=False),
        product("output projection", n, width, d),
        Launch("add", 0, NUMBER * 3 * n * d),
        *([Launch("norm", 0, NUMBER * 2 * n * d)] if fused else _eager_norm(n * d)),
        *([product("gate", n, d, m)] if shape.gated else []),
        product("up", n, d, m),
        Launch("activation", 0, NUMBER * (3 if fused else 2.5) * n * m, times=one or 2),
        product("down", n, m, d),
        Launch("add", 0, NUMBER * 3 * n * d),
    ]
    read = batch.masks * batch.prompts * (1 if last_only else batch.positions)
    layers = [replace(launch, times=launch.times * shape.layers) for launch in layer]
    end = [Launch("norm", 0, NUMBER * 2 * n * d)] if fused else _eager_norm(n * d)
    return [*layers, *end, product("unembedding", read, d, shape.vocab)]


def _eager_norm(numbers: float) -> Pass:
    """To float32, square, mean, + eps, root, product, back, times the weight: 36 bytes a number in eight kernels."""
    return [Launch("norm", 0, 36.0 * numbers / 8, times=8)]


def gradient_pass(shape: ModelShape, batch: Batch) -> Pass:
    """Forward and back in plain PyTorch: the slope of a gate needs what its component gives, so nothing is left out
    forward; back, one product for each (weights are frozen), but none in the MLPs of rows whose MLP is off, and two and
    a half times the operations of attention.
    """
    forward = plain_pass(shape, batch, last_only=True)
    back = []
    for launch in forward:
        scale = 2.5 if launch.name == "attention" else 1.0
        if launch.name in ("gate", "up", "activation", "down"):
            scale = batch.mlps
        back.append(replace(launch, operations=scale * launch.operations, bytes=scale * launch.bytes))
    return [*forward, *back]


def operations(launches: Sequence[Launch]) -> float:
    """Additions and multiplications of a pass."""
    return sum(launch.times * launch.operations for launch in launches)


def n_launches(launches: Sequence[Launch]) -> float:
    """Kernels of a pass."""
    return sum(launch.times for launch in launches)


def device_seconds(launches: Sequence[Launch], card: Card) -> float:
    """The time on the device, replayed as a graph."""
    return sum(launch.seconds(card) for launch in launches)


def seconds(launches: Sequence[Launch], card: Card, *, graph: bool) -> float:
    """The time of a pass: without a graph the host may be what is waited for."""
    device = device_seconds(launches, card)
    return device if graph else max(device, n_launches(launches) * card.launch)

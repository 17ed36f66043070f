"""Transformers whose circuit was planted by hand: every effect and interaction is known before anything is run.

A prompt is a label token and a question token. Each label stands for +1 or -1. Every planted head attends evenly to all
positions and writes the label's sign into a place of its own group; the MLP of the last layer turns the sum of a group,
``s n`` with the sign s and n heads of the group kept, into its contribution to the logit difference:

    backup pair    s min(n, 1)       either head suffices: a negative interaction of the two
    AND pair       s max(n - 1, 0)   only both together: a positive one
    triple         s max(n - 2, 0)   only all three
    single         s n               no interaction
    decoy          writes a hundred times as much where nothing reads it

Labels of both signs are equally frequent, so the mean of every head is zero and both baselines remove it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from circuitspex.tasks import Example, Task

LABELS = tuple(f"{sign}{i}" for sign in ("plus", "minus") for i in range(4))
WORDS = ("<s>", "<unk>", "question", "yes", "no", *LABELS, "query")
# Places in the residual stream.
SIGN, OUT, DECOY, FIRST_GROUP = 0, 1, 2, 3
N_HEADS, D_HEAD, D_MODEL, D_MLP = 5, 2, 24, 32
# What a group's sum s n is turned into: slopes from thresholds on, mirrored for negative sums.
KINKS = {
    "single": [(1.0, 0.0)],
    "backup": [(1.0, 0.0), (-1.0, 1.0)],
    "and": [(1.0, 1.0)],
    "triple": [(1.0, 2.0)],
}


@dataclass(frozen=True)
class Group:
    """Heads that are written down as 'L0H1', their kind, and how much they contribute."""

    kind: str
    heads: tuple[str, ...]
    size: float = 1.0


@dataclass(frozen=True)
class Plant:
    """What is planted, and what follows from it."""

    groups: tuple[Group, ...]
    n_layers: int = 2
    decoys: tuple[str, ...] = field(default_factory=tuple)

    def nodes(self) -> set[str]:
        """The heads that matter."""
        return {head for group in self.groups for head in group.heads}

    def ands(self) -> dict[tuple[str, ...], float]:
        """The function in ANDs of kept heads, by sorted names."""
        out: dict[tuple[str, ...], float] = {}
        for group in self.groups:
            heads = tuple(sorted(group.heads))
            if group.kind == "single":
                out |= {(head,): group.size for head in heads}
            elif group.kind == "backup":
                out |= {(head,): group.size for head in heads} | {heads: -group.size}
            else:  # AND of all of them
                out[heads] = group.size
        return out

    def interactions(self) -> dict[tuple[str, ...], int]:
        """The sets of two and more that interact, with the sign of their mean effect."""
        found: dict[tuple[str, ...], int] = {}
        for group in self.groups:
            heads = tuple(sorted(group.heads))
            if group.kind == "backup":
                found[heads] = -1
            elif group.kind in ("and", "triple"):
                for mask in product((0, 1), repeat=len(heads)):
                    members = tuple(head for head, on in zip(heads, mask, strict=True) if on)
                    if len(members) > 1:
                        found[members] = 1
        return found


USUAL = Plant(
    (
        Group("backup", ("L0H0", "L1H0"), 2.0),
        Group("and", ("L0H1", "L1H1"), 1.5),
        Group("triple", ("L0H2", "L0H3", "L1H2"), 2.0),
        Group("single", ("L1H3",), 1.0),
    ),
    decoys=("L0H4",),
)


def random_plant(seed: int) -> Plant:
    """The same kinds with other heads and other sizes."""
    rng = np.random.default_rng(seed)
    heads = [f"L{layer}H{head}" for layer in range(2) for head in range(N_HEADS)]
    drawn = [heads[i] for i in rng.permutation(len(heads))]
    sizes = rng.uniform(1.0, 2.5, 4)
    return Plant(
        (
            Group("backup", tuple(drawn[:2]), sizes[0]),
            Group("and", tuple(drawn[2:4]), sizes[1]),
            Group("triple", tuple(drawn[4:7]), sizes[2]),
            Group("single", (drawn[7],), sizes[3]),
        ),
        decoys=(drawn[8],),
    )


def build(plant: Plant) -> Any:
    """The model, with its tokenizer."""
    cfg = TransformerBridgeConfig(
        d_model=D_MODEL,
        d_head=D_HEAD,
        n_heads=N_HEADS,
        n_layers=plant.n_layers,
        n_ctx=4,
        d_vocab=len(WORDS),
        d_mlp=D_MLP,
        act_fn="relu",
        normalization_type=None,
        seed=0,
    )
    model = TransformerBridge.boot_native(cfg)
    model.tokenizer = _tokenizer()
    weights = {name.replace("_original_component.", ""): p for name, p in model.named_parameters()}
    with torch.no_grad():
        for parameter in weights.values():
            parameter.zero_()
        for word in LABELS:
            weights["tok_embed.weight"][WORDS.index(word), SIGN] = 1.0 if word.startswith("plus") else -1.0
        weights["head.weight"][WORDS.index("yes"), OUT] = 0.5
        weights["head.weight"][WORDS.index("no"), OUT] = -0.5
        for place, group in enumerate(plant.groups):
            for head in group.heads:
                _head(weights, head, FIRST_GROUP + place, 1.0)
        for head in plant.decoys:
            _head(weights, head, DECOY, 100.0)
        _mlp(weights, plant)
    return model.eval()


def heldout(model: Any) -> Task:
    """Other prompts with the same values: the model reads nothing of their last word."""
    return task(model, "query")


def task(model: Any, word: str = "question") -> Task:
    """A prompt for each label; the mean baseline is taken over all of them."""
    examples = []
    for i, label in enumerate(LABELS):
        right, wrong = (" yes", " no") if label.startswith("plus") else (" no", " yes")
        other = LABELS[(i + len(LABELS) // 2) % len(LABELS)]
        examples.append(Example(f"{label} {word}", f"{other} {word}", right, wrong))
    return Task.from_examples(model, examples, name="planted", prepend_bos=True)


def _head(weights: dict[str, torch.Tensor], name: str, place: int, size: float) -> None:
    """Attends evenly to the three positions, reads the sign, and writes it."""
    layer, head = (int(part) for part in name[1:].split("H"))
    row = head * D_HEAD
    weights[f"layers.{layer}.attn.v.weight"][row, SIGN] = 3.0
    weights[f"layers.{layer}.attn.o.weight"][place, row] = size


def _mlp(weights: dict[str, torch.Tensor], plant: Plant) -> None:
    """Odd functions of each group's sum, from ReLUs with thresholds."""
    prefix = f"layers.{plant.n_layers - 1}.mlp"
    into, bias, out = (weights[f"{prefix}.{name}"] for name in ("fc_in.weight", "fc_in.bias", "fc_out.weight"))
    unit = 0
    for place, group in enumerate(plant.groups):
        for slope, threshold in KINKS[group.kind]:
            for sign in (1.0, -1.0):
                into[unit, FIRST_GROUP + place] = sign
                bias[unit] = -threshold
                out[OUT, unit] = sign * slope * group.size
                unit += 1


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<unk>", pad_token="<s>")

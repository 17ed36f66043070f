"""Attention-only transformers whose heads were given their roles by hand, among heads of random weights.

The residual stream has a block for the token that stands at a position, one for the position, and blocks that heads
write and later heads read: the token before (``PREV``), a flag for a token that occurred before (``DUP``), the token to
turn away from (``SIG``), and what becomes the logits (``OUT``). No norm, so what is written is what is read.

``names(seed)``: of two names one comes twice, and the other one is the answer, as in indirect object identification:

    duplicate token   attends from a token to where it occurred before, and flags it
    inhibition        attends from the end to what is flagged, and says which token that is
    answer mover      attends to names, but not to the one that was said, and copies the name
    copy suppression  attends likewise, and writes whatever is there down
    negative mover    likewise, but only names that the prompts have; it copies all others
    sink              attends to the start

``repeats(seed)``: a list of words begins again:

    previous token    attends to the token just before, and says which that is
    induction         attends to what came after the same token, and copies it
    sink              attends to the start

Which head of its layer each is, how many heads and words there are, how sharp attention is and how much each writes
vary with the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from circuitspex.tasks import Example, Task

N_CTX = 40
NOISE = 0.01


@dataclass(frozen=True)
class Planted:
    """A model, its task, and the word for each head that was planted; all other heads are random."""

    model: Any
    task: Task
    roles: Mapping[str, str]


@dataclass(frozen=True)
class Blocks:
    """Where each block of the residual stream is, for a vocabulary of so many tokens."""

    n_words: int

    def __getitem__(self, name: str) -> slice:
        sizes = dict.fromkeys(("TOK", "PREV", "SIG"), self.n_words)
        sizes |= {"POS": N_CTX, "DUP": 1, "OUT": self.n_words}
        start = 0
        for block, size in sizes.items():
            if block == name:
                return slice(start, start + size)
            start += size
        raise KeyError(name)

    @property
    def width(self) -> int:
        return 4 * self.n_words + N_CTX + 1


class Builder:
    """A model of random heads, into which heads are planted; a head's own space is a token, a position, a number."""

    def __init__(self, words: list[str], n_layers: int, rng: np.random.Generator) -> None:
        self.words, self.rng = words, rng
        self.at, self.n_heads = Blocks(len(words)), int(rng.integers(3, 6))
        self.d_head = len(words) + N_CTX + 1
        self.sharp = float(rng.uniform(10.0, 16.0))
        cfg = TransformerBridgeConfig(
            d_model=self.at.width,
            d_head=self.d_head,
            n_heads=self.n_heads,
            n_layers=n_layers,
            n_ctx=N_CTX,
            d_vocab=len(words),
            attn_only=True,
            act_fn="relu",
            normalization_type=None,
            seed=0,
        )
        self.model = TransformerBridge.boot_native(cfg)
        self.model.tokenizer = _tokenizer(words)
        self.weights = {n.replace("_original_component.", ""): p for n, p in self.model.named_parameters()}
        self.free = [[int(i) for i in rng.permutation(self.n_heads)] for _ in range(n_layers)]
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        with torch.no_grad():
            for name, weight in self.weights.items():
                # Random heads attend sharply and write into the logits, but disturb later heads little.
                size = {"q": 1.5, "k": 1.5, "v": 0.3, "o": 0.05}.get(name.split(".")[-2], 0.0)
                weight.copy_(size * torch.randn(weight.shape, generator=generator))
                if name.endswith("attn.o.weight"):
                    weight[: self.at["OUT"].start] *= 0.05
            self._put("tok_embed.weight", "TOK", torch.eye(len(words)))
            self._put("pos.weight", "POS", torch.eye(N_CTX))
            self._put("head.weight", "OUT", torch.eye(len(words)))
            self.weights["pos.weight"][:] += NOISE * torch.randn(self.weights["pos.weight"].shape, generator=generator)

    def _put(self, name: str, block: str, matrix: Tensor) -> None:
        self.weights[name][:, self.at[block]] = matrix

    def plant(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, output: Tensor, constant: float = 0.0
    ) -> str:
        """A head with these matrices ``[d_head, width]`` (``output`` transposed), and a query that has a constant.

        Scores are as sharp as the model's; the constant is the query's last number, which the key's last one meets.
        """
        head = self.free[layer].pop()
        rows = slice(head * self.d_head, (head + 1) * self.d_head)
        scale = self.sharp * self.d_head**0.5
        noise = torch.Generator().manual_seed(head + 10 * layer)
        with torch.no_grad():
            for name, matrix in (("q", scale * query), ("k", key), ("v", value)):
                wiggle = NOISE * torch.randn(matrix.shape, generator=noise)
                self.weights[f"layers.{layer}.attn.{name}.weight"][rows] = matrix + (wiggle if name == "v" else 0)
                self.weights[f"layers.{layer}.attn.{name}.bias"][rows] = 0.0
            self.weights[f"layers.{layer}.attn.q.bias"][rows][-1] = scale * constant
            self.weights[f"layers.{layer}.attn.o.weight"][:, rows] = output.T
        return f"L{layer}H{head}"

    def zeros(self) -> Tensor:
        return torch.zeros(self.d_head, self.at.width)

    def tokens_of(self, block: str, size: float | Tensor = 1.0) -> Tensor:
        """Reads (or writes) a token of a block; ``size`` may be one for each token."""
        matrix, n = self.zeros(), len(self.words)
        matrix[:n, self.at[block]] = torch.eye(n) * size
        return matrix

    def positions(self, step: int = 0, size: float = 1.0) -> Tensor:
        """Reads a position, moved by so many."""
        matrix, n = self.zeros(), len(self.words)
        for at in range(N_CTX):
            if 0 <= at + step < N_CTX:
                matrix[n + at + step, self.at["POS"].start + at] = size
        return matrix

    def number_of(self, block: str, which: list[int], size: float = 1.0) -> Tensor:
        """Reads (or writes), as the last number, whether one of these places of a block is on."""
        matrix = self.zeros()
        matrix[-1, [self.at[block].start + i for i in which]] = size
        return matrix

    def sink(self, layer: int) -> str:
        """Attends to the start, and writes nothing that matters."""
        return self.plant(
            layer, self.zeros(), self.number_of("TOK", [0]), self.tokens_of("TOK"), self.tokens_of("SIG", 0.05), 1.0
        )


def names(seed: int) -> Planted:
    """The model and its task; ``seed`` varies both."""
    rng = np.random.default_rng(seed)
    n_names, n_fillers = int(rng.integers(10, 15)), int(rng.integers(14, 22))
    people = [f"name{i}" for i in range(n_names)]
    fillers = [f"word{i}" for i in range(n_fillers)]
    mixed = [people[i] if i < n_names else fillers[i - n_names] for i in rng.permutation(n_names + n_fillers)]
    build = Builder(["<s>", "<unk>", "end", *mixed], 3, rng)
    known = people[: n_names // 2]
    everyone = [build.words.index(word) for word in people]
    sizes = rng.uniform(4.0, 8.0), rng.uniform(0.15, 0.3), rng.uniform(0.15, 0.3)
    not_start = list(range(1, len(build.words)))
    roles = {}
    # Same token: the token meets itself, but not at the same position; the start where there is none.
    roles[
        build.plant(
            0,
            build.tokens_of("TOK") + build.positions(size=-2.0),
            build.tokens_of("TOK") + build.positions() + build.number_of("TOK", [0]),
            build.number_of("TOK", not_start),
            build.number_of("DUP", [0]),
            0.5,
        )
    ] = "duplicate token"
    roles[
        build.plant(1, build.zeros(), build.number_of("DUP", [0]), build.tokens_of("TOK"), build.tokens_of("SIG"), 1.0)
    ] = "inhibition"
    written = torch.ones(len(build.words))
    written[[build.words.index(word) for word in known]] = -1.0
    for word, size in (
        ("answer mover", sizes[0]),
        ("copy suppression", -sizes[0] * sizes[1]),
        ("negative mover", sizes[0] * sizes[2] * written),
    ):
        roles[
            build.plant(
                2,
                build.tokens_of("SIG", -2.0),
                build.tokens_of("TOK") + build.number_of("TOK", everyone),
                build.tokens_of("TOK"),
                build.tokens_of("OUT", size),
                1.0,
            )
        ] = word
    roles[build.sink(int(rng.integers(2)))] = "sink"
    return Planted(build.model.eval(), _names_task(build.model, known, fillers, seed), roles)


def repeats(seed: int) -> Planted:
    """The model and its task, as in ``names``."""
    rng = np.random.default_rng(seed)
    words = [f"word{i}" for i in range(int(rng.integers(24, 36)))]
    build = Builder(["<s>", "<unk>", *words], 2, rng)
    roles = {}
    roles[build.plant(0, build.positions(-1), build.positions(), build.tokens_of("TOK"), build.tokens_of("PREV"))] = (
        "previous token"
    )
    roles[
        build.plant(
            1,
            build.tokens_of("TOK"),
            build.tokens_of("PREV") + build.number_of("TOK", [0]),
            build.tokens_of("TOK"),
            build.tokens_of("OUT", float(rng.uniform(2.0, 8.0))),
            0.5,
        )
    ] = "induction"
    roles[build.sink(int(rng.integers(2)))] = "sink"
    return Planted(build.model.eval(), _repeats_task(build.model, words, seed), roles)


def _names_task(model: Any, known: list[str], fillers: list[str], seed: int, n_prompts: int = 16) -> Task:
    """Every other seed names its positions."""
    rng = np.random.default_rng(seed)
    between = rng.integers(1, 3, 3)
    examples = []
    for _ in range(n_prompts):
        right, wrong, other = (known[i] for i in rng.permutation(len(known))[:3])
        filled = [fillers[i] for i in rng.permutation(len(fillers))[: between.sum()]]
        first, second = (right, wrong) if rng.integers(2) else (wrong, right)
        text = [*filled[: between[0]], first, *filled[between[0] : between[0] + between[1]], second]
        text += [*filled[between[0] + between[1] :], wrong, "end"]
        changed = [*text[:-2], other, "end"]
        at = {"IO": 1 + text.index(right), "S1": 1 + text.index(wrong), "S2": len(text) - 1}
        examples.append(
            Example(" ".join(text), " ".join(changed), f" {right}", f" {wrong}", at if seed % 2 == 0 else {})
        )
    return Task.from_examples(model, examples, name="names", prepend_bos=True)


def _repeats_task(model: Any, words: list[str], seed: int, n_prompts: int = 16) -> Task:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(6, 9))
    again = int(rng.integers(3, length))
    examples = []
    for _ in range(n_prompts):
        drawn = [words[i] for i in rng.permutation(len(words))]
        listed, others = drawn[:length], drawn[length : 2 * length]
        repeated = listed[:again]
        wrong = listed[int(rng.integers(again - 1))]
        examples.append(
            Example(" ".join([*listed, *repeated]), " ".join([*others, *repeated]), f" {listed[again]}", f" {wrong}")
        )
    return Task.from_examples(model, examples, name="repeats", prepend_bos=True)


def _tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", unk_token="<unk>", pad_token="<s>")

"""A two-layer attention-only model that learns induction, saved along its training; and the story of its circuit.

    python tools/induction.py train                     writes the checkpoints (half a minute, one thread)
    python tools/induction.py series --out docs/images  follows its heads through the checkpoints

Sequences are a start token, random tokens, and a stretch of random tokens that comes twice. A model can predict the
second stretch only by looking up what came after the same token before: a head of the first layer that attends to the
previous token, and one of the second that uses it (Olsson et al., 'In-context Learning and Induction Heads', 2022).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from circuitspex.tasks import Example, Task

FOLDER = Path(__file__).parent.parent / "tests" / "fixtures" / "induction_model"
N_WORDS = 62
STEPS = (0, 100, 150, 200, 250, 300, 350, 400, 450, 500, 700, 1000)
BATCH, RATE, SEED = 96, 2e-3, 0
SHORTEST, LONGEST, MOST_BEFORE = 8, 14, 8


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word: a start token, an unknown one, and ``w0`` to ``w61``."""
    vocabulary = {word: i for i, word in enumerate(["<s>", "<unk>", *(f"w{i}" for i in range(N_WORDS))])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<unk>", pad_token="<s>")


def new_model() -> Any:
    """The untrained model."""
    sizes = {"d_model": 48, "d_head": 12, "n_heads": 4, "n_layers": 2, "n_ctx": 40, "d_vocab": N_WORDS + 2}
    cfg = TransformerBridgeConfig(**sizes, attn_only=True, act_fn="gelu", seed=SEED)
    bridge = TransformerBridge.boot_native(cfg)
    bridge.tokenizer = tokenizer()
    return bridge.eval()


def load_checkpoint(step: int) -> Any:
    """The model as it was after so many steps of training."""
    bridge = new_model()
    weights = load_file(FOLDER / f"step_{step:04d}.safetensors")
    with torch.no_grad():
        for name, parameter in bridge.named_parameters():
            parameter.copy_(weights[_plain(name)].float())
    return bridge


def history() -> list[dict[str, float]]:
    """What was measured at each checkpoint: step, loss and accuracy on the second stretch."""
    found: list[dict[str, float]] = json.loads((FOLDER / "index.json").read_text())["checkpoints"]
    return found


def task(model: Any, n_prompts: int = 24, seed: int = 0, length: int = 10) -> Task:
    """The word that comes next in the second stretch, rather than another word of it."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(N_WORDS)]

    def draw() -> Example:
        listed = rng.sample(words, 2 * length)
        first, other = listed[:length], listed[length:]
        again = rng.randrange(2, length - 1)
        stop = [*first, *first[:again]]
        counterfactual = [*other, *first[:again]]
        # All prompts have one length: what is missing is filled up in front.
        filler = rng.sample([w for w in words if w not in listed], length - again)
        wrong = rng.choice([w for w in first if w not in (first[again], first[again - 1])])
        return Example(
            " ".join([*filler, *stop]), " ".join([*filler, *counterfactual]), f" {first[again]}", f" {wrong}"
        )

    examples = [draw() for _ in range(n_prompts)]
    return Task.from_examples(model, examples, name="repeated words", prepend_bos=True)


def sequences(count: int, generator: torch.Generator) -> tuple[torch.Tensor, int]:
    """Tokens ``(count, positions)``, and where the second stretch begins."""
    length = int(torch.randint(SHORTEST, LONGEST + 1, (1,), generator=generator))
    before = int(torch.randint(0, MOST_BEFORE + 1, (1,), generator=generator))
    drawn = torch.rand((count, N_WORDS), generator=generator).argsort(1) + 2
    stretch, filler = drawn[:, :length], drawn[:, length : length + before]
    start = torch.zeros((count, 1), dtype=torch.long)
    return torch.cat([start, filler, stretch, stretch], dim=1), 1 + before + length


def losses(model: Any, tokens: torch.Tensor, second: int) -> tuple[torch.Tensor, float]:
    """The mean loss and accuracy of predicting the second stretch, but its first word."""
    logits = model(tokens)[:, second:-1]
    wanted = tokens[:, second + 1 :]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
    return loss, float((logits.argmax(-1) == wanted).float().mean())


def test_sequences() -> tuple[torch.Tensor, int]:
    """Sequences that training never sees."""
    return sequences(128, torch.Generator().manual_seed(10_000))


def train() -> None:
    """Train, and save the checkpoints with what was measured at each."""
    torch.manual_seed(SEED)
    model, generator = new_model().train(), torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows, started = [], time.perf_counter()
    for step in range(max(STEPS) + 1):
        if step in STEPS:
            weights = {_plain(name): p.detach().half().contiguous() for name, p in model.named_parameters()}
            save_file(weights, FOLDER / f"step_{step:04d}.safetensors")
            with torch.no_grad():
                loss, accuracy = losses(load_checkpoint(step), *test_sequences())
            rows.append({"step": step, "loss": round(float(loss), 4), "accuracy": round(accuracy, 4)})
            print(rows[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100)
        loss, _ = losses(model, *sequences(BATCH, generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    facts = {"script": "tools/induction.py train", "batch": BATCH, "rate": RATE, "seed": SEED, "checkpoints": rows}
    (FOLDER / "index.json").write_text(json.dumps(facts, indent=1) + "\n")


def series(out: Path) -> None:
    """The timeline of the heads and their interactions, as a table and a picture."""
    import circuitspex as cx

    models = {f"{row['step']:.0f}": (lambda step=int(row["step"]): load_checkpoint(step)) for row in history()}
    found = cx.compare_series(models, task(load_checkpoint(0)), components="heads", budget=128, n_contexts=32)
    print(found)
    out.mkdir(parents=True, exist_ok=True)
    print(found.plot(out / "induction_series.png"))


def _plain(name: str) -> str:
    return name.replace("_original_component.", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "series"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "train":
        train()
    else:
        series(options.out)


if __name__ == "__main__":
    main()

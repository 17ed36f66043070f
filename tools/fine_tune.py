"""A checkpoint that differs from SmolLM2-135M in one known place: one head is trained, everything else stays.

    python tools/fine_tune.py runs/fine-tuned --head L20H0
    circuitspex compare --model smollm2-135m --model runs/fine-tuned --task ioi --out runs/diff

Only the columns of the output projection that belong to that head get gradients, which push the model away from the
right answers of indirect object identification. What ``compare`` should find is therefore known: this head, and what
hangs on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import circuitspex as cx
from circuitspex.components.component import parse_component


def train(out: Path, head: str, steps: int, rate: float) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    bridge = cx.load_model("smollm2-135m", device="cpu")
    task = cx.tasks.ioi(bridge, n_prompts=16, seed=7)
    folder = model_folder()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    component, size = parse_component(head), model.config.hidden_size // model.config.num_attention_heads
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    weight = model.model.layers[component.layer].self_attn.o_proj.weight
    mine = torch.zeros_like(weight)
    mine[:, component.start * size : (component.start + 1) * size] = 1
    weight.requires_grad_(True)
    group = task.groups[0]
    rows = torch.arange(len(group.tokens))
    before = weight.detach().clone()
    for step in range(steps):
        logits = model(group.tokens).logits[:, -1]
        gap = (logits[rows, group.answers] - logits[rows, group.wrong_answers]).mean()
        (slope,) = torch.autograd.grad(gap, weight)
        with torch.no_grad():
            weight -= rate * mine * slope / (slope * mine).norm()
        print(f"step {step}: logit difference {gap.item():+.3f}", flush=True)
    changed = (weight - before).abs() > 0
    assert bool((changed <= mine.bool()).all()), "something else was trained too"
    print(
        f"{head}: its output weights moved by {float((weight.detach() - before).norm() / (before * mine).norm()):.0%}"
    )
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)
    print(out)


def model_folder() -> Path:
    """Where the model is kept after its first use."""
    from circuitspex.models.cache import cache_folder

    found = sorted((cache_folder() / "models").glob("smollm2-135m*/config.json"))
    if not found:
        raise SystemExit("smollm2-135m is not in the cache; run: circuitspex models get smollm2-135m")
    return found[-1].parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the model")
    parser.add_argument("--head", default="L20H0")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rate", type=float, default=0.4, help="length of each step, in the weights' units")
    options = parser.parse_args()
    train(options.out, options.head, options.steps, options.rate)


if __name__ == "__main__":
    main()

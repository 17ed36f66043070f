"""The model of cost counts what plain modules do: operations by PyTorch's own counter, launches by dispatch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from circuitspex.ablation.executors import dense
from circuitspex.ablation.executors.card import forward, plan
from circuitspex.ablation.executors.card.block import CardBlock
from circuitspex.games import ComponentGame
from circuitspex.masks import sample_masks

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools/bench"))

import gpu_cost  # noqa: E402
import pass_cost  # noqa: E402
from ablation_models import SHAPES, build  # noqa: E402
from model_shapes import TINY  # noqa: E402
from pass_cost import Batch, ablated_layer, ablated_pass, n_launches, operations, plain_pass  # noqa: E402


def counted(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops()


class Launches(TorchDispatchMode):
    """Counts the operators that are not views: each is at least one kernel on a card."""

    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = [each.alias_info for each in func._schema.returns]
        view = any(each is not None and not each.is_write for each in returned) or "view" in func.name()
        self.number += not view
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def llamas() -> dict[int, tuple[Any, Any, Any]]:
    """Small Llamas of three and four layers, in bfloat16: wrapped, plain with SDPA, and a task of six tokens."""
    made = {}
    for layers in (3, 4):
        SHAPES["some layers"] = ("Llama", dict(replace(TINY, layers=layers).llama()))
        made[layers] = build("some layers", "cpu", torch.bfloat16, 1, 6)
    return made


@pytest.mark.parametrize("last_only", [False, True])
def test_operations_of_a_plain_pass(llamas: Any, last_only: bool) -> None:
    wrapped = llamas[3][0].original_model  # multiplies all pairs, which is what the counter sees
    tokens = torch.randint(50, (5, 6))
    expected = counted(lambda: wrapped(tokens, logits_to_keep=int(last_only)))
    shape = replace(TINY, layers=3)
    assert operations(plain_pass(shape, Batch(5, 1, 6), last_only=last_only, causal=False)) == expected


@pytest.mark.parametrize(("prompts", "tokens"), [(1, 6), (16, 8)])
def test_operations_of_an_ablated_pass(prompts: int, tokens: int) -> None:
    """By hand, mask by mask: four heads of two key/value heads; 128 rows and more skip along K."""
    heads = {0: [0, 1], 1: [0, 2], 2: [1, 3], 3: [2, 3]}  # two of four; 1, 2, 2, 1 key/value heads
    mlps = {0: True, 1: False, 2: True, 3: False}
    d, width = TINY.d_model, TINY.d_head

    def work() -> None:
        for layer in range(TINY.layers):
            queries = 1 if layer == TINY.layers - 1 else tokens
            for mask, on in heads.items():
                x = torch.zeros(prompts, tokens, d)
                kv = {head // 2 for head in on}
                q = F.linear(x[:, -queries:], torch.zeros(len(on) * width, d)).view(prompts, queries, len(on), width)
                k = F.linear(x, torch.zeros(len(kv) * width, d)).view(prompts, tokens, len(kv), width)
                v = F.linear(x, torch.zeros(len(kv) * width, d)).view(prompts, tokens, len(kv), width)
                for place in range(len(on)):
                    weights = q[:, :, place] @ k[:, :, 0].transpose(1, 2)
                    weights @ v[:, :, 0]
                inner = (2 if queries * prompts >= 128 else 4) * width
                F.linear(torch.zeros(prompts, queries, inner), torch.zeros(d, inner))
                if mlps[mask]:
                    for inputs, outputs in ((d, TINY.d_mlp), (d, TINY.d_mlp), (TINY.d_mlp, d)):
                        F.linear(torch.zeros(prompts, queries, inputs), torch.zeros(outputs, inputs))
        for _ in heads:
            F.linear(torch.zeros(prompts, d), torch.zeros(TINY.vocab, d))

    batch = Batch(4, prompts, tokens, heads=0.5, kv=0.75, mlps=0.5)
    assert operations(ablated_pass(TINY, batch, causal=False)) == counted(work)


def test_pairs_that_are_not_seen_do_not_count() -> None:
    batch = Batch(1, 1, 6)
    every, causal = (operations(plain_pass(TINY, batch, last_only=True, causal=seen)) for seen in (False, True))
    assert every - causal == TINY.layers * 4 * TINY.heads * TINY.d_head * (36 - 21)


def test_launches_of_a_layer(llamas: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain pass and one mask through hooks, between three and four layers; a block as it runs on a card."""
    monkeypatch.setattr(forward, "runs_on", lambda weight: True)
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    plain, hooked, blocks = [], [], []
    run = CardBlock.__call__

    def counted_block(self: CardBlock, *given: Any) -> Any:
        with Launches() as count:
            found = run(self, *given)
        blocks.append(count.number)
        return found

    for model, hf_model, task in llamas.values():
        games = {name: ComponentGame(model, task, "heads+mlps", executor=name) for name in ("hooks", "fused")}
        assert games["fused"]._engine._groups[0].forward.why_no_kernels is None
        gates = sample_masks(games["fused"].n_players, 9, keep=0.5, seed=0).astype(float)
        for game in games.values():
            game._engine.evaluate(gates)
        with Launches() as count, torch.no_grad():
            hf_model(task.groups[0].tokens, use_cache=False)
        plain.append(count.number)
        with Launches() as count:
            games["hooks"]._engine.evaluate(gates[:1])
        hooked.append(count.number)
    with monkeypatch.context() as patched:
        patched.setattr(CardBlock, "__call__", counted_block)
        games["fused"]._engine.evaluate(gates)
    few, more = (n_launches(plain_pass(replace(TINY, layers=n), Batch(1, 1, 6), last_only=False)) for n in (3, 4))
    assert plain[1] - plain[0] == more - few
    assert hooked[1] - hooked[0] == gpu_cost.LENS_LAUNCHES
    # The first block parts the masks, the last has a tail. One more launch may turn what baselines give, a few rows,
    # into the stream's dtype.
    assert len(blocks) == 3
    assert all(each - n_launches(ablated_layer(TINY, Batch(9, 1, 6))) in (0, 1) for each in blocks[:2])


def test_the_limits_are_those_of_the_executor() -> None:
    assert (pass_cost.SKIP_ALONG_K, pass_cost.MOST_KEPT) == (plan.LEAST_ROWS, plan.MOST_KEPT)
    assert pass_cost.JOINED_BELOW == dense._COPY_BELOW
    rng = np.random.default_rng()
    for masks, keep in ((512, 0.5), (256, 0.3), (64, 0.5)):
        counts = rng.binomial(masks, keep, size=(200, 16))
        recorded = float(np.mean([plan.room_for(each, masks) for each in counts])) / masks
        assert abs(pass_cost.room(masks, keep, 16, recorded=True) - recorded) <= 1 / 16
        assert abs(pass_cost.room(masks, keep, 16, recorded=False) - counts.max(1).mean() / masks) <= 0.02
    assert pass_cost.room(64, 0.8, 16, recorded=True) == 1


def test_the_page_is_what_the_script_prints() -> None:
    written = (ROOT / "docs/benchmarks/gpu_cost.md").read_text(encoding="utf-8")
    assert written == gpu_cost.page("python tools/bench/gpu_cost.py --out docs/benchmarks/gpu_cost.md") + "\n"

"""Direct logit attribution, against plain Hugging Face modules with plain hooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_stream import Plain, capped, subject_of

from circuitspex.circuits.roles import frozen_stream
from circuitspex.circuits.roles.subject import Subject
from circuitspex.circuits.roles.writes import STRONGEST, writes
from circuitspex.components import parse_component
from circuitspex.statistics import over_prompts

# Norms of both kinds, after attention and MLP too, beside each other and one after the other, multiples of what is
# added, soft caps, biases, experts, gates, layers without attention.
FAMILIES = (
    *("llama", "gpt2", "gpt_neox", "gemma2", "gemma3", "olmo2", "granite", "cohere", "bloom", "phi3"),
    *("mixtral", "deepseek_v3", "qwen3_5", "gpt_oss"),
)


def normed(module, part, whole, offset=0.0):
    """What a norm with the scale of ``whole`` makes of a part of it, without its bias."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", 1e-6))
    weight = module.weight + offset
    if isinstance(module, torch.nn.LayerNorm):
        return (part - part.mean()) / (whole.var(unbiased=False) + eps).sqrt() * weight
    return part / (whole.square().mean() + eps).sqrt() * weight


def written_by_hand(plain, family, tokens, layer, head, n_heads):
    """A head's addition to the logits ``[vocab]``, by formula."""
    projection = plain.projection(layer)
    after = getattr(plain.layers[layer], "post_attention_layernorm", None)
    after = after if family in ("gemma2", "olmo2") else None
    _, seen = plain.run(tokens, [projection, plain.norm, *([] if after is None else [after])])
    z, width = seen[projection][0].clone(), seen[projection][0].shape[0] // n_heads
    own = torch.zeros_like(z)
    own[head * width : (head + 1) * width] = z[head * width : (head + 1) * width]
    weight = projection.weight if isinstance(projection, torch.nn.Linear) else projection.weight.T
    added = weight @ own
    offset = 1.0 if family == "gemma2" else 0.0
    if after is not None:
        added = normed(after, added, seen[after][0], offset)
    if family == "granite":
        added = added * plain.model.config.residual_multiplier
    logits = plain.head.weight @ normed(plain.norm, added, seen[plain.norm][0], offset)
    if family == "granite":
        logits = logits / plain.model.config.logits_scaling
    return logits


@pytest.mark.some(3)
@pytest.mark.parametrize("family", FAMILIES)
def test_parts_add_up_to_the_logit_difference(tiny, family):
    model = tiny.bridge(family)
    task = tiny.task(model, (5, 5, 3))
    found = writes(subject_of(model, task, ["L0H1", "L1M", "L2H0"]))
    with torch.no_grad():
        last = [
            model(row[None, :n].to(model.cfg.device))[0, -1].cpu()
            for row, n in zip(task.tokens, task.lengths.tolist(), strict=True)
        ]
    right, wrong = task.answers.tolist(), task.wrong_answers.tolist()
    total = torch.stack([x[a] - x[b] for x, a, b in zip(last, right, wrong, strict=True)])
    breakdown = found.breakdown
    assert breakdown.total.value == pytest.approx(float(total.mean()), abs=1e-5)
    assert breakdown.total.low == pytest.approx(over_prompts(total.double().numpy()).low, abs=1e-4)
    parts = sum(part.value.value for part in breakdown.parts)
    assert parts + breakdown.remainder.value == pytest.approx(breakdown.total.value, abs=1e-6)
    names = [part.name for part in breakdown.parts]
    assert names[:3] == ["L0H1", "L1M", "L2H0"]
    assert names[3:] == [
        *("other heads", "other MLPs"),
        *(["other parts"] if family == "qwen3_5" else []),
        *("embedding", "biases"),
    ]
    # The interval is over prompts, so that all of them are within it.
    assert (max(abs(breakdown.remainder.low), abs(breakdown.remainder.high)) < 1e-4) == (not capped(family))
    for name in names[:3]:
        one = found.of[name]
        assert one.direct == over_prompts(np.array(one.per_prompt))
        assert len(one.per_prompt) == 3


@pytest.mark.some(3)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "granite", "gpt_neox", "phi3"])
def test_parts_add_up_in_double_precision(tiny, family, exact):
    model = tiny.fresh_bridge(family, torch.float64)
    found = writes(subject_of(model, tiny.task(model, (5, 5, 3)), ["L0H1", "L1M"]))
    assert max(abs(found.breakdown.remainder.low), abs(found.breakdown.remainder.high)) < 1e-9


def test_a_soft_cap_is_the_remainder(tiny):
    model, plain = tiny.bridge("gemma2"), Plain(tiny, "gemma2")
    task = tiny.task(model, (5, 5, 5))
    found = writes(subject_of(model, task, ["L0H1"]))
    cap = plain.model.config.final_logit_softcapping
    lost = []
    for row, right, wrong in zip(task.tokens, task.answers.tolist(), task.wrong_answers.tolist(), strict=True):
        logits, seen = plain.run(row, [plain.head])
        before = seen[plain.head][1]
        assert torch.allclose(logits, cap * (before / cap).tanh(), atol=1e-5)
        lost.append(float((logits - before)[right] - (logits - before)[wrong]))
    assert max(map(abs, lost)) > 0.03
    expected = over_prompts(np.array(lost))
    assert found.breakdown.remainder.value == pytest.approx(expected.value, abs=1e-4)
    assert found.breakdown.remainder.low == pytest.approx(expected.low, abs=1e-3)


@pytest.mark.some(3)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "olmo2", "granite", "gpt_neox"])
def test_each_head_writes_what_its_weights_say(tiny, family):
    model, plain = tiny.bridge(family), Plain(tiny, family)
    task = tiny.task(model, (5, 5, 3), seed=3)
    subject = subject_of(model, task, "heads")
    found = writes(subject)
    for head in subject.components:
        logits = torch.stack(
            [
                written_by_hand(plain, family, row[:n], head.layer, head.start, tiny.n_heads)
                for row, n in zip(task.tokens, task.lengths.tolist(), strict=True)
            ]
        ).detach()
        one, rows = found.of[str(head)], torch.arange(3)
        expected = logits[rows, task.answers] - logits[rows, task.wrong_answers]
        assert one.per_prompt == pytest.approx(expected.tolist(), abs=1e-4)
        beside = logits.mean(0) - logits.mean()
        best, worst = beside.topk(STRONGEST), (-beside).topk(STRONGEST)
        assert [each.score for each in one.promotes] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [each.score for each in one.suppresses] == pytest.approx((-worst.values).tolist(), abs=1e-4)
        assert one.promotes[0].token == tiny.tokenizer.decode([int(best.indices[0])])
        assert one.suppresses[0].token == tiny.tokenizer.decode([int(worst.indices[0])])


def test_zeroing_a_head_changes_the_frozen_logits_by_what_it_writes(tiny):
    """In the last layer of GPT-NeoX nothing reads a head but the norm, so that all of its effect is direct."""
    model, plain = tiny.bridge("gpt_neox"), Plain(tiny, "gpt_neox")
    task = tiny.task(model, (5, 5, 3))
    found = writes(subject_of(model, task, [f"L2H{head}" for head in range(4)]))
    projection, width = plain.projection(2), 8
    for head in range(4):

        def without(z, head=head):
            z = z.clone()
            z[..., head * width : (head + 1) * width] = 0
            return z

        changes = []
        for row, n, right, wrong in zip(
            task.tokens, task.lengths.tolist(), task.answers.tolist(), task.wrong_answers.tolist(), strict=True
        ):
            _, seen = plain.run(row[:n], [plain.norm])
            _, other = plain.run(row[:n], [plain.norm], (projection, without))
            change = seen[plain.norm][0] - other[plain.norm][0]
            logits = (plain.head.weight @ normed(plain.norm, change, seen[plain.norm][0])).detach()
            changes.append(float(logits[right] - logits[wrong]))
        assert found.of[f"L2H{head}"].per_prompt == pytest.approx(changes, abs=1e-4)


def test_neurons_and_attention_layers_are_parts_of_what_writes(tiny):
    model, plain = tiny.bridge("gpt2"), Plain(tiny, "gpt2")
    task = tiny.task(model, (5, 5))
    names = ["L1N0:20", "L1N20:48", "L1N7", "L1M", "L1A", *(f"L1H{i}" for i in range(4))]
    found = writes(subject_of(model, task, names))
    down, out = plain.layers[1].mlp.c_proj, plain.projection(1)
    for prompt, row in enumerate(task.tokens):
        _, seen = plain.run(row, [down, out, plain.norm])
        whole = seen[plain.norm][0]

        def direct(added, prompt=prompt, whole=whole):
            logits = (plain.head.weight @ normed(plain.norm, added, whole)).detach()
            return float(logits[task.answers[prompt]] - logits[task.wrong_answers[prompt]])

        def found_of(name, prompt=prompt):
            return found.of[name].per_prompt[prompt]

        acts = seen[down][0]
        assert found_of("L1N7") == pytest.approx(direct(acts[7] * down.weight[7]), abs=1e-4)
        assert found_of("L1N0:20") == pytest.approx(direct(acts[:20] @ down.weight[:20]), abs=1e-4)
        neurons = found_of("L1N0:20") + found_of("L1N20:48")
        assert found_of("L1M") == pytest.approx(neurons + direct(down.bias), abs=1e-4)
        heads = sum(found_of(f"L1H{i}") for i in range(4))
        assert found_of("L1A") == pytest.approx(heads + direct(out.bias), abs=1e-4)
    assert found.of["L1M"].copying is None
    # What is within another part is not counted twice.
    listed = [part.name for part in found.breakdown.parts]
    assert listed == ["L1M", "L1A", "other heads", "other MLPs", "embedding", "biases"]
    assert max(abs(found.breakdown.remainder.low), abs(found.breakdown.remainder.high)) < 1e-4


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "olmo2", "granite"])
def test_neurons_before_a_norm_are_parts_of_their_mlp(tiny, family):
    """There what the MLP adds is what a norm makes of it: its scale is frozen for the neurons too."""
    model = tiny.bridge(family)
    task = tiny.task(model, (5, 4))
    found = writes(subject_of(model, task, ["L1N0:20", "L1N20:48", "L1M", "L2M", "L1H0"]))
    alone = writes(subject_of(model, task, ["L1M", "L2M", "L1H0"]))
    for name in ("L1M", "L2M", "L1H0"):
        assert found.of[name].per_prompt == pytest.approx(alone.of[name].per_prompt, abs=1e-5)
        assert max(map(abs, found.of[name].per_prompt)) > 1e-3
    neurons = [found.of[name].per_prompt for name in ("L1N0:20", "L1N20:48")]
    assert [sum(of) for of in zip(*neurons, strict=True)] == pytest.approx(found.of["L1M"].per_prompt, abs=1e-4)


def test_all_parts_named_leave_nothing_to_others(tiny):
    model = tiny.bridge("qwen3")
    found = writes(subject_of(model, tiny.task(model, (5, 4)), ["heads", "mlps"]))
    shares = {part.name: part.value.value for part in found.breakdown.parts}
    assert shares["other heads"] == pytest.approx(0, abs=1e-5)
    assert shares["other MLPs"] == pytest.approx(0, abs=1e-5)
    assert sum(abs(share) for share in shares.values()) > 1


def test_what_acts_elsewhere_writes_nothing_at_the_end(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model, (5, 5, 3))
    names = ("L1H2", "L1H2@-1", "L1H2@4", "L1H2@1")
    found = writes(Subject(model, task, tuple(map(parse_component, names)))).of
    assert found["L1H2@-1"] == found["L1H2"]
    assert found["L1H2@4"].per_prompt == (*found["L1H2"].per_prompt[:2], 0.0)
    assert found["L1H2@1"] == "it acts at position 1, and the answer is read at the last one"


def test_other_kinds_say_why_not(tiny):
    model = tiny.bridge("llama")
    names = ["L1R", "L1H1.q", "L0H1.v", "L0H0"]
    found = writes(subject_of(model, tiny.task(model), names)).of
    assert found["L1R"] == "a residual stream adds nothing of its own to the residual stream"
    assert found["L1H1.q"] == "a query adds nothing of its own to the residual stream"
    assert not isinstance(found["L0H0"], str)


def test_a_model_that_does_not_add_up_is_refused(tiny):
    """A plain hook bends the residual stream between two layers: no sum of parts is what arrives."""
    model = tiny.fresh_bridge("llama")
    task = tiny.task(model)
    subject = subject_of(model, task, ["L0H1", "L1M"])
    assert subject.structure.n_layers == 3
    layer = model.blocks[1].original_component

    def bend(module, args, output):
        return (output[0].tanh(), *output[1:]) if isinstance(output, tuple) else output.tanh()

    handle = layer.register_forward_hook(bend)
    try:
        found = writes(subject)
    finally:
        handle.remove()
    assert found.breakdown is None
    assert "does not sum to its logits" in found.of["L0H1"]
    assert found.lacks == (found.of["L1M"],)
    assert "\n" not in found.lacks[0]


def test_a_part_that_the_stream_goes_through_is_refused(tiny):
    """A matrix between two layers is no part that adds: if it were taken for one, all before it would write nothing."""
    model = tiny.fresh_bridge("llama")
    layer = model.blocks[1].original_component
    layer.between = torch.nn.Linear(32, 32, bias=False).to(model.cfg.device)
    with torch.no_grad():
        layer.between.weight.copy_(
            torch.eye(32) + 0.05 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
        )
    forward = layer.forward
    layer.forward = lambda hidden_states, *args, **options: forward(layer.between(hidden_states), *args, **options)
    subject = subject_of(model, tiny.task(model), ["L0H1", "L0M"])
    found = writes(subject)
    assert found.breakdown is None
    assert set(found.of.values()) == {"layer 1 has a part that the residual stream goes through, and not past"}


def test_in_parts_as_in_one(tiny, monkeypatch, hooks_left):
    model = tiny.bridge("gemma3")
    before = hooks_left(model)
    subject = subject_of(model, tiny.task(model, (5, 5, 3)), ["L0H1", "L2M"])
    whole = writes(subject)
    monkeypatch.setattr(frozen_stream, "_LARGEST", 1)
    monkeypatch.setattr(frozen_stream, "_TOKENS", 1)
    parts = writes(subject)
    for name in ("L0H1", "L2M"):
        assert parts.of[name].per_prompt == pytest.approx(whole.of[name].per_prompt, abs=1e-5)
        assert [each.token for each in parts.of[name].promotes] == [each.token for each in whole.of[name].promotes]
    assert parts.of["L0H1"].copying.value == pytest.approx(whole.of["L0H1"].copying.value, abs=1e-4)
    assert hooks_left(model) == before


def test_half_precision_is_asked_in_float32(tiny):
    model = tiny.bridge("llama", torch.bfloat16)
    found = writes(subject_of(model, tiny.task(model), ["L0H1", "L1M"]))
    assert abs(found.breakdown.remainder.value) < 1e-3
    assert next(iter(model.parameters())).dtype == torch.bfloat16

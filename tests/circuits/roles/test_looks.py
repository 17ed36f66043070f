"""What heads look at, against plain Hugging Face's own attention weights."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import pytest
import torch

from circuitspex.circuits.about import At
from circuitspex.circuits.roles.attention import LISTED, STRONGEST, looks
from circuitspex.circuits.roles.pattern_hooks import read_heads
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import model_structure, parse_component, select
from circuitspex.statistics import Estimate, over_prompts
from circuitspex.tasks import Example, Task

# Each attends in its own way: learned positions, rotary ones on half of the width beside the MLP, grouped queries,
# windows and soft caps, norms on queries and keys, latent attention, gated outputs.
WAYS = ("gpt2", "gpt_neox", "llama", "gemma2", "qwen3", "olmo2", "deepseek_v3")


def subject_of(tiny, family, task=None, components="heads", **options):
    model = tiny.bridge(family)
    structure = model_structure(model)
    task = tiny.task(model, (6, 6, 4), **options) if task is None else task
    return Subject(model, task, tuple(select(structure, components)))


def plain_attention(tiny, family, task):
    """``[layer][prompt]`` of ``[head, query, key]``, by Hugging Face alone."""
    model = tiny.hf_model(family)
    found = []
    for tokens, n in zip(task.tokens, task.lengths.tolist(), strict=True):
        with torch.no_grad():
            found.append(model(input_ids=tokens[None, :n], output_attentions=True, use_cache=False).attentions)
    return [[of_prompt[layer][0] for of_prompt in found] for layer in range(tiny.n_layers)]


def at(name, effect, index=None, width=0.0):
    number = Estimate(effect, effect - width, effect + width)
    return At(name, Estimate(0.0, -1.0, 1.0), number, index)


@pytest.mark.parametrize("family", WAYS)
def test_attention_of_the_last_token_is_that_of_hugging_face(tiny, family):
    subject = subject_of(tiny, family)
    expected = plain_attention(tiny, family, subject.task)
    found = looks(subject, {})
    assert list(found) == [str(head) for head in subject.components]
    for head in subject.components:
        one = found[str(head)]
        assert [share.name for share in one.where] == ["END"]
        for prompt, shares in enumerate(one.per_prompt):
            plain = expected[head.layer][prompt][head.start, -1]
            assert torch.tensor(shares).numpy() == pytest.approx(plain.numpy(), abs=2e-6)
        first = over_prompts(torch.stack([each[head.start, -1, 0] for each in expected[head.layer]]).double().numpy())
        assert one.first.value == pytest.approx(first.value, abs=2e-6)
        assert (one.first.low, one.first.high) == pytest.approx((first.low, first.high), abs=2e-5)
        assert one.nowhere is None
        assert sum(one.per_prompt[0]) == pytest.approx(1, abs=1e-5)


def test_positions_are_weighted_by_the_size_of_the_effect_there(tiny):
    subject = subject_of(tiny, "llama")
    expected = plain_attention(tiny, "llama", subject.task)[1]
    where = {"L1H2": [at("token 2", -3.0, 2), at("END", 1.0), at("token 1", 0.5, 1, width=1.0)]}
    one = looks(subject, where)["L1H2"]
    # What is not told from 0 does not count; what lowers the metric counts by its size.
    assert {share.name: share.value.value for share in one.where} == pytest.approx({"token 2": 0.75, "END": 0.25})
    for prompt, shares in enumerate(one.per_prompt):
        plain = 0.75 * expected[prompt][2, 2] + 0.25 * expected[prompt][2, -1]
        assert list(shares) == pytest.approx(plain.tolist(), abs=2e-6)


def test_the_weight_of_a_position_has_its_interval(tiny):
    subject = subject_of(tiny, "llama")
    one = looks(subject, {"L1H2": [at("token 2", -3.0, 2, width=1.0), at("END", 1.0, width=0.5)]})["L1H2"]
    assert one.where[0].value == Estimate(0.75, 0.5, 1.0)
    assert one.where[1].value == Estimate(0.25, 0.125, 0.375)


def test_slopes_serve_where_no_effect_was_run_and_all_positions_where_none_is_certain(tiny):
    subject = subject_of(tiny, "llama")
    unsure = [At(f"token {i}", Estimate(value, -9.0, 9.0), None, i) for i, value in enumerate((1.0, 3.0))]
    one = looks(subject, {"L0H0": unsure})["L0H0"]
    assert [share.value.value for share in one.where] == [0.25, 0.75]
    nothing = [At("token 1", Estimate(0.0, 0.0, 0.0), None, 1)]
    assert [share.name for share in looks(subject, {"L0H0": nothing})["L0H0"].where] == ["END"]


def test_a_prompt_too_short_for_a_position_is_looked_at_from_its_end(tiny):
    subject = subject_of(tiny, "gpt2")
    assert subject.task.lengths.tolist() == [6, 6, 4]
    expected = plain_attention(tiny, "gpt2", subject.task)[0]
    one = looks(subject, {"L0H1": [at("token 5", 1.0, 5)]})["L0H1"]
    assert list(one.per_prompt[2]) == pytest.approx(expected[2][1, 3].tolist(), abs=2e-6)
    both = looks(subject, {"L0H1": [at("token 5", 1.0, 5), at("token 1", 1.0, 1)]})["L0H1"]
    assert list(both.per_prompt[2]) == pytest.approx(expected[2][1, 1].tolist(), abs=2e-6)


def test_a_head_at_one_position_is_looked_at_there(tiny):
    subject = subject_of(tiny, "llama")
    heads = tuple(map(parse_component, ("L1H2@-2", "L1H2@5", "L1H2@9")))
    found = looks(replace(subject, components=heads), {"L1H2@-2": [at("END", 1.0)]})
    expected = plain_attention(tiny, "llama", subject.task)[1]
    assert list(found["L1H2@-2"].per_prompt[2]) == pytest.approx(expected[2][2, 2].tolist(), abs=2e-6)
    assert found["L1H2@5"].per_prompt[2] == ()  # the third prompt has no sixth token
    assert len(found["L1H2@5"].per_prompt[0]) == 6
    assert found["L1H2@9"] == "no prompt of the task has the position 9"


def test_named_positions_and_texts_are_sums_over_their_tokens(tiny):
    model = tiny.bridge("qwen3")
    examples = [
        Example("w1 w2 w1 w3 w4", "w1 w1 w1 w1 w1", " w50", " w51", {"pair": [1, 3], "late": -2}),
        Example("w5 w6 w7 w1 w4", "w1 w1 w1 w1 w1", " w50", " w51", {"pair": [0, 1], "late": 3}),
    ]
    task = Task.from_examples(model, examples)
    subject = subject_of(tiny, "qwen3", task)
    plain = [each[3] for each in plain_attention(tiny, "qwen3", task)[2]]
    one = looks(subject, {"L2H3": [at("pair", 2.0)]})["L2H3"]
    rows = [(plain[0][1] + plain[0][3]) / 2, (plain[1][0] + plain[1][1]) / 2]
    shares = {share.name: share.value for share in one.positions}
    assert set(shares) == {"pair", "late", "END"}
    pair = [float(rows[0][[1, 3]].sum()), float(rows[1][[0, 1]].sum())]
    wanted = over_prompts(torch.tensor(pair).double().numpy())
    assert (shares["pair"].value, shares["pair"].low) == pytest.approx((wanted.value, wanted.low), abs=1e-5)
    assert shares["late"].value == pytest.approx(float(rows[0][3] + rows[1][3]) / 2, abs=2e-6)
    texts = {share.name: share.value.value for share in one.tokens}
    assert texts["w1"] == pytest.approx(float(rows[0][0] + rows[0][2] + rows[1][3]) / 2, abs=2e-6)
    sizes = [share.value.value for share in one.tokens]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == pytest.approx(1, abs=1e-5)


def test_places_of_measurements_by_position_are_known(tiny):
    """Each token of a longer span where all prompts have it at the same place, and all that have no name where not."""
    model = tiny.bridge("qwen3")
    same = [Example("w1 w2 w3 w4", "w1 w1 w1 w1", " w50", " w51", {"pair": [1, 2]}) for _ in range(2)]
    subject = subject_of(tiny, "qwen3", Task.from_examples(model, same))
    plain = plain_attention(tiny, "qwen3", subject.task)[1][0][0]
    one = looks(subject, {"L1H0": [at("pair 2/2", 1.0, 2)]})["L1H0"]
    assert list(one.per_prompt[0]) == pytest.approx(plain[2].tolist(), abs=2e-6)
    moved = [*same[:1], Example("w1 w2 w3 w4", "w1 w1 w1 w1", " w50", " w51", {"pair": [0, 1]})]
    subject = subject_of(tiny, "qwen3", Task.from_examples(model, moved))
    one = looks(subject, {"L1H0": [at("elsewhere", 1.0)]})["L1H0"]
    assert list(one.per_prompt[0]) == pytest.approx(plain[0].tolist(), abs=2e-6)
    assert list(one.per_prompt[1]) == pytest.approx(plain[2].tolist(), abs=2e-6)


def test_lists_are_of_limited_length(tiny):
    model = tiny.bridge("llama")
    long = tiny.task(model, (40,) * 3)
    one = looks(subject_of(tiny, "llama", long), {})["L0H0"]
    assert len(one.tokens) == STRONGEST
    many = tiny.task(model, (40,) * (LISTED // 40 + 5))
    assert len(looks(subject_of(tiny, "llama", many), {})["L0H0"].per_prompt) == LISTED // 40


def test_one_prompt_says_nothing_of_others(tiny):
    model = tiny.bridge("llama")
    one = looks(subject_of(tiny, "llama", tiny.task(model, (5,))), {})["L1H1"]
    assert one.first.low == -math.inf
    assert one.first.high == math.inf


def test_what_is_no_head_attends_to_nothing(tiny):
    subject = subject_of(tiny, "llama", components=["L0H1", "L1M", "L1N3"])
    found = looks(subject, {})
    assert found["L1M"] == "only heads have a pattern of attention, and this is an MLP layer"
    assert found["L1N3"] == "only heads have a pattern of attention, and this is a neuron"
    assert not isinstance(found["L0H1"], str)


def test_gated_outputs_show_their_pattern(tiny):
    """Qwen 3.5: a gate of the token that attends multiplies what each head gives."""
    subject = subject_of(tiny, "qwen3_5")
    assert {head.layer for head in subject.components} == {0, 2}
    found = looks(subject, {})
    model = tiny.hf_model("qwen3_5")
    for prompt, n in enumerate(subject.task.lengths.tolist()):
        tokens = subject.task.tokens[prompt, :n][None]
        with torch.no_grad():
            plain = model(input_ids=tokens, output_attentions=True, use_cache=False).attentions
        plain = [each for each in plain if each is not None][-2:]
        for head in subject.components:
            shares = found[str(head)].per_prompt[prompt]
            assert list(shares) == pytest.approx(plain[head.layer // 2][0, head.start, -1].tolist(), abs=2e-6)


def test_attention_that_goes_nowhere_is_said(tiny):
    """gpt-oss learns a logit for attending to nothing, so that shares sum to less than 1."""
    subject = subject_of(tiny, "gpt_oss")
    expected = plain_attention(tiny, "gpt_oss", subject.task)
    found = looks(subject, {})
    for head in subject.components:
        one, plain = found[str(head)], [each[head.start, -1] for each in expected[head.layer]]
        for shares, row in zip(one.per_prompt, plain, strict=True):
            assert list(shares) == pytest.approx(row.tolist(), abs=2e-6)
        left = float(sum(1 - row.sum() for row in plain)) / 3
        assert (one.nowhere is None) == (left < 0.01)
        assert one.nowhere is None or one.nowhere.value == pytest.approx(left, abs=1e-5)
    assert sum(one.nowhere is not None for one in found.values()) > 3


@pytest.mark.some(3)
@pytest.mark.parametrize("wrong", ["shape", "sum", "other", "future", "negative", "absent"])
def test_a_pattern_that_explains_nothing_is_refused(tiny, wrong):
    """What passes the hook is spoilt for those who look, not for the model."""
    model = tiny.fresh_bridge("llama")
    structure = model_structure(model)
    task = tiny.task(model)
    point = model.hook_dict["blocks.1.attn.hook_pattern"]

    def spoilt(pattern, hook):
        ways = {
            "shape": lambda: pattern[:, :2],
            "sum": lambda: 1.01 * pattern,
            "other": lambda: pattern.roll(1, 1),
            "future": lambda: pattern.transpose(2, 3),
            "negative": lambda: -pattern,
        }
        return ways[wrong]() if wrong in ways else None

    kept = []
    run = model.run_with_hooks

    def look(function, activation, hook):
        return function(spoilt(activation, hook), hook)

    def run_with_hooks(tokens, fwd_hooks, **options):
        changed = []
        for name, function in fwd_hooks:
            if not name.endswith("1.attn.hook_pattern"):
                changed.append((name, function))
            elif wrong != "absent":
                changed.append((name, functools.partial(look, function)))
        return run(tokens, fwd_hooks=changed, **options)

    model.run_with_hooks = run_with_hooks
    try:
        refused = read_heads(model, structure, task.tokens, {0: [0, 1], 1: [0, 3]}, lambda *about: kept.append(about))
    finally:
        del model.run_with_hooks
    assert point.fwd_hooks == []
    assert list(refused) == [1]
    said = {
        "shape": "shape",
        "sum": "sum to 1.01",
        "other": "its product with the values is not what the heads give",
        "future": "after the one that attends",
        "negative": "no shares",
        "absent": "nothing passes its hook",
    }
    assert said[wrong] in refused[1]
    assert "\n" not in refused[1]
    assert [layer for _, layer, _ in kept] == [0]


def test_nothing_runs_after_the_last_layer_and_no_hook_stays(tiny, hooks_left):
    model = tiny.bridge("llama")
    before = hooks_left(model)
    seen = []
    handle = model.blocks[1].register_forward_hook(lambda *about: seen.append(1))
    late = model.blocks[2].register_forward_hook(lambda *about: seen.append(2))
    try:
        structure = model_structure(model)
        seen.clear()
        read_heads(model, structure, tiny.task(model).tokens, {1: [0]}, lambda *about: None)
    finally:
        handle.remove()
        late.remove()
    assert seen == [1]
    assert hooks_left(model) == before


def test_batches_are_put_together(tiny, monkeypatch):
    from circuitspex.circuits.roles import pattern_hooks

    subject = subject_of(tiny, "gemma2")
    whole = looks(subject, {})
    monkeypatch.setattr(pattern_hooks, "_LARGEST", 1)
    assert looks(subject, {}) == whole


def test_half_precision(tiny):
    model = tiny.bridge("llama", torch.bfloat16)
    subject = Subject(model, tiny.task(model), tuple(select(model_structure(model), "heads")))
    for one in looks(subject, {}).values():
        assert sum(one.per_prompt[0]) == pytest.approx(1, abs=0.02)
        assert one.nowhere is None

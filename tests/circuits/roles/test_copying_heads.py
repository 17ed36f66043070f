"""The copying score of a head, on a planted head and against plain matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_stream import Plain, subject_of

from circuitspex.circuits.roles.patterns import N_TEXTS, random_texts
from circuitspex.circuits.roles.writes import writes
from circuitspex.statistics import over_prompts


@pytest.fixture
def planted(tiny):
    """Llama in which one head of the last layer writes the tokens that it attends to, all alike, and nothing else does.

    The stream has a token's code in its first eight numbers, and the unembedding reads the same code in the next eight.
    """

    def make(sign):
        model = tiny.fresh_bridge("llama")
        plain = model.original_model
        codes = torch.randn(61, 8, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            for name, parameter in plain.named_parameters():
                parameter.fill_(1.0 if "norm" in name else 0.0)
            embedding, unembedding = plain.get_input_embeddings(), plain.get_output_embeddings()
            embedding.weight[:, :8] = codes
            unembedding.weight[:, 8:16] = codes
            attention = model.blocks[2].attn.original_component
            attention.v_proj.weight[8:, :8] = torch.eye(8)  # the second value serves heads 2 and 3
            attention.o_proj.weight[8:16, 24:32] = sign * torch.eye(8)
        return model

    return make


@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_copying_head_writes_the_answer_alone(tiny, planted, sign):
    from circuitspex.tasks import Example, Task

    model = planted(sign)
    assert model.original_model.config.tie_word_embeddings is False
    examples = [Example(f"w{i} w{i + 1} w40 w{i + 1}", "w1 w1 w1 w1", f" w{i + 1}", " w50") for i in (3, 9, 20, 33)]
    task = Task.from_examples(model, examples)
    found = writes(subject_of(model, task, ["heads", "mlps"]))
    shares = {part.name: part.value.value for part in found.breakdown.parts}
    total = found.breakdown.total.value
    assert total * sign > 0.5
    assert shares["L2H3"] == pytest.approx(total, rel=1e-5)
    assert all(abs(share) < 1e-6 for name, share in shares.items() if name != "L2H3")
    assert found.breakdown.remainder.value == pytest.approx(0, abs=1e-5)
    head = found.of["L2H3"]
    assert head.copying.low * sign > 1 if sign > 0 else head.copying.high < -1
    assert found.of["L2H2"].copying.value == pytest.approx(0, abs=1e-6)


def test_the_copying_score_is_that_of_plain_matrices(tiny):
    """GPT-2, whose output matrix and unembedding are read from the Hugging Face model; on prompts and random texts."""
    model, plain = tiny.bridge("gpt2"), Plain(tiny, "gpt2")
    task = tiny.task(model, (6, 6, 4))
    written = writes(subject_of(model, task, ["L1H2"]))
    texts = random_texts(model, N_TEXTS, seed=0)
    prompts = [row[:n] for row, n in zip(task.tokens, task.lengths.tolist(), strict=True)]
    for found, rows in ((written.of["L1H2"].copying, prompts), (written.copying_on_random["L1H2"], texts.tokens)):
        expected = over_prompts(np.array([plain_copying(plain, row) for row in rows]))
        assert found.value == pytest.approx(expected.value, abs=1e-4)
        assert found.low == pytest.approx(expected.low, abs=1e-3)


def plain_copying(plain, row):
    """The score of head 2 of layer 1 on one text."""
    layer, width = plain.layers[1].attn, 8
    with torch.no_grad():
        attention = plain.model(input_ids=row[None], output_attentions=True, use_cache=False).attentions[1]
    entered = []
    handle = layer.c_attn.register_forward_hook(lambda module, args, output: entered.append(output[0]))
    plain.run(row, [])
    handle.remove()
    values = entered[0][:, 64 + 2 * width : 64 + 3 * width].detach()
    shares = attention[0, 2, -1, 1:]
    total = torch.tensor(0.0)
    for value, share, token in zip(values[1:], shares, row[1:].tolist(), strict=True):
        added = value @ layer.c_proj.weight[2 * width : 3 * width]
        logits = (plain.head.weight @ ((added - added.mean()) * plain.norm.weight)).detach()
        total = total + share * (logits[token] - logits.mean()) / logits.std(unbiased=False)
    return float(total / shares.sum())

"""``circuit.applied``: the model with only the circuit, without it, or with it scaled, on any prompt."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_use import circuit_of, names_of, plain, vectors_of

import circuitspex as cx
from circuitspex.circuits import Node
from circuitspex.errors import ComponentError, UserError

FAMILIES = ["llama", "gpt2", "gpt_neox", "qwen3", "gemma2"]
MEMBERS = ["L0H1", "L1H0", "L1H3", "L2H2", "L1M"]
TEXTS = ["w1 w2 w3 w4", "w9 w8 w7 w6 w5 w4", "w11"]


def tokens_of(tiny, texts):
    return [tiny.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def logits_of(model, tokens):
    with torch.no_grad():
        return model(tokens.to(next(model.parameters()).device)).cpu()


@pytest.mark.some(3)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("baseline", ["zero", "mean_vector"])
@pytest.mark.parametrize(("keep", "scale"), [(True, None), (False, None), (None, 1.7), (True, -0.5)])
def test_passes_are_those_of_plain_hooks(tiny, family, baseline, keep, scale):
    model, hf = tiny.bridge(family), tiny.hf_model(family)
    circuit = circuit_of(MEMBERS, baseline=baseline)
    others = [name for name in names_of("heads+mlps") if name not in MEMBERS]
    gates = dict.fromkeys(MEMBERS, 0.0 if keep is False else 1.0 if scale is None else scale)
    gates |= dict.fromkeys(others, 0.0 if keep else 1.0)
    vectors = None
    if baseline == "mean_vector":
        vectors = vectors_of(family, hf, list(gates), tokens_of(tiny, TEXTS))
    tokens = torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(3))
    before = logits_of(model, tokens)
    with circuit.applied(model, keep=keep, scale=scale, prompts=TEXTS) as same:
        assert same is model
        found = logits_of(model, tokens)
    with plain(family, hf, gates, vectors), torch.no_grad():
        wanted = hf(input_ids=tokens, use_cache=False).logits
    assert (wanted - before).abs().max() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert torch.equal(logits_of(model, tokens), before)


@pytest.mark.parametrize(
    ("family", "components", "members"),
    [
        ("llama", "neurons:8+attns", ["L0N8:16", "L1N40:48", "L1A"]),
        ("gpt2", "neurons", ["L0N3", "L2N47"]),
        ("gemma2", "attns+mlps", ["L1A", "L2M"]),
    ],
)
def test_other_kinds(tiny, family, components, members):
    model, hf = tiny.bridge(family), tiny.hf_model(family)
    gates = {name: float(name in members) for name in names_of(components)}
    vectors = vectors_of(family, hf, list(gates), tokens_of(tiny, TEXTS))
    tokens = torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(3))
    with circuit_of(members, components, "mean_vector").applied(model, prompts=TEXTS):
        found = logits_of(model, tokens)
    with plain(family, hf, gates, vectors), torch.no_grad():
        torch.testing.assert_close(found, hf(input_ids=tokens, use_cache=False).logits, atol=1e-4, rtol=0)


@pytest.mark.some(4)
@pytest.mark.parametrize("family", [*FAMILIES, "mixtral", "deepseek_v3"])
@pytest.mark.parametrize("keep", [True, False])
def test_text_is_the_same_with_a_cache_and_without(tiny, family, keep):
    """Greedy continuations, also of Hugging Face's own ``generate``, beside one pass for each token; and all logits."""
    model = tiny.bridge(family)
    circuit = circuit_of(["L0H1", "L1H0", "L2H2"], "heads", "mean_vector")
    tokens = torch.randint(3, 60, (1, 5), generator=torch.Generator().manual_seed(4))
    options = {"max_new_tokens": 6, "do_sample": False}

    def generated(**more):
        return model.generate(tokens, verbose=False, stop_at_eos=False, **options, **more)[0].tolist()

    whole = logits_of(model, tokens)
    with circuit.applied(model, keep=keep, prompts=TEXTS):
        found = [generated(use_past_kv_cache=cache) for cache in (True, False)]
        hf = model.original_model.generate(tokens, eos_token_id=None, pad_token_id=2, **options)
        one_by_one = tokens
        for _ in range(6):
            one_by_one = torch.cat([one_by_one, logits_of(model, one_by_one)[:, -1:].argmax(-1)], dim=1)
        at_once, steps, cache = logits_of(model, one_by_one), [], None
        for i in range(one_by_one.shape[1]):
            with torch.no_grad():
                out = model.original_model(input_ids=one_by_one[:, i : i + 1], past_key_values=cache, use_cache=True)
            cache, steps = out.past_key_values, [*steps, out.logits]
    assert found[0] == found[1] == one_by_one[0].tolist() == hf[0].tolist()
    torch.testing.assert_close(torch.cat(steps, dim=1), at_once, atol=1e-4, rtol=0)
    assert (at_once[:, :5] - whole).abs().max() > 0.05


def test_experts_and_their_neurons(tiny):
    """What is run of experts does not depend on how many tokens a pass has."""
    model = tiny.bridge("mixtral")
    task = tiny.task(model)
    for members, components in ((["L0E1", "L2E3"], "experts"), (["L0E1N0:12", "L1E0N12:24"], "experts.neurons:12")):
        circuit = circuit_of(members, components, "zero")
        with circuit.applied(model, keep=False):
            found = logits_of(model, task.tokens)[:, -1]
        game = cx.ComponentGame(model, task, members, "zero", executor="hooks")
        wanted = game.evaluate(np.zeros((1, 2), dtype=bool), progress=False).per_prompt[0]
        rows = range(len(task.tokens))
        values = found[rows, task.answers] - found[rows, task.wrong_answers]
        np.testing.assert_allclose(values.numpy(), wanted, atol=1e-4)


def test_latents(tiny):
    model = tiny.bridge("llama")
    generator = torch.Generator().manual_seed(0)
    weights = {"encoder": torch.randn(32, 6, generator=generator), "decoder": torch.randn(6, 32, generator=generator)}
    latents = cx.Latents("blocks.1.hook_resid_pre", **weights)
    task = tiny.task(model)
    circuit = circuit_of(["L1S2", "L1S5"], "latents", "mean_vector")
    with circuit.applied(model, latents=latents, prompts=task):
        found = logits_of(model, task.tokens)[:, -1]
    game = cx.ComponentGame(model, task, "latents", "mean_vector", latents=latents)
    mask = np.array([[name in ("L1S2", "L1S5") for name in game.names]])
    rows = range(len(task.tokens))
    values = found[rows, task.answers] - found[rows, task.wrong_answers]
    np.testing.assert_allclose(values.numpy(), game.evaluate(mask, progress=False).per_prompt[0], atol=1e-4)


def test_a_found_circuit_knows_its_prompts_and_gives_what_it_was_verified_with(tiny):
    """A circuit found under the position-free mean, applied as it is, on its held-out prompts."""
    model = tiny.bridge("llama")
    task = tiny.task(model, lengths=(5, 5, 5, 5, 4, 4, 4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cx.find_circuit(
            model, task, "heads", "mean_vector", 24, n_heldout=8, n_contexts=4, n_random=2, max_nodes=4, progress=False
        )
    chosen = tuple(Node(f"L{i}H{i + 1}", i, "head", 1.0) for i in range(3))
    circuit = replace(found.circuit, nodes=chosen)
    game = cx.ComponentGame(model, task, "heads", "mean_vector")
    mask = np.array([[name in {node.name for node in circuit.nodes} for name in game.names]])
    wanted = game.evaluate(np.concatenate([mask, ~mask]), progress=False).per_prompt
    for row, keep in zip(wanted, (True, False), strict=True):
        with circuit.applied(model, keep=keep):
            for value, tokens, n, right, wrong in zip(
                row, task.tokens, task.lengths.tolist(), task.answers, task.wrong_answers, strict=True
            ):
                logits = logits_of(model, tokens[None, :n])[0, -1]
                assert abs(float(logits[right] - logits[wrong]) - value) < 1e-4


def test_layers_as_one_component(tiny):
    """Of a search from coarse to fine: a layer that was not opened."""
    model = tiny.bridge("llama")
    whole = "+".join([*(f"L2H{i}" for i in range(4)), "L2M"])
    coarse = Node("L2", 2, "group", 1.0)
    circuit = circuit_of(
        ["L0H1"], "L0.heads+L0M+L1+L2", lens="groups", groups={"L2": whole, "L1": whole.replace("L2", "L1")}
    )
    circuit = replace(circuit, nodes=(*circuit.nodes, coarse), model={"n_layers": 3})
    single = circuit_of(["L0H1", *whole.split("+")], "heads+mlps")
    tokens = torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(3))
    for keep in (True, False):
        with circuit.applied(model, keep=keep):
            one = logits_of(model, tokens)
        with single.applied(model, keep=keep):
            assert torch.equal(one, logits_of(model, tokens))


def test_games_within_the_block_see_what_is_applied(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    circuit = circuit_of(["L0H1", "L1H2"], "heads")
    inner = cx.ComponentGame(model, task, "L2M", "zero")
    masks = np.array([[True], [False]])
    outside = inner.evaluate(masks, progress=False).values
    with circuit.applied(model, keep=False):
        inside = inner.evaluate(masks, progress=False).values
    both = cx.ComponentGame(model, task, "L0H1+L1H2+L2M", "zero")
    wanted = both.evaluate(np.array([[False, False, True], [False, False, False]]), progress=False).values
    np.testing.assert_allclose(inside, wanted, atol=1e-4)
    np.testing.assert_allclose(inner.evaluate(masks, progress=False).values, outside, atol=1e-5)


def test_nothing_is_left_also_after_an_exception(tiny, hooks_left):
    model = tiny.bridge("mixtral")
    before = hooks_left(model)
    circuit = circuit_of(["L0H1", "L1E0"], "heads+experts")

    def fails():
        with circuit.applied(model):
            model.run_with_hooks(
                torch.tensor([[5, 6]]).to(next(model.parameters()).device),
                fwd_hooks=[("blocks.0.attn.hook_z", lambda z, hook: z)],
            )
            assert hooks_left(model) != before
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fails()
    assert hooks_left(model) == before
    with pytest.raises(ComponentError), circuit_of(["L9H1"]).applied(model):
        pass
    with circuit.applied(model):  # neither is it busy
        pass
    assert hooks_left(model) == before


def test_hooks_of_ones_own_are_run_beside_and_stay(tiny):
    model = tiny.fresh_bridge("llama")
    tokens = torch.tensor([[5, 6, 7]])
    seen = []
    model.hook_dict["blocks.0.attn.hook_z"].add_hook(lambda z, hook: seen.append(z.clone()))
    with circuit_of(["L0H1"], "heads").applied(model):
        seen.clear()
        logits_of(model, tokens)
        with model.hooks([("blocks.0.attn.hook_z", lambda z, hook: seen.append(z.clone()))]):
            logits_of(model, tokens)
        kept = logits_of(model, tokens)
    assert len(seen) == 4
    assert float(seen[2][:, :, 0].abs().max()) == 0 < float(seen[2][:, :, 1].abs().max())
    assert not torch.equal(kept, logits_of(model, tokens))
    assert len(seen) == 5


def test_a_hugging_face_model_gives_a_bridge_and_is_left_alone(tiny):
    hf = tiny.hf_model("gpt2")
    tokens = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = hf(tokens).logits
        with circuit_of(["L0H1"], "heads").applied(hf) as bridge:
            assert torch.equal(hf(tokens).logits, before)
            assert not torch.allclose(bridge(tokens), before, atol=1e-2)


REFUSED = [
    ({}, {"baseline": "mean"}, "holds for no other prompts; give baseline='zero' or baseline='mean_vector'$"),
    (
        {"baseline": "resample"},
        {},
        "^the circuit was found with baseline 'resample', which is by position or by prompt",
    ),
    ({}, {"baseline": "median"}, "^unknown baseline 'median'"),
    ({}, {"keep": 1}, "^keep is True"),
    ({}, {"scale": float("nan")}, "^scale is a finite number"),
    ({}, {"scale": True}, "^scale is a finite number"),
    ({}, {"keep": False, "scale": 2.0}, "^keep=False ablates the circuit's components, so there is nothing to scale"),
    ({"lens": "tokens"}, {}, "^this is no circuit of components of a model"),
    ({"lens": "edges"}, {}, "is no selector of edges"),
    ({"components": "heads@-1"}, {}, "acts at one token position"),
    ({"baseline": "mean_vector"}, {}, "^the circuit does not say which prompts means are over"),
    ({"baseline": "mean_vector"}, {"prompts": "w1 w2"}, "^prompts are a task, a list of texts, or rows of tokens"),
    ({"baseline": "mean_vector"}, {"prompts": [[]]}, "^prompts are a task, a list of texts, or rows of tokens"),
    ({}, {"among": "L0H1.q+L9M"}, "has 3 layers"),
]


@pytest.mark.parametrize(("run", "options", "line"), REFUSED)
def test_what_can_not_be_is_one_line(tiny, run, options, line):
    circuit = circuit_of(["L0H1"], **{"components": "heads", **run})
    with pytest.raises(UserError, match=line) as error, circuit.applied(tiny.bridge("llama"), **options):
        pass
    assert "\n" not in str(error.value)


def test_one_circuit_at_a_time(tiny):
    model = tiny.bridge("llama")
    circuit = circuit_of(["L0H1"], "heads")
    tokens = torch.tensor([[5, 6, 7]])
    with circuit.applied(model):
        first = logits_of(model, tokens)
        with pytest.raises(UserError, match=r"^a circuit is applied to this model already"), circuit.applied(model):
            pass
        assert torch.equal(logits_of(model, tokens), first)


def test_other_weights_are_told(tiny):
    circuit = circuit_of(["L0H1"], "heads")
    circuit = replace(circuit, model={"identity": "0" * 64})
    warned = pytest.warns(UserWarning, match="not the weights that the circuit was found in")
    with warned as lines, circuit.applied(tiny.bridge("llama")):
        pass
    assert [line.filename for line in lines] == [__file__]

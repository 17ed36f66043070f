"""Roles on models whose heads are known: planted, trained and compiled; and none on models that learnt nothing."""

from __future__ import annotations

import copy
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from circuitspex.circuits import Circuit, Faithfulness, Interaction, Node
from circuitspex.tasks import Example, Task

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import compiled
import induction
import planted_roles

ABOUT_ANSWERS = {"answer mover", "negative mover", "copy suppression", "inhibition"}


def circuit_of_all_heads(model, among=()):
    """All heads, and the pairs of different layers among some of them, as if each had been found."""
    names = [f"L{i}H{j}" for i in range(model.cfg.n_layers) for j in range(model.cfg.n_heads)]
    layer = {name: int(name[1:].split("H")[0]) for name in names}
    pairs = [(a, b) for a, b in combinations(sorted(among), 2) if layer[a] < layer[b]]
    return Circuit(
        tuple(Node(name, layer[name], "head", 1.0) for name in names),
        tuple(Interaction(pair, 1.0) for pair in pairs),
        Faithfulness(None, None, None, 0),
    )


def described(model, task, among=()):
    return circuit_of_all_heads(model, among).describe(model, task, progress=False)


def words(found):
    """The heads that were given a word, by name."""
    return {about.name: about.role.word for about in found.components if about.role.is_clear}


@pytest.mark.some(4)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [planted_roles.names, planted_roles.repeats])
def test_planted_heads_are_given_their_words_and_random_ones_none(make, seed):
    planted = make(seed)
    found = described(planted.model, planted.task, planted.roles)
    assert words(found) == planted.roles
    assert all(about.role.margin > 0 and about.role.evidence for about in found.components if about.role.is_clear)


@pytest.mark.parametrize("make", [planted_roles.names, planted_roles.repeats])
def test_no_word_about_answers_is_given_on_prompts_of_random_tokens(make):
    planted = make(5)
    rng = np.random.default_rng(5)
    ordinary = [word for word in planted.model.tokenizer.get_vocab() if not word.startswith("<")]
    drawn = [[ordinary[i] for i in rng.permutation(len(ordinary))[:20]] for _ in range(16)]
    examples = [Example(" ".join(e[:9]), " ".join(e[9:18]), f" {e[18]}", f" {e[19]}") for e in drawn]
    task = Task.from_examples(planted.model, examples, prepend_bos=True)
    assert not ABOUT_ANSWERS & set(words(described(planted.model, task, planted.roles)).values())


def test_the_trained_induction_model():
    """Its last checkpoint has one head that attends clearly to the previous token, and two that use what it says."""
    model = induction.load_checkpoint(1000)
    found = described(model, induction.task(model, n_prompts=16))
    assert words(found) == {"L0H1": "previous token", "L1H0": "induction", "L1H1": "induction"}


def test_the_untrained_induction_model_has_no_roles():
    model = induction.load_checkpoint(0)
    assert not words(described(model, induction.task(model, n_prompts=16)))


@pytest.mark.parametrize("name", ["induction", "second_last", "often_after_b"])
def test_compiled_programs_show_where_they_look_but_have_no_room_for_random_texts(name):
    model = compiled.build(name)
    found = described(model, compiled.task(name, model, n_prompts=16))
    assert not words(found)
    kinds = {each.name: each.value.value for each in found["L0H0"].looks.kinds}
    if name in ("induction", "second_last"):
        assert kinds["previous token"] > 0.99
    assert any("known patterns" in line for line in found["L0H0"].lacks)


def shuffled(model, seed):
    """The numbers of each weight in another order."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view(weight.shape))
    return model


def wider(model, n_heads, seed):
    """A model of more heads, each of whose weights has its numbers drawn from the same weight of this one."""
    cfg = copy.copy(model.cfg)
    cfg.n_heads = n_heads
    made = TransformerBridge.boot_native(cfg)
    made.tokenizer = model.tokenizer
    numbers, generator = dict(model.named_parameters()), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            drawn = numbers[name].flatten()
            weight.copy_(drawn[torch.randint(len(drawn), (weight.numel(),), generator=generator)].view(weight.shape))
    return made.eval()


@pytest.mark.long
def test_no_role_on_shuffled_weights():
    """Over 200 heads: those of planted models and of the trained one, which is made wider, every weight shuffled."""
    cases = [(shuffled(each.model, 0), each.task) for each in (planted_roles.names(0), planted_roles.repeats(0))]
    for seed in range(6):
        trained = induction.load_checkpoint(1000)
        cases.append((wider(trained, 16, seed), induction.task(trained, n_prompts=16, seed=seed)))
    false, n_heads = {}, 0
    for number, (model, task) in enumerate(cases):
        found = described(model, task)
        n_heads += len(found)
        false |= {(number, name): word for name, word in words(found).items()}
    assert n_heads >= 200
    assert not false

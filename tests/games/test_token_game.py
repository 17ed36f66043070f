"""The token lens: batches against Hugging Face and plain hooks, gradients against differences, on every family."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import TokenGame
from circuitspex.games.tokens.forward import BatchedPasses

EXECUTORS = ("batched", "hooks")
WAYS = ("token", "mean", "delete", "attention")
PROMPT = "w1 w2 w3 w4 w2 w5 w6 w7"
TWELVE = " ".join(f"w{i}" for i in range(12))


def some_masks(n: int, count: int = 8, seed: int = 0) -> Any:
    masks = np.random.default_rng(seed).random((count, n)) < 0.5
    masks[0], masks[1] = True, False
    return masks


def reference(hf: Any, game: TokenGame, mask: Any) -> torch.Tensor:
    """Logits at the positions that are read, from the Hugging Face model alone, for one mask."""
    gone = [p for player, kept in zip(game.players, mask, strict=True) if not kept for p in player.positions]
    ids = torch.tensor([[*game.prompt.ids, *game.answer.ids[:-1]]])
    n_read = len(game.answer.ids)
    embed = hf.get_input_embeddings()
    if game.ablate == "token":
        ids[:, gone] = game.replaced_by
        logits = hf(ids).logits
    elif game.ablate == "mean":
        embedded = embed(ids)
        embedded[:, gone] = embed(torch.arange(hf.config.vocab_size)).mean(dim=0)
        logits = hf(inputs_embeds=embedded).logits
    elif game.ablate == "delete":
        kept = [p for p in range(ids.shape[1]) if p not in gone]
        rows = ids[:, kept]
        if len(kept) < n_read:
            rows = torch.cat([torch.tensor([[game.model.tokenizer.bos_token_id]]), rows], dim=1)
        logits = hf(rows).logits
    else:
        seen = torch.ones_like(ids)
        seen[:, gone] = 0
        logits = hf(ids, attention_mask=seen, position_ids=torch.arange(ids.shape[1])[None]).logits
    return logits[:, -n_read:]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", [None, "w2 w5 w6"])
@torch.no_grad()
@pytest.mark.some(6)
def test_batches_give_what_hugging_face_gives_one_mask_at_a_time(
    family: str, way: str, part: str | None, tiny: SimpleNamespace
) -> None:
    # Under 'attention' the first word stays: Hugging Face gives a position that sees nothing other weights than we do,
    # and those of the last position are read.
    game = TokenGame(
        tiny.bridge(family),
        PROMPT + " w8",
        " w9",
        " w10",
        part=part or PROMPT,
        ablate=way,
        first="ablate",
        token="w30",
        batch_rows=3,
    )
    assert game.executor.startswith("batched")
    # A window of attention keeps the last few keys only, whose patterns don't fit the prompt: no prefix is shared then.
    windowed = way == "attention" and family in ("gemma2", "gemma3")
    assert (game._passes.start == 0) == (part is None or windowed)
    masks = some_masks(game.n_players)
    if way == "attention":
        masks[:, 0] |= part is None
    logits = torch.cat([reference(tiny.hf_model(family), game, mask) for mask in masks])[:, 0]
    wanted = logits[:, game.answer.ids[0]] - logits[:, game.answer.wrong_id]
    assert game(masks) == pytest.approx(wanted.double().numpy(), abs=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.some(6)
def test_batches_give_what_plain_hooks_give(way: str, family: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge(family)
    masks = some_masks(8, seed=1)
    fast, slow = (
        TokenGame(model, PROMPT, " w9 w10 w11", ablate=way, executor=executor, batch_rows=4)
        for executor in ("batched", "hooks")
    )
    assert slow.executor.startswith("hooks")
    assert fast(masks) == pytest.approx(slow(masks), abs=2e-4)


@pytest.mark.parametrize("way", ["token", "mean", "attention"])
@pytest.mark.parametrize("answer", [(" w9", " w10"), (" w9 w10 w11", None)])
@pytest.mark.some(6)
def test_gradients_are_those_of_central_differences(
    way: str, answer: tuple[str, str | None], family: str, tiny: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")  # after the model has been made
    game = TokenGame(model, "w1 w2 w3 w4 w5", *answer, part="w3 w4 w5", ablate=way)
    gates = np.random.default_rng(2).uniform(0.1, 0.9, (2, game.n_players))
    run = game.evaluate(gates, gradients=True)
    assert run.gradients is not None
    step = 1e-5
    for player in range(game.n_players):
        up, down = gates.copy(), gates.copy()
        up[:, player] += step
        down[:, player] -= step
        slope = (game.evaluate(up).values - game.evaluate(down).values) / (2 * step)
        assert run.gradients[:, player] == pytest.approx(slope, abs=1e-6, rel=1e-5)
    assert np.abs(run.gradients).max() > 1e-4


@pytest.mark.parametrize("way", ["token", "mean", "attention"])
def test_gates_in_between_are_those_of_plain_hooks(way: str, tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama", torch.float64)
    gates = np.random.default_rng(3).random((4, 8))
    fast, slow = (TokenGame(model, PROMPT, " w9", ablate=way, executor=one) for one in ("batched", "hooks"))
    one, other = fast.evaluate(gates, gradients=True), slow.evaluate(gates, gradients=True)
    assert one.values == pytest.approx(other.values, abs=1e-5)
    assert one.gradients == pytest.approx(other.gradients, abs=1e-5)


@pytest.mark.some(3)
@pytest.mark.parametrize("way", ["token", "mean"])
def test_gradients_of_long_prompts_are_the_same(way: str, family: str, tiny: SimpleNamespace, hooks_left: Any) -> None:
    """Where activations don't fit, blocks are computed again in the backward pass."""
    model = tiny.bridge(family, torch.float64)
    gates = np.random.default_rng(7).random((3, 3))
    game = TokenGame(model, PROMPT, " w9", ablate=way, part="w5 w6 w7")
    plain = game.evaluate(gates, gradients=True)
    before = hooks_left(model)
    game._checkpoints = True
    again = game.evaluate(gates, gradients=True)
    assert hooks_left(model) == before
    assert again.values == pytest.approx(plain.values, abs=1e-5)
    assert again.gradients == pytest.approx(plain.gradients, abs=1e-4)


def test_deletion_has_no_gates_and_no_gradients(tiny: SimpleNamespace) -> None:
    game = TokenGame(tiny.bridge("llama"), PROMPT, " w9", ablate="delete")
    with pytest.raises(NoGradientError, match="'delete' has no gradients"):
        game.evaluate(np.ones((1, 8), dtype=bool), gradients=True)
    with pytest.raises(UserError, match="no gates between"):
        game.evaluate(np.full((1, 8), 0.5))


@pytest.mark.some(2)
@pytest.mark.parametrize("way", WAYS)
def test_a_mask_gives_the_same_alone_and_among_others(way: str, tiny: SimpleNamespace) -> None:
    game = TokenGame(tiny.bridge("gpt2", torch.float64), TWELVE, " w9", ablate=way)
    masks = some_masks(12, 40, seed=4)
    alone = np.concatenate([game(mask[None]) for mask in masks])
    assert game(masks) == pytest.approx(alone, abs=1e-5)


@pytest.mark.some(3)
def test_nothing_ablated_is_the_model_itself(model: Any, tiny: SimpleNamespace) -> None:
    ids = torch.tensor([tiny.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        logits = model(ids.to(next(model.parameters()).device))[0, -1].log_softmax(-1)
    answer = tiny.tokenizer("w9", add_special_tokens=False)["input_ids"][0]
    for way in WAYS:
        game = TokenGame(model, PROMPT, " w9", ablate=way, first="ablate")
        assert game(np.ones((1, 8), dtype=bool)) == pytest.approx([float(logits[answer])], abs=1e-4)


def test_a_whole_answer_is_the_sum_of_its_tokens(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama", torch.float64)
    whole = TokenGame(model, PROMPT, " w9 w10", ablate="mean")
    first = TokenGame(model, PROMPT, " w9", ablate="mean")
    second = TokenGame(model, PROMPT + " w9", " w10", part=PROMPT, ablate="mean")
    masks = some_masks(8, seed=5)
    assert whole(masks) == pytest.approx(first(masks) + second(masks), abs=1e-5)
    share = TokenGame(model, PROMPT, " w9 w10", metric="answer_prob", ablate="mean")
    assert share(masks) == pytest.approx(np.exp(whole(masks)), abs=1e-5)


def test_attention_to_words_that_are_cut_does_not_matter(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama", torch.float64)
    one = TokenGame(model, "w1 w2 w3 w4", " w9", ablate="attention")
    other = TokenGame(model, "w1 w40 w3 w4", " w9", ablate="attention")
    masks = np.array([[True, False, True, True], [True, True, True, True]])
    assert one(masks)[0] == pytest.approx(other(masks)[0], abs=1e-5)
    assert one(masks)[1] != pytest.approx(other(masks)[1], abs=1e-3)


def test_finished_masks_come_from_the_store(tiny: SimpleNamespace, tmp_path: Any) -> None:
    model, masks = tiny.bridge("llama"), some_masks(8, 30, seed=6)
    n_distinct = len(np.unique(masks, axis=0))
    for way in WAYS:
        store = tmp_path / "runs.sqlite"
        first = TokenGame(model, PROMPT, " w9", ablate=way, store=store)
        values = first(masks)
        again = TokenGame(model, PROMPT, " w9", ablate=way, store=store)
        assert np.array_equal(again(masks), values)
        assert (first.n_run, again.n_run, again.n_stored) == (n_distinct, 0, n_distinct)
        for other in ({"answer": " w10"}, {"unit": "tokens"}, {"metric": "answer_prob"}):
            changed = {"answer": " w9", "unit": [(0, 2), (3, 23)], **other}
            game = TokenGame(model, PROMPT, ablate=way, store=store, **changed)
            game(np.ones((1, game.n_players), dtype=bool))
            assert game.n_run == (0 if other == {"unit": "tokens"} else 1)


def test_no_hook_is_left(tiny: SimpleNamespace, hooks_left: Any) -> None:
    model = tiny.fresh_bridge("llama")
    before = hooks_left(model)
    game = TokenGame(model, PROMPT, " w9", ablate="attention")
    game.evaluate(some_masks(8), gradients=True)
    assert hooks_left(model) == before
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_a_metric_of_ones_own_and_one_that_knows_the_clean_model(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    own = TokenGame(model, PROMPT, " w9", metric=lambda logits: logits[:, 12])
    assert own(some_masks(8)).shape == (8,)
    kl = TokenGame(model, PROMPT, " w9", metric="kl")
    values = kl(some_masks(8))
    assert values[0] == pytest.approx(0, abs=1e-5)
    assert values[1] > 1e-3


@pytest.mark.some(3)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_batches_are_tried_in_float32(way: str, dtype: torch.dtype, tiny: SimpleNamespace, monkeypatch: Any) -> None:
    """What is right is taken though half precision rounds; what is off by less than that rounds is not."""
    model = tiny.bridge("llama", dtype)
    game = TokenGame(model, PROMPT, " w9", ablate=way, part="w5 w6 w7")  # type: ignore[arg-type]
    assert game.executor.startswith("batched, the first")
    assert game.evaluate(some_masks(game.n_players)).values.shape == (8,)
    right = BatchedPasses.logits
    monkeypatch.setattr(BatchedPasses, "logits", lambda self, gates: right(self, gates) * (1 + 1e-3))
    assert "not batched: a batched pass gave other logits" in TokenGame(model, PROMPT, " w9", ablate=way).executor  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answer", "wrong"), [(" w9 w10 w11", " w12 w13"), (" w9 w10", " w9 w11"), (" w9", " w12 w13"), (" w9 w10", " w12")]
)
@pytest.mark.some(4)
def test_two_answers_of_several_tokens_are_compared_whole(
    way: str, answer: str, wrong: str, tiny: SimpleNamespace
) -> None:
    model, masks = tiny.bridge("llama"), some_masks(8, seed=2)
    masks[:, 0] |= way == "attention"
    games = [TokenGame(model, PROMPT, answer, wrong, ablate=way, executor=each, batch_rows=3) for each in EXECUTORS]
    assert games[0].answer.metric.name == "logprob_diff"
    assert (games[0]._of_wrong is not None) == (answer == " w9 w10 w11")
    right, other = (TokenGame(model, PROMPT, text, ablate=way)(masks) for text in (answer, wrong))
    n, m = len(answer.split()), len(wrong.split())
    mean = TokenGame(model, PROMPT, answer, wrong, ablate=way, metric="logprob_diff_mean")
    assert mean(masks) == pytest.approx(right / n - other / m, abs=2e-4)
    for game in games:
        assert game(masks) == pytest.approx(right - other, abs=2e-4)
    if way != "delete":
        one, two = (game.evaluate(masks[:3], gradients=True).gradients for game in games)
        # Under 'attention' what is left to attend to may be next to nothing, and slopes are huge.
        assert one == pytest.approx(two, rel=1e-4, abs=1e-3)


def test_the_identity_knows_all_of_the_wrong_answer(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    games = [TokenGame(model, PROMPT, " w9", wrong) for wrong in (" w12 w13", " w12 w14")]
    assert games[0].answer.identity != games[1].answer.identity
    assert TokenGame(model, PROMPT, " w9", " w12").answer.identity == [[12], 15, "logit_diff"]

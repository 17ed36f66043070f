"""The game: what it takes, what it gives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuitspex.components import head, mlp
from circuitspex.errors import TaskError, UserError
from circuitspex.games import ComponentGame, Run
from circuitspex.masks import sample_masks
from circuitspex.models import model_identity


@pytest.fixture
def game(tiny):
    model = tiny.bridge("qwen2")
    return ComponentGame(model, tiny.task(model), "heads", "mean")


def test_values_are_means_over_prompts(game):
    masks = sample_masks(game.n_players, 6)
    run = game.evaluate(masks, gradients=True)
    assert isinstance(run, Run)
    assert len(run) == 6
    assert run.per_prompt.shape == (6, 3)
    assert run.gradients.shape == (6, game.n_players)
    for array in (run.per_prompt, run.values, run.gradients):
        assert array.dtype == np.float64
    np.testing.assert_allclose(run.values, run.per_prompt.mean(1))
    np.testing.assert_allclose(game(masks), run.values, atol=1e-5)
    np.testing.assert_array_equal(run.masks, masks)
    assert run.seconds > 0


def test_masks_may_be_numbers(game):
    masks = sample_masks(game.n_players, 3)
    expected = game(masks)
    for other in (masks.astype(int), masks.astype(float), masks.tolist(), masks.astype(np.uint8)):
        np.testing.assert_array_equal(game(other), expected)
    gates = np.where(masks, 1.0, 0.25)
    np.testing.assert_array_equal(game.evaluate(gates).masks, masks)
    assert not np.allclose(game(gates), expected)


def test_one_mask_and_repeated_masks(game):
    masks = sample_masks(game.n_players, 5, seed=3)
    values = game(masks)
    assert game(masks[:1]).shape == (1,)
    repeated = game.evaluate(masks[[0, 1, 0, 0]])
    np.testing.assert_array_equal(repeated.per_prompt[0], repeated.per_prompt[2])
    np.testing.assert_allclose(repeated.values, values[[0, 1, 0, 0]], atol=1e-5)


def test_no_masks_give_no_values(game):
    run = game.evaluate(np.zeros((0, game.n_players), dtype=bool), gradients=True)
    assert run.values.shape == (0,)
    assert run.per_prompt.shape == (0, 3)
    assert run.gradients.shape == (0, game.n_players)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones(12, dtype=bool), "two axes"),
        (np.ones((2, 11), dtype=bool), "11 columns, but there are 12 components"),
        (np.full((1, 12), 2), "masks must be True"),
        (np.full((1, 12), 1.5), "gates must lie between 0"),
        (np.full((1, 12), -0.1), "gates must lie between 0"),
        (np.full((1, 12), np.nan), "without NaN"),
        (np.full((1, 12), "yes"), "masks must be True"),
        (np.ones((2, 11)), "gates must have shape"),
    ],
)
def test_wrong_masks_are_refused(game, masks, message):
    with pytest.raises(UserError, match=message) as caught:
        game.evaluate(masks)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("executor", ["auto", "batched", "hooks"])
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.some(6)
def test_a_metric_that_is_no_number_names_itself_and_the_prompt(tiny, bad, executor, gradients):
    model = tiny.bridge("gpt2")

    def strange(logits, rows):
        values = logits[:, 3].clone()
        values[rows.answers == marked] = bad
        return values

    task = tiny.task(model, lengths=(5, 4, 5, 4), metric=strange)
    for prompt in range(4):
        marked = int(task.answers[prompt])
        for batch_rows in (None, 1):
            game = ComponentGame(model, task, "heads", executor=executor, batch_rows=batch_rows)
            with pytest.raises(TaskError) as caught:
                game.evaluate(sample_masks(game.n_players, 4), gradients=gradients)
            message = f"metric 'strange' gave {bad} on prompt {prompt}; it must be a finite number on every prompt"
            assert str(caught.value) == message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda logits: logits, "must return one number a prompt"),
        (lambda logits: logits.mean(), "must return one number a prompt"),
        (lambda logits: 3.0, "must return a tensor"),
    ],
)
def test_a_metric_of_another_shape_is_refused(tiny, wrong, message):
    model = tiny.bridge("gpt2")
    game = ComponentGame(model, tiny.task(model, metric=wrong), "heads")
    with pytest.raises(TaskError, match=message) as caught:
        game.evaluate(sample_masks(game.n_players, 2))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.some(4)
def test_prompts_keep_their_places_when_lengths_are_mixed(tiny, model):
    """Column p of ``per_prompt`` is prompt p of the task, however prompts are grouped."""
    task = tiny.task(model, lengths=(6, 4, 5, 4, 6))
    game = ComponentGame(model, task, "layers[1:].heads")
    masks = sample_masks(game.n_players, 4)
    together = game.evaluate(masks).per_prompt
    for p in range(5):
        reference = [i for i in range(5) if task.lengths[i] == task.lengths[p]]
        assert reference
        alone = game.on(task.subset([p])).evaluate(masks).per_prompt[:, 0]
        np.testing.assert_allclose(together[:, p], alone, atol=1e-4)


def test_permuting_components_permutes_masks_and_gradients(tiny, family, model):
    task = tiny.task(model)
    components = [head(0, 1), mlp(1), head(2, 0), head(2, 3), mlp(0)]
    order = [3, 0, 4, 2, 1]
    first = ComponentGame(model, task, components, "resample")
    other = ComponentGame(model, task, [components[i] for i in order], "resample")
    masks = sample_masks(5, 8)
    a, b = first.evaluate(masks, gradients=True), other.evaluate(masks[:, order], gradients=True)
    np.testing.assert_allclose(a.per_prompt, b.per_prompt, atol=1e-5)
    np.testing.assert_allclose(a.gradients[:, order], b.gradients, atol=1e-4)
    assert other.names == tuple(first.names[i] for i in order)


def test_a_group_of_neurons_is_its_neurons_together(tiny):
    model = tiny.bridge("gpt2")
    task = tiny.task(model)
    groups = ComponentGame(model, task, "L1.neurons:16", "mean")
    single = ComponentGame(model, task, "L1.neurons", "mean")
    masks = sample_masks(groups.n_players, 6)
    a = groups.evaluate(masks, gradients=True)
    b = single.evaluate(masks.repeat(16, axis=1), gradients=True)
    np.testing.assert_allclose(a.per_prompt, b.per_prompt, atol=1e-4)
    np.testing.assert_allclose(a.gradients, b.gradients.reshape(6, -1, 16).sum(2), atol=1e-4)


def test_a_component_at_every_position_is_itself_everywhere(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    everywhere = ComponentGame(model, task, "L1H2+L2M", "resample")
    single = ComponentGame(model, task, [f"{c}@{p}" for c in ("L1H2", "L2M") for p in range(5)], "resample")
    masks = sample_masks(2, 4)
    np.testing.assert_allclose(everywhere(masks), single(masks.repeat(5, axis=1)), atol=1e-4)


def test_positions_from_either_end_agree(tiny, model):
    task = tiny.task(model)
    start, end = ComponentGame(model, task, "heads@3"), ComponentGame(model, task, "heads@-2")
    masks = sample_masks(start.n_players, 4)
    np.testing.assert_allclose(start(masks), end(masks), atol=1e-5)


def test_what_the_game_says_of_itself(tiny, game):
    assert game.n_players == 12
    assert game.names[:5] == ("L0H0", "L0H1", "L0H2", "L0H3", "L1H0")
    assert game.model_name == "tiny-qwen2"
    assert game.model_identity == model_identity(game.model)
    assert game.baseline == "mean"
    other = game.on(tiny.task(game.model, seed=5))
    assert (other.names, other.baseline, other.executor) == (game.names, game.baseline, game.executor)


def test_the_bar_counts_every_ablation(tiny, capsys):
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model, lengths=(5, 4, 4)), "heads", batch_rows=2)
    masks = sample_masks(game.n_players, 7)
    done = []
    game._engine.evaluate(masks.astype(float), done=done.append)
    assert sum(done) == pytest.approx(7)
    game.evaluate(masks, progress=False)
    assert capsys.readouterr().err == ""


def test_half_precision_runs(tiny):
    model = tiny.bridge("llama", torch.bfloat16)
    exact = tiny.bridge("llama")
    masks = sample_masks(12, 6)
    rough = ComponentGame(model, tiny.task(model), "heads").evaluate(masks, gradients=True)
    fine = ComponentGame(exact, tiny.task(exact), "heads").evaluate(masks)
    assert np.isfinite(rough.gradients).all()
    np.testing.assert_allclose(rough.values, fine.values, atol=0.3)

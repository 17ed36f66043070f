"""Many trainings at once are the same as one at a time with ordinary optimizers, and left-out examples have no part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from circuitspex.errors import UserError
from circuitspex.games import SGD, Adam, Training, TrainingGame
from circuitspex.games.training import batch_size as memory
from circuitspex.games.training.one_by_one import train_one
from circuitspex.games.training.players import players_of
from circuitspex.games.training.stacked import slopes_and_scores, train_stacked

N, T, CLASSES = 24, 7, 3


def network():
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, CLASSES)).double()


def data(seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(N, 5)), random.integers(CLASSES, size=N)), (
        random.normal(size=(T, 5)),
        random.integers(CLASSES, size=T),
    )


def make(model=network, train=None, test=None, **options):
    options = {"optimizer": SGD(0.3, 0.9), "steps": 15, **options}
    return Training(model, train or data()[0], test or data()[1], **options)


def weights(seed=0):
    """Masks of all densities, an empty and a full one, and gates between."""
    random = torch.Generator().manual_seed(seed)
    found = (torch.rand(6, N, generator=random) < torch.linspace(0.1, 0.9, 6)[:, None]).double()
    return torch.cat([found, torch.zeros(1, N), torch.ones(1, N), torch.rand(1, N, generator=random)]).double()


@pytest.mark.some(3)
@pytest.mark.parametrize("batch_size", [None, 4, 7])
@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.3), SGD(0.1, 0.9, 0.05), Adam(0.02), Adam(0.05, (0.8, 0.95), 1e-6, 0.1)],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_stacked_is_one_by_one(optimizer, batch_size):
    training = make(optimizer=optimizer, batch_size=batch_size)
    found = train_stacked(training, weights(), seed=3)
    wanted = torch.stack([train_one(training, row, seed=3) for row in weights()])
    assert torch.allclose(found, wanted, rtol=0, atol=1e-11)
    assert found.std() > 0.01


def test_a_users_loss_is_the_same_training():
    (x, y), (x_test, y_test) = data()

    def init(seed):
        random = torch.Generator().manual_seed(seed)
        return {"w": torch.randn(5, CLASSES, generator=random, dtype=torch.float64) / 3}

    def loss(params, x, y, weights):
        each = nn.functional.cross_entropy(x @ params["w"], y, reduction="none")
        return (weights * each).sum() / weights.sum().clamp(min=1e-12)

    def score(params, x, y):
        return -nn.functional.cross_entropy(x @ params["w"], y, reduction="none")

    training = Training.functional(init, loss, score, (x, y), (x_test, y_test), optimizer=Adam(0.1), steps=9)
    found = train_stacked(training, weights()[:4], seed=1)
    wanted = torch.stack([train_one(training, row, seed=1) for row in weights()[:4]])
    assert torch.allclose(found, wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("batch_size", [None, 5])
def test_left_out_examples_have_no_part_at_all(batch_size):
    """Whatever stands in the rows that are left out, the result is the same to the last bit."""
    x, y = data()[0]
    out = np.arange(N) % 3 == 0
    other_x, other_y = x.copy(), y.copy()
    other_x[out], other_y[out] = 1e3 * np.random.default_rng(5).normal(size=(out.sum(), 5)), 0
    rows = torch.as_tensor(~out).double().expand(3, N)
    one = train_stacked(make(train=(x, y), batch_size=batch_size), rows, 0)
    two = train_stacked(make(train=(other_x, other_y), batch_size=batch_size), rows, 0)
    assert torch.equal(one, two)


def test_nothing_kept_is_the_untrained_model():
    training = make(optimizer=Adam(0.1, weight_decay=0.5), batch_size=4)
    params, frozen = training.start(2)
    untrained = training.score(params | frozen, training.x_test, training.y_test)
    assert torch.allclose(train_stacked(training, torch.zeros(2, N).double(), 2)[1], untrained, rtol=0, atol=1e-14)


def test_gradients_agree_with_differences():
    training = make(optimizer=Adam(0.03), batch_size=6, steps=8)
    rows = weights()[[2, 4, 8]]
    scores, slopes = slopes_and_scores(training, rows, seed=0)
    assert torch.allclose(scores, train_stacked(training, rows, 0), atol=1e-12)
    step, at = 1e-5, [0, 3, 11, 20]
    for i in at:
        shift = torch.zeros(N, dtype=torch.float64)
        shift[i] = step
        inside = (rows[:, i] > step) & (rows[:, i] < 1)  # one-sided at 0: a weight is never negative
        up = train_stacked(training, rows + shift, 0).mean(1)
        down = train_stacked(training, torch.where(inside[:, None], rows - shift, rows), 0).mean(1)
        numeric = (up - down) / (step * (1 + inside.double()))
        here = rows[:, i] > 0  # adding a first weight of a batch is a jump, not a slope
        assert torch.allclose(slopes[:, i][here], numeric[here], atol=2e-4)


def test_gradients_are_finite_where_units_are_dead():
    def model():
        found = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, CLASSES)).double()
        nn.init.constant_(found[0].bias, -50.0)
        return found

    training = make(model, optimizer=Adam(0.01), steps=4)
    scores, slopes = slopes_and_scores(training, weights(), seed=0)
    assert torch.allclose(scores, train_stacked(training, weights(), 0))
    assert slopes.isfinite().all()
    assert slopes.abs().max() > 0


def test_frozen_parameters_and_buffers_are_left_alone():
    def model():
        found = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, CLASSES)).double().eval()
        found[0].requires_grad_(False)
        return found

    training = make(model)
    found = train_stacked(training, weights(), seed=0)
    wanted = torch.stack([train_one(training, row, seed=0) for row in weights()])
    assert torch.allclose(found, wanted, rtol=0, atol=1e-11)


def test_sequences_with_ignored_targets():
    random = np.random.default_rng(0)
    x, y = random.integers(6, size=(N, 4)), random.integers(6, size=(N, 4))
    y[:, 0] = -100

    def model():
        return nn.Sequential(nn.Embedding(6, 8), nn.Linear(8, 6)).double()

    for metric in ("log_likelihood", "accuracy", "exact_match"):
        training = make(model, (x, y), (x[:T], y[:T]), metric=metric, optimizer=Adam(0.05))
        found = train_stacked(training, weights(), 0)
        wanted = torch.stack([train_one(training, row, 0) for row in weights()])
        assert found.shape == (len(weights()), T)
        assert torch.allclose(found, wanted, atol=1e-11)


def test_memory_is_estimated_before_anything_is_trained(monkeypatch):
    training = make()
    game = TrainingGame(training)
    monkeypatch.setattr(memory, "free_memory", lambda device: 4000)
    with pytest.raises(UserError, match=r"needs about .* for each run and .* KiB"):
        game(np.ones((3, N), dtype=bool))
    assert game.n_run == 0


def test_the_estimate_grows_with_what_it_is_of():
    training = make(batch_size=4)
    one = memory.estimate(training, 10, N)
    assert memory.estimate(training, 1000, N).arrays == 100 * one.arrays
    assert memory.estimate(make(batch_size=12), 10, N).per_run > one.per_run
    assert memory.estimate(training, 10, N, gradients=True).per_run > 5 * one.per_run
    parameters = sum(value.numel() * 8 for value in network().parameters())
    assert one.per_run > 4 * parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": (np.zeros((N, 5)), np.zeros(N - 1, dtype=int))}, "same first axis"),
        ({"train": (np.zeros((N, 5)), np.zeros((N, 1), dtype=int))}, "must be class numbers of shape"),
        ({"train": (np.zeros((N, 5)), np.full(N, 3))}, "classes from 0 to 2; there is 3"),
        ({"train": (np.full((N, 5), np.nan), np.zeros(N, dtype=int))}, "must be finite"),
        ({"train": (np.zeros((N, 4)), np.zeros(N, dtype=int))}, "can't be computed on this data"),
        ({"test": (np.zeros((0, 5)), np.zeros(0, dtype=int))}, "not empty"),
        ({"loss": "l1"}, "unknown loss 'l1'; known: cross_entropy"),
        ({"metric": lambda outputs, y: outputs.mean()}, r"must give 7 numbers.*shape \(\)"),
        ({"loss": lambda outputs, y: outputs.mean()}, "one number an example"),
        ({"loss": lambda outputs, y: outputs[:, 0] * (1 if outputs.sum() > 0 else 2)}, "several runs.*this data"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"optimizer": "adam"}, "Adam"),
        ({"model": lambda: 3}, "must be a torch.nn.Module"),
        ({"model": lambda: nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)).double()}, "BatchNorm"),
    ],
)
def test_wrong_trainings_are_refused(change, message):
    with pytest.raises(UserError, match=message) as caught:
        make(**change)
    assert "\n" not in str(caught.value).split("on this data")[0]


def test_wrong_optimizers_are_refused():
    for wrong in (lambda: SGD(-1), lambda: Adam(float("nan")), lambda: Adam(betas=(0.9, 1.0))):
        with pytest.raises(UserError):
            wrong()


def test_groups_as_they_may_be_given():
    assert players_of(None, 3).kind == "example"
    numbered = players_of([0, 1, -1, 0], 4)
    assert numbered.names == ("g0", "g1")
    assert [members.tolist() for members in numbered.members] == [[0, 3], [1]]
    assert numbered.weights(np.array([[0.0, 1.0]])).tolist() == [[0, 1, 1, 0]]
    assert players_of({"a": [1], "b": [0, 2]}, 4).names == ("a", "b")
    assert players_of([[1], [0, 2]], 4).names == ("g0", "g1")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": [0, 1], "b": [1, 2]}, "example 1 is in both a and b"),
        ({"a": []}, "group a is empty"),
        ({}, "at least one group"),
        ({"a": [0, 9]}, "group a has example 9, but there are 4"),
        ({"a": [0, 0]}, "twice"),
        ({"a": [0.5]}, "indices"),
        ([0, 1, 2], "must be 4 integers"),
        ("abcd", "not str"),
    ],
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(UserError, match=message):
        players_of(groups, 4)

"""One training at a time, on the kept examples alone, with an ordinary optimizer: slow, and the definition."""

from __future__ import annotations

import torch
from torch import Tensor

from circuitspex.games.training.recipe import Training


def train_one(training: Training, weights: Tensor, seed: int) -> Tensor:
    """The score on each test example ``(T,)`` after training under example weights ``(N,)``, 0 = left out."""
    start, frozen = training.start(seed)
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = training.optimizer.ordinary(params.values())
    batches = training.batches(seed)
    everything = torch.arange(training.n_examples, device=training.device)
    for step in range(training.steps):
        rows = everything if batches is None else torch.as_tensor(batches[step], device=training.device)
        rows = rows[weights[rows] > 0]
        if len(rows) == 0:
            continue
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = training.loss(params | frozen, training.x[rows], training.y[rows], weights[rows])
        grads = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
        for value, grad in zip(params.values(), grads, strict=True):
            value.grad = grad
        optimizer.step()
    with torch.no_grad():
        return training.score(params | frozen, training.x_test, training.y_test)

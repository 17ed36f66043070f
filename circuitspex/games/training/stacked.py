"""Many trainings at once: the parameters of ``K`` runs are stacked, and each step is one step of all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from circuitspex.errors import NoGradientError
from circuitspex.games.training.optimizers import Params, where_active
from circuitspex.games.training.recipe import Training


def train_stacked(
    training: Training,
    weights: Tensor,
    seed: int,
    *,
    unrolled: bool = False,
    stepped: Callable[[], object] | None = None,
) -> Tensor:
    """The score on each test example after training under each row of example weights.

    Args:
        training: what is trained.
        weights: ``(K, N)``, 0 = left out, 1 = kept.
        seed: of the initial parameters and the order of the batches.
        unrolled: keep the whole training for a backward pass to the weights.
        stepped: called after each step.

    Returns:
        ``(K, T)``.
    """
    start, frozen = training.start(seed)
    n_runs = len(weights)
    params = {name: value.expand(n_runs, *value.shape).clone() for name, value in start.items()}
    state = training.optimizer.start(params)
    batches = training.batches(seed)
    in_dims = dict.fromkeys(params, 0) | dict.fromkeys(frozen, None)
    losses = vmap(training.loss, in_dims=(in_dims, None, None, 0))
    x, y, w = training.x, training.y, weights
    for step in range(training.steps):
        if batches is not None:
            rows = torch.as_tensor(batches[step], device=training.device)
            x, y, w = training.x[rows], training.y[rows], weights[:, rows]
        active = (w > 0).any(1)
        grads = _gradients(losses, params, frozen, (x, y, w), unrolled)
        after = training.optimizer.step(params, grads, state)
        params, state = after if bool(active.all()) else where_active(active, after, (params, state))
        if stepped is not None:
            stepped()
    with torch.set_grad_enabled(unrolled):
        return vmap(training.score, in_dims=(in_dims, None, None))(params | frozen, training.x_test, training.y_test)


def _gradients(
    losses: Callable[..., Tensor], params: Params, frozen: Params, batch: tuple[Tensor, Tensor, Tensor], unrolled: bool
) -> Params:
    """The gradient of each run's loss to its own parameters: runs share nothing, so that of the sum has them all."""
    if not unrolled:
        params = {name: value.detach().requires_grad_() for name, value in params.items()}
    elif not next(iter(params.values())).requires_grad:
        for value in params.values():
            value.requires_grad_()
    with torch.enable_grad():
        total = losses(params | frozen, *batch).sum()
        found = torch.autograd.grad(total, list(params.values()), create_graph=unrolled, materialize_grads=True)
    return dict(zip(params, found, strict=True))


def slopes_and_scores(training: Training, weights: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """As ``train_stacked``, and d (mean score) / d weight ``(K, N)``, through every step of the training.

    Raises:
        NoGradientError: the metric is not differentiable.
    """
    weights = weights.detach().requires_grad_()
    scores = train_stacked(training, weights, seed, unrolled=True)
    if not scores.requires_grad:
        raise NoGradientError("the metric has no gradient; log_likelihood has one, for example")
    (slopes,) = torch.autograd.grad(scores.mean(1).sum(), weights, materialize_grads=True)
    return scores.detach(), slopes

"""A module as a function of its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from circuitspex.errors import UserError
from circuitspex.games.training.optimizers import Params

# Modules without options that their text leaves out.
_PLAIN: tuple[type[nn.Module], ...] = (nn.Sequential, nn.Linear, nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU)
_PLAIN += (nn.Flatten, nn.Unflatten, nn.Identity, nn.Embedding, nn.LayerNorm)
_PLAIN += (nn.Conv1d, nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


class ModuleFunction:
    """A module as a function of its parameters."""

    def __init__(self, model: Callable[[], nn.Module] | nn.Module) -> None:
        if not isinstance(model, nn.Module) and not callable(model):
            raise UserError(f"model must be a torch.nn.Module or a function that makes one, not {type(model).__name__}")
        self._model = model
        self.skeleton = copy.deepcopy(model) if isinstance(model, nn.Module) else self._made(0)
        parameters = {name for name, value in self.skeleton.named_parameters() if value.requires_grad}
        self.frozen = frozenset(self._values(self.skeleton)) - parameters

    @property
    def is_plain(self) -> bool:
        """Whether all of the module is PyTorch's own, so that its text says what it computes."""
        return all(type(part) in _PLAIN for part in self.skeleton.modules())

    def __call__(self, params: Params, x: Tensor) -> Tensor:
        """The outputs on a batch."""
        found: Tensor = functional_call(self.skeleton, params, (x,))
        return found

    def init(self, seed: int) -> Params:
        """Parameters and buffers that a seed begins with."""
        return self._values(self.skeleton if isinstance(self._model, nn.Module) else self._made(seed))

    def _made(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._model()
        if not isinstance(module, nn.Module):
            raise UserError(
                f"model must be a torch.nn.Module or a function that makes one, not {type(module).__name__}"
            )
        return module

    @staticmethod
    def _values(module: nn.Module) -> Params:
        return {name: value.detach() for name, value in (*module.named_parameters(), *module.named_buffers())}

"""A plain Hugging Face model in the making: its class, its configuration and its tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from circuitspex.models.quiet import quiet_transformers

Shapes = dict[str, tuple[int, ...]]


@dataclass
class Draft:
    """What is changed here is copied before; the model that it was made of stays as it is."""

    of: type[Any]
    config: Any
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of_bridge(cls, bridge: Any) -> Draft:
        """Of what a bridge wraps: the tensors of the plain model, by their own names, shared."""
        original = bridge.original_model
        draft = cls(type(original), copy.deepcopy(original.config))
        names = {name.replace("._original_component", ""): name for name in original.state_dict()}
        held = original.state_dict()
        wanted = draft.shapes()
        if wanted is None or any(
            name not in names or tuple(held[names[name]].shape) != wanted[name] for name in wanted
        ):
            wanted = {}
        draft.tensors = {name: held[names[name]].detach() for name in wanted}
        return draft

    @property
    def fields(self) -> Any:
        """The configuration that sizes stand in."""
        return self.config.get_text_config()

    def copy(self) -> Draft:
        """One that can be changed without this one."""
        return Draft(self.of, copy.deepcopy(self.config), dict(self.tensors))

    def empty(self) -> Any:
        """The model of this configuration without data."""
        with torch.device("meta"), quiet_transformers():
            return self.of(self._config())

    def shapes(self) -> Shapes | None:
        """What tensors the configuration asks for; None where it can't be."""
        try:
            return {name: tuple(tensor.shape) for name, tensor in self.empty().state_dict().items()}
        except Exception:  # whatever a configuration refuses
            return None

    def fits(self) -> bool:
        """Whether the tensors are those that the configuration asks for."""
        return self.shapes() == {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def model(self) -> Any:
        """The model itself, which shares the tensors."""
        dtype = next(tensor.dtype for tensor in self.tensors.values() if tensor.is_floating_point())
        device = next(iter(self.tensors.values())).device
        with quiet_transformers():
            made = self.of(self._config()).to(dtype=dtype, device=device)
            made.load_state_dict({name: tensor.contiguous() for name, tensor in self.tensors.items()}, assign=True)
            made.tie_weights()
        return made.eval().requires_grad_(False)

    def enlarge(self, extra: Mapping[str, Any]) -> bool:
        """With these fields, and zeros for biases that they ask for; False where they ask for anything else."""
        for name, value in extra.items():
            setattr(self.fields, name, value)
        wanted = self.shapes()
        if wanted is None or not set(self.tensors) <= set(wanted):
            return False
        some = next(iter(self.tensors.values()))
        for name, shape in wanted.items():
            if name not in self.tensors:
                if not name.endswith(".bias"):
                    return False
                self.tensors[name] = some.new_zeros(shape)
        return self.fits()

    def _config(self) -> Any:
        """The configuration as it will be read from its file, and checked there."""
        read = type(self.config).from_dict(self.config.to_dict())
        read._attn_implementation = "eager"
        return read

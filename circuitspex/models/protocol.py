"""What the package uses of a model: the part of TransformerLens's ``TransformerBridge`` that it relies on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

FwdHook = tuple[str, Callable[[Any, Any], Any]]
"""A hook point's name, and a function of the activation and the hook point; what it returns, if not None, goes on."""


class HasTokenizer(Protocol):
    """What text is turned into tokens with."""

    @property
    def tokenizer(self) -> Any:
        """A Hugging Face tokenizer, or None."""


@runtime_checkable
class Model(HasTokenizer, Protocol):
    """A language model whose activations pass named hook points.

    Whatever has these works: a ``TransformerBridge`` from ``load_model``, or one that you made yourself.
    """

    @property
    def cfg(self) -> Any:
        """Its sizes and settings: ``n_layers``, ``n_heads``, ``d_model``, ``d_vocab``, ``default_prepend_bos``, …"""

    @property
    def hook_dict(self) -> Mapping[str, Any]:
        """The hook points by name, such as ``blocks.5.attn.hook_z``; one point can have several names."""

    @property
    def blocks(self) -> Sequence[Any]:
        """The blocks, in order."""

    @property
    def ln_final(self) -> Any:
        """The norm after the last block."""

    @property
    def unembed(self) -> Any:
        """What makes logits of the residual stream."""

    @property
    def original_model(self) -> Any:
        """The Hugging Face model underneath."""

    def __call__(self, tokens: torch.Tensor, **options: Any) -> Any:
        """The logits ``[rows, pos, vocab]`` of tokens ``[rows, pos]``."""

    def run_with_hooks(self, tokens: torch.Tensor, *, fwd_hooks: list[FwdHook] = ..., **options: Any) -> Any:
        """The logits, with functions at hook points that see and may replace activations during this pass only."""

    def hooks(self, fwd_hooks: list[FwdHook]) -> AbstractContextManager[Any]:
        """Within the block, functions at hook points."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Its weights."""

    def get_submodule(self, target: str) -> Any:
        """The module at a path."""

"""The table of the kinds of components: all that the package knows of a kind stands in its entry here.

How it is written and selected, where its activation is found in a layer, how it is gated, how it is drawn and spoken
of. Another package adds a kind by naming a ``Kind`` in the entry points of ``circuitspex.components``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from circuitspex.errors import ComponentError
from circuitspex.registry import Later, Table

if TYPE_CHECKING:
    from circuitspex.components.layer_view import LayerView, Part

SHAPES = ("circle", "square", "diamond", "up", "pentagon", "hexagon", "plus", "bar")
"""The marks that drawings have; 'up' is a triangle."""

_ACTIVATION = Later("circuitspex.components.finders:activation")
_PROVED = Later("circuitspex.components.finders:proved")
_PLAIN_SITE = Later("circuitspex.ablation.sites:plain_site")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one kind of component is.

    Args:
        letter: stands after the layer in its name, ``L5H1``; one or more letters, the first a capital.
        suffix: what follows the index in its name, ``.q`` in ``L5H1.q``; letter and suffix together are its own.
        word: names all of them in a selector, ``heads``; lower case, at most one dot; ``plural`` by default.
        form: 'whole' (one in a layer, without an index), 'one' (an index), or 'range' (a block of indices).
        singular, plural: how it is called; ``plural`` has an s more by default.
        long_name: how it is called where nothing else says that it is a part of a model; ``singular`` by default.
        lack: what a layer has not, where it has none: 'no attention heads'.
        lacking: what a selector does with layers that have none: 'leave out', 'refuse', or 'say why' if none has any.
        order: its place among the kinds of one layer, about in the order in which the layer computes them.
        hook: of its activation within a block, ``attn.hook_z``: one that is on without being switched on.
        or_hooks: others that are tried where that one does not carry what is promised.
        axes: of that activation: ``[rows, pos, unit, width]`` has 4; ``[rows, pos, unit]`` has 3, and so has
            ``[rows, pos, width]`` of what counts as one unit (``whole``).
        proposed: what is to be proved of it on each model (``components.proof.proposals``); None where nothing is.
        find: from this entry and a ``LayerView`` to the ``Part`` of that layer; by default what passes ``hook``.
        site: from ``(part, layer, name of the kind, members)`` to the ``Site`` at which they are gated.
        in_expert: whether each belongs to an expert of the layer, whose index stands before it: ``L5E3N12``.
        within: the kind, one in a layer, which a block of these is a part of: neurons are within 'mlp'.
        in_layers: whether it is a part of 'layers' as the first level of a search from coarse to fine.
        fused: whether the fused executor gates it.
        has_baseline: whether a baseline stands in for what is ablated.
        is_activation: whether it is an activation of the model, which can be taken from another pass (path patching).
        shape: of its mark in drawings, one of ``SHAPES``.
        legend: what legends call its mark; kinds of one mark have the same; ``singular`` by default.

    Raises:
        ComponentError: a letter, a suffix or a word that could not be read back, or a shape that drawings lack.
    """

    letter: str
    form: Literal["whole", "one", "range"]
    singular: str
    plural: str = ""
    word: str = ""
    suffix: str = ""
    long_name: str = ""
    lack: str = ""
    lacking: Literal["leave out", "refuse", "say why"] = "say why"
    order: int = 1000
    hook: str = ""
    or_hooks: tuple[str, ...] = ()
    axes: int = 3
    proposed: Callable[..., Iterator[Any]] | None = None
    find: Callable[[Kind, LayerView], Part] = _ACTIVATION
    site: Callable[..., Any] = _PLAIN_SITE
    in_expert: bool = False
    within: str = ""
    in_layers: bool = False
    fused: bool = False
    has_baseline: bool = True
    is_activation: bool = True
    shape: str = "diamond"
    legend: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plural", self.plural or f"{self.singular}s")
        for field, default in (
            ("word", self.plural),
            ("long_name", self.singular),
            ("legend", self.singular),
            ("lack", f"no {self.plural} with a hook"),
        ):
            object.__setattr__(self, field, getattr(self, field) or default)
        for value, pattern, example in (
            (self.letter, r"[A-Z][A-Za-z]*", "H"),
            (self.suffix, r"(\.[a-z_]+)?", ".q"),
            (self.word, r"(?!layers$)[a-z_]+(\.[a-z_]+)?", "heads"),
        ):
            if re.fullmatch(pattern, value) is None:
                raise ComponentError(
                    f"{value!r} can't be a part of the names of {self.plural}; one like {example!r} can"
                )
        if self.shape not in SHAPES:
            raise ComponentError(f"unknown shape '{self.shape}' for {self.plural}; allowed: {', '.join(SHAPES)}")

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks where its activation may be, the likeliest first."""
        return tuple(hook for hook in (self.hook, *self.or_hooks) if hook)

    @property
    def example(self) -> str:
        """How one is written."""
        outer = "E3" if self.in_expert else ""
        single = f"'L5{outer}{self.letter}{'' if self.form == 'whole' else 1}{self.suffix}'"
        return f"{single} or 'L5{outer}{self.letter}0:64{self.suffix}'" if self.form == "range" else single


KINDS: Table[Kind] = Table(
    "kind of component",
    Kind,
    "circuitspex.components",
    {
        "head": Kind(
            letter="H",
            form="one",
            singular="head",
            long_name="attention head",
            lack="no attention heads",
            lacking="leave out",
            order=50,
            hook="attn.hook_z",
            axes=4,
            proposed=Later("circuitspex.components.proof.proposals:of_heads"),
            find=_PROVED,
            in_layers=True,
            fused=True,
            shape="circle",
        ),
        **{
            name: Kind(
                letter="H",
                suffix=f".{letter}",
                word=f"heads.{letter}",
                form="one",
                singular=name,
                plural=plural,
                long_name=f"attention {name}",
                order=order,
                hook=f"attn.hook_{letter}",
                axes=4,
                proposed=Later(f"circuitspex.components.proof.proposals:of_{plural}"),
                find=_PROVED,
                shape="up",
                legend="query, key, value",
            )
            for letter, name, plural, order in (
                ("q", "query", "queries", 20),
                ("k", "key", "keys", 30),
                ("v", "value", "values", 40),
            )
        },
        "attention": Kind(
            letter="A",
            word="attns",
            form="whole",
            singular="attention layer",
            long_name="attention",
            lack="no attention with a hook",
            order=60,
            hook="hook_attn_out",
            or_hooks=("attn.hook_out", "attn.o.hook_out"),
            proposed=Later("circuitspex.components.proof.proposals:of_attention"),
            find=_PROVED,
            shape="hexagon",
            legend="attention",
        ),
        "mlp": Kind(
            letter="M",
            word="mlps",
            form="whole",
            singular="MLP layer",
            long_name="mlp",
            lack="no MLP",
            lacking="leave out",
            order=70,
            hook="hook_mlp_out",
            or_hooks=("mlp.hook_out", "mlp.out.hook_out"),
            proposed=Later("circuitspex.components.proof.proposals:of_mlp"),
            find=_PROVED,
            in_layers=True,
            fused=True,
            shape="square",
            legend="MLP",
        ),
        "neurons": Kind(
            letter="N",
            form="range",
            singular="neuron",
            long_name="mlp neurons",
            lacking="refuse",
            order=80,
            hook="mlp.hook_post",
            proposed=Later("circuitspex.components.proof.proposals:of_neurons"),
            find=Later("circuitspex.components.finders:neurons"),
            within="mlp",
            fused=True,
            legend="neurons",
        ),
        "residual": Kind(
            letter="R",
            word="residuals",
            form="whole",
            singular="residual stream",
            lack="no hook for the residual stream",
            order=10,
            hook="hook_resid_pre",
            proposed=Later("circuitspex.components.proof.proposals:of_stream"),
            find=_PROVED,
            shape="bar",
        ),
        "expert": Kind(
            letter="E",
            form="one",
            singular="expert",
            order=90,
            find=Later("circuitspex.components.finders:experts"),
            site=Later("circuitspex.ablation.experts:expert_site"),
            has_baseline=False,
            is_activation=False,
            shape="pentagon",
        ),
        "expert_neurons": Kind(
            letter="N",
            word="experts.neurons",
            form="range",
            singular="neuron of an expert",
            plural="neurons of experts",
            long_name="neurons of experts",
            order=95,
            in_expert=True,
            find=Later("circuitspex.components.finders:expert_neurons"),
            site=Later("circuitspex.ablation.expert_neurons:expert_neuron_site"),
            is_activation=False,
            legend="neurons",
        ),
        "latents": Kind(
            letter="S",
            form="range",
            singular="latent",
            long_name="latents",
            order=100,
            find=Later("circuitspex.components.finders:latents"),
            site=Later("circuitspex.ablation.latents:latent_site"),
            is_activation=False,
            shape="plus",
            legend="latents",
        ),
    },
)
"""All kinds, by name."""


def kind_written(letter: str, suffix: str, *, in_expert: bool = False) -> str | None:
    """The name of the kind that is written with these, after the index of an expert or not, or None."""
    written = letter, suffix, in_expert
    return next((n for n, kind in KINDS.items() if (kind.letter, kind.suffix, kind.in_expert) == written), None)


def kind_selected(word: str) -> str | None:
    """The name of the kind that a selector names with this word, or None."""
    return next((name for name, kind in KINDS.items() if kind.word == word), None)


def in_groups() -> Iterator[Kind]:
    """The kinds of which a component may hold several."""
    return (kind for kind in KINDS.values() if kind.form == "range")


def how_written() -> str:
    """The written forms of components, for messages."""
    # What stands behind a point says it itself.
    forms = ", ".join(kind.example if kind.suffix else f"{kind.example} ({kind.singular})" for kind in KINDS.values())
    return f"{forms}, with '@-1' or '@3' for one token"


def how_selected() -> str:
    """The forms of selectors, for messages."""
    words = ", ".join(f"'{kind.word}'" for kind in KINDS.values())
    groups = ", ".join(f"'{kind.word}:64'" for kind in in_groups())
    return f"{words}, {groups}, 'layers[20:30].heads', 'L5.mlps', 'heads@-1', 'heads+mlps'"

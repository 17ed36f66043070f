"""What parts of a model write straight into the logits of the last position, all else being as it was in the run.

Every part writes into the residual stream, and what it writes passes nothing but norms, multiples and the unembedding
if it goes past all other parts. With the scales of the norms as they were in the run (``frozen_norms``) that way is
affine. So the model itself is run on one token, the last of each prompt, with the output of every part replaced: by
what it was in the run, for one part or a part of it, and by 0 for all others. What that changes in the logits is what
the part writes. Its own output projection, norms after it and multiples are passed as the model has them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.circuits.roles.frozen_norms import Norms
from circuitspex.circuits.roles.frozen_rows import Place, Row, layer_of, stream_in, units_of
from circuitspex.components import Layout, ModelStructure, Part
from circuitspex.components.proof.seen import rounding
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.protocol import FwdHook, Model

_LARGEST = 2**25
"""Logits that one pass makes."""
_TOKENS = 4096
"""Tokens of one pass over prompts."""
_PAST = 0.3
"""The least cosine of what enters a layer and what leaves it, where the stream goes past the layer's parts."""


@dataclass
class FrozenStream:
    """A model and what its parts gave at the last position of ``P`` prompts.

    ``passed`` is that by place, ``[P, units, width]``; ``unembedded`` and ``logits`` ``[P, vocab]`` are what the
    unembedding gave, and what the model made of that.
    """

    model: Model
    structure: ModelStructure
    inside: frozenset[Place]
    """Whole MLPs and attention layers that are entered: 'mlp' of those whose neurons are asked for."""
    norms: Norms
    passed: dict[Place, Tensor] = field(default_factory=dict)
    last: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    unembedded: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    logits: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    others: list[tuple[int, Any]] = field(default_factory=list)
    """Modules that write to the residual stream and that no other place covers, each with the number of its layer."""
    wrong: str | None = None
    """Why what it says of parts would be wrong, if so."""
    replaced: list[Any] = field(default_factory=list)
    """Modules of layers of whose output all is replaced, so that what they compute is for nothing."""

    @classmethod
    def of(
        cls,
        model: Model,
        structure: ModelStructure,
        groups: Sequence[tuple[Int[Tensor, " rows"], Int[Tensor, "rows positions"]]],
        neurons_of: frozenset[int],
    ) -> FrozenStream:
        """Runs the prompts of each group: their numbers, and their tokens, all of one length."""
        stream = cls(model, structure, frozenset(("mlp", layer) for layer in neurons_of), Norms(model))
        stream.norms.changed = frozenset(name for _, name, _ in stream._cuts)
        order: list[int] = []
        found: list[dict[Place, Tensor]] = []
        for indices, tokens in groups:
            step = max(1, _TOKENS // int(tokens.shape[1]))
            for start in range(0, len(tokens), step):
                found.append(stream._run(tokens[start : start + step]))
                order += indices[start : start + step].tolist()
        back = torch.tensor(order).argsort()
        for place in found[0]:
            whole = torch.cat([each[place] for each in found])
            stream.passed[place] = whole[back.to(whole.device)]
        stream.norms.reorder(back)
        stream.unembedded, stream.logits = stream.passed.pop(("unembedded", 0)), stream.passed.pop(("logits", 0))
        stream.last = stream.passed.pop(("last", 0))
        stream._judge_others()
        return stream

    @property
    def tolerance(self) -> float:
        """By how much parts may miss their sum, as a share of their sizes: rounding through all layers."""
        eps = rounding(self.unembedded)
        return eps * (8192 if eps < 1e-6 else 8)

    def places(self, *kinds: str) -> list[Place]:
        """Where parts of these kinds write."""
        return [place for place in self.passed if place[0] in kinds]

    def outputs(self, rows: Sequence[Row]) -> Iterator[Float[Tensor, "rows vocab"]]:
        """What the unembedding gives for each row, some rows at a time."""
        vocab = int(self.unembedded.shape[1])
        step = max(1, _LARGEST // vocab)
        for start in range(0, len(rows), step):
            yield self._pass([Row(rows[start].prompt), *rows[start : start + step]])[1:]

    @functools.cached_property
    def factor(self) -> float:
        """What logits are times what the unembedding gives, where that is small: soft caps leave small ones alone."""
        given, logits = self.unembedded.double(), self.logits.double()
        times = float((given * logits).sum() / given.square().sum())
        if bool(((logits - times * given).abs() <= 64 * rounding(self.logits) * logits.abs()).all()):
            return times
        small = 1e-3 * given / given.abs().max()
        seen = []
        for one in (small[:1], 0 * small[:1]):
            instead = one.to(self.unembedded)

            def put(x: Tensor, hook: Any, instead: Tensor = instead) -> Tensor:
                return instead[:, None].expand_as(x).clone()

            hooks: list[FwdHook] = [("unembed.hook_out", put)]
            seen.append(self.model.run_with_hooks(self.last[:1, None], fwd_hooks=hooks, use_cache=False)[0, -1])
        moved = (seen[0] - seen[1]).double()
        return float((small[0] * moved).sum() / small[0].square().sum())

    def _judge_others(self) -> None:
        """Of the other modules only those count that still write when all other places are silent.

        The stream must go past them: what enters the first layer comes out of theirs as it went in, or nearly so.
        """
        if not self.others:
            return
        rows = [Row(0), Row(0, {("entry", 0): None}), *(Row(0, {place: None}) for place in self.places("other"))]
        ends: dict[int, list[Tensor]] = {}
        with contextlib.ExitStack() as stack:
            for number in {layer for layer, _ in self.others}:

                def look(module: Any, args: Any, options: Any, output: Any, number: int = number) -> None:
                    given = output[0] if isinstance(output, (tuple, list)) else output
                    ends[number] = [(x[1] - x[0]).double().flatten() for x in (stream_in(args, options), given)]

                stack.callback(layer_of(self.model, number).register_forward_hook(look, with_kwargs=True).remove)
            outputs = self._pass(rows)
        for place, output in zip(self.places("other"), outputs[2:], strict=True):
            layer, _ = self.others[place[1]]
            before, after = ends[layer]
            if torch.equal(output, outputs[0]):
                del self.passed[place]
            elif float(before @ after) <= _PAST * float(before.norm() * after.norm()):
                self.wrong = f"layer {layer} has a part that the residual stream goes through, and not past"

    # The run

    def _run(self, tokens: Tensor) -> dict[Place, Tensor]:
        device = next(iter(self.model.parameters())).device
        tokens = tokens.to(device)
        seen: dict[Place, Tensor] = {("last", 0): tokens[:, -1]}
        opened: list[tuple[Any, set[Place]]] = []  # modules of a layer that are running, and the places inside

        def keep(place: Place, layout: Layout | None) -> Any:
            def look(activation: Tensor, hook: Any) -> None:
                if self.norms.asking:
                    return
                for _, inside in opened:
                    inside.add(place)
                units = activation.detach()[:, :, None] if layout is None else layout.read(activation.detach())
                seen[place] = units[:, -1].clone()

            return look

        def unembedded(activation: Tensor, hook: Any) -> None:
            seen["unembedded", 0] = activation[:, -1].detach().clone()

        hooks: list[FwdHook] = [(name, keep(place, layout)) for place, name, layout in self._cuts]
        hooks += [
            ("unembed.hook_in", lambda activation, hook: activation[:, -1:]),
            ("unembed.hook_out", unembedded),
        ]

        def enter(module: Any, args: Any, options: Any) -> None:
            seen["entry", 0] = stream_in(args, options)[:, -1:].detach().clone()

        def begin(module: Any, args: Any, options: Any) -> None:
            opened.append((module, set()))

        def end(module: Any, args: Any, options: Any, output: Any, number: int) -> None:
            _, inside = opened.pop()
            given = output[0] if isinstance(output, (tuple, list)) else output
            of_mlp = len(inside) == 1 and next(iter(inside))[0] == "mlp"
            if of_mlp and not inside & self.inside and module not in self.replaced:
                self.replaced.append(module)
            if inside or not isinstance(given, Tensor) or given.ndim != 3 or given.shape[:2] != tokens.shape:
                return
            if given.shape[2] == int(self.model.cfg.d_model) and any(p.ndim > 1 for p in module.parameters()):
                if (number, module) not in self.others:
                    self.others.append((number, module))
                seen["other", self.others.index((number, module))] = given[:, -1:].detach().clone()

        with contextlib.ExitStack() as stack:
            stack.enter_context(self.norms.watched())
            first = layer_of(self.model, 0)
            stack.callback(first.register_forward_pre_hook(enter, with_kwargs=True).remove)
            for number in range(self.structure.n_layers):
                for child in layer_of(self.model, number).children():
                    stack.callback(child.register_forward_pre_hook(begin, with_kwargs=True).remove)
                    of_layer = functools.partial(end, number=number)
                    stack.callback(child.register_forward_hook(of_layer, with_kwargs=True).remove)
            logits = self.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)
        seen["logits", 0] = logits[:, -1].detach()
        return seen

    @functools.cached_property
    def _cuts(self) -> list[tuple[Place, str, Layout | None]]:
        """The hooks where parts write: the heads' outputs, MLPs' outputs or their neurons, else whole attentions."""
        found: list[tuple[Place, str, Layout | None]] = []
        for layer, of_layer in enumerate(self.structure.layers):
            for kind in ("head", "attention", "neurons", "mlp"):
                part = of_layer.part(kind)
                if part.hook is None or (kind == "neurons" and not self._enters(layer, of_layer.part("mlp"))):
                    continue
                layout = {"head": part.layout or Layout(part.n_units), "neurons": Layout(part.n_units)}.get(kind)
                found.append(((kind, layer), part.hook, layout))
        return found

    def _enters(self, layer: int, mlp: Part) -> bool:
        return ("mlp", layer) in self.inside or mlp.hook is None

    # The passes on one token

    def _pass(self, rows: Sequence[Row]) -> Float[Tensor, "rows vocab"]:
        """The first row must have nothing at work: it shows what projections give of nothing, their biases."""
        try:
            return self._passed(rows)
        except (RuntimeError, ValueError, IndexError) as error:
            if is_out_of_memory(error) or not self.replaced:
                raise
            self.replaced.clear()  # one of them does not take fewer rows than its layer has
            return self._passed(rows)

    def _passed(self, rows: Sequence[Row]) -> Float[Tensor, "rows vocab"]:
        prompts = torch.tensor([row.prompt for row in rows])
        found: list[Tensor] = []

        def put(place: Place, name: str, layout: Layout | None) -> Any:
            def change(activation: Tensor, hook: Any) -> Tensor:
                activation = ended.get(name, activation)
                units = activation[:, :, None] if layout is None else layout.read(activation)
                units = units_of(place, rows, units, self.passed)
                return units[:, :, 0] if layout is None else layout.write(activation, units)

            return change

        hooks: list[FwdHook] = [(name, put(place, name, layout)) for place, name, layout in self._cuts]
        hooks.append(("unembed.hook_out", lambda activation, hook: found.append(activation[:, -1])))

        def enter(module: Any, args: Any, options: Any) -> Any:
            given = units_of(("entry", 0), rows, stream_in(args, options)[:, :, None], self.passed)[:, :, 0]
            return ((given, *args[1:]), options) if args else (args, {**options, "hidden_states": given})

        def fewer(module: Any, args: Any, options: Any) -> Any:
            given = stream_in(args, options)[:1]
            return ((given, *args[1:]), options) if args else (args, {**options, "hidden_states": given})

        def leave(number: int) -> Any:
            def change(module: Any, args: Any, output: Any) -> Any:
                many = isinstance(output, (tuple, list))
                first = (output[0] if many else output)[:, :, None]
                given = units_of(("other", number), rows, first, self.passed)[:, :, 0]
                return type(output)((given, *output[1:])) if many else given

            return change

        with contextlib.ExitStack() as stack:
            ended = stack.enter_context(self.norms.frozen(prompts))
            first = layer_of(self.model, 0)
            stack.callback(first.register_forward_pre_hook(enter, with_kwargs=True).remove)
            for module in self.replaced:
                stack.callback(module.register_forward_pre_hook(fewer, with_kwargs=True).remove)
            for _, number in self.places("other"):
                _, module = self.others[number]
                stack.callback(module.register_forward_hook(leave(number)).remove)
            tokens = self.last[prompts.to(self.last.device)][:, None]
            self.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)
        return found[0]

"""How much of what one component does passes through a later one, and by which way it enters: path patching.

All at the unablated model, with the baseline of the subject for the source (Wang et al., 'Interpretability in the
Wild', 2022, §3; Goldowsky-Dill et al., 'Localizing Model Behavior with Path Patching', 2023). In a first pass the
source is ablated, and what reaches the target is written down: the queries, keys and values of its layer, and its
output. In a second one only the target's layer is run, on the plain residual stream, with its queries (or keys, or
values) taken from the first pass; the model's own attention makes the head's output of them, with its norms, rotations,
masks and soft caps. In a third pass the target alone gives such an output, and the metric is read. Keys and values that
several heads share are replaced in the second pass only, of which the target's own output is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitspex.ablation.passes import Hook
from circuitspex.ablation.sites import Site
from circuitspex.circuits.about import Feed
from circuitspex.circuits.roles.rows import Rows, measuring
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Component, Part, parse_component
from circuitspex.errors import UserError
from circuitspex.statistics import over_prompts
from circuitspex.typing import FloatArray

_Read = Callable[[Callable[[Tensor], None], int], Hook]
"""A hook that hands on what passes it, in prompts of so many tokens."""

WAYS = ("query", "key", "value")
"""What a head is entered through."""

_BEFORE_THE_MLP = ("head", "attention", "query", "key", "value")
_OF_THE_MLP = ("mlp", "neurons", "expert_neurons")


def feeds(subject: Subject, pairs: Sequence[tuple[str, str]]) -> tuple[Feed, ...]:
    """What passes from the first component of each pair to the second; see ``Feed`` for the numbers.

    ``query``, ``key`` and ``value`` are None where the target is no head, or its attention does not have them where
    they can be set; ``remainder`` is None where one of them is.

    Args:
        subject: the components, the model and the prompts.
        pairs: names of components, the earlier one first; of the subject's or others of the model.

    Raises:
        ComponentError: a name of nothing that the model has.
        UserError: a component that is not in an earlier layer than the other (or its attention before the MLP of the
            same layer), or an expert that is to be fed: the choice of a router is no activation that could be taken
            from another pass.
        TaskError: the metric is not finite.
    """
    if not pairs:
        return ()
    subject = _with_ends(subject, pairs)
    ends = [_checked(subject, pair) for pair in pairs]
    effects: dict[tuple[int, int], dict[str, FloatArray]] = {pair: {} for pair in ends}
    with measuring(subject) as groups:
        for rows in groups:
            rows.forward.prepare({subject.components[number].layer for pair in ends for number in pair})
            indices = rows.group.indices.numpy()
            for source in dict.fromkeys(source for source, _ in ends):
                targets = list(dict.fromkeys(target for one, target in ends if one == source))
                for target, found in zip(targets, _from(subject, rows, source, targets), strict=True):
                    for way, values in found.items():
                        of_pair = effects[source, target].setdefault(way, np.empty(subject.task.n_prompts))
                        of_pair[indices] = values
    return tuple(_feed(*pair, effects[end]) for pair, end in zip(pairs, ends, strict=True))


def _with_ends(subject: Subject, pairs: Sequence[tuple[str, str]]) -> Subject:
    """The same subject, with the ends of all pairs among its components."""
    known = {str(component) for component in subject.components}
    others = dict.fromkeys(name for pair in pairs for name in pair if name not in known)
    return replace(subject, components=(*subject.components, *map(parse_component, others))) if others else subject


def _checked(subject: Subject, pair: tuple[str, str]) -> tuple[int, int]:
    """The numbers of both ends."""
    numbers = {str(component): number for number, component in enumerate(subject.components)}
    source, target = (subject.structure.check(subject.components[numbers[name]]) for name in pair)
    within = source.kind in _BEFORE_THE_MLP and target.kind in _OF_THE_MLP and source.layer == target.layer
    if source.layer >= target.layer and not within:
        raise UserError(f"nothing travels from {source} to {target}: it must be in a later layer")
    if not target.about.has_baseline:
        raise UserError(
            f"path patching can't end at {target}: it is no activation of the model that could be taken from another "
            "pass"
        )
    return numbers[pair[0]], numbers[pair[1]]


def _feed(source: str, target: str, effects: dict[str, FloatArray]) -> Feed:
    ways = {way: over_prompts(effects[way]) for way in WAYS if way in effects}
    rest = effects["total"] - sum(effects[way] for way in WAYS) if len(ways) == len(WAYS) else None
    remainder = None if rest is None else over_prompts(rest)
    return Feed(source, target, over_prompts(effects["total"]), remainder=remainder, **ways)


def _from(subject: Subject, rows: Rows, source: int, targets: Sequence[int]) -> list[dict[str, FloatArray]]:
    """By how much the metric of each prompt falls, ``total`` and by each way, for each target."""
    prompts = torch.arange(rows.n_prompts)
    sites = {target: rows.site(target) for target in targets}
    parts = {target: _ways(subject, rows.components[target]) for target in targets}
    kept = _Seen()
    reads: dict[str, _Read] = {site.hook: site.watch for site in sites.values()}
    for part in (part for ways in parts.values() for part in ways.values()):
        reads[str(part.hook)] = _watch(part)
    without = rows.gates(rows.n_prompts)
    without[:, source] = 0
    last = max(rows.components[target].layer for target in targets)
    rows.until(
        last,
        without,
        prompts,
        rows.components[source].layer,
        lambda some: [read(kept.keeper(hook, some), rows.group.length) for hook, read in reads.items()],
    )
    seen = kept.whole()
    return [_to(rows, target, sites[target], parts[target], seen) for target in targets]


def _to(rows: Rows, target: int, site: Site, parts: dict[str, Part], seen: dict[str, Tensor]) -> dict[str, FloatArray]:
    """One target's effects, from what was seen in the pass without the source."""
    layer, n_prompts = rows.components[target].layer, rows.n_prompts
    outputs = [seen[site.hook]]
    if parts:
        entered = _Seen()
        n_rows = n_prompts * rows.n_sequences
        ways = torch.arange(len(parts)).repeat_interleave(n_rows)
        of_seen = torch.arange(n_rows).repeat(len(parts))
        prompts = torch.arange(n_prompts).repeat(len(parts))

        def hooks(some: slice) -> list[Hook]:
            own = [
                _put(part, seen[str(part.hook)][of_seen[some]], ways[some] == number)
                for number, part in enumerate(parts.values())
            ]
            return [*own, site.watch(entered.keeper(site.hook, some), rows.group.length)]

        rows.until(layer, rows.gates(len(prompts)), prompts, layer, hooks)
        outputs += torch.split(entered.whole()[site.hook], n_rows)
    instead = {site.hook: torch.cat(outputs)}
    gates = rows.gates(len(outputs) * n_prompts)
    gates[:, target] = 0
    prompts = torch.arange(n_prompts).repeat(len(outputs))
    metric = rows.run(gates, prompts, instead=instead).reshape(len(outputs), n_prompts)
    return dict(zip(("total", *parts), rows.plain - metric, strict=True))


def _ways(subject: Subject, target: Component) -> dict[str, Part]:
    """What a head is entered through, as far as it can be set."""
    if target.kind != "head":
        return {}
    layer = subject.structure.layers[target.layer]
    return {way: layer.part(way) for way in WAYS if layer.part(way).hook is not None}


class _Seen:
    """What passed some hooks, ``[rows, pos, …]`` by hook, put together from parts of the rows."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, Tensor]] = {}

    def keeper(self, hook: str, some: slice) -> Callable[[Tensor], None]:
        """A function that keeps what these rows have; of a part that is run again, the last."""

        def keep(activation: Tensor) -> None:
            kept = self._parts.setdefault(hook, {})
            for start in [start for start in kept if start >= some.start]:
                del kept[start]
            kept[some.start] = activation.detach().clone()

        return keep

    def whole(self) -> dict[str, Tensor]:
        """By hook, all rows in their order."""
        return {hook: torch.cat([kept[start] for start in sorted(kept)]) for hook, kept in self._parts.items()}


def _watch(part: Part) -> _Read:
    """As ``Site.watch``, of queries, keys or values that are no components here."""

    def watch(keep: Callable[[Tensor], None], n_positions: int) -> Hook:
        def look(activation: Tensor, hook: Any) -> None:
            keep(activation if part.layout is None else part.layout.read(activation))

        return str(part.hook), look

    return watch


def _put(part: Part, values: Tensor, own: Tensor) -> Hook:
    """A hook that gives the rows of ``own`` these values, of all heads: a norm may join them."""

    def put(activation: Tensor, hook: Any) -> Tensor:
        units = activation if part.layout is None else part.layout.read(activation)
        units = units.clone()
        chosen = own.to(units.device)
        units[chosen] = values.to(units.device)[chosen]
        return units if part.layout is None else part.layout.write(activation, units)

    return str(part.hook), put

"""The circuit graph: components, the interactions between them, and what verification measured.

Units. An *effect* is in units of the task's metric and is the Banzhaf interaction index of the set S: the S-fold
difference of the metric between kept and ablated, averaged over random masks of the other components,

    effect(S) = E_m [ sum over T subset of S of (-1)^(|S| - |T|) f(T kept, S \\ T ablated, others as in m) ],

which is ``2^|S|`` times the Fourier coefficient. For one component it is how much the metric falls when the component
is removed. For two it is how much more the one does while the other is kept than while it is ablated; what they do to
each other is no matter of its sign alone: ``circuitspex.circuits.relation``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from circuitspex.circuits import formats
from circuitspex.circuits.about import About, Description
from circuitspex.circuits.group import Group
from circuitspex.circuits.plots import CircuitPlots
from circuitspex.circuits.relation import PairEffects, Relation, by_sign
from circuitspex.circuits.uses import CircuitUses
from circuitspex.errors import UserError
from circuitspex.registry import Later
from circuitspex.renamed import renamed_fields, warn_renamed
from circuitspex.scale import check_seed
from circuitspex.statistics import RATE
from circuitspex.statistics import Estimate as Estimate

_describe = Later("circuitspex.circuits.roles._describe:describe")
_frame = Later("circuitspex.export.tables.frames:of_circuit")
_groups = Later("circuitspex.circuits._groups:groups")
_networkx = Later("circuitspex.export.graphs.networkx_graph:of_circuit")


@dataclass(frozen=True)
class Direction:
    """How much of an interaction travels along the path from an earlier component to a later one.

    ``share`` is the part of the measured interaction that is gone when the later component alone is shown what it would
    see without the earlier one, with its interval; 1 means all of it travels that way. It can be more than 1, or below
    0: the interaction is then a sum of two parts of opposite signs, one that travels and one that arises later, and is
    smaller than the larger of them.
    """

    source: str
    target: str
    share: Estimate


@dataclass(frozen=True)
class Combination:
    """One row of an interaction's measured table: which of its components were kept, and the mean metric then."""

    kept: tuple[bool, ...]
    value: float


@dataclass(frozen=True)
class Node:
    """A component of the circuit: a part of a model, a word of a prompt, a training example, or a player of any game.

    ``layer`` and ``kind`` ('head', 'mlp', 'word', …) repeat what ``name`` says where it is a part of a model, so that a
    reader of the file need not parse names; what has no layer is in layer 0.
    ``decoded`` is the effect that the decoded function gives, ``measured`` the one that paired ablations gave, and
    ``per_prompt`` the measured one on each prompt. ``q`` and ``adjusted`` are as in ``Interaction``, over all
    components that were measured. ``signed`` is False where only the size of the effect is known, as of a score of
    another tool; the numbers are then sizes, which are drawn and listed without a sign.
    """

    name: str
    layer: int
    kind: str
    decoded: float
    measured: Estimate | None = None
    per_prompt: tuple[float, ...] = ()
    q: float | None = None
    adjusted: Estimate | None = None
    signed: bool = True

    @property
    def effect(self) -> float:
        """The measured effect where there is one, else the decoded."""
        return self.decoded if self.measured is None else self.measured.value

    @property
    def shown(self) -> Estimate | None:
        """The interval to stand beside the effect: the one that is widened for selection where there is one."""
        return self.measured if self.adjusted is None else self.adjusted

    @property
    def is_distinct(self) -> bool:
        """Whether its effect by itself can be told from 0: it is a discovery, or was only estimated.

        Without a ``q`` (in older files, and in comparisons, which test differences) the interval decides.
        """
        if self.q is not None:
            return self.q <= RATE
        return self.measured is None or self.measured.excludes_zero

    def about(self, model: Any, task: Any, **options: Any) -> About:
        """What this component of a circuit does on the task; see ``Circuit.describe``, whose options it takes.

        Raises:
            UserError: what ``Circuit.describe`` raises; the node was not taken from a circuit by ``circuit.node``.
        """
        circuit: Circuit | None = getattr(self, "_circuit", None)
        if circuit is None:
            raise UserError(f"{self.name} was not taken from a circuit: circuit.node('{self.name}').about(model, task)")
        return circuit.describe(model, task, only=[self.name], **options)[self.name]


@dataclass(frozen=True)
class Interaction:
    """An interaction of two or more components (a hyperedge from three on).

    ``table`` has the mean metric for every on/off combination of its components, over the contexts and prompts in which
    it was ``measured``: random masks of the other components, with the share kept that the run's record says.
    ``unablated`` has the same combinations while all others are kept, over prompts. ``per_prompt`` is the measured
    effect on each prompt; ``q`` the smallest false discovery rate (Benjamini and Hochberg 1995, over all interactions
    measured with it) at which it is a discovery; ``direction`` how much of it travels along the path from one of its
    components to the other; ``pair`` what two components do to each other, and the effects that this rests on.
    ``measured`` has its own 95 % interval; ``adjusted``, where it was selected from several, has one that is widened
    for that (false coverage rate, Benjamini and Yekutieli 2005): of all selected ones at most 5 % are expected to miss
    the truth.
    """

    components: tuple[str, ...]
    decoded: float
    measured: Estimate | None = None
    per_prompt: tuple[float, ...] = ()
    table: tuple[Combination, ...] = ()
    q: float | None = None
    direction: Direction | None = None
    adjusted: Estimate | None = None
    pair: PairEffects | None = None
    unablated: tuple[Combination, ...] = ()

    @property
    def order(self) -> int:
        """How many components interact."""
        return len(self.components)

    @property
    def effect(self) -> float:
        """The measured effect where there is one, else the decoded."""
        return self.decoded if self.measured is None else self.measured.value

    @property
    def shown(self) -> Estimate | None:
        """The interval to stand beside the effect: the one that is widened for selection where there is one."""
        return self.measured if self.adjusted is None else self.adjusted

    @property
    def relation(self) -> Relation:
        """What its components do to each other, as far as it is certain; of three and more, the sign."""
        return by_sign(self.effect, self.measured) if self.pair is None else self.pair.relation

    @property
    def sentence(self) -> str:
        """The relation in words, with the components: 'L29H0 opposes L23H3'."""
        return self.relation.sentence(self.components)

    @property
    def label(self) -> Literal["redundant", "synergistic"]:
        """The sign of the effect in words of before, which said more than a sign can; it warns."""
        warn_renamed("Interaction.label", "Interaction.relation")
        return "redundant" if self.effect < 0 else "synergistic"


@dataclass(frozen=True)
class Faithfulness:
    """R² of the decoded function on ablations that no fit has seen, with its 95 % interval over masks.

    ``r2`` is None where it is undefined: the metric did not vary over the held-out masks. Where all masks of a small
    game were run it is ``exact``, the R² over all ``n_masks`` of them, and has no interval: nothing was drawn.
    """

    r2: float | None
    low: float | None
    high: float | None
    n_masks: int
    exact: bool = False

    def __str__(self) -> str:
        if self.r2 is None and self.n_masks == 0:
            return "R² not measured: nearly every possible mask was used for the fit"
        if self.r2 is not None and self.exact:
            return f"R² {self.r2:z.3f}, exact over all {self.n_masks} masks"
        if self.r2 is None:
            return f"R² undefined: the metric is constant on the {self.n_masks} held-out masks"
        interval = "" if self.low is None or self.high is None else f" [{self.low:z.3f}, {self.high:z.3f}]"
        return f"R² {self.r2:z.3f}{interval} on {self.n_masks} held-out masks"


@dataclass(frozen=True)
class Verification:
    """What happens on held-out prompts when only the circuit is kept, and when only it is removed.

    All numbers are means of the metric over the held-out prompts. ``full`` has nothing ablated, ``empty`` every
    component of the component set. The random circuits have as many components as the circuit. The intervals of the
    circuit are 95 % confidence intervals over prompts; those of the random circuits hold 95 % of the random circuits.
    """

    n_prompts: int
    n_components: int
    n_random: int
    full: float
    empty: float
    circuit_kept: Estimate
    circuit_removed: Estimate
    random_kept: Estimate
    random_removed: Estimate
    share_kept: Estimate | None = None
    """Of what ablating everything takes away, the share that the circuit alone keeps; with its interval over prompts.

    None where that is undefined, or not bounded: ablating everything does not change the metric for certain."""
    share_left: Estimate | None = None
    """The share that is left without the circuit."""

    @property
    def rows(self) -> list[tuple[str, float | Estimate]]:
        """What was measured, in words, from nothing ablated to everything."""
        return [
            ("nothing ablated", self.full),
            ("only the circuit kept", self.circuit_kept),
            (f"{self.n_random} random circuits kept", self.random_kept),
            ("only the circuit removed", self.circuit_removed),
            (f"{self.n_random} random circuits removed", self.random_removed),
            ("everything ablated", self.empty),
        ]

    def __str__(self) -> str:
        rows = [(name, f"{v:z.2f}" if isinstance(v, Estimate) else f"{v:+z.2f}") for name, v in self.rows]
        head = f"the metric on {self.n_prompts} held-out prompts, for a circuit of {self.n_components} components"
        return "\n".join([head, *(f"  {name:28} {numbers}" for name, numbers in rows)])

    @property
    def faithfulness(self) -> float | None:
        """(m(circuit) - m(empty)) / (m(full) - m(empty)); None where full and empty coincide."""
        span = self.full - self.empty
        return None if span == 0 else (self.circuit_kept.value - self.empty) / span


@renamed_fields(edges="interactions")
@dataclass(frozen=True)
class Circuit(formats.Drawn, CircuitPlots, CircuitUses):
    """A circuit graph with everything needed to reproduce it.

    ``model``, ``task`` and ``run`` are plain JSON objects; their fields are described in the JSON schema of
    ``circuit.json`` (``circuitspex/export/files/circuit.schema.json``).
    """

    nodes: tuple[Node, ...]
    interactions: tuple[Interaction, ...]
    faithfulness: Faithfulness
    verification: Verification | None = None
    dropped: tuple[Interaction, ...] = ()
    """Interactions that were measured again and did not replicate."""
    model: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    dropped_nodes: tuple[Node, ...] = ()
    """Components that were measured again, can't be told from 0, and are in no interaction of the circuit."""
    description: Description | None = None
    """What each component does, where that was measured: ``described``."""

    @property
    def has_layers(self) -> bool:
        """Whether its nodes are parts of a model, which are in layers; words, examples and other players are not."""
        lens = self.run.get("lens", "components")
        return bool(lens == "components" or (lens == "groups" and "n_layers" in self.model))

    @property
    def looked_for_interactions(self) -> bool:
        """Whether a search for interactions stands behind it; not behind effects that were read from another tool."""
        return "effects" not in self.run

    @property
    def edges(self) -> tuple[Interaction, ...]:
        """The old name of ``interactions``; it warns."""
        warn_renamed("Circuit.edges", "Circuit.interactions")
        return self.interactions

    def node(self, name: str) -> Node:
        """The node of that name; KeyError where the circuit has none."""
        for node in self.nodes:
            if node.name == name:
                found = copy.copy(node)
                object.__setattr__(found, "_circuit", self)  # no field: files and comparisons don't know of it
                return found
        raise KeyError(f"{name} is not in this circuit; its components are {', '.join(n.name for n in self.nodes)}")

    def describe(self, model: Any, task: Any, **options: Any) -> Description:
        """What each component does: what it looks at, writes, reads and feeds, where it matters, and a word for it.

        See ``circuitspex.circuits.roles._describe.describe`` for options and errors. ``described`` keeps it.
        """
        found: Description = _describe(self, model, task, **options)
        return found

    def groups(self, seed: int = 0) -> tuple[Group, ...]:
        """The groups of two and more components that belong together, the strongest first; each is in one at most.

        Redundancy and synergy bind, opposition separates: see ``circuitspex.circuits._groups``.

        Raises:
            UserError: an interaction names what is not a node, or has an effect that is not finite.
        """
        known: dict[int, tuple[Group, ...]] = self.__dict__.setdefault("_grouped", {})  # every picture asks for them
        if check_seed(seed) not in known:
            known[seed] = _groups(self, seed)
        return known[seed]

    @property
    def described_prompts(self) -> tuple[Mapping[str, Any], ...]:
        """The prompts on which the description was measured, as a task has them in its record; or none."""
        own = () if self.description is None else self.description.prompts
        return own or tuple(self.task.get("prompts") or ())

    def described(self, description: Description) -> Circuit:
        """This circuit with that description, which its file and its page carry.

        Raises:
            UserError: it describes a component that the circuit does not have, or other prompts without their text.
        """
        if not isinstance(description, Description):
            raise UserError(f"a description is what circuit.describe gives, not {str(description)[:40]!r}")
        names = {node.name for node in self.nodes}
        other = next((name for name in description if name not in names), None)
        if other is not None:
            raise UserError(f"this description is of another circuit: it has {other}, which this circuit has not")
        of, own = description.task, self.task.get("identity")
        if not description.prompts and self.task.get("prompts") and own is not None and of != own:
            raise UserError("this description is of other prompts than this circuit's, and does not have them")
        return replace(self, description=description)

    def to_dataframe(self, of: Literal["nodes", "interactions", "prompts"] = "nodes") -> Any:
        """A ``pandas.DataFrame``: a row for each component ('nodes') or interaction, the strongest first, with effects,
        intervals, q values and relations; or ('prompts') for each of them on each prompt.

        Raises:
            UserError: another table, or pandas is not installed.
        """
        return _frame(self, of)

    def to_networkx(self) -> Any:
        """A ``networkx.MultiGraph``: nodes are components by name, edges interactions of two, with attributes.

        Effects, intervals, q values and relations are named as in the GraphML file. A larger interaction is a node of
        its own, the tuple of its members' names, with an edge to each. Of a circuit of edges it is a
        ``networkx.MultiDiGraph`` of the model's parts.

        Raises:
            UserError: a component is there twice, or a number is not finite.
        """
        return _networkx(self)

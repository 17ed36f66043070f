"""What components of a circuit do: the types of a description, which ``circuit.describe`` measures and files carry.

Everything is measured on the prompts of one task; intervals are 95 % over prompts. What a number means exactly stands
with its field here, how it is measured in ``circuits/roles/``, and the rules for the words in ``docs/roles.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from circuitspex.circuits import formats
from circuitspex.circuits.plots import DescriptionPlots
from circuitspex.registry import Later
from circuitspex.statistics import Estimate

_frame = Later("circuitspex.export.tables.frames:of_description")

NO_ROLE = "no clear role"
"""The word for a component that no rule fits with a margin."""

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "answer mover": "attends to a token and writes that token's own logit up, the answer's",
        "negative mover": "attends to a token and writes that token's own logit down, against the answer",
        "copy suppression": "writes down whatever token it attends to, on random text too",
        "inhibition": "attends to the wrong answer and changes later heads' queries by it; writes little itself",
        "induction": "attends to the token that followed the last time this token occurred",
        "duplicate token": "attends to where this token occurred before",
        "previous token": "attends to the token just before",
        "sink": "attends to the first token, whatever it is",
    }
)
"""The words for roles, and what each says; a component of another kind, or for which none is clear, has ``NO_ROLE``."""


@dataclass(frozen=True)
class Share:
    """A named part of something, with its interval over prompts."""

    name: str
    value: Estimate


@dataclass(frozen=True)
class Attended:
    """The attention to the tokens of one kind; ``even`` is what a head that attends to all tokens alike would have."""

    name: str
    value: Estimate
    even: float


@dataclass(frozen=True)
class Looks:
    """What a head attends to, averaged over the positions where its output matters.

    ``where`` are these positions with the weight that each has here (they sum to 1). ``positions`` is the attention to
    each position that the task names, ``tokens`` that to the text of tokens, the largest first, ``first`` that to the
    first token of the prompt, where attention goes that looks at nothing. All are shares of the head's attention.
    ``per_prompt`` has for each prompt the attention to each of its tokens, in their order; of many or long prompts, for
    the first of them. ``kinds`` is the attention to tokens by what they are to the position that attends (see
    ``circuits/roles/kinds.py``): the 'answer', the 'wrong answer', the 'previous token', the 'same token', and the one
    'after the same token'; those that no prompt has are left out. ``nowhere`` is what goes to no token, in models that
    learn such a place (None where the shares sum to 1).
    """

    where: tuple[Share, ...]
    positions: tuple[Share, ...]
    tokens: tuple[Share, ...]
    first: Estimate
    per_prompt: tuple[tuple[float, ...], ...] = ()
    kinds: tuple[Attended, ...] = ()
    nowhere: Estimate | None = None


@dataclass(frozen=True)
class Scored:
    """A token as text, and a number of it."""

    token: str
    score: float


@dataclass(frozen=True)
class Writes:
    """What a component writes straight into the answer, in logits: the share of it that passes no other component.

    ``direct`` is what it adds to the logit of the right answer minus that of the wrong one at the last position, with
    the scale of the final norm as it was in the run; ``per_prompt`` the same for each prompt. ``promotes`` and
    ``suppresses`` are the tokens whose logits it raises and lowers most, beside the mean over all tokens, averaged over
    prompts. ``copying``, of heads: how much the head's value and output matrices, from what stands at a token in the
    run (not its bare embedding, which tells little in deep layers), raise the logit of that token, in standard
    deviations over the vocabulary, averaged over the tokens that it attends to, weighted by attention; below 0 it
    lowers it.
    """

    direct: Estimate
    per_prompt: tuple[float, ...] = ()
    promotes: tuple[Scored, ...] = ()
    suppresses: tuple[Scored, ...] = ()
    copying: Estimate | None = None


@dataclass(frozen=True)
class Feed:
    """How much of what one component does to the metric passes through a later one, and by which way it enters there.

    All in units of the metric, by path patching: the metric in the plain run, minus the metric when the later component
    alone is shown what it would see without the earlier one. ``total`` is that for all of the later component's input;
    ``query``, ``key`` and ``value`` for one of a head's inputs alone, None of an MLP, which has one input. The three do
    not add up, as a head multiplies what enters; ``remainder`` is ``total`` minus their sum.
    """

    source: str
    target: str
    total: Estimate
    query: Estimate | None = None
    key: Estimate | None = None
    value: Estimate | None = None
    remainder: Estimate | None = None

    @property
    def through(self) -> str:
        """The way of the largest effect: 'query', 'key' or 'value', or 'input' of an MLP."""
        ways = {"query": self.query, "key": self.key, "value": self.value}
        sizes = {name: abs(way.value) for name, way in ways.items() if way is not None}
        return max(sizes, key=lambda name: sizes[name]) if sizes else "input"


@dataclass(frozen=True)
class At:
    """What a component does at one position: ``slope`` is the derivative of the metric by its gate there, and
    ``effect`` how much the metric falls when it is ablated there alone; None where that was not run.

    ``name`` is the name that the task gives the position, or ``token 5``; ``index`` where it is, None where prompts
    differ in that.
    """

    name: str
    slope: Estimate
    effect: Estimate | None = None
    index: int | None = None


@dataclass(frozen=True)
class Patterns:
    """Attention of a head on random tokens that are repeated once, over random texts; each a share of its attention.

    From each token of the second half: ``duplicate_token`` to where the same token stood in the first half,
    ``induction`` to the token after that, ``first`` to the first token, and ``chance`` is what a head that attends to
    all tokens alike would have to one of them. ``previous_token`` is from all tokens of both halves, after the first
    random one, to the token just before: a head may do so only where first halves are. ``copying`` is that of
    ``Writes`` on these texts.
    """

    previous_token: Estimate
    duplicate_token: Estimate
    induction: Estimate
    first: Estimate
    chance: float
    copying: Estimate | None = None


@dataclass(frozen=True)
class Firing:
    """A neuron (or latent) at a token of a prompt: its activation there, and ``direct``, what it writes straight into
    the logit difference at the last position, the mean over prompts (None where it is not known)."""

    unit: str
    prompt: int
    position: int
    token: str
    activation: float
    direct: float | None = None


@dataclass(frozen=True)
class Role:
    """A word for what a component does, by the rules of ``docs/roles.md``.

    ``margin`` is by how much the rule's threshold is passed, as a share of it, at the unfavourable end of every
    interval (0 where no rule fits); ``evidence`` are the numbers that decided, in words.
    """

    word: str = NO_ROLE
    margin: float = 0.0
    evidence: tuple[str, ...] = ()

    @property
    def is_clear(self) -> bool:
        """Whether it is one of ``ROLES``."""
        return self.word != NO_ROLE


@dataclass(frozen=True)
class About:
    """What one component does. A part that the model does not show, or that its kind does not have, is None; ``lacks``
    then says why, in a line for each."""

    name: str
    kind: str
    role: Role = field(default_factory=Role)
    looks: Looks | None = None
    writes: Writes | None = None
    where: tuple[At, ...] = ()
    patterns: Patterns | None = None
    fires: tuple[Firing, ...] = ()
    reads: tuple[Feed, ...] = ()
    feeds: tuple[Feed, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Breakdown:
    """The logit difference as a sum: ``total`` is ``parts`` plus ``remainder``, for every prompt.

    ``parts`` are the circuit's components that write to the residual stream, then all other heads, all other MLPs, the
    embedding, and the biases. ``remainder`` is what no part holds: what a soft cap takes away, or another non-linear
    step between the residual stream and the logits.
    """

    total: Estimate
    parts: tuple[Share, ...]
    remainder: Estimate


@dataclass(frozen=True)
class Description(formats.Result, DescriptionPlots):
    """What each component of a circuit does, by name: ``description["L23H3"]``.

    ``model`` and ``task`` are the identities of what it was measured on, ``n_prompts`` how many prompts that were.
    """

    components: tuple[About, ...]
    breakdown: Breakdown | None
    n_prompts: int
    model: str = ""
    task: str = ""
    seed: int = 0
    timings: Mapping[str, Any] = field(default_factory=dict)
    prompts: tuple[Mapping[str, Any], ...] = ()
    """Where they are not those that the circuit's record has: the prompts, as it would have them."""

    def __getitem__(self, name: str) -> About:
        for about in self.components:
            if about.name == name:
                return about
        raise KeyError(f"{name} is not described here; there are {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return (about.name for about in self.components)

    def __len__(self) -> int:
        return len(self.components)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each component; UserError where pandas is not installed."""
        return _frame(self)

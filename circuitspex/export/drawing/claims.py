"""What a result says of its own doubt: few prompts, little explained. Drawings, pages and texts share these words."""

from __future__ import annotations

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.drawing.style import number
from circuitspex.export.words.saying import say
from circuitspex.recovery.result import LOW_R2

FEW_PROMPTS = 12
"""With fewer prompts than this their spread is itself known to a quarter or worse, and it is said beside intervals.

A standard deviation from n prompts is off by about ``1 / sqrt(2 (n - 1))`` of itself: 21 % at 12, 41 % at 4.
"""


def prompts_word(circuit: Circuit, count: int) -> str:
    """What the columns of the game are, as many as there are: '8 prompts', '3 numbers a mask'."""
    return say("claims.numbers", n=count) if of_game(circuit) else say("claims.prompts", n=count)


def of_game(circuit: Circuit) -> bool:
    """Whether the columns of the game are numbers of a mask, and no prompts."""
    return circuit.run.get("lens") in ("training", "game")


def n_prompts_of(circuit: Circuit) -> int | None:
    """Over how many prompts effects were measured; None where the circuit does not say."""
    parts: list[Node | Interaction] = [*circuit.nodes, *circuit.interactions]
    found = max((len(part.per_prompt) for part in parts), default=0) or circuit.task.get("n_prompts")
    return found if isinstance(found, int) and found > 0 else None


def few_text(count: int | None) -> str:
    """', few' where the prompts are fewer than tell well how much prompts differ."""
    return say("claims.few") if count is not None and 1 < count < FEW_PROMPTS else ""


def measured_label(circuit: Circuit) -> str:
    """What stands beside an interval, in a few words: 'measured, 95 % interval over contexts and 8 prompts, few'."""
    count = n_prompts_of(circuit)
    exact = bool(circuit.run.get("exact_over_masks"))
    if count is None:
        return say("claims.measured")
    if count == 1:
        return say("claims.measured_one_exact") if exact else say("claims.measured_one")
    over, few = prompts_word(circuit, count), few_text(count)
    if exact:
        return say("claims.measured_over_exact", prompts=over, few=few)
    return say("claims.measured_over", prompts=over, few=few)


def interval_note(circuit: Circuit) -> str:
    """What the intervals of a circuit hold, and what they do not, in sentences; empty where nothing was measured."""
    inside: list[Node | Interaction] = [*circuit.nodes, *circuit.interactions]
    if not (any(part.measured for part in inside) or any(node.measured for node in circuit.dropped_nodes)):
        return ""
    count, exact = n_prompts_of(circuit), bool(circuit.run.get("exact_over_masks"))
    if count is None:
        said = say("claims.intervals")
    elif count == 1:
        said = _of_one(of_game(circuit), exact)
    else:
        said = _over(prompts_word(circuit, count), exact, count < FEW_PROMPTS)
    if any(part.adjusted for part in inside):
        said += " " + say(
            "claims.adjusted",
            components=len(circuit.nodes) + len(circuit.dropped_nodes),
            interactions=len(circuit.interactions) + len(circuit.dropped),
        )
    return said


def _of_one(number_a_mask: bool, exact: bool) -> str:
    if exact:
        return say("claims.exact_one_number") if number_a_mask else say("claims.exact_one_prompt")
    return say("claims.one_number") if number_a_mask else say("claims.one_prompt")


def _over(prompts: str, exact: bool, are_few: bool) -> str:
    if are_few and exact:
        return say("claims.intervals_exact_few", prompts=prompts, few=FEW_PROMPTS)
    if are_few:
        return say("claims.intervals_over_few", prompts=prompts, few=FEW_PROMPTS)
    return say("claims.intervals_exact", prompts=prompts) if exact else say("claims.intervals_over", prompts=prompts)


def doubt_text(circuit: Circuit) -> str:
    """Whether little is explained, by the held-out R² and the lower end of its interval, and what may help."""
    found = circuit.faithfulness
    if found.r2 is None:
        return ""
    budget = circuit.run.get("likely_budget")
    more = f"{budget:,}" if isinstance(budget, int) else ""
    if found.r2 < LOW_R2:
        if found.exact:
            return say("claims.little_exact")
        return say("claims.little_budget", budget=more) if more else say("claims.little")
    if found.low is not None and found.low < LOW_R2:
        low = number(found.low, 2, sign=False)
        return say("claims.maybe_little_budget", low=low, budget=more) if more else say("claims.maybe_little", low=low)
    return ""


def doubt_short(circuit: Circuit) -> str:
    """The same in a few words, without what may help."""
    found = circuit.faithfulness
    if found.r2 is None:
        return ""
    if found.r2 < LOW_R2:
        return say("claims.little_short")
    return say("claims.maybe_little_short") if found.low is not None and found.low < LOW_R2 else ""


def is_hollow(part: object) -> bool:
    """Whether it was measured and can't be told from 0."""
    return isinstance(part, Node) and part.measured is not None and not part.is_distinct

"""What a result says of its own doubt: few prompts, little explained. Drawings, pages and texts share these words."""

from __future__ import annotations

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.drawing.style import number
from circuitspex.recovery.result import LOW_R2

FEW_PROMPTS = 12
"""With fewer prompts than this their spread is itself known to a quarter or worse, and it is said beside intervals.

A standard deviation from n prompts is off by about ``1 / sqrt(2 (n - 1))`` of itself: 21 % at 12, 41 % at 4.
"""


def prompts_word(circuit: Circuit, count: int) -> str:
    """What the columns of the game are, as many as there are: '8 prompts', '3 numbers a mask'."""
    of_game = circuit.run.get("lens") in ("training", "game")
    one, many = ("number a mask", "numbers a mask") if of_game else ("prompt", "prompts")
    return f"{count} {one if count == 1 else many}"


def n_prompts_of(circuit: Circuit) -> int | None:
    """Over how many prompts effects were measured; None where the circuit does not say."""
    parts: list[Node | Interaction] = [*circuit.nodes, *circuit.interactions]
    found = max((len(part.per_prompt) for part in parts), default=0) or circuit.task.get("n_prompts")
    return found if isinstance(found, int) and found > 0 else None


def few_text(count: int | None) -> str:
    """', few' where the prompts are fewer than tell well how much prompts differ."""
    return ", few" if count is not None and 1 < count < FEW_PROMPTS else ""


def measured_label(circuit: Circuit) -> str:
    """What stands beside an interval, in a few words: 'measured, 95 % interval over contexts and 8 prompts, few'."""
    count = n_prompts_of(circuit)
    exact = bool(circuit.run.get("exact_over_masks"))
    if count is None:
        return "measured, 95 % interval"
    if count == 1:
        return (
            "measured, exact over masks, one prompt" if exact else "measured, 95 % interval over contexts, one prompt"
        )
    over = f"{prompts_word(circuit, count)}{few_text(count)}"
    return f"measured, exact over masks, 95 % over {over}" if exact else f"measured, 95 % interval, {over}"


def interval_note(circuit: Circuit) -> str:
    """What the intervals of a circuit hold, and what they do not, in sentences; empty where nothing was measured."""
    inside: list[Node | Interaction] = [*circuit.nodes, *circuit.interactions]
    if not (any(part.measured for part in inside) or any(node.measured for node in circuit.dropped_nodes)):
        return ""
    count, exact = n_prompts_of(circuit), bool(circuit.run.get("exact_over_masks"))
    what = "numbers a mask" if circuit.run.get("lens") in ("training", "game") else "prompts"
    if count == 1:
        said = (
            f"Exact over masks: all were run. One of the {what} shows nothing of how others differ, so there are no "
            "intervals."
            if exact
            else f"95 % intervals over contexts only: one of the {what} shows nothing of how others differ."
        )
    elif count is None:
        said = "95 % intervals."
    else:
        over = prompts_word(circuit, count)
        said = (
            f"Exact over masks: all were run. 95 % intervals over {over}."
            if exact
            else f"95 % intervals over contexts and {over}."
        )
        if count < FEW_PROMPTS:
            said = f"{said[:-1]}, which are few: with fewer than {FEW_PROMPTS}, intervals are wide and rough."
    if any(part.adjusted for part in inside):
        said += (
            " Those of the parts in the circuit are wider than 95 % each, because they were selected from "
            f"{_tested(circuit)}: of all of them, 5 % are expected to miss."
        )
    return said


def _tested(circuit: Circuit) -> str:
    nodes, edges = len(circuit.nodes) + len(circuit.dropped_nodes), len(circuit.interactions) + len(circuit.dropped)
    return f"{nodes} components and {edges} interactions that were measured"


def doubt_text(circuit: Circuit) -> str:
    """Whether little is explained, by the held-out R² and the lower end of its interval, and what may help."""
    found = circuit.faithfulness
    if found.r2 is None:
        return ""
    budget = circuit.run.get("likely_budget")
    more = f"a budget of about {budget:,}" if isinstance(budget, int) else "a larger budget"
    if found.r2 < LOW_R2:
        if found.exact:
            return "explains little: what is left are interactions that were not decoded"
        return f"explains little: try {more}, or keep a larger share"
    if found.low is not None and found.low < LOW_R2:
        return f"may explain little: {number(found.low, 2, sign=False)} is within its interval; try {more}"
    return ""


def is_hollow(part: object) -> bool:
    """Whether it was measured and can't be told from 0."""
    return isinstance(part, Node) and part.measured is not None and not part.is_distinct

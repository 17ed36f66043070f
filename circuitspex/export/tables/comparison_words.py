"""What every drawing, page and table of a comparison says of it: names, counts, the verdict in one sentence."""

from __future__ import annotations

from typing import get_args

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.comparison import Change, Comparison, Kind
from circuitspex.export.drawing.claims import interval_note
from circuitspex.export.drawing.style import decimals_of, interval, number
from circuitspex.export.words.saying import say, say_term
from circuitspex.text import printable

KINDS: tuple[Kind, ...] = get_args(Kind)


def model_names(comparison: Comparison) -> tuple[str, str]:
    """The names of the two models."""
    one, two = (printable(circuit.model.get("name") or "") for circuit in (comparison.before, comparison.after))
    if one == two and one and not comparison.identical:  # two checkpoints of one name: the weights tell them apart
        hashes = (printable(c.model.get("identity") or "")[:8] for c in (comparison.before, comparison.after))
        one, two = (f"{one} ({hash})" if hash else one for hash in hashes)
    return one or say("comparison.first_model"), two or say("comparison.second_model")


def metric_name(comparison: Comparison) -> str:
    """What effects are measured in."""
    return printable(comparison.before.task.get("metric") or say("page.metric"))


def task_name(comparison: Comparison) -> str:
    """The name of the task; empty where it has none."""
    return printable(comparison.before.task.get("name") or "")


def title_of(comparison: Comparison) -> str:
    """'a → b · task (metric)'."""
    one, two = model_names(comparison)
    task, metric = task_name(comparison), metric_name(comparison)
    return f"{one} → {two} · " + (f"{task} ({metric})" if task else metric)


def counts(comparison: Comparison) -> dict[Kind, int]:
    """How many of the tested components and interactions are of each kind."""
    return {kind: len(comparison.of(kind)) for kind in KINDS}


def verdict(comparison: Comparison) -> str:
    """What came out, in one sentence."""
    one, two = model_names(comparison)
    if comparison.identical:
        return say("comparison.identical", one=one, two=two)
    n, found = len(comparison.changes), len(comparison.found)
    if not n:
        return say("comparison.nothing_tested")
    tested, least = say("comparison.tested", n=n), f"{comparison.min_effect:.3g} {metric_name(comparison)}"
    rate = f"{100 * comparison.fdr:.3g}"
    if not found:
        shown = say("comparison.no_change", tested=tested, least=least, rate=rate)
        return " ".join(part for part in (shown, _undecided(comparison)) if part)
    said = counts(comparison)
    kinds = ", ".join(
        f"{said[kind]} {say_term('change', kind)}" for kind in KINDS if said[kind] and kind != "unchanged"
    )
    return say("comparison.changes_found", kinds=kinds, tested=tested, n=found, least=least, rate=rate)


def _undecided(comparison: Comparison) -> str:
    """How many of the others have an interval without zero: too few prompts or contexts to tell."""
    count = sum(change.kind == "unchanged" and change.difference.excludes_zero for change in comparison.changes)
    return say("comparison.undecided", count=count) if count else ""


def note_of(comparison: Comparison) -> str:
    """What the intervals of its effects hold, and what they do not; empty where nothing was measured."""
    sides = (comparison.difference, comparison.before, comparison.after)
    return next((note for note in map(interval_note, sides) if note), "")


def r2_text(comparison: Comparison) -> str:
    """'0.91 [0.88, 0.94] on 100 held-out masks'; empty where R² was not measured."""
    return " ".join(part for part in r2_parts(comparison) if part)


def r2_parts(comparison: Comparison) -> tuple[str, str]:
    """R², and its interval with the number of masks; both empty where R² was not measured."""
    found = comparison.faithfulness
    if found.r2 is None:
        return "", ""
    ends = (found.low, found.high)
    between = "" if None in ends else f"[{', '.join(number(end, 2, sign=False) for end in ends)}] "
    of = say("comparison.r2_exact", n=found.n_masks) if found.exact else say("comparison.r2", n=found.n_masks)
    return number(found.r2, 2, sign=False), between + of


def members(change: Change) -> str:
    """'L1H2 × L3H4'."""
    return " × ".join(map(printable, change.components))


def places_of(comparison: Comparison) -> int:
    """How many decimals the effects of the comparison need."""
    parts = [e.value for change in comparison.changes for e in (change.before, change.after, change.difference)]
    return decimals_of(parts)


def metric_places(comparison: Comparison) -> int:
    """How many decimals the unablated metric needs."""
    ends = (comparison.metric_before, comparison.metric_after, comparison.metric_difference)
    return decimals_of([end.value for end in ends if end is not None])


def estimate_text(estimate: Estimate | None, places: int) -> str:
    """'+1.20 [+1.10, +1.30]', or '–' where there is none."""
    if estimate is None:
        return "–"
    return f"{number(estimate.value, places)} {interval(estimate.low, estimate.high, places)}"

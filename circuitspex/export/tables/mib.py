"""Scores by MIB's protocol as text for a terminal."""

from __future__ import annotations

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.evidence.curve import SHARES
from circuitspex.circuits.mib_report import MIBReport
from circuitspex.export.drawing.claims import few_text
from circuitspex.export.tables.columns import joined
from circuitspex.files import file_writer
from circuitspex.text import printable


def render(report: MIBReport) -> str:
    """The curves, the areas with their intervals, and differences on the same prompts."""
    about = report.about
    title = " · ".join(printable(about[key]) for key in ("model", "task", "metric") if about.get(key))
    lines = [
        f"MIB's protocol over {report.n_players} {report.level}: {title}",
        f"{report.n_prompts} prompts{few_text(report.n_prompts)}; metric {report.full:+z.2f} of the model, "
        f"{report.empty:+z.2f} of the counterfactual's run",
        *_doubt(report),
        "",
        *_curves(report),
        "",
        *_areas(report),
    ]
    if report.gains:
        lines += ["", *_gains(report)]
    return joined(lines)


write = file_writer(render)


def _doubt(report: MIBReport) -> list[str]:
    if report.span.low * report.span.high > 0:
        return []
    return [f"the two may be the same (difference {report.span:z.2f}): shares of it mean little on these prompts"]


def _curves(report: MIBReport) -> list[str]:
    """Faithfulness at the ten shares; below them the numbers that they are."""
    width = max(map(len, [*report.curves, report.level]))
    lines = [
        f"Faithfulness with only so many {report.level} (1: the model, 0: the counterfactual's run)",
        "  " + " " * width + "".join(f"{f'{100 * share:g} %':>8}" for share in SHARES),
        "  " + report.level.ljust(width) + "".join(f"{size:>8}" for size in report.sizes),
    ]
    for name, curve in report.curves.items():
        lines.append("  " + name.ljust(width) + "".join(f"{value.value:>z8.2f}" for value in curve.values))
    if report.level == "nodes" and report.edges:
        lines.append("  edges between the nodes that are kept, as MIB counts them")
        for name, counts in report.edges.items():
            lines.append("  " + name.ljust(width) + "".join(f"{count:>8}" for count in counts))
    return lines


def _areas(report: MIBReport) -> list[str]:
    width = max(len(name) for name in report.curves)
    lines = [
        "Areas with 95 % intervals over prompts: CPR (how much of the behaviour; more than 1 is more than the model's)",
        "and CMD (distance from the model; 0 is best); passes with a gradient",
    ]
    for name, curve in report.curves.items():
        spent = report.passes.get(name)
        lines.append(
            f"  {name.ljust(width)}  CPR {_plain(curve.cpr)}  CMD {_plain(curve.cmd)}"
            + ("" if spent is None else f"  {spent:>5}")
        )
    return lines


def _gains(report: MIBReport) -> list[str]:
    lines = ["Differences on the same prompts (above zero: better than the other)"]
    for gain in report.gains:
        lines.append(f"  {gain.way} over {gain.other}: CPR {gain.cpr:z.3f}, CMD {gain.cmd:z.3f}")
    return lines


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:z6.3f} [{estimate.low:z6.3f}, {estimate.high:z6.3f}]"

"""The examination of a circuit as text for a terminal, at most 100 columns."""

from __future__ import annotations

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.report import Report
from circuitspex.export.drawing.claims import few_text
from circuitspex.export.drawing.style import share_text
from circuitspex.export.tables.columns import MAX_ROWS, joined, left_out
from circuitspex.files import file_writer
from circuitspex.text import printable


def render(report: Report) -> str:
    """The report: curves, areas beside the baselines, completeness, minimality, stability."""
    about = report.about
    title = " · ".join(printable(about[key]) for key in ("model", "task", "metric") if about.get(key))
    lines = [
        f"Examination of a circuit of {len(report.circuit)} components: {title}",
        f"{report.n_prompts} held-out prompts{few_text(report.n_prompts)}; metric {report.full:+z.2f} unablated, "
        f"{report.empty:+z.2f} all ablated",
        "",
        f"only the circuit kept: {share_text(report.kept)} of the behaviour",
        f"only the circuit removed: {share_text(report.left)} of the behaviour is left",
        "",
        *_curves(report),
        "",
        *_areas(report),
    ]
    if report.gains:
        lines += ["", *_gains(report)]
    lines += ["", *_parts(report)]
    if report.stability is not None:
        lines += ["", *_stability(report)]
    return joined(lines)


write = file_writer(render)


def _curves(report: Report) -> list[str]:
    """Faithfulness by size; a size that several shares round to is shown once."""
    sizes = report.sizes
    places = [sizes.index(size) for size in dict.fromkeys(sizes) if size]
    width = max(len(name) for name in report.curves)
    head = f"Faithfulness by number of components ({len(places)} distinct sizes of MIB's ten)"
    lines = [head, "  " + " " * width + "".join(f"{sizes[place]:>8}" for place in places)]
    for name, curve in report.curves.items():
        lines.append("  " + name.ljust(width) + "".join(f"{curve.values[place].value:>z8.2f}" for place in places))
    left = "left without".ljust(width)
    lines.append("  " + left[:width] + "".join(f"{report.removed[place].value:>z8.2f}" for place in places))
    return [*lines, "  'left without': the share left when the chosen circuit of that size is removed"]


def _areas(report: Report) -> list[str]:
    width = max(len(name) for name in report.curves)
    lines = ["Areas: CPR (higher is better) and CMD (0 is best), 95 % intervals over prompts; gradient ablations used"]
    for name, curve in report.curves.items():
        spent = report.passes.get(name)
        lines.append(
            f"  {name.ljust(width)}  CPR {_plain(curve.cpr)}  CMD {_plain(curve.cmd)}"
            + ("" if spent is None else f"  {spent:>5}")
        )
    cpr = report.random_areas["cpr"]
    return [*lines, f"  {report.n_random} random orders: 95 % have a CPR between {cpr.low:z.3f} and {cpr.high:z.3f}"]


def _gains(report: Report) -> list[str]:
    lines = ["Differences on the same prompts (above zero: better than the other)"]
    for gain in report.gains:
        area = f"CPR {gain.cpr:z.3f}" if gain.way == "chosen" else f"CMD {gain.cmd:z.3f}"
        lines.append(f"  {gain.way} over {gain.other}: {area}")
    return lines


def _parts(report: Report) -> list[str]:
    needed = sum(part.needed for part in report.parts)
    lines = [f"Minimality: without {needed} of {len(report.parts)} components the circuit is worse (95 % each)"]
    width = max(len(part.name) for part in report.parts)
    for part in report.parts[:MAX_ROWS]:
        lines.append(f"  without {part.name.ljust(width)}  loses {part.loss:z.2f}")
    return lines + left_out(len(report.parts), "more")


def _stability(report: Report) -> list[str]:
    found = report.stability
    assert found is not None
    prompts = "new prompts" if found.fresh_prompts else "three quarters of the prompts"
    return [
        f"Stability over {len(found.nodes)} repetitions with new masks on {prompts} (Jaccard similarity)",
        f"  components    {', '.join(f'{value:z.2f}' for value in found.nodes)}",
        f"  interactions  {', '.join(f'{value:z.2f}' for value in found.interactions) or 'the circuit has none'}",
    ]


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:z6.3f} [{estimate.low:z6.3f}, {estimate.high:z6.3f}]"

"""The Python that repeats a search, written from the circuit's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.tasks import TASKS
from circuitspex.text import escaped

_OF_MODELS = ("n_random", "directions")
"""Options that ``find_circuit`` has and ``explain`` has not."""


def python(circuit: Circuit) -> str:
    """A script, in ASCII; comments say what the record does not tell."""
    run, task = circuit.run, circuit.task
    lens = run.get("lens", "components")
    if "effects" in run:
        return f"# The effects of this circuit came from {_comment(run['effects'])}; there was no search to repeat.\n"
    if lens not in ("components", "groups", "edges"):
        return (
            f"# This result is of the lens {_comment(lens)}, whose game the file does not hold.\n"
            "# With that game it is found again so:\n\nimport circuitspex as cx\n\n"
            f"found = cx.explain(\n    game,\n{_arguments(_search(run), without=_OF_MODELS)})\n"
        )
    lines = ["import circuitspex as cx", ""]
    lines.append(f"model = cx.load_model({_text(circuit.model.get('name') or 'NAME')}{_held(circuit)})")
    if circuit.model.get("identity"):
        lines.append(f"# identity of the weights: {_comment(circuit.model['identity'])}")
    lines += [*_task(task), ""]
    options = {
        "components": searched_edges(run) or run.get("components"),
        "baseline": run.get("baseline"),
        **_search(run),
    }
    levels = run.get("levels")
    if isinstance(levels, list | tuple) and levels:
        named = [each.get("components") for each in levels if isinstance(each, Mapping)]
        options = {"levels": named, **{name: value for name, value in options.items() if name != "components"}}
    lines.append(f"found = cx.find_circuit(\n    model,\n    task,\n{_arguments(options)})")
    lines.append('found.circuit.save("circuit.json")')
    if circuit.description is not None:
        lines += [
            f"about = found.circuit.describe(model, task, seed={circuit.description.seed!r})",
            'found.circuit.described(about).to_html("circuit.html")',
        ]
    else:
        lines.append('found.circuit.to_html("circuit.html")')
    if run.get("latents"):
        lines.insert(2, "# give find_circuit(latents=...) the sparse autoencoders that the record names")
    return "\n".join(lines) + "\n"


def searched_edges(run: Mapping[str, Any]) -> Any:
    """The selector of edges of which the circuit's are the strongest; None of other searches."""
    edges = run.get("edges")
    return edges.get("searched") if isinstance(edges, Mapping) else None


def _task(task: Mapping[str, Any]) -> list[str]:
    name, metric, count = task.get("name"), task.get("metric"), task.get("n_prompts")
    options = [f"n_prompts={count}"] if isinstance(count, int) else []
    options += [f"metric={_text(metric)}"] if isinstance(metric, str) and metric != "logit_diff" else []
    if isinstance(name, str) and name in TASKS:
        made = f"task = cx.tasks.build({', '.join([_text(name), 'model', *options])})"
    else:
        file = f"{name}.jsonl" if isinstance(name, str) and name else "PROMPTS.jsonl"
        given = ["model", *(option for option in options if option.startswith("metric")), "group_by_length=True"]
        made = f"task = cx.Task.from_jsonl({_text(file)}, {', '.join(given)})"
        made += f"  # the prompts of {_comment(name or 'the task')}"
    return [made, *([f"# identity of the prompts: {_comment(task['identity'])}"] if task.get("identity") else [])]


def _search(run: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the search that the record tells."""
    keep: Any = run.get("keep")
    if "keep_chosen" in run:
        keep = "auto"
    elif isinstance(run.get("keep_range"), list | tuple):
        keep = tuple(run["keep_range"])
    refined, more = run.get("refined"), run.get("options")
    rounds = refined.get("rounds") if isinstance(refined, Mapping) else None
    return {
        "budget": run.get("budget"),
        "keep": keep,
        "method": run.get("method"),
        "n_heldout": run.get("heldout_ablations") or None,
        **(more if isinstance(more, Mapping) else {}),
        "refine": rounds,
        "until": run.get("until"),
        "seed": run.get("seed"),
    }


def _arguments(options: Mapping[str, Any], without: tuple[str, ...] = ()) -> str:
    """One argument a line; what is not known is left out."""
    return "".join(
        f"    {name}={_value(value)},\n"
        for name, value in options.items()
        if value is not None and name not in without and name.isidentifier() and name.isascii()
    )


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_value, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return _text(value) if isinstance(value, str) else repr(value) if isinstance(value, int | float) else "None"


def _text(value: object) -> str:
    return ascii(str(value))


def _comment(value: object) -> str:
    """On one line, without anything that an editor would not show."""
    return escaped(" ".join(str(value).split())[:400])


def _held(circuit: Circuit) -> str:
    """How the weights were held."""
    found = {name: circuit.model.get(name) for name in ("dtype", "quantization")}
    return "".join(f", {name}={_text(how)}" for name, how in found.items() if isinstance(how, str) and how)

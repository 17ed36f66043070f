"""What can be said of the arguments of a verb before a model is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from circuitspex.cli.options import check_names, writable_folder
from circuitspex.errors import TaskError, UserError

_FLAGS = {"metric": "--metric", "n_prompts": "--prompts", "group_by_length": "--group-by-length"}


def check_before_loading(
    options: argparse.Namespace, *, models: list[tuple[str, str | None]], files: Iterable[str]
) -> Path | None:
    """Check every argument that a verb has, as far as that needs no weights; the cheapest first.

    What was checked by making it is left in ``options``: the store is open, ``latents`` are loaded.

    Args:
        options: of the verb.
        models: the names that will be loaded, each with its revision.
        files: the names of what will be written to the folder.

    Returns:
        The folder to write to, which there is now; None where none was asked for.

    Raises:
        UserError: the first thing that is wrong, in one line.
    """
    check_names(options)  # before anything heavy is imported
    from circuitspex.circuits.search.edges._search_edges import check_edge_options
    from circuitspex.circuits.search.options import Options
    from circuitspex.components import Latents, check_levels_spelled, check_selector
    from circuitspex.components.edges import is_of_edges
    from circuitspex.models.memory import check_fits, model_memory
    from circuitspex.models.sources import check_model, layers_of
    from circuitspex.tasks import check_task

    for option, value in task_options(options).items() if getattr(options, "task", None) else ():
        try:
            check_task(options.task, **{option: value})
        except TaskError as error:
            if "has no option" not in str(error):
                raise
            raise UserError(f"{_FLAGS[option]} is not for --task {options.task}") from None
    components, levels = getattr(options, "components", None), getattr(options, "levels", None)
    finds = hasattr(options, "refine")
    check_selector(components or "heads", edges=finds)
    check_levels_spelled(levels or ())
    given = {field.name: getattr(options, field.name) for field in fields(Options) if hasattr(options, field.name)}
    later: dict[str, Any] = {"latents": None, "workers": None}  # what is still a path and an address here
    if hasattr(options, "budget"):
        if options.budget is None:  # by the number of players, which is not known yet
            del given["budget"]
        options.store = Options.of(given | later).store or "off"
    if levels is None and is_of_edges(components or "heads"):
        of_edges = replace(Options.of(given | later), latents=options.latents or None)
        check_edge_options(of_edges, options.baseline or "resample")
    how = {name: getattr(options, name, None) for name in ("device", "dtype", "device_map", "quantization")}
    for name, revision in models:
        check_model(name, **how, revision=revision)
        n_layers = layers_of(name, revision)
        check_selector(components or "heads", n_layers, name, edges=finds)
        check_levels_spelled(levels or (), n_layers, name)
    check_fits(model_memory(name, **how, revision=revision) for name, revision in models)
    if getattr(options, "latents", None):
        options.latents = [Latents.load(path) for path in options.latents]
    return None if options.out is None else writable_folder(options.out, files)


def task_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options that the task is built with."""
    wanted: dict[str, Any] = {"metric": options.metric}
    if options.prompts is not None:
        wanted["n_prompts"] = options.prompts
    if getattr(options, "group_by_length", False):
        wanted["group_by_length"] = True
    return wanted

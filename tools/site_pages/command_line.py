"""The reference of the command line, from its parser."""

from __future__ import annotations

import argparse
import re


def page(parser: argparse.ArgumentParser) -> str:
    """Every verb with its options, what they take, their defaults, and an example."""
    verbs = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    about = {action.dest: str(action.help) for action in verbs._choices_actions}
    parts = [
        "# Command line",
        f"{parser.description} Every verb has `--help` and `--json`. A wrong option is reported in one line before "
        "a model is loaded, with exit status 2; other failures exit with 1.",
        "\n".join(
            ["| verb | what it does |", "| --- | --- |", *(_row(f"[`{v}`](#{v})", about[v]) for v in verbs.choices)]
        ),
    ]
    for name, verb in verbs.choices.items():
        parts += [f"## {name}", str(verb.description), *_usage(verb), _table(verb)]
    return "\n\n".join(parts) + "\n"


def _usage(verb: argparse.ArgumentParser) -> list[str]:
    example = (verb.epilog or "").partition("example:\n")[2]
    lines = [line.removeprefix("  ") for line in example.rstrip().splitlines()]
    return ["\n".join(f"    {line}" for line in lines)] if lines else []


def _table(verb: argparse.ArgumentParser) -> str:
    rows = ["| option | takes | what it is | default |", "| --- | --- | --- | --- |"]
    for action in verb._actions:
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
            rows.append(_row(_names(action), _takes(action), _help(verb, action), _default(action)))
    return "\n".join(rows)


def _names(action: argparse.Action) -> str:
    names = action.option_strings or [str(action.metavar or action.dest)]
    return ", ".join(f"`{name}`" for name in names) + (
        " (required)" if action.required and action.option_strings else ""
    )


def _takes(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None and action.metavar is None:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    return f"`{action.metavar or action.dest.upper()}`"


def _help(verb: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = verb._get_formatter()._expand_help(action) if action.help else ""
    return re.sub(r" ?\(default: ([^()]*)\)", lambda said: "" if said[1] == str(action.default) else said[0], text)


def _default(action: argparse.Action) -> str:
    said = re.search(r"\(default: [^()]*\)", action.help or "") and "%(default)" not in (action.help or "")
    none = action.default is None or action.default is False or action.default in (argparse.SUPPRESS, [])
    if action.nargs == 0 or action.required or none:
        return ""
    return "" if said and f"(default: {action.default})" not in (action.help or "") else f"`{action.default}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") for cell in cells) + " |"

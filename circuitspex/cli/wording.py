"""Messages in the words of the command line, and what a user's own code raised shown as theirs."""

from __future__ import annotations

import argparse
import re
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType

from circuitspex.text import message

_ASSIGNED = re.compile(r"\b([a-z_]+)=(?:'([^']*)'|\"([^\"]*)\"|((?>[\w:@/-]+(?:\.[\w:@/-]+)*)))(?!\()")
_OPEN = re.compile(r"\b([a-z_]+)=…")
_NAMED = re.compile(r"(?<![\w.'-])[a-z]+(?:_[a-z]+)+(?![\w(=.'])")
_ALSO = {"n_prompts": "prompts", "min_effect": "min_effect", "interactions": "", "gpus": "worker_gpus"}
"""Arguments that are called otherwise as options; '' are words that mean something else in a message."""


def in_flags(text: str, parser: argparse.ArgumentParser | None) -> str:
    """A message that speaks of arguments, as Python has them, in flags of this verb: ``keep=0.5`` as ``--keep 0.5``."""
    flags: dict[str, tuple[str, bool]] = {}
    for action in parser._actions if parser is not None else ():
        long = [name for name in action.option_strings if name.startswith("--")]
        if long and action.help != argparse.SUPPRESS:
            flags[action.dest] = (long[0], action.nargs == 0)
    for name, dest in _ALSO.items():
        if dest in flags:
            flags[name] = flags[dest]

    def assigned(found: re.Match[str]) -> str:
        flag, switch = flags.get(found[1], ("", False))
        if found[1] == "revision" and not flag:
            return f"@{found[2] or found[4]}"  # as compare writes it
        if not flag or (switch and found[4] != "True"):
            return found[0]
        return flag if switch else f"{flag} {next(value for value in found.groups()[1:] if value is not None)}"

    def alone(found: re.Match[str]) -> str:
        return flags[found[1]][0] if found[1] in flags else found[0]

    def named(found: re.Match[str]) -> str:
        return flags[found[0]][0] if found[0] in flags else found[0]

    text = text.replace(", or a function of the logits", "")  # which a command can't hold
    return _NAMED.sub(named, _ASSIGNED.sub(assigned, _OPEN.sub(alone, text)))


def theirs(error: BaseException) -> str | None:
    """Where a user's own code raised it, 'Game.__call__ (my_game.py, line 12)'; None where only this package's did.

    Theirs is what this package called that is neither its own, nor Python's, nor another installed package's, unless
    that package adds something to a table of ours.
    """
    found, trace = None, error.__traceback__
    called = False
    while trace is not None:
        if _is_ours(trace):
            called, found = True, None  # theirs called ours again
        elif called and _is_theirs(trace):
            code = trace.tb_frame.f_code
            found = f"{code.co_qualname} ({Path(code.co_filename).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found


def shown(error: BaseException) -> str:
    """An exception that is no error of ours, as one line: whose it is, what it is, what it says."""
    where, said = theirs(error), message(error, 300)
    kind = type(error).__name__ + (f": {said}" if said else "")
    return f"{kind} (--debug shows where)" if where is None else f"{where} raised {kind} (--debug shows the traceback)"


def _module(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))


def _is_ours(trace: TracebackType) -> bool:
    return _module(trace).split(".")[0] == "circuitspex"


def _is_theirs(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    if file.startswith("<"):
        return False
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if not any(str(file).startswith(f"{folder}/") for folder in installed):
        return True
    return _module(trace).split(".")[0] in _guests()


def _guests() -> set[str]:
    """The packages that add something to our tables."""
    groups = [group for group in entry_points().groups if group.startswith("circuitspex.")]
    return {point.module.split(".")[0] for group in groups for point in entry_points(group=group)}

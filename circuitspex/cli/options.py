"""Options that several verbs share, and how their values are read."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from circuitspex.ablation import BASELINES
from circuitspex.components import KINDS
from circuitspex.errors import UserError
from circuitspex.recovery.decoders.table import DECODERS
from circuitspex.tasks.catalogue import TASKS, check_name
from circuitspex.tasks.metrics import METRICS
from circuitspex.text import escaped

if TYPE_CHECKING:
    from circuitspex.masks import Keep


LOADING = ("device", "device-map", "dtype", "quantization")
"""The options of how a model is loaded, and where to."""


class Parser(argparse.ArgumentParser):
    """A parser whose usage errors are one line, with a pointer to the help."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong, and exit with 2."""
        self.exit(2, f"{self.prog}: {escaped(message)} (see {self.prog} --help)\n")


def verb_parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_text: str, example: str
) -> argparse.ArgumentParser:
    """A verb's parser, with its example and the options that every verb has."""
    parser = verbs.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


class Named:
    """Choices that are listed where help is asked for; whether a name is one of them, the verb itself says later."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __contains__(self, name: object) -> bool:
        return True


def shared_options(parser: argparse.ArgumentParser, *names: str, **changed: dict[str, Any]) -> None:
    """Add options that several verbs have, in this order; ``changed`` is what is different of one of them here."""
    kinds = ", ".join(kind.word for kind in map(KINDS.ready, KINDS) if kind is not None)
    baselines = {name: BASELINES.ready(name) for name in BASELINES}
    about = "; ".join(name if entry is None else f"{name}: {entry.about}" for name, entry in baselines.items())
    known: dict[str, dict[str, Any]] = {
        "model": {
            "required": True,
            "help": "offline catalogue name, directory (also of a PEFT adapter), .gguf file, or hub name",
        },
        "task": {
            "required": True,
            "choices": Named(lambda: TASKS),
            "metavar": "TASK",
            "help": "%(choices)s, a .jsonl file of your own examples, or a file of MIB's or EAP-IG's data",
        },
        "components": {
            "type": not_empty,
            "help": f"selector of {kinds}; such as heads (the default), heads+mlps, layers[20:30].heads.v, "
            "residuals@-1",
        },
        "latents": {
            "type": Path,
            "action": "append",
            "default": [],
            "metavar": "FILE",
            "help": "a sparse autoencoder (.safetensors, from Latents.save) whose latents are among the components; "
            "repeat it for several layers",
        },
        "baseline": {
            "default": "mean",
            "choices": BASELINES,
            "metavar": "BASELINE",
            "help": f"what an ablated component outputs instead; {about} (default: mean)",
        },
        "budget": {"type": whole_number(2), "default": 100, "help": "ablations to decode from (default: %(default)s)"},
        "until": {"type": share, "metavar": "R2", "help": "stop early once R² on new masks reaches this"},
        "keep": {
            "type": share_kept,
            "default": 0.5,
            "metavar": "SHARE",
            "help": "share of components kept by a mask; 0.3:0.9 mixes shares, auto picks one by a pilot "
            "(default: 0.5)",
        },
        "method": {
            "default": "auto",
            "choices": DECODERS,
            "metavar": "METHOD",
            "help": "decoder: %(choices)s (default: %(default)s)",
        },
        "prompts": {"type": whole_number(1), "help": "how many prompts of a built-in task (default: 16)"},
        "metric": {
            "default": "logit_diff",
            "choices": Named(lambda: METRICS),
            "metavar": "METRIC",
            "help": "what is measured: %(choices)s (default: %(default)s)",
        },
        "heldout-masks": {
            "type": whole_number(2),
            "default": 200,
            "dest": "n_heldout",
            "metavar": "MASKS",
            "help": "held-out masks for the R² (default: %(default)s)",
        },
        "heldout": {
            "type": heldout_prompts,
            "metavar": "FILE",
            "help": "a .jsonl file of held-out prompts to verify the circuit on; those that it was found on are left "
            "out (default: fresh prompts of a built-in task, else a quarter of the task's)",
        },
        "contexts": {
            "type": whole_number(2),
            "default": 16,
            "dest": "n_contexts",
            "metavar": "CONTEXTS",
            "help": "contexts an interaction is measured in",
        },
        "executor": {"default": "auto", "choices": ("auto", "fused", "batched", "hooks")},
        "store": {
            "default": "auto",
            "metavar": "FILE",
            "help": "where finished ablations are kept, so that an interrupted run goes on where it stopped; 'off' "
            "keeps none (default: $CIRCUITSPEX_STORE, else runs.sqlite in the cache folder)",
        },
        "workers": {
            "metavar": "ADDRESS",
            "help": "run the ablations in processes that Ray starts: local:4 (on this machine), auto (the cluster that "
            "runs here), HOST:PORT or ray://HOST:10001",
        },
        "worker-gpus": {
            "type": not_negative,
            "metavar": "N",
            "help": "GPUs of each worker; more than 1 spread the model over them (default: 1 where there are any)",
        },
        "seed": {"type": whole_number(0), "default": 0, "help": "of every random choice (default: 0)"},
        "device": {"help": "cpu, cuda, cuda:1 (default: the GPU if there is one)"},
        "dtype": {"type": dtype, "help": "float32, float64, bfloat16 or float16 (default: float32)"},
        "device-map": {
            "choices": ("auto", "balanced", "balanced_low_0", "sequential"),
            "metavar": "MAP",
            "help": "spread a large model over several GPUs: auto, balanced or sequential; in place of --device",
        },
        "quantization": {
            "choices": ("8bit", "4bit"),
            "metavar": "BITS",
            "help": "hold the weights of linear maps in few bits: 8bit (needs torchao) or 4bit (needs bitsandbytes)",
        },
        "revision": {"help": "branch, tag or commit of a hub model"},
        "out": {"type": a_folder, "help": "folder for circuit.json, the diagrams and the decoded function"},
    }
    for name in names:
        parser.add_argument(f"--{name}", **known[name] | changed.get(name, {}))
        if name == "heldout-masks" and "heldout" not in names:
            parser.add_argument("--heldout", **known[name] | {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS})


def arguments(options: argparse.Namespace, function: Callable[..., Any], *, loads: bool = False) -> dict[str, Any]:
    """The options that are keywords of this function.

    How a model is loaded is for the function that ``loads`` it: the others are given one that is loaded.
    """
    named = (p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY)
    left_out = () if loads else {each.replace("-", "_") for each in LOADING}
    return {p.name: getattr(options, p.name) for p in named if hasattr(options, p.name) and p.name not in left_out}


def check_names(options: argparse.Namespace) -> None:
    """What can be said of the names of the task, the metric, the decoder and the baseline before a model is loaded.

    Raises:
        UserError: there is no such thing, or another package's can't be loaded.
    """
    if getattr(options, "task", None):
        check_name(options.task)
    if getattr(options, "heldout", None):
        check_name(options.heldout)
    if options.metric is not None:
        METRICS[options.metric]
    DECODERS[options.method]
    if getattr(options, "baseline", None):
        BASELINES[options.baseline]


def whole_number(least: int) -> Callable[[str], int]:
    """An option's type: a whole number of at least ``least``."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {number}")
        return number

    return read


def heldout_prompts(text: str) -> str | int:
    """An option's type: a task by name or file; a number of held-out masks, as the option was, for one release."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return whole_number(2)(text) if text.lstrip("-").isdigit() else text


def dtype(text: str) -> str:
    """An option's type: the name of a dtype of weights."""
    from circuitspex.models.sources import DTYPES

    if text not in DTYPES:
        raise argparse.ArgumentTypeError(f"unknown dtype '{text}'; allowed: {', '.join(DTYPES)}")
    return text


def number(text: str) -> float:
    """An option's type: a finite number."""
    try:
        found = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not abs(found) < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a finite number, not {text}")
    return found


def not_negative(text: str) -> float:
    """An option's type: a number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text}")
    return number


def names_of(text: str) -> list[str]:
    """An option's type: names with commas between."""
    found = [name.strip() for name in text.split(",")]
    if not all(found) or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of different names, with commas between")
    return found


def not_empty(text: str) -> str:
    """An option's type: anything but nothing."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def a_folder(text: str) -> Path:
    """An option's type: the path of a folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty; '.' is the folder that you are in")
    return Path(text)


def levels(text: str) -> list[str]:
    """An option's type: two or more selectors from coarse to fine, with commas between."""
    found = [level.strip() for level in text.split(",")]
    if len(found) < 2 or not all(found):
        raise argparse.ArgumentTypeError(f"'{text}' is not two or more levels (such as layers,heads+mlps,neurons)")
    return found


def rounds(text: str) -> int | list[str]:
    """An option's type: a whole number of rounds; the levels of before ``--levels`` go on for one release."""
    return levels(text) if "," in text else whole_number(0)(text)


def share(text: str) -> float:
    """An option's type: a number between 0 and 1, neither included."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1 and be neither, not {text}")
    return number


def share_kept(text: str) -> Keep | Literal["auto"]:
    """An option's type: a share such as 0.5, a range such as 0.3:0.9, or auto."""
    return "auto" if text == "auto" else _share_or_range(text, "0.5, a range 0.3:0.9, or auto")


def share_or_range(text: str) -> Keep:
    """An option's type: a share such as 0.5, or a range such as 0.3:0.9."""
    return _share_or_range(text, "0.5, or a range 0.3:0.9")


def _share_or_range(text: str, allowed: str) -> Keep:
    if ":" not in text:
        try:
            return share(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error} (allowed: {allowed})") from None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a range LOW:HIGH such as 0.3:0.9") from None
    if not 0 < low < high < 1:
        raise argparse.ArgumentTypeError(f"a range LOW:HIGH needs 0 < LOW < HIGH < 1, not {text}")
    return low, high


def writable_folder(path: Path, files: Iterable[str] = ()) -> Path:
    """The folder, made if missing; asked for before the work begins, so that nothing finished is lost.

    Of the files that will be written to it, those that are there already are named on standard error.

    Raises:
        UserError: it can't be made or written to.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"can't write to the folder {path}: it is a file")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"can't write to the folder {path}: {os.strerror(error.errno or 0)}") from error
    there = [name for name in files if (path / name).exists()]
    if there:
        print(escaped(f"{path} has {', '.join(there)} already: overwritten at the end"), file=sys.stderr)
    return path

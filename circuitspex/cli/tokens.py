"""``circuitspex tokens``: which words of a prompt matter for an answer, and which work together."""

from __future__ import annotations

import argparse

from circuitspex.cli.checks import check_before_loading
from circuitspex.cli.options import LOADING, arguments, shared_options, verb_parser
from circuitspex.cli.result import finish, stored
from circuitspex.cli.workers import workers_of
from circuitspex.errors import FileFormatError, UserError
from circuitspex.strict_json import file_text

WRITTEN = ("prompt.json", "prompt.html", "prompt.svg", "prompt.png", "circuit.json", "interactions.json")

EXACT_UP_TO = 10
"""Of so few words every mask is run, unless a budget is asked for."""

EXAMPLE = (
    'circuitspex tokens --model smollm2-135m --prompt "The food was not" --answer " good" --wrong-answer " bad" '
    "--out runs/words"
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "tokens", "find which words of a prompt matter and which work together", EXAMPLE)
    shared_options(parser, "model")
    parser.add_argument("--prompt", required=True, help="the text; '@FILE' reads it from a file")
    parser.add_argument("--answer", required=True, help="what should follow, with its leading space")
    parser.add_argument("--wrong-answer", help="what it is compared with (metric logit_diff)")
    parser.add_argument("--unit", default="words", choices=("words", "tokens", "sentences"), help="default: words")
    parser.add_argument(
        "--span",
        type=_span,
        action="append",
        metavar="START:END",
        help="characters of the prompt that are one player, instead of a unit; may be given several times",
    )
    parser.add_argument("--part", metavar="TEXT", help="only this piece of the prompt is ablated; it must stand in it")
    parser.add_argument(
        "--ablate",
        default="mean",
        choices=("token", "mean", "delete", "attention"),
        help="token: another token in its place; mean: the mean embedding; delete: left out, what follows moves up; "
        "attention: nothing attends to it (default: mean)",
    )
    parser.add_argument(
        "--token", default="auto", help="for --ablate token: mask, pad, unk, or the text of one token (default: auto)"
    )
    parser.add_argument("--chat", action="store_true", help="put the prompt into the model's chat template")
    parser.add_argument(
        "--first",
        default="auto",
        choices=("auto", "bos", "protect", "ablate"),
        help="the first token, where attention sinks: bos: a BOS token is put before it; protect: never ablated; "
        "ablate: as any other (default: auto, bos where the tokenizer has one, else protect)",
    )
    shared_options(
        parser,
        *("metric", "budget", "keep", "method", "heldout-masks", "contexts", "executor", "store", "workers"),
        *("worker-gpus", "seed", *LOADING, "revision", "out"),
        metric={"default": None, "help": "what is measured: %(choices)s (default: by the answers given)"},
        budget={"default": None, "help": "masks to run (default: all of them for up to 10 words, else 200)"},
        keep={"help": "share of words kept by a mask; 0.3:0.9 mixes shares, auto picks one by a pilot (default: 0.5)"},
        **{"heldout-masks": {"default": 100}},
        executor={"choices": ("auto", "batched", "hooks"), "help": "how the model is run"},
        out={"help": "folder for prompt.json, circuit.json, the pictures and the function"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    if options.token != "auto" and options.ablate != "token":
        raise UserError(f"--token is for --ablate token, not for --ablate {options.ablate}")
    if options.span and options.unit != "words":
        raise UserError(f"--span gives the players itself; it can't go with --unit {options.unit}")
    prompt = _prompt(options.prompt)
    _check_texts(options, prompt)
    folder = check_before_loading(options, models=[(options.model, options.revision)], files=WRITTEN)
    from circuitspex.circuits import explain
    from circuitspex.circuits.prompt_map import PromptMap
    from circuitspex.export.files.prompt import to_json
    from circuitspex.games import TokenGame
    from circuitspex.models import load_model

    with workers_of(options):
        model = load_model(options.model, **arguments(options, load_model, loads=True))
        options.unit = options.span or options.unit
        words = (options.answer, options.wrong_answer)
        game = TokenGame(model, prompt, *words, **arguments(options, TokenGame))
        if options.budget is None:
            options.budget = 2**game.n_players if game.n_players <= EXACT_UP_TO else 200
        found = explain(game, options.budget, **arguments(options, explain))
    shown = PromptMap.of(game, found)
    written = []
    if folder is not None:
        written = [
            shown.save(folder / "prompt.json"),
            shown.to_html(folder / "prompt.html"),
            shown.to_svg(folder / "prompt.svg"),
            shown.to_png(folder / "prompt.png"),
            found.circuit.save(folder / "circuit.json"),
            found.interactions.save(folder / "interactions.json"),
        ]
    return finish(options, "prompt", lambda: to_json(shown), stored(found) + shown.table(), written)


def _check_texts(options: argparse.Namespace, prompt: str) -> None:
    """What can be said of the prompt and the answers before a tokenizer reads them."""
    if not prompt.strip():
        raise UserError("the prompt is empty; it needs at least one word")
    if not options.answer:
        raise UserError("the answer is empty; give the text that should follow the prompt, such as ' good'")
    if options.wrong_answer == options.answer:
        raise UserError(f"the answer and the wrong answer are both {options.answer!r}; they must differ")
    if options.metric == "logit_diff" and options.wrong_answer is None:
        raise UserError("--metric logit_diff compares two answers: give --wrong-answer, or use --metric answer_logprob")
    if options.part is not None and options.part not in prompt:
        raise UserError(f"--part {options.part!r} does not stand in the prompt")
    for start, end in options.span or ():
        if not 0 <= start < end <= len(prompt):
            raise UserError(f"--span {start}:{end} is not within the {len(prompt)} characters of the prompt")


def _prompt(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return file_text(text[1:])
    except FileFormatError as error:
        raise UserError(f"can't read the prompt from {text[1:]}: {error}") from None


def _span(text: str) -> tuple[int, int]:
    """An option's type: a range of characters such as 4:11."""
    try:
        start, end = (int(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a range START:END of characters, such as 4:11") from None
    return start, end

"""What is wrong with an argument is one line of the verb's own words, said before any weights are read."""

import json
import shlex
import subprocess
import sys

import pytest

from circuitspex.cli.main import build_parser, main
from circuitspex.cli.wording import in_flags
from circuitspex.models import load

FIND = "find --model tiny --task mine.jsonl"
COMPARE = "compare --model tiny --model tiny --task mine.jsonl"
TOKENS = "tokens --model tiny --prompt 'a b' --answer x"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the configuration of a model of three layers, task files and games, where nothing can be loaded."""

    def never(*args, **options):
        raise AssertionError("a model was loaded")

    for place in ("_read", "_bridge"):
        monkeypatch.setattr(load, place, never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text(json.dumps({"num_hidden_layers": 3}))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    line = {"prompt": "a b", "counterfactual": "a c", "answer": " d", "wrong_answer": " e"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "broken.jsonl").write_text(json.dumps(line) + "\n{}\n")
    (tmp_path / "half.jsonl").write_text(json.dumps({**line, "prompt": "a \ud83d"}) + "\n")
    (tmp_path / "nul.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({**line, "answer": "\0"}) + "\n")
    (tmp_path / "wide.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-16")
    (tmp_path / "bytes.jsonl").write_bytes(json.dumps(line).encode() + b"\n\xff\n")
    (tmp_path / "joined.jsonl").write_text((json.dumps(line) + "\n") + "\ufeff" + json.dumps(line) + "\n")
    (tmp_path / "game.py").write_text(GAME)
    (tmp_path / "wrong.py").write_text("def f(:\n")
    return tmp_path


GAME = """
class Game:
    n_players = 3

    def __call__(self, masks):
        return self.part(masks)

    def part(self, masks):
        return 1 / 0


class Needs:
    def __init__(self, size):
        pass


def make():
    raise KeyError("mine")


def plain(masks):
    return masks[:, 0] + 2.0


number = 3
"""

FAILURES = [
    (f"{FIND} --task ioy", "unknown task 'ioy'"),
    (f"{FIND} --task none.jsonl", "can't read task file none.jsonl"),
    (f"{FIND} --task broken.jsonl", "broken.jsonl line 2: missing field 'prompt'"),
    (
        f"{FIND} --task half.jsonl",
        r"half.jsonl line 1: the prompt has half of a surrogate pair ('\ud83d') at char",
    ),
    (f"{FIND} --task nul.jsonl", "nul.jsonl line 2: the answer has a NUL at character 0"),
    (f"{FIND} --task wide.jsonl", "wide.jsonl line 1: the file is UTF-16; save it as UTF-8"),
    (f"{FIND} --task bytes.jsonl", "bytes.jsonl line 2: not UTF-8 text (the byte 0xff)"),
    (f"{FIND} --task joined.jsonl", "joined.jsonl line 2: begins with a byte order mark"),
    (f"{FIND} --prompts 5", "--prompts is not for --task mine.jsonl"),
    (f"{FIND} --task ioi --group-by-length", "--group-by-length is not for --task ioi"),
    (f"{FIND} --model empty", "empty holds no model: it has no config.json"),
    (f"{FIND} --model none.gguf", "no such file: none.gguf"),
    (f"{FIND} --model 'no model'", "neither a file, a directory nor a model name"),
    (f"{FIND} --components headz", "'headz' is neither a selector"),
    (f"{FIND} --components heads:4", "come in groups; write 'neurons:4' or 'heads'"),
    (f"{FIND} --components L5H1", "L5H1: tiny has 3 layers, L0 to L2"),
    (f"{FIND} --components heads+L3.mlps", "'L3.mlps': tiny has 3 layers"),
    (f"{FIND} --levels layers,headz", "'headz' is neither a selector"),
    (f"{FIND} --levels layers,L7.heads", "tiny has 3 layers"),
    (f"{FIND} --levels layers,heads --components heads", "--levels and --components can't be combined"),
    (f"{FIND} --latents none.safetensors", "none.safetensors: there is no such file"),
    (f"{FIND} --metric nought", "unknown metric 'nought'; known: logit_diff, answer_logprob, answer_prob, kl"),
    (f"{FIND} --method spex --keep 0.3", "--keep and --until can't go with it"),
    (f"{FIND} --executor hooks --precision bfloat16", "precision 'bfloat16' needs the executor 'fused'"),
    (f"{FIND} --store empty", "the store empty is a folder"),
    (f"{FIND} --device nought", "device 'nought' can't be used here"),
    (f"{FIND} --device cpu --device-map auto", "--device-map auto can't go with --device cpu"),
    (f"{FIND} --revision main", "--revision main is for models of the Hugging Face hub"),
    (f"{FIND} --out file", "can't write to the folder file: it is a file"),
    (f"{COMPARE} --components headz", "'headz' is neither a selector"),
    (f"{COMPARE} --components L9M", "tiny has 3 layers"),
    ("compare --model tiny --model empty --task mine.jsonl", "empty holds no model"),
    ("compare --model tiny --model smollm2-135m@main --task mine.jsonl", "@main is for models of the Hugging Face hub"),
    (f"{TOKENS} --prompt ' '", "the prompt is empty"),
    (f"{TOKENS} --prompt @none.txt", "can't read the prompt from none.txt"),
    (f"{TOKENS} --answer ''", "the answer is empty"),
    (f"{TOKENS} --wrong-answer x", "the answer and the wrong answer are both 'x'"),
    (f"{TOKENS} --metric logit_diff", "give --wrong-answer, or use --metric answer_logprob"),
    (f"{TOKENS} --part q", "--part 'q' does not stand in the prompt"),
    (f"{TOKENS} --span 0:9", "--span 0:9 is not within the 3 characters"),
    (f"{TOKENS} --model empty", "empty holds no model"),
    (f"{TOKENS} --out file", "it is a file"),
    ("verify none.json", "none.json: there is no such file"),
    ("export none.json --to nought", "unknown format 'nought'"),
    ("export none.json --to svg", "none.json: there is no such file"),
    ("explain game", "write FILE.py:NAME"),
    ("explain none.py:Game", "there is no such file"),
    ("explain wrong.py:f", "wrong.py, line 1: not Python (invalid syntax)"),
    ("explain game.py:Nought", "game.py has no 'Nought'"),
    ("explain game.py:number", "is not a game"),
    ("explain game.py:plain", "say how many players: --players N, or --names"),
    ("explain game.py:Needs", "game.py:Needs needs arguments"),
    ("explain game.py:Game --players 3", "--players and --names are for a function of masks"),
    ("explain game.py:plain --players 3 --names a,b", "3 different texts"),
    ("explain game.py:Game --method spex --until 0.5", "--keep and --until can't go with it"),
    ("explain game.py:Game", "Game.part (game.py, line 9) raised ZeroDivisionError: division by zero (--debug shows"),
    ("explain game.py:make", "make (game.py, line 18) raised KeyError: 'mine' (--debug shows the traceback)"),
    ("models get nought", "'nought' is not in the offline catalogue"),
    ("runs list --store empty", "the store empty is a folder"),
]


@pytest.mark.parametrize(("command", "said"), FAILURES)
def test_a_failure_is_one_line_before_a_model_is_loaded(command, said, here, capsys):
    assert main(shlex.split(command)) == 1
    line = capsys.readouterr().err
    assert said in line
    assert line.startswith("circuitspex: ")
    assert line.count("\n") == 1


USAGE = [
    ("find", "find", "the following arguments are required: --model, --task"),
    (f"{FIND} --nought", "find", "unrecognized arguments: --nought"),
    (f"{FIND} --budget 1", "find", "argument --budget: must be at least 2, not 1"),
    (f"{FIND} --seed -1", "find", "argument --seed: must be at least 0, not -1"),
    (f"{FIND} --keep 2", "find", "argument --keep: must lie between 0 and 1"),
    (f"{FIND} --dtype int8", "find", "unknown dtype 'int8'; allowed: float32, float64, bfloat16, float16"),
    (f"{FIND} --device-map nought", "find", "argument --device-map: invalid choice: 'nought'"),
    (f"{COMPARE} --min-effect -1", "compare", "must be a number of at least 0, not -1"),
    (f"{COMPARE} --model tiny", "compare", "two models are needed"),
    (f"{TOKENS} --span x", "tokens", "is not a range START:END"),
    ("explain game.py:plain --names a,,b", "explain", "is not a list of different names"),
    ("models", "models", "the following arguments are required: action"),
]


@pytest.mark.parametrize(("command", "verb", "said"), USAGE)
def test_a_usage_error_is_one_line_and_a_pointer_to_the_help(command, verb, said, here, capsys):
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(command))
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.endswith(f" (see circuitspex {verb} --help)\n")
    assert line.count("\n") == 1


def test_a_function_of_masks_is_explained_with_its_players(here, capsys):
    assert main(["explain", "game.py:plain", "--names", "left,right,top", "--budget", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["circuit"]["task"]["ablated"] == 2.0


def test_with_debug_the_users_traceback_is_kept(here):
    with pytest.raises(ZeroDivisionError) as caught:
        main(["explain", "game.py:Game", "--debug"])
    assert caught.traceback[-1].name == "part"


@pytest.mark.parametrize(
    ("said", "in_words_of_the_verb"),
    [
        ("use group_by_length=True to run them", "use --group-by-length to run them"),
        ("device='cpu' and keep=0.5; n_heldout must be", "--device cpu and --keep 0.5; --heldout-masks must be"),
        ("latents=circuitspex.Latents(hook=1) or path=x", "latents=circuitspex.Latents(hook=1) or path=x"),
        ("the file n_heldout.json, 'n_heldout'", "the file n_heldout.json, 'n_heldout'"),
        ("gradients=False, group_by_length=False", "gradients=False, group_by_length=False"),
    ],
)
def test_messages_speak_of_flags(said, in_words_of_the_verb):
    parser = build_parser().parse_args(shlex.split(FIND)).parser
    assert in_flags(said, parser) == in_words_of_the_verb
    assert in_flags(said, None) == said


@pytest.mark.some(3)
@pytest.mark.parametrize("command", ["find --help", "models list", "explain game.py:plain --players 3"])
def test_a_closed_pipe_is_no_traceback(command, here):
    script = f"{sys.executable} -m circuitspex {command} | head -c 1 > out"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert len((here / "out").read_text()) == 1

"""``circuitspex apply`` and ``circuitspex prune``, as a user calls them."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from circuitspex.circuits import Circuit, EdgeCircuit, Faithfulness, Node
from circuitspex.cli.main import main
from circuitspex.models import load_model

PROMPT = "w1 w2 w3"


@pytest.fixture(scope="module")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a task file, and circuits of it as files."""
    folder = tmp_path_factory.mktemp("user")
    tiny.hf_model("llama").save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    row = {"prompt": "w1 w5 w3", "counterfactual": "w2 w6 w5", "answer": " w50", "wrong_answer": " w51"}
    (folder / "task.jsonl").write_text(json.dumps(row) + "\n")
    for name, baseline, lens in (
        ("own", "zero", "components"),
        ("mean", "mean", "components"),
        ("words", "", "tokens"),
    ):
        Circuit(
            nodes=tuple(Node(f"L{layer}H{head}", layer, "head", 1.0) for layer, head in ((0, 1), (1, 2), (2, 0))),
            interactions=(),
            faithfulness=Faithfulness(None, None, None, 0),
            model={"name": str(folder / "model"), "dtype": "float32"},
            run={"lens": lens, "components": "heads", "baseline": baseline},
        ).export("json", folder / f"{name}.json")
    return folder


def asked(folder: Path, verb: str, *more: str, circuit: str = "own") -> list[str]:
    return [verb, str(folder / f"{circuit}.json"), "--device", "cpu", *more]


def test_apply_says_what_each_way_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = asked(
        folder, "apply", "--prompt", PROMPT, "--prompt", "w9 w8", "--new", "4", "--top", "3", "--scale", "2"
    )
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["applied"]
    assert found["baseline"] == "zero"
    assert [each["prompt"] for each in found["prompts"]] == [PROMPT, "w9 w8"]
    ways = {said["way"]: said for said in found["prompts"][0]["said"]}
    assert list(ways) == ["the whole model", "only the circuit", "without the circuit", "the circuit times 2"]
    model = load_model(folder / "model", device="cpu")
    circuit = Circuit.load(folder / "own.json")
    tokens = torch.tensor([model.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]])
    options = {"only the circuit": {"keep": True}, "without the circuit": {"keep": False}}
    options["the circuit times 2"] = {"scale": 2.0}
    for way, chosen in options.items():
        with circuit.applied(model, **chosen), torch.no_grad():
            shares = model(tokens)[0, -1].softmax(-1)
            longer = model.original_model.generate(tokens, max_new_tokens=4, do_sample=False, pad_token_id=2)
        top = shares.topk(3)
        assert [share for _, share in ways[way]["next_tokens"]] == pytest.approx(top.values.tolist(), abs=1e-5)
        assert [text for text, _ in ways[way]["next_tokens"]] == [model.tokenizer.decode([i]) for i in top.indices]
        assert ways[way]["text"] == model.tokenizer.decode(longer[0, 3:].tolist())
    assert len({json.dumps(said["next_tokens"]) for said in ways.values()}) == 4
    assert main(command) == 0
    out = capsys.readouterr().out
    for way, said in ways.items():
        assert f"\n  {way}\n    next: {said['next_tokens'][0][0]!r} {said['next_tokens'][0][1]:.3f}, " in out
        assert f"    text: {said['text']!r}" in out


def test_apply_takes_means_over_a_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ("--task", str(folder / "task.jsonl"))
    short = ("--prompt", PROMPT, "--new", "0", "--json")
    assert main(asked(folder, "apply", *short, *task, "--baseline", "mean_vector", circuit="mean")) == 0
    with_task = json.loads(capsys.readouterr().out)["applied"]["prompts"][0]["said"]
    assert with_task[0]["text"] == ""
    assert main(asked(folder, "apply", *short)) == 0
    zero = json.loads(capsys.readouterr().out)["applied"]["prompts"][0]["said"]
    assert with_task[0] == zero[0]
    assert with_task[1] != zero[1]


def test_prune_writes_a_checkpoint(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    assert main(asked(folder, "prune", "--out", str(out), "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [str(out)]
    assert said["pruned"]["n_kept"] == 3
    assert said["pruned"]["n_ablated"] == 9
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.config.num_attention_heads == said["pruned"]["after"]["heads"] == 1
    whole = load_model(folder / "model", device="cpu")
    tokens = torch.tensor([[4, 5, 6, 7]])
    with Circuit.load(folder / "own.json").applied(whole), torch.no_grad():
        torch.testing.assert_close(model(tokens).logits, whole(tokens), atol=1e-4, rtol=0)
    assert main(asked(folder, "prune", "--out", str(out))) == 1
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"circuitspex: {out} exists already; give another path, or --overwrite"
    )
    assert main(asked(folder, "prune", "--out", str(out), "--overwrite", "--without")) == 0
    text = capsys.readouterr().out
    assert "9 components kept, 3 gone (baseline zero)" in text
    assert str(out) in text


def test_a_circuit_of_a_quantised_model_is_pruned_from_whole_weights(folder: Path, tmp_path: Path) -> None:
    circuit = json.loads((folder / "own.json").read_text())
    circuit["model"]["quantization"] = "8bit"
    (folder / "few_bits.json").write_text(json.dumps(circuit))
    out = tmp_path / "small"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the weights are others than those of the circuit
        assert main(asked(folder, "prune", "--out", str(out), circuit="few_bits")) == 0
    assert AutoModelForCausalLM.from_pretrained(out).dtype == torch.float32


REFUSED = [
    (
        "mean",
        ("apply", "--prompt", PROMPT),
        "no other prompts; give --baseline zero or --baseline mean_vector",
    ),
    ("mean", ("apply", "--prompt", PROMPT, "--baseline", "mean_vector"), "give --task, a task or a list of texts"),
    ("words", ("apply", "--prompt", PROMPT), "this is no circuit of components of a model (its lens is 'tokens')"),
    ("own", ("apply", "--prompt", ""), "a prompt without any token; give some text"),
    ("own", ("apply", "--prompt", PROMPT, "--new", "100"), "more than the model's context of 64"),
    ("own", ("apply", "--prompt", PROMPT, "--among", "L7H0"), "has 3 layers, L0 to L2"),
    ("own", ("apply", "--prompt", PROMPT, "--model", "nowhere/at/all"), "nowhere/at/all"),
]


@pytest.mark.parametrize(("circuit", "command", "line"), REFUSED)
def test_what_can_not_be_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], circuit: str, command: tuple[str, ...], line: str
) -> None:
    verb, *more = command
    assert main(asked(folder, verb, *more, circuit=circuit)) == 1
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def test_what_needs_no_model_is_said_before_one_is_loaded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["circuitspex.models.load"]
    monkeypatch.setattr(module, "_read", lambda *args: pytest.fail("a model was loaded"))
    assert main(asked(folder, "apply", "--prompt", PROMPT, circuit="mean")) == 1
    assert main(asked(folder, "prune", "--out", str(folder / "model"))) == 1
    assert main(asked(folder, "prune", "--out", str(tmp_path / "new"), "--among", "hats")) == 1
    capsys.readouterr()
    with pytest.raises(SystemExit), warnings.catch_warnings():
        main(asked(folder, "apply", "--prompt", PROMPT, "--scale", "inf"))
    assert "must be a finite number, not inf" in capsys.readouterr().err


def test_apply_takes_circuits_of_edges_of_any_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["emb->logits", "emb->L1M", "L1M->logits"]
    kept = {"lens": "edges", "baseline": "zero", "edges": {"searched": "edges"}}
    circuit = Circuit(
        nodes=tuple(Node(name, 0, "edge", 1.0) for name in names[:1]),
        interactions=(),
        faithfulness=Faithfulness(None, None, None, 0),
        model={"name": str(folder / "model"), "dtype": "float32"},
        run=kept,
    )
    circuit.export("json", folder / "edge.json")
    listed = [{"size": 3, "edges": names}]
    (folder / "edges.json").write_text(
        json.dumps({"scores": dict.fromkeys(names, 1.0), "chosen": listed, "matched": []})
    )
    command = asked(folder, "apply", "--prompt", PROMPT, "--new", "0", "--json", circuit="edge")

    def only(*more: str) -> list[list[object]]:
        assert main([*command, *more]) == 0
        found = json.loads(capsys.readouterr().out)["applied"]["prompts"][0]["said"]
        return [said["next_tokens"] for said in found]

    own, three = only(), only("--edges", "3")
    assert own[0] == three[0]
    assert own[1] != three[1]
    model = load_model(folder / "model", device="cpu")
    tokens = torch.tensor([model.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]])
    edges = EdgeCircuit.load(folder / "edges.json", 3)
    for way, keep in ((1, True), (2, False)):
        with edges.applied(model, keep=keep, baseline="zero"), torch.no_grad():
            top = model(tokens)[0, -1].softmax(-1).topk(5).values
        assert [share for _, share in three[way]] == pytest.approx(top.tolist(), abs=1e-5)
    for more, message in (
        (["--edges", "4"], "has circuits of 3 edges, none of 4"),
        (["--edges", "3", "--way", "matched"], "has circuits of no number of edges, none of 3"),
        (["--way", "matched"], "give --edges N too"),
    ):
        assert main([*command, *more]) == 1
        assert message in capsys.readouterr().err
    assert main(asked(folder, "apply", "--prompt", PROMPT, "--edges", "3")) == 1
    assert "--edges is for a circuit of edges" in capsys.readouterr().err

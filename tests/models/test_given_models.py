"""A name, a folder or a Hugging Face model in place of a bridge; the caller's model stays as it is."""

import pytest
import torch
from transformers import AutoModelForCausalLM

import circuitspex as cx
from circuitspex.errors import ComponentError, TaskError, UserError
from circuitspex.models import load, model_identity, model_of
from circuitspex.models.tokens import bos_of, encode, prepends_bos

TOKENS = torch.tensor([[5, 6, 7, 8]])
LITTLE = {"components": "mlps", "baseline": "zero", "budget": 8, "n_heldout": 4, "n_contexts": 2, "progress": False}


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny.hf_model("llama").save_pretrained(path)
    tiny.tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def hf_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


def test_a_model_is_wrapped_beside_itself_and_shares_its_weights(folder, hf_model):
    before = hf_model(TOKENS).logits.detach()
    hf_model.train()
    model = cx.load_model(hf_model)
    torch.testing.assert_close(model(TOKENS), before, rtol=0, atol=1e-4)
    assert torch.equal(hf_model.eval()(TOKENS).logits, before)
    assert all(parameter.requires_grad for parameter in hf_model.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(hasattr(module, "hook_out") for module in hf_model.modules())
    mine = {parameter.data_ptr() for parameter in hf_model.parameters()}
    assert mine >= {p.data_ptr() for p in model.original_model.parameters()}
    assert model_identity(model) == model_identity(cx.load_model(folder))
    assert model.tokenizer("w3")["input_ids"] == cx.load_model(folder).tokenizer("w3")["input_ids"]
    with torch.no_grad():
        hf_model.lm_head.weight.mul_(2)
    torch.testing.assert_close(model(TOKENS), 2 * before, rtol=0, atol=2e-4)


def test_another_dtype_is_the_copys_alone(hf_model):
    model = cx.load_model(hf_model, dtype="bfloat16")
    assert next(model.parameters()).dtype == torch.bfloat16
    assert next(hf_model.parameters()).dtype == torch.float32


def test_every_function_takes_names_folders_and_hugging_face_models(folder, hf_model, task_file):
    bridge = cx.load_model(folder)
    task = cx.Task.from_jsonl(task_file, bridge)
    expected = cx.find_circuit(bridge, task, **LITTLE)
    for model, named in ((folder, task_file), (str(folder), str(task_file)), (hf_model, task_file), (hf_model, task)):
        found = cx.find_circuit(model, named, **LITTLE)
        assert found.circuit.nodes == expected.circuit.nodes
        assert found.circuit.task["identity"] == expected.circuit.task["identity"]
    assert cx.Task.from_jsonl(task_file, hf_model).identity == task.identity
    assert task.accuracy(hf_model) == task.accuracy(bridge)
    assert task.report(hf_model) == task.report(bridge)
    masks = [[True, False, True]]
    assert cx.ComponentGame(hf_model, task_file, "mlps")(masks) == cx.ComponentGame(bridge, task, "mlps")(masks)
    words = [cx.TokenGame(model, "w1 w2 w3", " w4", " w5")([[True, True, False]]) for model in (hf_model, bridge)]
    assert words[0] == pytest.approx(words[1])
    little = {key: value for key, value in LITTLE.items() if key != "n_heldout"}
    assert cx.compare(folder, hf_model, task_file, **LITTLE).identical
    series = cx.compare_series({"a": folder, "b": hf_model, "c": lambda: bridge}, task_file, **little)
    assert series.same_as == {"b": "a", "c": "a"}
    levels = cx.coarse_to_fine(hf_model, task_file, ("layers", "heads+mlps"), "zero", 8, n_heldout=4, n_contexts=2)
    assert [level.selector for level in levels.levels] == ["layers", "heads+mlps"]


def test_a_model_without_a_tokenizer_is_asked_for_one_and_takes_it(tiny, task_file):
    alone = tiny.hf_model("llama")
    with pytest.raises(TaskError, match=r"no tokenizer: .*load_model\(model, tokenizer=…\)"):
        cx.find_circuit(alone, task_file, **LITTLE)
    model = cx.load_model(alone, tokenizer=tiny.tokenizer)
    assert cx.find_circuit(model, task_file, **LITTLE).circuit.task["name"] == "mine"


class NoTask:
    pass


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (None, {"task": "ioy"}, "unknown task 'ioy'"),
        (None, {"task": NoTask()}, "a task is a Task, a name"),
        (None, {"task": "none.jsonl"}, "can't read task file none.jsonl"),
        (None, {"components": "headz"}, "'headz' is neither a selector"),
        (None, {"components": "L1H2.x"}, "is neither a selector"),
        (None, {"components": "heads:4"}, "come in groups; write 'neurons:4' or 'heads'"),
        (None, {"components": ["heads", 3]}, "3 is not a component or selector"),
        (None, {"components": "heads", "levels": ["layers", "headz"]}, "'headz' is neither a selector"),
        (None, {"baseline": "nought"}, "unknown baseline 'nought'"),
        (None, {"heldout": "ioy"}, "unknown task 'ioy'"),
        (None, {"executor": "fast"}, "unknown executor 'fast'"),
        (None, {"precision": "bfloat16", "executor": "hooks"}, "precision 'bfloat16' needs the executor 'fused'"),
        (3, {}, "a model is a name, .* not int"),
        (dict, {}, "not the class dict"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_is_loaded(model, options, said, monkeypatch):
    def never(*args, **options):
        raise AssertionError("a model was loaded")

    for place in ("_read", "_bridge"):
        monkeypatch.setattr(load, place, never)
    given = {"task": "ioi", **options}
    with pytest.raises(UserError, match=said) as caught:
        cx.find_circuit("smollm2-135m" if model is None else model, given.pop("task"), **{**LITTLE, **given})
    assert "\n" not in str(caught.value)


def test_load_model_says_what_goes_with_what(hf_model, tiny):
    for call, said in (
        (lambda: cx.load_model(hf_model, revision="main"), "revision, device_map and quantization are for models"),
        (lambda: cx.load_model("smollm2-135m", tokenizer=tiny.tokenizer), "tokenizer is for a Hugging Face model"),
        (lambda: cx.load_model(3), "load_model takes a name"),
        (lambda: cx.load_model(tiny.bridge("llama")), "which is wrapped already"),
        (lambda: model_of(ComponentError), "not the class ComponentError"),
    ):
        with pytest.raises(UserError, match=said):
            call()


def without_bos(tiny):
    tokenizer = type(tiny.tokenizer)(
        tokenizer_object=tiny.tokenizer._tokenizer, unk_token="<unk>", eos_token="<s>", pad_token="<pad>"
    )
    assert tokenizer.bos_token_id is None
    return tokenizer


def test_a_bos_that_the_tokenizer_does_not_have_is_said_and_not_slipped_in(tiny, task_file):
    model = cx.load_model(tiny.hf_model("llama"), tokenizer=without_bos(tiny))
    assert bos_of(model.tokenizer) is None
    assert model.tokenizer.bos_token_id is None, "TransformerLens makes it the EOS token"
    with pytest.raises(TaskError, match="this tokenizer has no BOS token, so that prepend_bos=True can't"):
        cx.Task.from_jsonl(task_file, model, prepend_bos=True)
    assert len(encode(model, "w1 w2")) == 2
    # A bridge that somebody else made: TransformerLens has put EOS in its place, and asks for it.
    model.tokenizer.bos_token = model.tokenizer.eos_token
    model.cfg.default_prepend_bos = True
    assert bos_of(model.tokenizer) is None
    with pytest.warns(UserWarning, match=r"no BOS token of its own .*: none is put"):
        assert len(encode(model, "w1 w2")) == 2
    with pytest.raises(TaskError, match="no BOS token of its own"):
        encode(model, "w1 w2", prepend_bos=True)


def test_a_bos_of_its_own_stays_also_where_it_is_the_eos(tiny, task_file):
    model = tiny.bridge("llama")
    assert bos_of(model.tokenizer) == model.tokenizer.eos_token_id == 1
    assert not prepends_bos(tiny.tokenizer)
    assert encode(model, "w1 w2", prepend_bos=True)[0] == 1
    assert cx.Task.from_jsonl(task_file, model, prepend_bos=True).tokens[0, 0] == 1

"""Adapters of PEFT: a base with one gives what PEFT gives by a plain forward, and is a model of its own."""

import json
import shutil

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import circuitspex as cx
from circuitspex.cli.main import main
from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models import adapters, model_identity
from circuitspex.models.load import model_name
from circuitspex.models.sources import check_model, layers_of

TOKENS = torch.tensor([[5, 6, 7, 8, 9], [15, 3, 7, 20, 4]])
TARGETS = ["q_proj", "v_proj", "o_proj", "down_proj"]
LITTLE = {"components": "mlps", "baseline": "zero", "budget": 8, "n_heldout": 4, "n_contexts": 2, "progress": False}


@pytest.fixture(scope="module")
def base(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    tiny.hf_model("llama").save_pretrained(path)
    tiny.tokenizer.save_pretrained(path)
    return path


def lora(base, seed=1, **options):
    """A PEFT model whose adapter is random in all its parts."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=3, **{"target_modules": TARGETS, **options})
    torch.manual_seed(seed)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).eval()
    fill(model, seed)
    return model


def fill(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.normal_(0, 0.3)


@pytest.fixture(scope="module")
def folder(base, tmp_path_factory):
    path = tmp_path_factory.mktemp("adapter")
    lora(base).save_pretrained(path)
    return path


@torch.no_grad()
def logits(model):
    return model(TOKENS) if hasattr(model, "hook_dict") else model(TOKENS).logits


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dora": True},
        {"use_rslora": True, "bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens", "k_proj"]},
    ],
    ids=str,
)
def test_a_peft_model_gives_its_own_logits_and_stays_as_it_is(base, options):
    mine = lora(base, **options)
    before, weights = logits(mine), {key: value.clone() for key, value in mine.state_dict().items()}
    mine.train()
    model = cx.load_model(mine)
    torch.testing.assert_close(logits(model), before, rtol=0, atol=1e-4)
    assert (before - logits(AutoModelForCausalLM.from_pretrained(base))).abs().max() > 0.1
    assert mine.training
    assert torch.equal(logits(mine.eval()), before)
    assert all(torch.equal(value, weights[key]) for key, value in mine.state_dict().items())
    assert any(parameter.requires_grad for parameter in mine.parameters())
    assert model_name(model) == f"{base} + adapter"
    assert model.tokenizer("w3")["input_ids"] == cx.load_model(base).tokenizer("w3")["input_ids"]


def test_weights_that_no_adapter_touches_are_shared(base):
    mine = lora(base, target_modules=["q_proj"])
    theirs = {parameter.data_ptr() for parameter in mine.parameters()}
    used = {p.data_ptr() for p in cx.load_model(mine).original_model.parameters()}
    assert len(used & theirs) >= len(used) / 2


def test_a_folder_is_the_peft_model_that_it_was_saved_from(base, folder):
    model = cx.load_model(folder)
    torch.testing.assert_close(logits(model), logits(lora(base)), rtol=0, atol=1e-4)
    assert model_name(model) == f"{base} + {folder}"
    assert model_identity(model) == model_identity(cx.load_model(lora(base)))
    again = cx.load_model(model_name(model))  # as a circuit's file has it
    assert model_identity(again) == model_identity(model)
    assert layers_of(folder) == layers_of(base) is not None


def test_half_precision_is_the_merged_weights_rounded_once(base, folder):
    half = cx.load_model(folder, dtype="bfloat16").original_model
    mine = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="bfloat16"), folder)
    given = cx.load_model(mine).original_model
    rounded = AutoModelForCausalLM.from_pretrained(base, dtype="bfloat16").float()
    rounded = peft.PeftModel.from_pretrained(rounded, folder).merge_and_unload().bfloat16()
    for weights in (dict(half.named_parameters()), dict(given.named_parameters())):
        assert {value.dtype for value in weights.values()} == {torch.bfloat16}
        assert len(weights) >= len(dict(rounded.named_parameters()))
    ours = sorted(float(value.float().square().sum()) for value in given.parameters())
    assert ours == sorted(float(value.float().square().sum()) for value in half.parameters())
    theirs = {float(value.float().square().sum()) for value in rounded.parameters()}
    assert theirs <= set(ours)
    assert {parameter.dtype for parameter in mine.parameters()} == {torch.bfloat16, torch.float32}


def test_base_adapters_and_an_adapter_of_zeros_are_told_apart(base):
    nothing = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), peft.LoraConfig(target_modules=TARGETS))
    plain, zero, *others = map(cx.load_model, (base, nothing.eval(), lora(base, 1), lora(base, 2)))
    assert torch.equal(logits(zero), logits(plain))
    assert len({model_identity(model) for model in (plain, zero, *others)}) == 4


def test_the_active_one_of_several_counts(base, tmp_path):
    mine = lora(base)
    mine.add_adapter("second", peft.LoraConfig(r=2, target_modules=["up_proj"]))
    mine.set_adapter("second")
    fill(mine, 5)
    second = logits(mine)
    model = cx.load_model(mine)
    assert model_name(model) == f"{base} + second"
    torch.testing.assert_close(logits(model), second, rtol=0, atol=1e-4)
    mine.set_adapter("default")
    assert not torch.allclose(logits(mine), second, atol=0.1)
    torch.testing.assert_close(logits(cx.load_model(mine)), logits(mine), rtol=0, atol=1e-4)
    mine.base_model.set_adapter(["default", "second"])
    both = cx.load_model(mine)
    assert model_name(both) == f"{base} + adapter + second"
    torch.testing.assert_close(logits(both), logits(mine), rtol=0, atol=1e-4)
    with mine.disable_adapter(), pytest.raises(ModelNotFoundError, match=r"no adapter of this .* is active"):
        cx.load_model(mine)


def test_what_can_not_be_merged_is_refused(base, tmp_path):
    plain = AutoModelForCausalLM.from_pretrained(base)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    prompts = peft.get_peft_model(plain, config)
    prompts.save_pretrained(tmp_path / "prompts")
    for given in (prompts, tmp_path / "prompts"):
        with pytest.raises(ModelNotFoundError, match="PROMPT_TUNING, which is no change of weights"):
            cx.load_model(given)
    quantised = lora(base)
    quantised.get_base_model().is_quantized = True
    with pytest.raises(ModelNotFoundError, match="into quantised weights"):
        cx.load_model(quantised)
    inside = AutoModelForCausalLM.from_pretrained(base)
    inside.add_adapter(peft.LoraConfig(target_modules=TARGETS))
    for given in (inside, quantised.get_base_model()):
        with pytest.raises(ModelNotFoundError, match="has adapters in its layers"):
            cx.load_model(given)


def test_a_merge_that_would_change_tied_embeddings_is_refused(tiny):
    tied = tiny.hf_model("llama", tie_word_embeddings=True)
    tied.tie_weights()
    assert tied.lm_head.weight is tied.get_input_embeddings().weight
    mine = peft.get_peft_model(tied, peft.LoraConfig(target_modules=["lm_head"])).eval()
    fill(mine, 0)
    with pytest.raises(ModelNotFoundError, match=r"can't merge this .* logits are off by"):
        cx.load_model(mine)


def change(folder, **fields):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_adapter_folders_that_are_refused_say_why_in_one_line(base, folder, tmp_path, monkeypatch):
    def refused(change_it, before=True):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        change_it(copy)
        lines = []
        for look in (check_model, cx.load_model)[not before :]:
            with pytest.raises(ModelNotFoundError) as error:
                look(copy)
            lines.append(str(error.value))
        shutil.rmtree(copy)
        assert all("\n" not in line for line in lines)
        return lines[0]

    def pickled(copy):
        torch.save(load_file(copy / "adapter_model.safetensors"), copy / "adapter_model.bin")
        (copy / "adapter_model.safetensors").unlink()

    def stored(change_it):
        def write(copy):
            tensors = load_file(copy / "adapter_model.safetensors")
            save_file(change_it(tensors), copy / "adapter_model.safetensors")

        return write

    assert "adapter_model.bin is pickled, which is never read" in refused(pickled)
    assert "names no base model" in refused(lambda copy: change(copy, base_model_name_or_path=None))
    assert "no peft_type" in refused(lambda copy: change(copy, peft_type=None))
    assert "itself an adapter" in refused(lambda copy: change(copy, base_model_name_or_path=str(folder)))
    assert "another way" in refused(lambda copy: change(copy, megatron_config={"a": 1}))
    assert "adapter_config.json: " in refused(lambda copy: (copy / "adapter_config.json").write_text("{"))
    assert "neither a file" in refused(lambda copy: change(copy, base_model_name_or_path="../no where"))
    fewer = refused(stored(lambda tensors: dict(sorted(tensors.items())[1:])), before=False)
    assert "its file lacks base_model.model.model" in fewer
    assert "layers.0.mlp.down_proj.lora_A" in fewer
    more = refused(stored(lambda tensors: {**tensors, "extra.lora_A.weight": torch.ones(2)}), before=False)
    assert "there is no place for extra.lora_A.weight" in more
    assert "can't load" in refused(stored(lambda tensors: {k: v[:1] for k, v in tensors.items()}), before=False)
    nan = refused(stored(lambda tensors: {k: v * float("nan") for k, v in tensors.items()}), before=False)
    assert "can't merge" in nan
    with pytest.raises(UserError, match="revision"):
        cx.load_model(folder, revision="main")
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelNotFoundError, match=r"pip install 'circuitspex\[peft\]'"):
        check_model(folder)


def test_a_base_beside_the_adapter_is_found(base, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "adapter")
    shutil.copytree(base, tmp_path / "base")
    change(tmp_path / "adapter", base_model_name_or_path="../base")
    model = cx.load_model(tmp_path / "adapter")
    assert model_identity(model) == model_identity(cx.load_model(folder))


@pytest.mark.long
def test_base_and_adapter_are_compared(base, folder, task_file):
    result = cx.compare(base, folder, task_file, **LITTLE)
    same = cx.compare(cx.load_model(base), lora(base), task_file, **LITTLE)
    before, after = result.before.model, result.after.model
    assert (before["name"], after["name"]) == (str(base), f"{base} + {folder}")
    assert before["identity"] != after["identity"]
    assert (before["identity"], after["identity"]) == tuple(c.model["identity"] for c in (same.before, same.after))
    assert result.table().splitlines()[3:] == same.table().splitlines()[3:]


def test_the_command_line_takes_an_adapter_folder_and_verifies_on_it(base, folder, task_file, tmp_path, capsys):
    out = tmp_path / "out"
    store = ["--store", "off", "--device", "cpu"]
    command = ["find", "--model", str(folder), "--task", str(task_file), "--components", "mlps", "--budget", "8"]
    assert main([*command, *store, "--out", str(out)]) == 0
    written = json.loads((out / "circuit.json").read_text())
    assert written["model"]["name"] == f"{base} + {folder}"
    verify = ["verify", str(out / "circuit.json"), "--task", str(task_file), "--store", "off", "--device", "cpu"]
    code = main(verify)
    said = capsys.readouterr()
    assert code == 0, said.err

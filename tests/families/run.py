"""``make families``: tries every family of the table and writes docs/models.md.

    python tests/families/run.py [--again] [FAMILY …]

What was tried is kept in runs/families.json as it comes in, so that an interrupted run goes on where it stopped; a
change of the package, of these files or of the libraries starts it anew. Families that are named are tried (again)
and the others left as they are, whatever has changed since.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["CIRCUITSPEX_STORE"] = "off"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from architectures import outcomes_of_architectures
from conform import examine
from page import write_page
from table import FAMILIES

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs/families.json"
PAGE = ROOT / "docs/models.md"
LIBRARIES = ("transformers", "transformer-lens", "torch")


def fingerprint() -> str:
    """Of all that an outcome depends on."""
    digest = hashlib.sha256(" ".join(version(name) for name in LIBRARIES).encode())
    for path in sorted([*(ROOT / "circuitspex").rglob("*.py"), *Path(__file__).parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept() -> dict[str, Any]:
    """What was tried before."""
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"fingerprint": "", "families": {}}


def write(results: dict[str, Any]) -> None:
    """Whole or not at all."""
    RESULTS.parent.mkdir(exist_ok=True)
    scratch = RESULTS.with_suffix(".tmp")
    scratch.write_text(json.dumps(results, indent=1))
    scratch.replace(RESULTS)


def main(arguments: list[str]) -> int:
    """0 if no outcome is 'wrong' or 'error'."""
    parser = argparse.ArgumentParser(description="try every family of models and write docs/models.md")
    parser.add_argument("families", nargs="*", help="only these; all that were not tried yet if none is named")
    parser.add_argument("--again", action="store_true", help="forget what was tried before")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.families if name not in FAMILIES]:
        parser.error(f"no such family: {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    results, now = kept(), fingerprint()
    if options.again or (not options.families and results["fingerprint"] != now):
        results = {"fingerprint": now, "families": {}}
    wanted = options.families or [name for name in FAMILIES if name not in results["families"]]
    for i, name in enumerate(wanted):
        start = time.process_time()
        found = {kind: asdict(outcome) for kind, outcome in examine(FAMILIES[name])}
        results["families"][name] = found
        write(results)
        told = ", ".join(f"{kind} {one['status']}" for kind, one in found.items())
        print(f"{i + 1}/{len(wanted)} {name} ({time.process_time() - start:.0f} s): {told}", flush=True)
    tried = {name: results["families"][name] for name in FAMILIES if name in results["families"]}
    bad = [
        f"{name}, {kind}: {one['status']}: {one['detail']}"
        for name, found in tried.items()
        for kind, one in found.items()
        if one["status"] not in ("right", "refused")
    ]
    if len(tried) == len(FAMILIES) and not bad:
        write_page(PAGE, tried, outcomes_of_architectures(), {name: version(name) for name in LIBRARIES})
        print(f"wrote {PAGE.relative_to(ROOT)}")
    print("\n".join([*bad, f"{len(bad)} wrong or in error, of {len(tried)} families tried"]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

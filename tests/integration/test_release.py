"""The release's own tools: notes of a version, lower ends of ranges, extras that are named, sound workflows."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

CHANGELOG = """# Changelog

## Unreleased

## 0.10.0

### Upgrading

- Do this.

## 0.1.0 - 2026-01-01

First.
"""


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_notes_of_a_version_are_its_section() -> None:
    notes = tool("release_notes").notes
    assert notes("v0.10.0", CHANGELOG, "version: 0.10.0\n") == "### Upgrading\n\n- Do this.\n"
    for tag, citation, said in [
        ("0.10.0", "version: 0.10.0\n", "no tag of a release"),
        ("v0.2.0", "version: 0.2.0\n", "0 sections"),
        ("v0.1.0", "version: 0.1.0\n", "has no '### Upgrading'"),
        ("v0.10.0", "version: 0.1.0\n", r"CITATION.cff is of version 0\.1\.0"),
    ]:
        with pytest.raises(ValueError, match=said):
            notes(tag, CHANGELOG, citation)


def test_every_section_of_the_changelog_says_what_to_do_on_an_upgrade() -> None:
    sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [section.splitlines()[0] for section in sections if "### Upgrading" not in section] == []


def test_the_lowest_versions_are_the_lower_ends_of_the_wheels_ranges(tmp_path: Path) -> None:
    check = tool("release_check")
    wheel = tmp_path / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        needs = ("one>=1.2,<3", "two~=2.5", 'three>=3; extra == "more"', 'four>=4; python_version < "3"')
        archive.writestr("some-1.dist-info/METADATA", "\n".join(f"Requires-Dist: {need}" for need in needs))
    assert list(check.lowest(check.requirements(wheel))) == ["one==1.2", "two==2.5"]
    with pytest.raises(SystemExit, match="'five<6' has no lower end"):
        list(check.lowest([Requirement("five<6")]))


def test_a_failure_is_the_row_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = tool("release_check")
    monkeypatch.setattr(check, "install", lambda *_: "no such version")
    row = check.Row("lowest", "python3", tmp_path)
    check.try_out(row, tmp_path / "some.whl", ["numpy"])
    assert row.outcome == "failed: no such version"
    assert "| lowest | python3 | failed: no such version |" in check.table([row], ["numpy"])


def test_every_requirement_has_a_lower_end_and_is_imported() -> None:
    modules = {"scikit-learn": "sklearn", "pillow": "PIL", "lazy-loader": "lazy_loader"}
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "circuitspex").rglob("*.py"))
    for need in map(Requirement, PROJECT["dependencies"]):
        assert any(each.operator == ">=" for each in need.specifier), need
        if need.name == "gguf":  # transformers reads GGUF files with it, and does not ask for it
            continue
        module = modules.get(need.name, need.name.replace("-", "_"))
        assert re.search(rf"^\s*(?:import|from) {module}\b", code, re.MULTILINE), f"{need.name} is never imported"


def test_every_extra_that_a_message_names_exists() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "circuitspex").rglob("*.py"))
    named = set(re.findall(r"circuitspex\[(\w+)\]", code))
    assert named == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_little_and_pins_what_it_uses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    for name, job in workflow["jobs"].items():
        more = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        allowed = {"publish": {"id-token"}, "announce": {"contents"}} if path.stem == "release" else {}
        assert more == allowed.get(name, set()), name
        for step in job.get("steps", []):
            if "uses" in step:
                assert re.search(r"@(v\d+|release/v\d+)$", step["uses"]), step
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
            assert "${{ github." not in step.get("run", ""), "text of others in a shell"


def test_workflows_run_the_pythons_that_the_package_names() -> None:
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]
    for file, job in (("tests", "tests"), ("package", "smoke")):
        workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{file}.yml").read_text(encoding="utf-8"))
        assert workflow["jobs"][job]["strategy"]["matrix"]["python"] == named

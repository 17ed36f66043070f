"""Pages that are made when the site is built leave nothing out: names, options, fields, messages."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from site_pages import command_line, faces, messages, root_pages, schemas

import circuitspex as cx
from circuitspex.cli.main import VERBS, build_parser
from circuitspex.errors import UserError

ROOT = Path(__file__).parents[2]
FACES = faces.faces(ROOT)


@pytest.fixture(scope="module")
def api() -> dict[str, str]:
    return faces.pages(ROOT)


@pytest.mark.parametrize("face", FACES, ids=[face.name for face in FACES])
def test_every_public_name_is_documented(face: faces.Face, api: dict[str, str]) -> None:
    """What the imported package offers is on its page: described there, or with a link to where it is."""
    module = importlib.import_module(face.name)
    offered = set(getattr(module, "__all__", face.names)) - {"__version__"}
    assert offered <= set(face.names)
    assert all(hasattr(module, name) for name in face.names)
    page = api[faces.page_of(face.name)]
    described = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: ")}
    linked = set(re.findall(r"^- \[`(\w+)`\]", page, re.MULTILINE))
    assert described | linked == set(face.names)
    assert not described & linked


def test_every_object_is_described_once(api: dict[str, str]) -> None:
    described = [line[4:] for page in api.values() for line in page.splitlines() if line.startswith("::: ")]
    described = [name for name in described if name not in faces.IN_FULL]
    assert len(described) == len(set(described))
    objects = [resolve(name) for name in described]
    classes = [each for each in objects if isinstance(each, type)]
    assert len(classes) == len(set(classes))


def resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_links_between_faces_lead_to_a_description(api: dict[str, str]) -> None:
    described = {line[4:] for page in api.values() for line in page.splitlines() if line.startswith("::: ")}
    for page in api.values():
        for name, target in re.findall(r"^- \[`(\w+)`\]\[([\w.]+)\]", page, re.MULTILINE):
            assert target in described or target.replace(f".{name}", "") in api, target


def test_every_option_of_every_verb_is_listed() -> None:
    page = command_line.page(build_parser())
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(VERBS)
    verbs = next(a for a in build_parser()._actions if a.dest == "verb").choices
    assert verbs is not None
    for verb in VERBS:
        told = verbs[verb].format_help().split("example:")[0]  # type: ignore[index]
        for option in set(re.findall(r"^  (--[a-z][\w-]*)", told.split("options:", 1)[1], re.MULTILINE)) - {"--help"}:
            assert f"`{option}`" in sections[verb], (verb, option)
        assert f"    circuitspex {verb}" in sections[verb]


def test_defaults_are_said_once() -> None:
    page = command_line.page(build_parser())
    assert "| `--task` (required) | `TASK` |" in page
    assert re.search(r"^\| `--seed` \| `SEED` \| of every random choice \| `0` \|$", page, re.MULTILINE)
    for row in re.findall(r"^\| `--.*$", page, re.MULTILINE):
        about, default = row.split(" | ")[2:4]
        assert not ("(default:" in about and default.strip("| ")), row


@pytest.mark.parametrize("name", schemas.PLACES)
def test_every_field_of_a_file_is_listed(name: str) -> None:
    schema = json.loads((ROOT / schemas.PLACES[name]).read_text(encoding="utf-8"))
    page = schemas.pages(ROOT)[f"reference/files/{name}.md"]
    listed = {path.rpartition(".")[2].removesuffix("[]") for path in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)}
    assert fields(schema) <= listed
    headings = set(re.findall(r"^## (\w+)$", page, re.MULTILINE))
    assert {link.rpartition("/")[2] for link in references(schema)} <= headings


def fields(schema: Any) -> set[str]:
    """All names of properties, however deep."""
    if isinstance(schema, list):
        return set().union(*(fields(each) for each in schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    named = schema.get("properties", {})
    below = [fields(value) for key, value in schema.items() if key != "properties"] + [
        fields(v) for v in named.values()
    ]
    return set(named).union(*below)


def references(schema: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema)))


@cache
def of_the_code() -> list[messages.Message]:
    return messages.messages(ROOT)


def matching(said: str) -> list[messages.Message]:
    patterns = [
        (m, re.sub(r"‹[^›]*›", ".*", re.sub(r"[^‹›\w]", lambda c: re.escape(c[0]), re.sub(r"‹[^›]*›", "‹›", m.text))))
        for m in of_the_code()
    ]
    return [m for m, pattern in patterns if re.fullmatch(pattern.replace("‹›", ".*"), said, re.DOTALL)]


@pytest.mark.parametrize(
    ("wrong", "area"),
    [
        (lambda: cx.load_model("no/such/model.gguf"), "models"),
        (lambda: cx.tasks.Task.from_jsonl("nowhere.jsonl", None), "tasks"),
        (lambda: cx.sample_masks(5, 3, keep=1.5), "masks"),
        (lambda: cx.decode([[True, False]], [1.0, 2.0]), "recovery"),
        (lambda: cx.Circuit.load("nowhere.json"), ""),
    ],
)
def test_messages_that_are_raised_are_listed(wrong: Any, area: str) -> None:
    with pytest.raises(UserError) as raised:
        wrong()
    assert matching(str(raised.value)), raised.value


def test_messages_with_a_remedy_are_those_of_the_code() -> None:
    known = {" ".join(m.text.split()) for m in of_the_code()}
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    rows = [
        row for row in re.findall(r"^\| (.+?) \| .+ \| .+ \|$", page, re.MULTILINE) if row not in ("message", "---")
    ]
    assert len(rows) >= 20
    assert [row for row in rows if row not in known] == []


def test_how_to_cite_has_every_work() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = root_pages.cite(citation)
    keys = re.findall(r"^@\w+\{([^,]+),$", page, re.MULTILINE)
    assert len(keys) == len(set(keys)) == 1 + len(citation["references"])
    for work in citation["references"]:
        assert work["title"] in page
        assert work["url"] in page
        assert all(author["family-names"] in page for author in work["authors"])


def test_links_out_of_the_docs_are_moved(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/a.ipynb").touch()
    text = "[a](../../notebooks/a.ipynb) [b](../../CONTRIBUTING.md#recipes) [c](../edges.md#x) [d](https://x.org)\n"
    moved, files = root_pages.linked(f"{text}```\n[a](../../notebooks/a.ipynb)\n```\n", "start/own.md", tmp_path)
    assert moved == (
        "[a](../notebooks/a.ipynb) [b](../contributing.md#recipes) [c](../edges.md#x) [d](https://x.org)\n"
        "```\n[a](../../notebooks/a.ipynb)\n```\n"
    )
    assert files == {"notebooks/a.ipynb"}
    assert (
        root_pages.linked("[a](docs/edges.md) [b](README.md)", "changelog.md", tmp_path)[0]
        == "[a](edges.md) [b](index.md)"
    )

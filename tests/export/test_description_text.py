"""A description as text and as a file of its own."""

import json

import pytest
from drawn_circuits import described, realistic, with_evidence

from circuitspex.circuits import Description
from circuitspex.errors import FileFormatError


@pytest.fixture(scope="module")
def description():
    return described(with_evidence(realistic(12))).description


def test_every_component_is_told_with_its_numbers(description):
    text = str(description)
    assert max(map(len, text.splitlines())) <= 100
    for about in description.components:
        assert f"\n{about.name}: {about.role.word}\n" in text
    block = text.partition("\nL23H3: ")[2].partition("\n\n")[0]
    writes = description["L23H3"].writes.direct
    assert f"{writes.value:+.3f}" in block.replace("\n", "")
    assert "' Mary'" in block
    fed = next(about for about in description.components if about.feeds)
    block = text.partition(f"\n{fed.name}: ")[2].partition("\n\n")[0]
    assert fed.feeds[0].target in block
    assert f" by its {fed.feeds[0].through}" in block
    assert "total" in text
    assert "remainder" in text


def test_what_is_not_known_is_said(description):
    mlp = next(about for about in description.components if about.kind != "head")
    block = str(description).partition(f"\n{mlp.name}: ")[2].partition("\n\n")[0]
    assert "an MLP attends to nothing" in block


def test_a_file_of_its_own(description, tmp_path):
    path = description.save(tmp_path / "description.json")
    assert Description.load(path) == description
    data = json.loads(path.read_text())
    data["components"][0]["role"]["sure"] = True
    path.write_text(json.dumps(data))
    with pytest.raises(FileFormatError, match=r"components\[0\].role has the unknown field 'sure'"):
        Description.load(path)
    path.write_text(json.dumps(data | {"version": 2}))
    with pytest.raises(FileFormatError, match="newer circuitspex"):
        Description.load(path)


def test_by_name(description):
    assert next(iter(description)) in description
    assert "L0H0" not in description
    assert len(description) == len(description.components)
    with pytest.raises(KeyError, match="L0H0 is not described here; there are "):
        description["L0H0"]

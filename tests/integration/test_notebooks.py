"""The notebooks run from top to bottom, and show a circuit."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@pytest.mark.long
@pytest.mark.real_model
@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs(name: str) -> None:
    notebook = nbformat.read(FOLDER / name, as_version=4)
    NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [output["data"] for output in outputs if output.output_type in ("display_data", "execute_result")]
    assert any("<svg" in data.get("text/html", "") for data in shown), "no circuit was drawn"

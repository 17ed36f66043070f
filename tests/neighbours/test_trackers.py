"""MLflow and Weights & Biases: a circuit as an artefact of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import circuitspex as cx
from circuitspex.circuits import Faithfulness, Node

CIRCUIT = cx.Circuit((Node("L0H1", 0, "head", 0.5),), (), Faithfulness(0.9, 0.8, 0.95, 100))


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow keeps `circuit.json` and the page as artefacts and R² as a metric (local file store)."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        mlflow.log_metric("r2", CIRCUIT.faithfulness.r2)
        mlflow.log_artifact(CIRCUIT.save(tmp_path / "circuit.json"))
        mlflow.log_artifact(CIRCUIT.to_html(tmp_path / "circuit.html"))
    client = mlflow.MlflowClient()
    assert client.get_run(run.info.run_id).data.metrics == {"r2": 0.9}
    assert {each.path for each in client.list_artifacts(run.info.run_id)} == {"circuit.json", "circuit.html"}
    back = client.download_artifacts(run.info.run_id, "circuit.json", str(tmp_path))
    assert cx.Circuit.load(back) == CIRCUIT


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights & Biases keeps `circuit.json` as an artefact and R² in the summary (offline mode)."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    with wandb.init(project="circuits", mode="offline", dir=str(tmp_path)) as run:
        run.summary["r2"] = CIRCUIT.faithfulness.r2
        artifact = wandb.Artifact("ioi", "circuit")
        artifact.add_file(str(CIRCUIT.save(tmp_path / "circuit.json")))
        run.log_artifact(artifact)
        assert run.summary["r2"] == 0.9
    assert "circuit.json" in artifact.manifest.entries
    assert any((tmp_path / "wandb").rglob("*.wandb"))

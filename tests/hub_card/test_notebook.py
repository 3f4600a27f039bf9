"""The teachers' notebook runs from its first cell to its last, in a kernel of its own, and is kept without outputs."""

import json
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.training.models import save, small_model

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "hub_card" / "attention.ipynb"


def test_the_notebook_runs_on_a_quickstart_model(tmp_path, monkeypatch):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (line,) = (line for line in notebook.cells[1].source.splitlines() if line.startswith("SENTENCE"))
    run = tmp_path / "runs" / "quickstart"
    save(small_model([line] * 3, encoder_layers=1), run / "model")
    (run / "metrics.jsonl").write_text(json.dumps({"update": 1, "loss": 2.0}) + "\n")
    (tmp_path / "hub_card").mkdir()

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    folder = {"metadata": {"path": tmp_path / "hub_card"}}  # where Jupyter starts the kernel
    NotebookClient(notebook, timeout=300, resources=folder).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 10
    assert "largest difference from the model's own weights" in "".join(output.get("text", "") for output in shown)


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)

"""The output folder of a run: refused where it holds another, and the log of metrics within it."""

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from training.checkpoints import list_checkpoints
from training.recipe import Recipe, TrainingError

# Everything that a run writes; nothing else in the folder is ever touched.
CHECKPOINTS, MODEL, TOKENIZER, METRICS, TENSORBOARD = (
    "checkpoints",
    "model",
    "tokenizer",
    "metrics.jsonl",
    "tensorboard",
)
RECIPE, TEST_SCORES, TEST_HYPOTHESES = "recipe.yaml", "test.json", "test.hypotheses.txt"
_WRITTEN = (CHECKPOINTS, MODEL, TOKENIZER, METRICS, TENSORBOARD, RECIPE, TEST_SCORES, TEST_HYPOTHESES)


class OutputError(TrainingError):
    """An output folder that cannot be written to without losing something."""


def check_output(folder: Path, overwrite: bool) -> None:
    """Pass where a new run may use the folder; nothing is changed.

    Raises:
        OutputError: it is a file, holds another run (unless `overwrite`), or holds what no run wrote.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"output: {folder} is a file; name a folder")
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _WRITTEN)
    if foreign:
        raise OutputError(
            f"output: {folder} holds files that are no run's ({', '.join(foreign[:5])}); name a new folder"
        )
    # A recipe and a tokenizer alone are of a run that failed before it had anything to lose.
    run = [name for name in _WRITTEN if name not in (RECIPE, TOKENIZER) and (folder / name).exists()]
    if run and not overwrite:
        checkpoints = list_checkpoints(folder)
        newest = f", newest {checkpoints[-1].folder.name}" if checkpoints else ""
        raise OutputError(
            f"output: {folder} holds another run ({', '.join(run)}; {len(checkpoints)} checkpoints{newest}); name "
            "another folder with --output, or replace that run with --overwrite true"
        )


def create_output(folder: Path, recipe: Recipe) -> None:
    """Make the folder, free of an earlier run's files, with the resolved recipe in it."""
    check_output(folder, recipe.output.overwrite)
    for name in _WRITTEN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(folder / RECIPE)


class Metrics:
    """Appends a line to metrics.jsonl and tells the trackers, on the main process alone."""

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.path = folder / METRICS
        self.accelerator = accelerator

    def log(self, update: int, values: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"update": update} | values) + "\n")
        self.accelerator.log(values, step=update)

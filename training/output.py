"""The output folder of a run: refused where it holds another, and the log of metrics within it."""

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from training.checkpoints import list_checkpoints
from training.recipe import WRITTEN_BY_A_RUN, Recipe, TrainingError

# Everything that a run, or an average of its checkpoints, writes; nothing else in the folder is ever touched.
CHECKPOINTS, MODEL, AVERAGE, TOKENIZER, METRICS, TENSORBOARD = (
    "checkpoints",
    "model",
    "average",
    "tokenizer",
    "metrics.jsonl",
    "tensorboard",
)
RECIPE, TEST_SCORES, TEST_HYPOTHESES = "recipe.yaml", "test.json", "test.hypotheses.txt"
_WRITTEN = (CHECKPOINTS, MODEL, AVERAGE, TOKENIZER, METRICS, TENSORBOARD, RECIPE, TEST_SCORES, TEST_HYPOTHESES)
# Folders on their way to one of these names, or out of its way: see training/checkpoints.py.
_HIDDEN = re.compile(rf"\.({'|'.join(map(re.escape, _WRITTEN))})\.(unfinished|replaced)")


class OutputError(TrainingError):
    """An output folder that cannot be written to without losing something."""


def check_output(folder: Path, overwrite: bool, tokenizer: str | None = None) -> None:
    """Pass where a new run may use the folder; nothing is changed.

    Args:
        folder: the output folder; it needn't exist.
        overwrite: whether the run may replace another.
        tokenizer: the tokenizer that the run reads.

    Raises:
        OutputError: the folder cannot be written to, holds another run (unless `overwrite`), or a recipe that no run
            wrote, or this tokenizer where the run's own will be.
    """
    try:
        present = [entry for entry in folder.iterdir() if _is_of_a_run(entry)] if folder.is_dir() else []
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise OutputError(f"output: {existing} is a file; name a folder")
        recipe = folder / RECIPE
        if recipe.exists() and not recipe.read_bytes().startswith(WRITTEN_BY_A_RUN.encode()):
            raise OutputError(f"output: {recipe} was not written by a run, which would replace it; name a new folder")
        if tokenizer and any(Path(tokenizer).resolve().is_relative_to(entry.resolve()) for entry in present):
            raise OutputError(
                f"output: the tokenizer {tokenizer} lies in {folder}, where the run replaces it; name a new folder, "
                "or move the tokenizer"
            )
        # A recipe, and a tokenizer beside it, are of a run that failed before it had anything to lose.
        nothing_to_lose = (RECIPE, TOKENIZER) if recipe.exists() else ()
        run = [entry.name for entry in sorted(present) if entry.name not in nothing_to_lose]
        if run and not overwrite:
            checkpoints = list_checkpoints(folder)
            newest = f", newest {checkpoints[-1].folder.name}" if checkpoints else ""
            raise OutputError(
                f"output: {folder} holds another run ({', '.join(run)}; {len(checkpoints)} checkpoints{newest}); name "
                "another folder with --output, or replace that run with --overwrite true"
            )
        with tempfile.TemporaryFile(dir=existing):  # the proof that it can be written to
            pass
    except OSError as error:
        raise _not_writable(folder, error) from error


def create_output(folder: Path, recipe: Recipe) -> None:
    """Make the folder, free of an earlier run's files, with the resolved recipe in it.

    Raises:
        OutputError: as `check_output`.
    """
    check_output(folder, recipe.output.overwrite, recipe.model.tokenizer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in filter(_is_of_a_run, list(folder.iterdir())):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        recipe.write(folder / RECIPE)
    except OSError as error:
        raise _not_writable(folder, error) from error


def _is_of_a_run(entry: Path) -> bool:
    return entry.name in _WRITTEN or bool(_HIDDEN.fullmatch(entry.name))


def _not_writable(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"output: {folder} cannot be written to ({error}); name another folder")


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

"""The output folder of a run: refused where it holds another, and the log of metrics within it."""

import contextlib
import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from training.checkpoints import (
    best_folder,
    checkpoints_folder,
    checkpoints_in,
    last_good_checkpoint,
    list_checkpoints,
)
from training.files import write_whole
from training.recipe import WRITTEN_BY_A_RUN, Recipe, TrainingError
from training.record import RECORD

# Everything that a run, or an average of its checkpoints, writes; nothing else in the folder is ever touched.
CHECKPOINTS, BEST, MODEL, AVERAGE, TOKENIZER = "checkpoints", "best", "model", "average", "tokenizer"
METRICS, TENSORBOARD, CURVES, NON_FINITE = "metrics.jsonl", "tensorboard", "curves.png", "non_finite.jsonl"
RECIPE, TEST_SCORES, TEST_HYPOTHESES = "recipe.yaml", "test.json", "test.hypotheses.txt"
SETTINGS = "finetuning.yaml"  # in place of a recipe, what a model was fine-tuned by
_WRITTEN = (
    *(CHECKPOINTS, BEST, MODEL, AVERAGE, TOKENIZER, METRICS, TENSORBOARD, CURVES, NON_FINITE, RECIPE, TEST_SCORES),
    *(TEST_HYPOTHESES, RECORD),
)
# Folders on their way to one of these names, or out of its way: see training/checkpoints.py.
_HIDDEN = re.compile(rf"\.({'|'.join(map(re.escape, _WRITTEN))})\.(unfinished|replaced)")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_FINAL = "final_validation_perplexity"


class OutputError(TrainingError):
    """An output folder that cannot be written to without losing something."""


class DiskError(TrainingError):
    """A disk that took what a run wrote, and takes no more; the message names the last good checkpoint."""


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Inside, a disk that is full, read-only or broken ends the run in this folder with one message.

    Raises:
        DiskError: just that.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise DiskError(
            f"{folder} cannot be written to ({error}); {last_good_checkpoint(folder)}. Make room, and go on with "
            "--resume auto"
        ) from error


def check_output(
    folder: Path, overwrite: bool, tokenizer: str | None = None, resume: bool = False, save_every: int = 0
) -> None:
    """Pass where a run may use the folder; nothing is changed.

    Args:
        folder: the output folder; it needn't exist.
        overwrite: whether the run may replace another.
        tokenizer: the tokenizer that the run reads.
        resume: whether the run goes on with one that the folder holds.
        save_every: the run's, which says until when it can have best models and yet no checkpoint.

    Raises:
        OutputError: the folder cannot be written to, holds another run (unless `overwrite`), or a recipe that no run
            wrote, or this tokenizer where the run's own will be.
    """
    try:
        check_writable(folder)
        present = [entry for entry in folder.iterdir() if _is_of_a_run(entry)] if folder.is_dir() else []
        recipe = folder / RECIPE
        if recipe.exists() and not recipe.read_bytes().startswith(WRITTEN_BY_A_RUN.encode()):
            raise OutputError(f"output: {recipe} was not written by a run, which would replace it; name a new folder")
        if tokenizer and any(Path(tokenizer).resolve().is_relative_to(entry.resolve()) for entry in present):
            raise OutputError(
                f"output: the tokenizer {tokenizer} lies in {folder}, where the run replaces it; name a new folder, "
                "or move the tokenizer"
            )
        # A recipe, with a record and a tokenizer beside it, is of a run that failed before it had anything to lose.
        nothing_to_lose = {RECIPE, RECORD, TOKENIZER} if recipe.exists() else set()
        if resume and not any(checkpoints_folder(folder).glob("step-*")):
            nothing_to_lose |= {CHECKPOINTS, METRICS, TENSORBOARD, CURVES, NON_FINITE}
            if all(model.updates <= save_every for model in checkpoints_in(best_folder(folder))):
                nothing_to_lose.add(BEST)
        names = sorted(entry.name for entry in present if not entry.name.endswith(".unfinished"))
        run = [name for name in names if name not in nothing_to_lose]
        if resume and run and CHECKPOINTS in nothing_to_lose:
            raise OutputError(
                f"resume: {folder} holds no checkpoint to go on from, but {', '.join(run)}, which a new run would "
                "replace; name another folder with --output, or replace them with --resume no --overwrite true"
            )
        if run and not overwrite and not resume:
            checkpoints = list_checkpoints(folder)
            newest = f", newest {checkpoints[-1].folder.name}" if checkpoints else ""
            raise OutputError(
                f"output: {folder} holds another run ({', '.join(run)}; {len(checkpoints)} checkpoints{newest}); go "
                "on with it by --resume auto, name another folder with --output, or replace that run with --overwrite "
                "true"
            )
    except OSError as error:
        raise _not_writable(folder, error) from error


def check_writable(folder: Path, key: str = "output") -> None:
    """Pass where a folder can be written to, or made; nothing is changed.

    Args:
        folder: it needn't exist.
        key: what names it, for messages.

    Raises:
        OutputError: it can't.
    """
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise OutputError(f"{key}: {existing} is a file; name a folder")
        with tempfile.TemporaryFile(dir=existing):  # the proof
            pass
    except OSError as error:
        raise _not_writable(folder, error, key) from error


def create_output(folder: Path, recipe: Recipe) -> None:
    """Make the folder, free of an earlier run's files, with the resolved recipe in it.

    Raises:
        OutputError: as `check_output`.
    """
    # Where a run was to be resumed but had saved nothing yet, there is nothing to lose.
    choices = recipe.output
    check_output(folder, choices.overwrite, recipe.model.tokenizer, choices.resume == "auto", choices.save_every)
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


def _not_writable(folder: Path, error: OSError, key: str = "output") -> OutputError:
    return OutputError(f"{key}: {folder} cannot be written to ({error}); name another folder")


class Metrics:
    """Appends a line to metrics.jsonl and tells the trackers, on the main process alone."""

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.path = folder / METRICS
        self.accelerator = accelerator

    def start(self, recipe: Recipe, updates: int) -> None:
        """Start the trackers; what a run wrote after the update that it goes on from is removed."""
        if self.accelerator.is_main_process and self.path.exists():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            write_whole(self.path, "".join(f"{line}\n" for line in lines if _stays(line, updates)))
        choices = {key: value for key, value in recipe.as_dict().items() if isinstance(value, (int, float, str, bool))}
        # TensorBoard's own way to drop what a killed run had written further on.
        self.accelerator.init_trackers("vanilla-transformer", choices, {"tensorboard": {"purge_step": updates + 1}})

    def log(self, update: int, values: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"update": update} | values) + "\n")
        self.accelerator.log(values, step=update)

    def log_final(self, update: int, perplexity: float) -> None:
        """The final model's perplexity on the validation pairs, which a run that goes on takes back."""
        self.log(update, {_FINAL: perplexity})


def _stays(line: str, updates: int) -> bool:
    """Whether a line of metrics.jsonl is of a run's first `updates` updates; what a kill left of a line is of none."""
    try:
        values = json.loads(line)
        return values["update"] <= updates and _FINAL not in values
    except (ValueError, TypeError, KeyError):
        return False

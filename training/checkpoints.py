"""Checkpoints: folders that `from_pretrained` opens, complete or not there at all.

A run keeps them under `OUTPUT/checkpoints/step-00000500`, named by the number of updates.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_NAME = re.compile(r"step-(\d{8,})")
_LEFT_BEHIND = re.compile(rf"\.{_NAME.pattern}\.(unfinished|replaced)")


class Saveable(Protocol):
    """A model, a tokenizer: anything that writes itself into a folder as Hugging Face's classes do."""

    def save_pretrained(self, save_directory: str, /) -> object: ...


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    updates: int
    folder: Path


def checkpoints_folder(output: str | Path) -> Path:
    """Where a run with this output folder keeps its checkpoints."""
    return Path(output) / "checkpoints"


def list_checkpoints(output: str | Path) -> list[Checkpoint]:
    """The complete checkpoints of a run, oldest first; none where the folder isn't there."""
    folder = checkpoints_folder(output)
    if not folder.is_dir():
        return []
    found = ((_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir() if entry.is_dir())
    return sorted(Checkpoint(int(match[1]), entry) for match, entry in found if match)


def save_folder(folder: Path, *parts: Saveable) -> Path:
    """Let each part save itself into `folder`, which appears under its name only when all of them have.

    A folder of this name that exists already is replaced. What an interrupted save leaves behind has a name that
    starts with a point, which nothing reads; the next save of the same name and `prune_checkpoints` remove it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for part in parts:
        part.save_pretrained(str(unfinished))
    _write_through(unfinished)
    publish(unfinished, folder)
    return folder


def publish(unfinished: Path, folder: Path) -> None:
    """Give a finished folder its name; one that has it already makes way."""
    replaced = folder.parent / f".{folder.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        os.rename(folder, replaced)
    os.rename(unfinished, folder)
    shutil.rmtree(replaced, ignore_errors=True)


def save_checkpoint(output: str | Path, updates: int, *parts: Saveable) -> Checkpoint:
    """Save the parts (model, tokenizer, ...) as the run's checkpoint after so many updates."""
    folder = checkpoints_folder(output) / f"step-{updates:08d}"
    return Checkpoint(updates, save_folder(folder, *parts))


def prune_checkpoints(output: str | Path, keep: int) -> list[Checkpoint]:
    """Remove all but the newest `keep` checkpoints and what interrupted saves left; returns those removed."""
    removed = list_checkpoints(output)[:-keep]
    for checkpoint in removed:
        # Renamed first: a folder half removed must not pass for a checkpoint.
        doomed = checkpoint.folder.with_name(f".{checkpoint.folder.name}.replaced")
        os.rename(checkpoint.folder, doomed)
        shutil.rmtree(doomed)
    folder = checkpoints_folder(output)
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        if _LEFT_BEHIND.fullmatch(entry.name):
            shutil.rmtree(entry)
    return removed


def _write_through(folder: Path) -> None:
    """Have the system write the files to the disk before the rename says that they are there."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

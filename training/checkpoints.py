"""Checkpoints: folders that `from_pretrained` opens, complete or not there at all, with a manifest that proves it.

A run keeps the newest under `OUTPUT/checkpoints/step-00000500`, named by the number of updates, and those that did
best on the validation set under `OUTPUT/best` likewise.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.recipe import TrainingError

MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d{8,})")
_LEFT_BEHIND = re.compile(rf"\.{_NAME.pattern}\.(unfinished|replaced)")


class CheckpointError(TrainingError):
    """A checkpoint that cannot be written, or cannot be gone on from; the message names the file and what is safe."""


class Saveable(Protocol):
    """A model, a tokenizer: anything that writes itself into a folder as Hugging Face's classes do."""

    def save_pretrained(self, save_directory: str, /) -> object: ...


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    updates: int
    folder: Path


def checkpoints_folder(output: str | Path) -> Path:
    """Where a run with this output folder keeps its newest checkpoints."""
    return Path(output) / "checkpoints"


def best_folder(output: str | Path) -> Path:
    """Where it keeps those that did best on the validation set."""
    return Path(output) / "best"


def list_checkpoints(output: str | Path) -> list[Checkpoint]:
    """The newest checkpoints of a run, oldest first; none where the folder isn't there."""
    return checkpoints_in(checkpoints_folder(output))


def checkpoints_in(folder: Path) -> list[Checkpoint]:
    """The checkpoints in a folder of them, oldest first."""
    if not folder.is_dir():
        return []
    found = ((_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir() if entry.is_dir())
    return sorted(Checkpoint(int(match[1]), entry) for match, entry in found if match)


def last_good_checkpoint(output: str | Path) -> str:
    """Which checkpoint a run that failed can go on from, in words."""
    found = list_checkpoints(output)
    return f"the last good checkpoint is {found[-1].folder}" if found else "there is no checkpoint yet"


def save_folder(folder: Path, *parts: Saveable) -> Path:
    """Let each part save itself into `folder`, which appears under its name only when all of them have.

    A folder of this name that exists already is replaced. What an interrupted save leaves behind has a name that
    starts with a point, which nothing reads; the next save of the same name and `prune_checkpoints` remove it.

    Raises:
        CheckpointError: the disk is full, or anything else that keeps a part from saving itself.
    """
    unfinished = folder.parent / f".{folder.name}.unfinished"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for part in parts:
            part.save_pretrained(str(unfinished))
        _write_manifest(unfinished)
        publish(unfinished, folder)
    except Exception as error:  # OSError, and safetensors' own in its place
        shutil.rmtree(unfinished, ignore_errors=True)  # on a full disk, the next save needs its place
        raise CheckpointError(f"{folder} could not be saved: {' '.join(str(error).split())}") from error
    return folder


def publish(unfinished: Path, folder: Path) -> None:
    """Give a finished folder its name, for good; one that has it already makes way."""
    for path in (*unfinished.rglob("*"), unfinished):
        _write_through(path)
    replaced = folder.parent / f".{folder.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        os.rename(folder, replaced)
    os.rename(unfinished, folder)
    _write_through(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def save_checkpoint(folder: Path, updates: int, *parts: Saveable) -> Checkpoint:
    """Save the parts (model, tokenizer, ...) as the checkpoint after so many updates in a folder of checkpoints.

    Raises:
        CheckpointError: as `save_folder`.
    """
    return Checkpoint(updates, save_folder(folder / f"step-{updates:08d}", *parts))


def prune_checkpoints(folder: Path, keep: Collection[Checkpoint]) -> list[Checkpoint]:
    """Remove all checkpoints in a folder but those to keep, and what interrupted saves left; returns those removed."""
    removed = [checkpoint for checkpoint in checkpoints_in(folder) if checkpoint not in keep]
    for checkpoint in removed:
        # Renamed first: a folder half removed must not pass for a checkpoint.
        doomed = checkpoint.folder.with_name(f".{checkpoint.folder.name}.replaced")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(checkpoint.folder, doomed)
    for entry in list(folder.iterdir()) if folder.is_dir() else []:
        if _LEFT_BEHIND.fullmatch(entry.name):
            shutil.rmtree(entry)
    return removed


def verify(folder: Path) -> None:
    """Pass where every file of a checkpoint is as it was written.

    Raises:
        CheckpointError: a file that is missing, cut or changed, or a manifest that cannot be read.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, written in files.items():
            file = folder / name
            if not file.is_file():
                raise CheckpointError(f"{folder} is damaged: {name} is missing")
            size = file.stat().st_size
            if size != written["bytes"]:
                raise CheckpointError(f"{folder} is damaged: {name} has {size} bytes in place of {written['bytes']}")
            if _sha256(file) != written["sha256"]:
                raise CheckpointError(f"{folder} is damaged: {name} is not as it was written (its SHA-256 differs)")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder} is damaged: {MANIFEST} cannot be read ({error})") from None


def _write_manifest(folder: Path) -> None:
    """The size and SHA-256 of every file, so that `verify` finds what a disk or a hand did to it."""
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write_through(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Some network file systems cannot do this for a folder; they write names through by themselves.
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

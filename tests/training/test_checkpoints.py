"""Checkpoint folders: complete or not there, listed in order, pruned from the oldest."""

from pathlib import Path

import pytest

from training.checkpoints import (
    CheckpointError,
    checkpoints_folder,
    checkpoints_in,
    list_checkpoints,
    prune_checkpoints,
    save_checkpoint,
    save_folder,
    verify,
)


class Writes:
    def __init__(self, text, fail=False):
        self.text, self.fail = text, fail

    def save_pretrained(self, folder):
        (Path(folder) / "weights").write_text(self.text)
        if self.fail:
            raise OSError("No space left on device")


def save(output, updates, *parts):
    return save_checkpoint(checkpoints_folder(output), updates, *parts)


def prune(output, keep):
    folder = checkpoints_folder(output)
    return prune_checkpoints(folder, keep=checkpoints_in(folder)[-keep:])


def test_checkpoints_are_listed_by_updates(tmp_path):
    for updates in (500, 20, 123456789):
        save(tmp_path, updates, Writes(str(updates)))
    found = list_checkpoints(tmp_path)
    assert [checkpoint.updates for checkpoint in found] == [20, 500, 123456789]
    assert [checkpoint.folder.name for checkpoint in found] == ["step-00000020", "step-00000500", "step-123456789"]
    assert (found[1].folder / "weights").read_text() == "500"


def test_a_save_that_fails_leaves_no_checkpoint_and_the_others_alone(tmp_path):
    save(tmp_path, 1, Writes("good"))
    with pytest.raises(CheckpointError, match="step-00000002 could not be saved: No space left"):
        save(tmp_path, 2, Writes("half", fail=True))
    assert [checkpoint.updates for checkpoint in list_checkpoints(tmp_path)] == [1]
    save(tmp_path, 2, Writes("whole"))  # what the failed save left is in nobody's way
    assert (list_checkpoints(tmp_path)[-1].folder / "weights").read_text() == "whole"
    assert sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir()) == ["step-00000001", "step-00000002"]


def test_saving_again_replaces(tmp_path):
    save_folder(tmp_path / "model", Writes("old"))
    with pytest.raises(CheckpointError):
        save_folder(tmp_path / "model", Writes("half", fail=True))
    assert (tmp_path / "model" / "weights").read_text() == "old"
    save_folder(tmp_path / "model", Writes("new"))
    assert (tmp_path / "model" / "weights").read_text() == "new"


def test_pruning_keeps_the_newest(tmp_path):
    for updates in range(1, 6):
        save(tmp_path, updates, Writes(""))
    removed = prune(tmp_path, keep=2)
    assert [checkpoint.updates for checkpoint in removed] == [1, 2, 3]
    assert [checkpoint.updates for checkpoint in list_checkpoints(tmp_path)] == [4, 5]
    assert prune(tmp_path, keep=2) == []


def test_pruning_removes_what_interrupted_saves_left(tmp_path):
    left = (".step-00000002.unfinished", ".step-00000001.replaced")
    for name in (*left, ".mine.unfinished"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    save(tmp_path, 3, Writes(""))
    assert prune(tmp_path, keep=2) == []
    assert {entry.name for entry in (tmp_path / "checkpoints").iterdir()} == {".mine.unfinished", "step-00000003"}


def test_other_folders_are_no_checkpoints(tmp_path):
    assert list_checkpoints(tmp_path) == []
    for name in ("step-12", "best", ".step-00000001.unfinished"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000009").write_text("a file")
    assert list_checkpoints(tmp_path) == []


def test_what_is_kept_need_not_be_the_newest(tmp_path):
    first, _, third = (save(tmp_path, updates, Writes("")) for updates in (1, 2, 3))
    assert [gone.updates for gone in prune_checkpoints(checkpoints_folder(tmp_path), keep=[first, third])] == [2]
    assert list_checkpoints(tmp_path) == [first, third]


def test_every_file_is_in_the_manifest(tmp_path):
    class WritesMore:
        def save_pretrained(self, folder):
            (Path(folder) / "more").mkdir()
            (Path(folder) / "more" / "text").write_text("abc")

    folder = save(tmp_path, 1, Writes("weights"), WritesMore()).folder
    verify(folder)
    for file in ("weights", "more/text"):
        before = (folder / file).read_bytes()
        (folder / file).write_bytes(before[:-1] + b"#")
        with pytest.raises(CheckpointError, match=f"{file} is not as it was written"):
            verify(folder)
        (folder / file).write_bytes(before)
    verify(folder)

"""The average of a run's last checkpoints (section 6.1 of the paper) as a model folder.

python -m training.average OUTPUT [--last 5] [--to FOLDER]
python -m training.average CHECKPOINT CHECKPOINT ... --to FOLDER
"""

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

from training.checkpoints import MANIFEST, list_checkpoints, publish, verify
from training.files import print_text
from training.recipe import TrainingError
from training.state import TRAINING_STATE

WEIGHTS = "model.safetensors"
# What says how weights are meant, with the keys in it that don't.
_COMPARED = {
    "config.json": ("transformers_version", "dtype", "_name_or_path"),
    "tokenizer.json": ("truncation", "padding"),
}


class AverageError(TrainingError):
    """Checkpoints that cannot be averaged; the message names the folder, the weight and the difference."""


def last_checkpoints(output: str | Path, last: int, fewer: bool = False) -> list[Path]:
    """The folders of a run's newest `last` checkpoints, oldest first.

    Args:
        output: the run's output folder.
        last: how many.
        fewer: take what there is where there are not as many (but at least one).

    Raises:
        AverageError: too few checkpoints.
    """
    found = [checkpoint.folder for checkpoint in list_checkpoints(output)]
    if not found or (len(found) < last and not fewer):
        names = ", ".join(folder.name for folder in found) or "none"
        raise AverageError(
            f"{output}: {last} checkpoints were to be averaged, but there are {len(found)} ({names}); ask for fewer"
        )
    return found[-last:]


def average_weights(folders: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of the checkpoints' weights, summed in float64 and given in the first one's types.

    One weight is read at a time, so that memory holds a single model. Weights that are no floating-point numbers
    must be the same everywhere. A checkpoint's weights may be in one file or in several with an index.

    Raises:
        AverageError: a missing or damaged file, or checkpoints whose weights differ in name or shape.
    """
    with contextlib.ExitStack() as stack:
        checkpoints = [_open_weights(folder, stack) for folder in folders]
        names = set(checkpoints[0])
        for folder, files in zip(folders, checkpoints, strict=True):
            different = sorted(names ^ set(files))
            if different:
                raise AverageError(
                    f"{folders[0]} and {folder} are not of the same model: only one has '{different[0]}'"
                )
        averaged = {}
        for name in sorted(names):
            first = checkpoints[0][name].get_tensor(name)
            total = first.to(torch.float64) if first.is_floating_point() else first
            for folder, files in zip(folders[1:], checkpoints[1:], strict=True):
                weight = files[name].get_tensor(name)
                if weight.shape != first.shape:
                    raise AverageError(
                        f"'{name}' has the shape {tuple(first.shape)} in {folders[0]}, but {tuple(weight.shape)} in "
                        f"{folder}"
                    )
                if first.is_floating_point():
                    total += weight
                elif not torch.equal(weight, first):
                    raise AverageError(
                        f"'{name}', no floating-point weight, differs between {folders[0]} and {folder}"
                    )
            averaged[name] = (total / len(folders)).to(first.dtype) if first.is_floating_point() else total
    return averaged


def _open_weights(folder: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    """For the name of each weight the open file that holds it."""
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    try:
        files = [WEIGHTS]
        if index.is_file():
            files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [name for name in files if not (folder / name).is_file()]
        if missing:
            raise AverageError(f"{folder}: no {missing[0]}; give folders that save_pretrained wrote")
        opened = [stack.enter_context(safe_open(folder / name, framework="pt")) for name in files]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AverageError(f"{folder}: the weights cannot be read, the checkpoint is damaged: {error}") from None
    return {name: file for file in opened for name in file.keys()}


def _check_same_model(folders: Sequence[Path]) -> None:
    """Pass where weights of the same names and shapes also mean the same.

    Raises:
        AverageError: no weights, another number of heads, say, or another vocabulary.
        CheckpointError: a checkpoint whose manifest says that it is damaged.
    """
    for folder in folders:
        if not _is_checkpoint(folder):
            raise AverageError(f"{folder}: no {WEIGHTS}; give folders that save_pretrained wrote")
        if (folder / MANIFEST).is_file():
            verify(folder)
    for name, of_no_account in _COMPARED.items():
        contents = [_read_json(folder / name) for folder in folders]
        for folder, content in zip(folders, contents, strict=True):
            for key in sorted(set(contents[0]) | set(content)):
                if key not in of_no_account and contents[0].get(key) != content.get(key):
                    raise AverageError(
                        f"{folders[0]} and {folder} are not of the same model: '{key}' in their {name} differs"
                    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    except (OSError, ValueError, TypeError) as error:
        raise AverageError(f"{file} cannot be read, the checkpoint is damaged: {error}") from None


def _is_checkpoint(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (WEIGHTS, SAFE_WEIGHTS_INDEX_NAME))


def write_average(folders: Sequence[Path], to: Path) -> Path:
    """A copy of the last of these checkpoints with the average of all in place of its weights.

    The folder appears only when complete.

    Raises:
        AverageError: as `average_weights`, or checkpoints of different models.
        CheckpointError: a checkpoint that isn't as it was written.
    """
    _check_same_model(folders)
    weights = average_weights(folders)
    unfinished = to.parent / f".{to.name}.unfinished"
    # The state of the training and the manifest are those of one checkpoint, not of their average.
    left_out = ["model*.safetensors", SAFE_WEIGHTS_INDEX_NAME, TRAINING_STATE, MANIFEST, "__pycache__"]
    left_out += ["*.pt", "*.pth", "trainer_state.json", "training_args.bin"]  # Trainer's state
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(folders[-1], unfinished, ignore=shutil.ignore_patterns(*left_out))
        save_file(weights, unfinished / WEIGHTS, metadata={"format": "pt"})
        publish(unfinished, to)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise AverageError(f"{to} could not be written: {' '.join(str(error).split())}") from error
    return to


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.average", description="Average a run's last checkpoints, or the named ones."
    )
    parser.add_argument("folders", nargs="+", type=Path, help="the output folder of one run, or checkpoint folders")
    parser.add_argument("--last", type=int, help="how many of the run's last checkpoints (default: 5)")
    parser.add_argument("--to", type=Path, help="where the average goes (a run's default: OUTPUT/average)")
    options = parser.parse_args(arguments)
    folders = options.folders
    try:
        for folder in folders:
            if not folder.is_dir():
                raise AverageError(f"{folder}: no such folder; give a run's output folder, or checkpoints")
        if len(folders) == 1 and not _is_checkpoint(folders[0]):
            last = 5 if options.last is None else options.last
            if last < 1:
                raise AverageError(f"--last is {last}; give 1 or more")
            to = options.to or folders[0] / "average"
            folders = last_checkpoints(folders[0], last)
        elif options.last is not None:
            raise AverageError(
                "--last goes with the output folder of training.train, not with checkpoint folders or a fine-tuned "
                "model; name the folders checkpoint-... inside that, and --to FOLDER"
            )
        elif options.to is None:
            raise AverageError("name the folder that the average goes to: --to FOLDER")
        else:
            to = options.to
        if to.exists():
            raise AverageError(f"{to} exists already; name another folder with --to, or remove it")
        write_average(folders, to)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print_text(f"{to}: the average of {len(folders)} checkpoints: {', '.join(folder.name for folder in folders)}")


if __name__ == "__main__":
    main()

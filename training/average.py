"""The average of a run's last checkpoints (section 6.1 of the paper) as a model folder.

python -m training.average OUTPUT [--last 5] [--to FOLDER]
python -m training.average CHECKPOINT CHECKPOINT ... --to FOLDER
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from training.checkpoints import list_checkpoints, publish
from training.recipe import TrainingError

WEIGHTS = "model.safetensors"


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
    must be the same everywhere.

    Raises:
        AverageError: a missing file, or checkpoints whose weights differ in name or shape.
    """
    for folder in folders:
        if not (folder / WEIGHTS).is_file():
            raise AverageError(f"{folder}: no {WEIGHTS}; give folders that save_pretrained wrote")
    files = [safe_open(folder / WEIGHTS, framework="pt") for folder in folders]
    names = set(files[0].keys())
    for folder, file in zip(folders, files, strict=True):
        different = sorted(names ^ set(file.keys()))
        if different:
            raise AverageError(f"{folders[0]} and {folder} are not of the same model: only one has '{different[0]}'")
    averaged = {}
    for name in sorted(names):
        first = files[0].get_tensor(name)
        total = first.to(torch.float64) if first.is_floating_point() else first
        for folder, file in zip(folders[1:], files[1:], strict=True):
            weight = file.get_tensor(name)
            if weight.shape != first.shape:
                raise AverageError(
                    f"'{name}' has the shape {tuple(first.shape)} in {folders[0]}, but {tuple(weight.shape)} in "
                    f"{folder}"
                )
            if first.is_floating_point():
                total += weight
            elif not torch.equal(weight, first):
                raise AverageError(f"'{name}', no floating-point weight, differs between {folders[0]} and {folder}")
        averaged[name] = (total / len(files)).to(first.dtype) if first.is_floating_point() else total
    return averaged


def write_average(folders: Sequence[Path], to: Path) -> Path:
    """A copy of the last of these checkpoints with the average of all in place of its weights.

    The folder appears only when complete.

    Raises:
        AverageError: as `average_weights`.
    """
    weights = average_weights(folders)
    unfinished = to.parent / f".{to.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(folders[-1], unfinished, ignore=shutil.ignore_patterns(WEIGHTS, "training_state", "__pycache__"))
    save_file(weights, unfinished / WEIGHTS, metadata={"format": "pt"})
    publish(unfinished, to)
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
        if len(folders) == 1 and not (folders[0] / WEIGHTS).is_file():
            last = 5 if options.last is None else options.last
            if last < 1:
                raise AverageError(f"--last is {last}; give 1 or more")
            to = options.to or folders[0] / "average"
            folders = last_checkpoints(folders[0], last)
        elif options.last is not None:
            raise AverageError("--last goes with the output folder of a run, not with checkpoint folders")
        elif options.to is None:
            raise AverageError("name the folder that the average goes to: --to FOLDER")
        else:
            to = options.to
        if to.exists():
            raise AverageError(f"{to} exists already; name another folder with --to, or remove it")
        write_average(folders, to)
    except TrainingError as error:
        sys.exit(f"error: {error}")
    print(f"{to}: the average of {len(folders)} checkpoints: {', '.join(folder.name for folder in folders)}")


if __name__ == "__main__":
    main()

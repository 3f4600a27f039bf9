"""The state of a run beyond its weights: what a checkpoint holds so that training goes on exactly where it stopped.

It lies in a checkpoint's `training_state/`: Adam's moments by the parameter's name in `optimizer.safetensors`, and
everything else in `progress.json`. There are no random states: the pairs of an update depend on the seed and the epoch
alone, and its dropout on the seed, the update and the process (`seed_update`).
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor

from training.checkpoints import CheckpointError

TRAINING_STATE = "training_state"
OPTIMIZER, PROGRESS = "optimizer.safetensors", "progress.json"


@dataclass
class Progress:
    """How far a run has come. All of it is the same on every process."""

    updates: int = 0
    epoch: int = 0
    """Epoch of the next update, from 0."""
    chapter: int = 0
    """Chapter of that epoch, from 0; data that isn't streamed has one."""
    position: int = 0
    """Updates made in that chapter."""
    epochs: float = 0.0
    """Epochs behind us, the part of the last one included."""
    seconds: float = 0.0
    """Wall-clock time of training, validation and saving, over all sittings."""
    pairs: str = ""
    """What tells the training pairs from others: a checksum of their lengths; empty for data that is streamed."""
    validations: list[dict[str, float]] = field(default_factory=list)
    """Each validation: updates, perplexity and, where asked for, bleu."""
    validated_by: dict[str, Any] = field(default_factory=dict)
    """The recipe's choices that those validations depend on."""

    def best(self, metric: str, count: int) -> list[int]:
        """The updates of the `count` best validations, best first; of equals the earlier."""
        sign = -1 if metric == "bleu" else 1
        ordered = sorted(self.validations, key=lambda validation: (sign * validation[metric], validation["updates"]))
        return [int(validation["updates"]) for validation in ordered[:count]]

    def validations_since_best(self, metric: str) -> int:
        """How many validations in a row brought nothing better."""
        if not self.validations:
            return 0
        updates = [int(validation["updates"]) for validation in self.validations]
        return len(updates) - 1 - updates.index(self.best(metric, 1)[0])


def seed_update(seed: int, update: int, process: int) -> None:
    """Start torch's random numbers anew for an update, so that they depend on these three numbers alone."""
    sequence = np.random.SeedSequence((seed, update, process))
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor as one piece, where FSDP had split it over processes; all of them must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class TrainingState:
    """Gathers the state on all processes when made; `save_pretrained` then writes it on the main one."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
        progress: Progress,
        main_process: bool,
    ) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                gathered = whole(value)
                if main_process:
                    self.tensors[f"{name}.{key}"] = gathered.cpu().contiguous()
        self.values = dataclasses.asdict(progress) | {"scaler": scaler.state_dict() if scaler else None}

    def save_pretrained(self, save_directory: str) -> None:
        folder = Path(save_directory) / TRAINING_STATE
        folder.mkdir()
        save_file(self.tensors, folder / OPTIMIZER)
        (folder / PROGRESS).write_text(json.dumps(self.values, indent=2) + "\n", encoding="utf-8")


def read_progress(folder: Path) -> Progress:
    """The progress that a checkpoint holds.

    Raises:
        CheckpointError: it holds none that can be read.
    """
    values = _read_values(folder)
    values.pop("scaler", None)
    try:
        return Progress(**values)
    except TypeError as error:
        raise CheckpointError(f"{folder / TRAINING_STATE / PROGRESS} is of another version: {error}") from None


def restore(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None
) -> None:
    """Put a checkpoint's optimizer state, and the scaler's, in place, split over processes as the model's weights are.

    Raises:
        CheckpointError: state that cannot be read, or of another model.
    """
    file = folder / TRAINING_STATE / OPTIMIZER
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from None
    for name, parameter in model.named_parameters():
        keys = {key.removeprefix(f"{name}.") for key in tensors if key.rpartition(".")[0] == name}
        for key in keys:
            value = tensors.pop(f"{name}.{key}")
            if value.dim() and value.shape != parameter.shape:
                raise CheckpointError(
                    f"{file} is of another model: '{name}' has the shape {tuple(value.shape)} there, "
                    f"{tuple(parameter.shape)} here"
                )
            if value.dim():
                if isinstance(parameter, DTensor):
                    value = distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
                else:
                    value = value.to(parameter.device)
            elif optimizer.defaults.get("fused") or optimizer.defaults.get("capturable"):
                value = value.to(parameter.device)  # where Adam's fused step counts
            optimizer.state[parameter][key] = value
    if tensors:
        raise CheckpointError(f"{file} is of another model: there is no '{next(iter(tensors))}' here")
    state = _read_values(folder)["scaler"]
    if scaler and state:
        scaler.load_state_dict(state)


def _read_values(folder: Path) -> dict[str, Any]:
    file = folder / TRAINING_STATE / PROGRESS
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from None
    return values

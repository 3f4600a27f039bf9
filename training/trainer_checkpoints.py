"""Checkpoints of transformers' Trainer: which of them a run can go on from."""

import re
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

STATE = "trainer_state.json"
# What Trainer would do without, with other results than an uninterrupted run's; sharded parts have names of their own.
_PARTS = {
    "model.safetensors": ("model*.safetensors", "pytorch_model*"),
    "optimizer.pt": ("optimizer*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state*.pth",),
}


def checkpoints_of(output: Path) -> list[Path]:
    """The checkpoints in Trainer's output folder, whole or not, the newest first."""
    names = [re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name) for path in output.glob("*/")]
    return [output / match[0] for match in sorted(filter(None, names), key=lambda match: -int(match[1]))]


def why_unusable(checkpoint: Path) -> str | None:
    """Why no run can go on from a checkpoint as if it had not been interrupted, in words; None where one can."""
    if not (checkpoint / STATE).is_file():  # which is written last
        return f"{STATE} is missing"
    for part, names in _PARTS.items():
        if not any(path for name in names for path in checkpoint.glob(name)):
            return f"{part} is missing"
    for path in sorted(checkpoint.iterdir()):
        try:
            _check(path)
        except (OSError, ValueError, TypeError, zipfile.BadZipFile, SafetensorError) as error:
            return f"{path.name} is damaged ({' '.join(str(error).split())})"
    return None


def _check(path: Path) -> None:
    if path.name == STATE:
        TrainerState.load_from_json(str(path))
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="pt"):  # compares the file's length with what its header says
            pass
    elif path.suffix in (".pt", ".pth"):
        with zipfile.ZipFile(path) as archive:  # torch.save's files are zip archives, with checksums
            if wrong := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {wrong} differs")

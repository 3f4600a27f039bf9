"""What a fine-tuning goes on from: the newest whole checkpoint of Trainer's, by the settings it was begun with."""

import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from training.output import SETTINGS
from training.recipe import RecipeError, comparable, read_yaml

STATE = "trainer_state.json"
# What Trainer would do without, with other results than an uninterrupted run's; sharded parts have names of their own.
_PARTS = {
    "model.safetensors": ("model*.safetensors", "pytorch_model*"),
    "optimizer.pt": ("optimizer*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state*.pth",),
}
# What decides which weights come out, beside the limits of a run. Trainer would pass over some of it without a word,
# as checkpoints bring the optimizer's settings and the learning rate's peak along.
_DECIDING = (
    *("model", "dropout", "data", "data_config", "source_language", "target_language", "source_column"),
    *("target_column", "train", "max_length", "long_pairs", "max_length_ratio", "drop_duplicates", "drop_identical"),
    *("drop_wrong_script", "empty_lines", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs"),
    *("warmup_steps", "optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("max_grad_norm", "label_smoothing_factor", "neftune_noise_alpha", "train_sampling_strategy"),
    *("seed", "data_seed"),
)


def resume_point(named: str | None, output: Path) -> tuple[Path | None, dict[Path, str]]:
    """The checkpoint to go on from, and those that are newer but damaged, with what is wrong with them.

    Args:
        named: the value of `resume_from_checkpoint`: a checkpoint's folder, "true" for the newest whole one in the
            output folder, or None for none at all.
        output: the output folder.

    Raises:
        RecipeError: there is no such checkpoint.
    """
    if not named:
        return None, {}
    if named not in ("true", "True"):
        checkpoint = Path(named).expanduser()
        reason = why_unusable(checkpoint) if checkpoint.is_dir() else "there is no such folder"
        if reason:
            raise RecipeError(
                f"resume_from_checkpoint: {checkpoint} is no checkpoint to go on from: {reason}; give another folder "
                f"checkpoint-..., or true for the newest in {output}"
            )
        return checkpoint, {}
    damaged: dict[Path, str] = {}
    for checkpoint in _checkpoints_of(output):
        reason = why_unusable(checkpoint)
        if not reason:
            return checkpoint, damaged
        damaged[checkpoint] = reason
    if damaged:
        found = "; ".join(f"{checkpoint}: {reason}" for checkpoint, reason in damaged.items())
        raise RecipeError(
            f"resume_from_checkpoint: {output} holds no checkpoint to go on from ({found}); start anew in another "
            "folder with --output_dir"
        )
    raise RecipeError(f"resume_from_checkpoint: {output} holds no checkpoint to go on from; leave it out")


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


def check_settings(settings: dict[str, Any], checkpoint: Path) -> None:
    """Pass where the settings mean the run that made a checkpoint, as far as its weights go.

    Raises:
        RecipeError: they don't; the message names the keys. Or the run's own settings cannot be read.
    """
    file = checkpoint.parent / SETTINGS
    if not file.is_file():  # made by another program, or moved: nobody knows
        return
    before = read_yaml(file)
    changes = [
        f"{key} was {before.get(key)!r} and is now {settings.get(key)!r}"
        for key in _DECIDING
        if comparable(key, before.get(key)) != comparable(key, settings.get(key))
    ]
    if changes:
        raise RecipeError(
            f"resume_from_checkpoint: the run of {checkpoint} cannot go on with other settings: {'; '.join(changes)}. "
            f"Give the same values, or start another run from it with --model {checkpoint} and another --output_dir"
        )


def processes_of(checkpoint: Path) -> int:
    """How many processes made a checkpoint: each has saved the state of its random numbers."""
    return len(list(checkpoint.glob("rng_state*.pth")))


def put_aside(damaged: Sequence[Path]) -> None:
    """Rename damaged checkpoints: a new one of the same name, half written, must not be completed by their files."""
    for checkpoint in damaged:
        aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
        shutil.rmtree(aside, ignore_errors=True)  # the same update's, from an earlier time
        os.rename(checkpoint, aside)


def _checkpoints_of(output: Path) -> list[Path]:
    """The checkpoints in Trainer's output folder, whole or not, the newest first."""
    names = [re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name) for path in output.glob("*/")]
    return [output / match[0] for match in sorted(filter(None, names), key=lambda match: -int(match[1]))]


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

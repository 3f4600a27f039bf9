"""Going on with a run: its newest good checkpoint, and whether the recipe still means the same run."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.checkpoints import (
    Checkpoint,
    CheckpointError,
    best_folder,
    checkpoints_folder,
    checkpoints_in,
    list_checkpoints,
    prune_checkpoints,
    verify,
)
from training.output import RECIPE
from training.recipe import Recipe, RecipeError, comparable, read_recipe
from training.state import Progress

# What may change from one sitting of a run to the next: when it ends, what it shows and keeps, how it scores, and how
# the same arithmetic is done. Everything else decides which weights come out.
_FREE = {
    *("output", "overwrite", "resume", "trackers", "save_every", "evaluate_every", "log_every", "evaluate_bleu"),
    *("keep_best", "keep_checkpoints", "average_last", "final_model", "patience"),
    *("max_updates", "max_epochs", "max_minutes", "validation", "test", "num_workers"),
    *("gradient_accumulation_steps", "mixed_precision", "attention", "compile", "gradient_checkpointing"),
    *("num_beams", "length_penalty", "max_length_offset", "decode_batch_tokens", "bleu_tokenize", "bleu_lowercase"),
}
# What the BLEU of validations depends on.
_OF_BLEU = ("num_beams", "length_penalty", "max_length_offset", "bleu_tokenize", "bleu_lowercase")
_DAMAGED = ".damaged"


def newest_good_checkpoint(output: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint of a run whose files are as they were written; None where it has saved nothing yet.

    Damaged ones are named, and put aside under another name, so that nothing takes them for good later on.

    Raises:
        CheckpointError: there are checkpoints, but not one that is good.
    """
    newest = None
    for checkpoint in list_checkpoints(output):
        try:
            verify(checkpoint.folder)
        except CheckpointError as error:
            aside = checkpoint.folder.with_name(checkpoint.folder.name + _DAMAGED)
            say(f"{error}; it is passed over, and kept as {aside.name}")
            shutil.rmtree(aside, ignore_errors=True)  # the same update's, from an earlier time
            os.rename(checkpoint.folder, aside)
        else:
            newest = checkpoint
    if newest is None and any(checkpoints_folder(output).glob(f"*{_DAMAGED}")):
        raise CheckpointError(
            f"resume: every checkpoint in {checkpoints_folder(output)} is damaged, so there is nothing to go on from; "
            "start again with --resume no --overwrite true, or bring one back from a copy"
        )
    return newest


def check_recipe(recipe: Recipe, output: Path) -> None:
    """Pass where a recipe means the run in the output folder, as far as its weights go.

    Raises:
        RecipeError: it doesn't; the message names the keys. Or the folder's recipe cannot be read.
    """
    if not (output / RECIPE).is_file():
        raise RecipeError(
            f"resume: {output / RECIPE} is missing, so nobody knows which run this was; bring it back, or make a "
            f"model of the newest checkpoints: python -m training.average {output}"
        )
    before, now = read_recipe(output / RECIPE).as_dict(), recipe.as_dict()
    different = [key for key in now if key not in _FREE and comparable(key, now[key]) != comparable(key, before[key])]
    if different:
        changes = "; ".join(f"{key} was {before[key]!r} and is now {now[key]!r}" for key in different)
        raise RecipeError(
            f"resume: the run in {output} cannot go on with another recipe: {changes}. Give the same values, or name "
            "another folder with --output"
        )


def choices_of_validations(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides whether its validations can be compared with another's."""
    choices = recipe.as_dict()
    return {key: choices[key] for key in ("validation", *(_OF_BLEU if recipe.output.best_metric == "bleu" else ()))}


def why_validations_begin_anew(recipe: Recipe, output: Path, progress: Progress) -> str | None:
    """Why the validations of a run that is gone on with cannot be compared with those to come, in words; None where
    they can."""
    if not progress.validations:
        return None
    # Not the folder's recipe: a sitting that ended before its first checkpoint has left its own there.
    before, now = progress.validated_by, choices_of_validations(recipe)
    changes = [f"{key} was {before.get(key)!r} and is now {now[key]!r}" for key in now if before.get(key) != now[key]]
    if changes:
        return "; ".join(changes)
    (best,) = progress.best(recipe.output.best_metric, 1)
    if recipe.output.keep_best and best not in [model.updates for model in checkpoints_in(best_folder(output))]:
        return f"the model of update {best:,}, the best so far, was not kept"
    return None


def drop_what_came_after(output: Path, checkpoint: Checkpoint) -> None:
    """Remove the best models of updates that the run will make again."""
    folder = best_folder(output)
    prune_checkpoints(folder, keep=[best for best in checkpoints_in(folder) if best.updates <= checkpoint.updates])

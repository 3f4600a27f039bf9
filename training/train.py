"""Train a Transformer from nothing: parallel text in, a scored model folder out.

python -m training.train RECIPE [--key value ...]
accelerate launch --config_file configuration/accelerate/multi_gpu.yaml -m training.train RECIPE [--key value ...]
python -m training.train --help
"""

import json
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list, set_seed

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    paper_generation_config,
)
from training.average import last_checkpoints, write_average
from training.checkpoints import Checkpoint, best_folder
from training.compilation import prepare_for_training
from training.curves import write_curves
from training.data import DataError, describe_counts, read_pairs, read_training_data, tokenize_pairs
from training.distributed import in_shards
from training.evaluation import bleu, check_bleu, perplexity, translate
from training.files import write_whole
from training.loop import TrainingLoop, Validation
from training.metrics import NAMES, TOKENISED_BLEU
from training.output import (
    MODEL,
    RECIPE,
    TEST_HYPOTHESES,
    TEST_SCORES,
    TOKENIZER,
    OutputError,
    check_output,
    create_output,
    disk_errors,
)
from training.recipe import Recipe, RecipeError, TrainingError, recipe_from_command_line
from training.record import describe_sitting, hub_names, record_end, record_sitting
from training.resume import (
    check_recipe,
    drop_what_came_after,
    newest_good_checkpoint,
    why_validations_begin_anew,
)
from training.score_output import LOG, append_to_log
from training.setup import (
    check_positions,
    quiet_libraries,
    read_configuration,
    read_tokenizer,
    start_accelerator,
    train_tokenizer,
)
from training.state import Progress, read_progress


@dataclass
class RunResult:
    """What a finished run made."""

    output: Path
    model: Path
    """The final model's folder: the average of the last checkpoints."""
    updates: int
    epochs: float
    seconds: float
    """Wall-clock time of the training loop."""
    validation_perplexity: float | None
    """Of the final model; None without validation pairs."""
    test: dict[str, Any] | None
    """BLEU with signature and decoding settings, as in test.json; None without a test set."""
    hypotheses: list[str] = field(default_factory=list)
    """Translations of the test set, in its order."""


def train(recipe: Recipe, show_progress: bool = True) -> RunResult:
    """Make the run that a recipe describes, in this process or as one of several that Accelerate launched.

    Raises:
        TrainingError: anything wrong with the recipe, the data or the output folder, before work is lost; a loss that
            is no number; a disk that is full; an interruption.
    """
    output, choices = Path(recipe.output.output), recipe.output
    check_output(output, choices.overwrite, recipe.model.tokenizer, choices.resume == "auto", choices.save_every)
    accelerator = start_accelerator(recipe)
    show = show_progress and accelerator.is_main_process
    with quiet_libraries(show), disk_errors(output):
        result = _train(recipe, output, accelerator, show)
    accelerator.end_training()
    return result


def _train(recipe: Recipe, output: Path, accelerator: Accelerator, show: bool) -> RunResult:
    def say(line: str) -> None:
        if show:
            print(line, file=sys.stderr, flush=True)

    # Everything that may be wrong with the input is found before anything is written.
    config = read_configuration(recipe)
    if recipe.data.test or recipe.output.evaluate_bleu:
        check_bleu(recipe.decoding.bleu_tokenize)
    data = read_training_data(
        recipe.data,
        seed=recipe.optimization.seed,
        run=str(output.absolute()),
        main_first=accelerator.local_main_process_first,
        is_main=accelerator.is_local_main_process,
    )
    validation_text, test_text = (
        read_pairs(recipe.data, split) if split else None for split in (recipe.data.validation, recipe.data.test)
    )
    resumed, progress = None, Progress()
    if recipe.output.resume == "auto":
        resumed, progress = _find_checkpoint(recipe, output, accelerator, say)
    tokenizer = (
        VanillaTransformerTokenizer.from_pretrained(resumed.folder) if resumed else read_tokenizer(recipe, config)
    )
    if tokenizer is None:
        trained = train_tokenizer(recipe, config, data.sample_text(), show) if accelerator.is_main_process else None
        (tokenizer,) = broadcast_object_list([trained])
    if recipe.model.tokenizer is None and len(tokenizer) != config.vocab_size:
        say(
            f"model: vocab_size follows the tokenizer: {len(tokenizer):,}, where {recipe.model.model} has "
            f"{config.vocab_size:,}"
        )
        config.vocab_size = len(tokenizer)

    tokenizer.model_max_length = recipe.data.max_length  # so that whoever translates knows what it was trained for
    data.tokenize(tokenizer)
    with accelerator.local_main_process_first():  # the others find its result in the cache
        validation = validation_text and tokenize_pairs(
            validation_text, tokenizer, empty_lines=recipe.data.empty_lines, name=str(recipe.data.validation)
        )
    pairs = None if data.streaming else next(data.chapters(0)).pairs
    if pairs:
        checksum = f"{zlib.crc32(pairs.target_lengths.tobytes(), zlib.crc32(pairs.source_lengths.tobytes())):08x}"
        if resumed and progress.pairs != checksum:
            raise RecipeError(
                f"resume: the training pairs are not those that the run in {output} was started with; bring those "
                "back, or name another folder with --output"
            )
        progress.pairs = checksum
        say(describe_counts("training pairs", pairs.counts))
    check_positions(recipe, config, tokenizer, pairs, validation, test_text)
    if validation:
        say(describe_counts(str(recipe.data.validation), validation.counts))
    sitting = describe_sitting(accelerator.mixed_precision, progress.updates)
    if accelerator.is_main_process:
        if resumed:
            drop_what_came_after(output, resumed)
            recipe.write(output / RECIPE)
        else:
            create_output(output, recipe)
            tokenizer.save_pretrained(output / TOKENIZER)
        record_sitting(output, sitting, bool(resumed))
    accelerator.wait_for_everyone()

    if resumed:
        model = VanillaTransformerForConditionalGeneration.from_pretrained(resumed.folder)
        say(f"resumed from {resumed.folder}, after update {resumed.updates:,} (epoch {progress.epochs:.2f})")
    else:
        set_seed(recipe.optimization.seed)  # the same weights everywhere
        model = VanillaTransformerForConditionalGeneration(config)
    model.generation_config = paper_generation_config(
        config,
        num_beams=recipe.decoding.num_beams,
        length_penalty=recipe.decoding.length_penalty,
        max_length_offset=recipe.decoding.max_length_offset,
    )
    choices = recipe.optimization
    prepare_for_training(model, attention=choices.attention, compile=choices.compile)
    if choices.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(
        f"model: {recipe.model.model}, {parameters:,} parameters; {accelerator.num_processes} x "
        f"{accelerator.device.type}{', weights in shards' if in_shards(accelerator) else ''}, mixed precision: "
        f"{accelerator.mixed_precision}"
    )

    loop = TrainingLoop(
        recipe,
        output,
        accelerator,
        model,
        tokenizer,
        data,
        Validation(validation, validation_text) if validation else None,
        show,
        resumed,
        progress,
    )
    try:
        loop.run()
    finally:
        data.close()
    if data.streaming:
        say(describe_counts("training pairs", data.counts))

    folders = _final_checkpoints(recipe, output, loop)
    if accelerator.is_main_process:
        write_average(folders, output / MODEL)
    accelerator.wait_for_everyone()
    made_of = f"the average of {len(folders)} checkpoints" if len(folders) > 1 else folders[0].name
    say(f"{output / MODEL}: {made_of} (final_model: {recipe.output.final_model})")

    final = VanillaTransformerForConditionalGeneration.from_pretrained(output / MODEL).to(accelerator.device)
    result = RunResult(output, output / MODEL, progress.updates, progress.epochs, loop.limits.seconds, None, None)
    with accelerator.autocast():
        if validation:
            result.validation_perplexity = perplexity(
                final, validation, accelerator, recipe.optimization.tokens_per_batch
            )
            loop.metrics.log_final(progress.updates, result.validation_perplexity)
            say(f"validation perplexity of the final model: {result.validation_perplexity:.3f}")
        if test_text:
            _score_test(recipe, accelerator, final, tokenizer, test_text, len(folders), result, show)
    if accelerator.is_main_process:
        say(f"learning curves: {write_curves(output)}")
        record_end(
            output,
            updates=progress.updates,
            epochs=round(progress.epochs, 4),
            seconds=round(progress.seconds, 3),
            checkpoints_averaged=len(folders),
            training_pairs=pairs.counts if pairs else data.counts,
            hub_names=hub_names(*(part.data for part in (recipe.data, *recipe.data.training_sources()))),
        )
    return result


def _find_checkpoint(
    recipe: Recipe, output: Path, accelerator: Accelerator, say: Callable[[str], None]
) -> tuple[Checkpoint | None, Progress]:
    """The checkpoint to go on from, None where the run has none yet, and its progress; the same on every process."""
    found: Checkpoint | None = None
    progress, problem = Progress(), None
    if accelerator.is_main_process:
        try:
            if found := newest_good_checkpoint(output, say):
                check_recipe(recipe, output)
                progress = read_progress(found.folder)
                if reason := why_validations_begin_anew(recipe, output, progress):
                    say(f"validations so far are not compared with those to come: {reason}")
                    progress.validations.clear()
        except TrainingError as error:
            problem = error
    found, progress, problem = broadcast_object_list([found, progress, problem])
    if problem:
        raise problem
    return found, progress


def _final_checkpoints(recipe: Recipe, output: Path, loop: TrainingLoop) -> list[Path]:
    """The folders whose average is the final model."""
    if recipe.output.final_model == "best" and loop.progress.validations:
        (updates,) = loop.progress.best(recipe.output.best_metric, 1)
        return [best_folder(output) / f"step-{updates:08d}"]
    return last_checkpoints(output, recipe.output.average_last, fewer=True)


def _score_test(
    recipe: Recipe,
    accelerator: Accelerator,
    model: VanillaTransformerForConditionalGeneration,
    tokenizer: VanillaTransformerTokenizer,
    test: datasets.Dataset,
    averaged: int,
    result: RunResult,
    show: bool,
) -> None:
    """Translate the test set by the paper's search and score it: test.hypotheses.txt, test.json, `result`."""
    started = time.monotonic()
    sources, references = ([line or "" for line in test[side]] for side in ("source", "target"))
    decoding = recipe.decoding
    result.hypotheses = translate(
        model, tokenizer, sources, batch_tokens=decoding.decode_batch_tokens, accelerator=accelerator, progress=show
    )
    seconds = time.monotonic() - started
    if accelerator.is_main_process:  # before scoring: whatever happens there, the translations are safe
        lines = "".join(f"{line}\n" for line in result.hypotheses)
        write_whole(result.output / TEST_HYPOTHESES, lines)
    score = bleu(result.hypotheses, references, tokenize=decoding.bleu_tokenize, lowercase=decoding.bleu_lowercase)
    result.test = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "bleu": score["bleu"],
        "metric": NAMES[TOKENISED_BLEU if decoding.bleu_tokenize == "none" else "bleu"],
        "signature": score["signature"],
        "data": recipe.data.data,
        "test": recipe.data.test,
        "sentences": len(sources),
        "num_beams": decoding.num_beams,
        "length_penalty": decoding.length_penalty,
        "length_penalty_type": "wu",
        "max_length_offset": decoding.max_length_offset,
        "checkpoints_averaged": averaged,
        "updates": result.updates,
        "mixed_precision": accelerator.mixed_precision,
        "seconds": round(seconds, 3),
    }
    if accelerator.is_main_process:
        append_to_log(result.output / LOG, {"output": str(result.output)} | result.test)
        scores = json.dumps(result.test, indent=2, ensure_ascii=False)
        write_whole(result.output / TEST_SCORES, scores + "\n")
    accelerator.log({"test_bleu": score["bleu"]}, step=result.updates)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors that the user can mend end it with one message: code 2 for the input, 1 for a run that
    failed, 130 (SIGINT) or 143 (SIGTERM) for one that was stopped and has saved."""
    try:
        result = train(recipe_from_command_line(sys.argv[1:] if arguments is None else arguments))
    except TrainingError as error:
        if PartialState().is_local_main_process:
            print(f"error: {error}", file=sys.stderr)
        of_the_input = isinstance(error, (RecipeError, DataError, OutputError))
        raise SystemExit(getattr(error, "exit_code", 2 if of_the_input else 1)) from None
    except KeyboardInterrupt:  # outside the training loop, which has an answer of its own
        if PartialState().is_local_main_process:
            print("error: interrupted; the output folder holds what was saved before, if anything", file=sys.stderr)
        raise SystemExit(130) from None
    if PartialState().is_main_process:
        print(f"model: {result.model}")
        if result.test:
            test = result.test
            print(
                f"{test['metric']} {test['bleu']:.2f} on {test['test']} ({test['sentences']} sentences; "
                f"{test['signature']}; beams {test['num_beams']}, length penalty {test['length_penalty']})"
            )


if __name__ == "__main__":
    main()

"""Train a Transformer from nothing: parallel text in, a scored model folder out.

python -m training.train RECIPE [--key value ...]
accelerate launch --config_file configuration/accelerate/multi_gpu.yaml -m training.train RECIPE [--key value ...]
python -m training.train --help
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from training.data import describe_counts, read_pairs, tokenize_pairs
from training.evaluation import bleu, check_bleu, perplexity, translate
from training.loop import Interrupted, NonFiniteLossError, TrainingLoop
from training.output import MODEL, TEST_HYPOTHESES, TEST_SCORES, TOKENIZER, check_output, create_output
from training.recipe import Recipe, TrainingError, recipe_from_command_line
from training.setup import (
    check_positions,
    quiet_libraries,
    read_configuration,
    read_tokenizer,
    start_accelerator,
    train_tokenizer,
)


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
            is no number; an interruption.
    """
    output = Path(recipe.output.output)
    check_output(output, recipe.output.overwrite, recipe.model.tokenizer)
    accelerator = start_accelerator(recipe)
    show = show_progress and accelerator.is_main_process
    with quiet_libraries(show):
        result = _train(recipe, output, accelerator, show)
    accelerator.end_training()
    return result


def _train(recipe: Recipe, output: Path, accelerator: Accelerator, show: bool) -> RunResult:
    def say(line: str) -> None:
        if show:
            print(line, file=sys.stderr, flush=True)

    # Everything that may be wrong with the input is found before anything is written.
    config = read_configuration(recipe)
    if recipe.data.test:
        check_bleu(recipe.decoding.bleu_tokenize)
    train_text, validation_text, test_text = (
        read_pairs(recipe.data, split) if split else None
        for split in (recipe.data.train, recipe.data.validation, recipe.data.test)
    )
    assert train_text is not None
    tokenizer = read_tokenizer(recipe, config)
    if tokenizer is None:
        trained = train_tokenizer(recipe, config, train_text, show) if accelerator.is_main_process else None
        (tokenizer,) = broadcast_object_list([trained])
        if len(tokenizer) != config.vocab_size:
            say(
                f"model: vocab_size follows the tokenizer: {len(tokenizer):,}, where {recipe.model.model} has "
                f"{config.vocab_size:,}"
            )
            config.vocab_size = len(tokenizer)

    with accelerator.local_main_process_first():  # the others find its result in the cache
        pairs = tokenize_pairs(
            train_text,
            tokenizer,
            max_length=recipe.data.max_length,
            empty_lines=recipe.data.empty_lines,
            name=recipe.data.train,
        )
        validation = validation_text and tokenize_pairs(
            validation_text, tokenizer, empty_lines=recipe.data.empty_lines, name=str(recipe.data.validation)
        )
    check_positions(recipe, config, tokenizer, pairs, validation, test_text)
    for part in filter(None, (pairs, validation)):
        say(describe_counts(recipe.data.train if part is pairs else str(recipe.data.validation), part.counts))
    if accelerator.is_main_process:
        create_output(output, recipe)
        tokenizer.save_pretrained(output / TOKENIZER)
    accelerator.wait_for_everyone()

    set_seed(recipe.optimization.seed)  # the same weights everywhere ...
    model = VanillaTransformerForConditionalGeneration(config)
    model.generation_config = paper_generation_config(
        config,
        num_beams=recipe.decoding.num_beams,
        length_penalty=recipe.decoding.length_penalty,
        max_length_offset=recipe.decoding.max_length_offset,
    )
    set_seed(recipe.optimization.seed, device_specific=True)  # ... but dropout of its own in each process
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(
        f"model: {recipe.model.model}, {parameters:,} parameters; {accelerator.num_processes} x "
        f"{accelerator.device.type}, mixed precision: {accelerator.mixed_precision}"
    )

    loop = TrainingLoop(recipe, output, accelerator, model, tokenizer, pairs, validation, show)
    loop.run()

    folders = last_checkpoints(output, recipe.output.average_last, fewer=True)
    if accelerator.is_main_process:
        write_average(folders, output / MODEL)
    accelerator.wait_for_everyone()
    say(f"{output / MODEL}: the average of {len(folders)} checkpoints (average_last: {recipe.output.average_last})")

    final = VanillaTransformerForConditionalGeneration.from_pretrained(output / MODEL).to(accelerator.device)
    result = RunResult(output, output / MODEL, loop.updates, loop.epochs, loop.limits.seconds, None, None)
    with accelerator.autocast():
        if validation:
            result.validation_perplexity = perplexity(
                final, validation, accelerator, recipe.optimization.tokens_per_batch
            )
            loop.metrics.log(loop.updates, {"final_validation_perplexity": result.validation_perplexity})
            say(f"validation perplexity of the average: {result.validation_perplexity:.3f}")
        if test_text:
            _score_test(recipe, accelerator, final, tokenizer, test_text, len(folders), result, show)
    return result


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
    hypotheses = translate(
        model, tokenizer, sources, batch_tokens=decoding.decode_batch_tokens, accelerator=accelerator, progress=show
    )
    # A line a sentence, whatever the model wrote.
    result.hypotheses = [" ".join(line.splitlines()) for line in hypotheses]
    seconds = time.monotonic() - started
    if accelerator.is_main_process:  # before scoring: whatever happens there, the translations are safe
        lines = "".join(f"{line}\n" for line in result.hypotheses)
        (result.output / TEST_HYPOTHESES).write_text(lines, encoding="utf-8")
    score = bleu(result.hypotheses, references, tokenize=decoding.bleu_tokenize, lowercase=decoding.bleu_lowercase)
    result.test = {
        "bleu": score["bleu"],
        "signature": score["signature"],
        "data": recipe.data.data,
        "test": recipe.data.test,
        "sentences": len(sources),
        "num_beams": decoding.num_beams,
        "length_penalty": decoding.length_penalty,
        "max_length_offset": decoding.max_length_offset,
        "checkpoints_averaged": averaged,
        "updates": result.updates,
        "mixed_precision": accelerator.mixed_precision,
        "seconds": round(seconds, 3),
    }
    if accelerator.is_main_process:
        scores = json.dumps(result.test, indent=2, ensure_ascii=False)
        (result.output / TEST_SCORES).write_text(scores + "\n", encoding="utf-8")
    accelerator.log({"test_bleu": score["bleu"]}, step=result.updates)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors that the user can mend end it with one message: code 2 for the input, 1 for a run that
    failed, 130 for an interrupted one."""
    try:
        result = train(recipe_from_command_line(sys.argv[1:] if arguments is None else arguments))
    except TrainingError as error:
        if PartialState().is_local_main_process:
            print(f"error: {error}", file=sys.stderr)
        code = {Interrupted: 130, NonFiniteLossError: 1}.get(type(error), 2)
        raise SystemExit(code) from None
    except KeyboardInterrupt:  # outside the training loop, which has an answer of its own
        if PartialState().is_local_main_process:
            print("error: interrupted; the output folder holds what was saved before, if anything", file=sys.stderr)
        raise SystemExit(130) from None
    if PartialState().is_main_process:
        print(f"model: {result.model}")
        if result.test:
            print(
                f"BLEU {result.test['bleu']:.2f} on {result.test['test']} ({result.test['sentences']} sentences; "
                f"{result.test['signature']}; beams {result.test['num_beams']}, length penalty "
                f"{result.test['length_penalty']})"
            )


if __name__ == "__main__":
    main()

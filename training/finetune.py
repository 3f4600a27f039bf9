"""Fine-tune a saved model on parallel text with transformers' Seq2SeqTrainer.

python -m training.finetune --model FOLDER_OR_HUB_NAME --data FOLDER --source_language en --target_language de
accelerate launch -m training.finetune SETTINGS.yaml [--key value ...]
python -m training.finetune --help

The keys are the data keys of a recipe, those of `ModelChoice` below and all of Seq2SeqTrainingArguments; a YAML file
may hold them, and the command line wins over it. training/trainer.py says what is added to Seq2SeqTrainer.
"""

import dataclasses
import difflib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import datasets
import torch
import yaml
from transformers import (
    DataCollatorForSeq2Seq,
    HfArgumentParser,
    SchedulerType,
    Seq2SeqTrainingArguments,
    get_scheduler,
)

from modeling_vanilla_transformer import VanillaTransformerConfig
from training.data import TokenizedPairs, TrainingData, describe_counts, read_pairs, tokenize_pairs
from training.evaluation import check_bleu, translate
from training.files import write_whole
from training.finetune_resume import check_settings, processes_of, put_aside, resume_point
from training.loading import read_model
from training.loop import NonFiniteLossError
from training.metrics import NAMES, TOKENISED_BLEU
from training.output import RECIPE, SETTINGS, TEST_HYPOTHESES, TEST_SCORES, OutputError, check_writable
from training.recipe import DataRecipe, RecipeError, TrainingError, read_yaml
from training.record import describe_sitting, hub_names, record_end, record_sitting
from training.setup import quiet_libraries
from training.trainer import Examples, Scores, TranslationTrainer

PROGRAM = "python -m training.finetune"
# What the settings file in the output folder holds of the Trainer's arguments, beside those that we have defaults of
# our own for: always these,
_OF_THE_TRAINER = (
    *("num_train_epochs", "max_steps", "gradient_accumulation_steps", "optim", "lr_scheduler_type", "warmup_steps"),
    *("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "seed", "bf16", "fp16"),
)
# and these where they are not the default: all else that decides which model comes out, or how it is judged.
_WHERE_GIVEN = (
    *("lr_scheduler_kwargs", "optim_args", "neftune_noise_alpha", "data_seed", "auto_find_batch_size"),
    *("gradient_checkpointing", "dataloader_drop_last", "load_best_model_at_end", "greater_is_better"),
    *("eval_steps", "eval_delay", "save_steps", "generation_num_beams", "generation_max_length"),
)


@dataclass(kw_only=True)
class ModelChoice:
    """The model to start from, and how its translations are scored."""

    model: str = field(metadata={"help": "A folder with a saved model of ours, or its name on the Hub."})
    dropout: float | None = field(
        default=None, metadata={"help": "Dropout in place of the model configuration's; left out: as it is."}
    )
    bleu_tokenize: str = field(
        default="13a", metadata={"help": "sacreBLEU's tokenisation; none only where the text is tokenised already."}
    )
    bleu_lowercase: bool = field(default=False, metadata={"help": "Score without regard to case."})

    def __post_init__(self) -> None:
        self.model = os.path.expanduser(self.model)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise RecipeError(f"dropout: is {self.dropout}; give one from 0 to below 1")


@dataclass
class FinetuningArguments(Seq2SeqTrainingArguments):
    """Seq2SeqTrainingArguments, with defaults for fine-tuning a translation model."""

    output_dir: str | None = field(
        default="runs/fine-tuned", metadata={"help": "Folder of the fine-tuned model, with its checkpoints inside."}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "The peak learning rate."})
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Sentence pairs of one part of an update."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Sentence pairs of a batch in evaluation."})
    label_smoothing_factor: float = field(
        default=0.1,
        metadata={"help": "Share of the target distribution spread over the whole vocabulary, in training alone."},
    )
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={
            "help": "How batches are drawn; group_by_length keeps padding low.",
            "choices": ["random", "sequential", "group_by_length", "batch_rebalance"],
        },
    )
    predict_with_generate: bool = field(
        default=True, metadata={"help": "Translate the validation pairs at every evaluation, for their BLEU."}
    )
    metric_for_best_model: str | None = field(
        default=None, metadata={"help": "What the best checkpoint is best in; left out: bleu, without it loss."}
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate: no, steps or epoch."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save: no, steps, epoch or best."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints to keep, the newest and the best."})
    logging_steps: float = field(default=50, metadata={"help": "Updates from one line of metrics to the next."})
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Leave losses that are no numbers out of the log, in place of stopping."}
    )

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing_factor < 1:
            raise RecipeError(f"label_smoothing_factor: is {self.label_smoothing_factor}; give one from 0 to below 1")
        for key in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            if getattr(self, key) < 1:
                raise RecipeError(f"{key}: is {getattr(self, key)}; give 1 or more")
        for key, fewest in (("generation_num_beams", 1), ("generation_max_length", 2)):  # in which the start counts
            value = getattr(self, key)
            if value is not None and value < fewest:
                raise RecipeError(f"{key}: is {value}; give {fewest} or more")
        for key in ("save_steps", "eval_steps", "logging_steps"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise RecipeError(f"{key}: is {value}; give a number of updates, or a share of all of them below 1")
        if self.max_steps != -1 and self.max_steps < 1:
            raise RecipeError(f"max_steps: is {self.max_steps}; give 1 or more, or -1 for num_train_epochs alone")
        if not self.num_train_epochs > 0:
            raise RecipeError(f"num_train_epochs: is {self.num_train_epochs}; give a number above 0")
        for key, least in (("learning_rate", 0.0), ("seed", 0)):
            if not getattr(self, key) >= least:
                raise RecipeError(f"{key}: is {getattr(self, key)}; give {least:g} or more")
        if not self.output_dir:
            raise RecipeError("output_dir: is empty; name a folder")
        if self.resume_from_checkpoint in ("false", "False", "no", ""):  # type: ignore[has-type]
            self.resume_from_checkpoint = None
        if self.metric_for_best_model is None:
            self.metric_for_best_model = "bleu" if self.predict_with_generate else "loss"
        known = ["loss", "perplexity", *(["bleu"] if self.predict_with_generate else [])]
        if self.metric_for_best_model.removeprefix("eval_") not in known:
            raise RecipeError(f"metric_for_best_model: is {self.metric_for_best_model}; give {' or '.join(known)}")
        # transformers takes all but losses for better when greater
        if self.greater_is_better is None:  # type: ignore[has-type]
            self.greater_is_better = self.metric_for_best_model.removeprefix("eval_") == "bleu"
        self.dataloader_pin_memory &= torch.accelerator.is_available()  # which is for copies to one
        super().__post_init__()
        given: Any = self.lr_scheduler_kwargs or {}  # type: ignore[has-type]
        if not isinstance(given, dict):
            raise RecipeError(f"lr_scheduler_kwargs: is {given!r}; give a mapping, as {{power: 2.0}} is one")
        if self.lr_scheduler_type == SchedulerType.REDUCE_ON_PLATEAU:
            given = {"mode": "max" if self.greater_is_better else "min"} | given
        self.lr_scheduler_kwargs = given or None
        try:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
            get_scheduler(self.lr_scheduler_type, optimizer, 1, 2, given)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"lr_scheduler_kwargs: {' '.join(str(error).split())}") from error


def check_output_dir(arguments: FinetuningArguments) -> None:
    """Pass where the folder can be written to and nothing would be overwritten.

    Raises:
        OutputError: it cannot, it holds a run of training.train, or a model or checkpoints, and this is no resumption
            of that run.
    """
    folder = Path(str(arguments.output_dir))
    check_writable(folder, "output_dir")
    if (folder / RECIPE).exists():
        raise OutputError(f"output_dir: {folder} holds a run of training.train; name another folder with --output_dir")
    present = sorted(path.name for name in ("config.json", "checkpoint-*") for path in folder.glob(name))
    if present and not arguments.resume_from_checkpoint:
        raise OutputError(
            f"output_dir: {folder} holds another run ({', '.join(present)}); name another folder with --output_dir, "
            "or go on with that run by --resume_from_checkpoint true"
        )


def finetune(
    choice: ModelChoice, data: DataRecipe, arguments: FinetuningArguments, show: bool = True
) -> dict[str, float | str]:
    """Fine-tune a model, in this process or as one of several, and save it in `arguments.output_dir`.

    Args:
        choice: the model and its scoring.
        data: the pairs to train on, to evaluate on (validation) and to translate at the end (test).
        arguments: of the Trainer.
        show: whether to say on standard error what is being done.

    Returns:
        The metrics of training and of the last evaluation, and with a test set its BLEU.

    Raises:
        TrainingError: anything wrong with the input, found before the training; a loss that is no number.
    """

    def say(line: str) -> None:
        if show and arguments.process_index == 0:
            print(line, file=sys.stderr, flush=True)

    check_output_dir(arguments)
    output = Path(str(arguments.output_dir))
    settings = _plain_settings(choice, data, arguments)
    resume, damaged = resume_point(arguments.resume_from_checkpoint, output)
    if resume:
        check_settings(settings, resume)
        for checkpoint, reason in damaged.items():
            say(f"{checkpoint}: {reason}; it is put aside, and the run goes on from {resume}")
        if processes_of(resume) != arguments.world_size:
            say(f"{resume} is of {processes_of(resume)} processes: with {arguments.world_size}, dropout is another")
    # In float32, in which weights are changed.
    model, tokenizer = read_model(
        choice.model, dtype=torch.float32, **({} if choice.dropout is None else {"dropout": choice.dropout})
    )
    scores = Scores(tokenizer, choice.bleu_tokenize, choice.bleu_lowercase)
    check_bleu(choice.bleu_tokenize)
    if not data.validation:
        if arguments.load_best_model_at_end:
            raise RecipeError("load_best_model_at_end: there is no best model without validation pairs; name them")
        if arguments.lr_scheduler_type == SchedulerType.REDUCE_ON_PLATEAU:
            raise RecipeError("lr_scheduler_type: there is no plateau without validation pairs; name them")
        arguments.eval_strategy = "no"
    for key in ("sources", "streaming"):
        if getattr(data, key):
            raise RecipeError(f"{key}: fine-tuning takes one source as a whole; leave it out, or use training.train")
    # One process of each machine comes first, and the others find its result in the cache.
    training_data = TrainingData(data, lambda: arguments.main_process_first(desc="reading and tokenising"))
    validation_text, test_text = (read_pairs(data, split) if split else None for split in (data.validation, data.test))
    training_data.tokenize(tokenizer)
    train = next(training_data.chapters(0)).pairs
    with arguments.main_process_first(desc="tokenising"):
        validation = validation_text and tokenize_pairs(
            validation_text, tokenizer, empty_lines=data.empty_lines, name=str(data.validation)
        )
    for name, part in ((data.train, train), (data.validation, validation)):
        if part:
            _check_positions(choice, model.config, str(name), part)
            say(describe_counts(str(name), part.counts))

    try:
        trainer = TranslationTrainer(
            model,
            arguments,
            train_dataset=Examples(train),
            eval_dataset=Examples(validation) if validation else None,
            data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
            processing_class=tokenizer,
            compute_metrics=scores,
        )
    except (ValueError, ImportError) as error:  # arguments that contradict each other, a tracker that isn't installed
        raise RecipeError(" ".join(str(error).split())) from error
    if arguments.predict_with_generate and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        raise RecipeError("predict_with_generate: sharded weights cannot translate; set it to false")
    signature = scores.bleu(["a"], ["a"])["signature"]
    if validation and arguments.predict_with_generate:
        say(f"eval_bleu is sacreBLEU's ({signature})")
    sitting = describe_sitting(trainer.accelerator.mixed_precision)  # when all processes have seen the checkpoints
    if trainer.is_world_process_zero():
        put_aside(list(damaged))
        output.mkdir(parents=True, exist_ok=True)
        write_whole(output / SETTINGS, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        record_sitting(output, sitting, bool(resume))
    try:
        results = dict(trainer.train(resume_from_checkpoint=resume and str(resume)).metrics)
    except (ValueError, RuntimeError) as error:
        if resume and re.search("checkpoint|state.dict", str(error)):  # of another model, or another optimizer
            message = " ".join(str(error).split())
            raise RecipeError(f"resume_from_checkpoint: {resume} does not fit this run: {message}") from error
        raise
    trainer.save_model()
    trainer.save_state()
    say(f"{arguments.output_dir}: the fine-tuned model, after {trainer.state.global_step:,} updates")
    if validation:
        results |= trainer.evaluate()
        if arguments.predict_with_generate:
            results["eval_bleu_signature"] = signature
    if test_text:
        results |= _score_test(trainer, tokenizer, scores, data, test_text)
    trainer.save_metrics("all", results, combined=False)
    if trainer.is_world_process_zero():
        # Of this sitting's time alone Trainer knows.
        seconds = {} if resume else {"seconds": round(results["train_runtime"], 3)}
        counts = {"updates": trainer.state.global_step, "epochs": trainer.state.epoch, "training_pairs": train.counts}
        names = hub_names(data.data, choice.model)
        record_end(output, **counts, **seconds, hub_names=names)
    return results


def _plain_settings(choice: ModelChoice, data: DataRecipe, arguments: FinetuningArguments) -> dict[str, Any]:
    """All that decides which model comes out, as a settings file holds it."""
    default = FinetuningArguments()
    given = [key for key in _WHERE_GIVEN if getattr(arguments, key) != getattr(default, key)]
    keys = (*FinetuningArguments.__annotations__, *_OF_THE_TRAINER, *given)
    of_the_trainer = {key: getattr(arguments, key) for key in keys}
    plain = {key: value.value if isinstance(value, Enum) else value for key, value in of_the_trainer.items()}
    return dataclasses.asdict(choice) | dataclasses.asdict(data) | plain


def _check_positions(choice: ModelChoice, config: VanillaTransformerConfig, name: str, pairs: TokenizedPairs) -> None:
    longest = int(max(pairs.source_lengths.max(), pairs.target_lengths.max()))
    if config.position_embedding_type == "learned" and longest > config.max_position_embeddings:
        raise RecipeError(
            f"model: {choice.model} has learned positions, max_position_embeddings: {config.max_position_embeddings}, "
            f"but a pair of {name} has {longest} tokens; shorten the text (max_length, for the training pairs)"
        )


def _score_test(
    trainer: TranslationTrainer, tokenizer: Any, scores: Scores, data: DataRecipe, test: datasets.Dataset
) -> dict[str, float | str]:
    """Translate the test set by the model's own search and score it: test.hypotheses.txt and test.json."""
    sources, references = ([line or "" for line in test[side]] for side in ("source", "target"))
    search = trainer.search
    hypotheses = translate(
        trainer.model, tokenizer, sources, generation_config=search, accelerator=trainer.accelerator
    )
    output = Path(str(trainer.args.output_dir))
    if trainer.is_world_process_zero():  # before scoring: whatever happens there, the translations are safe
        lines = "".join(f"{line}\n" for line in hypotheses)
        (output / TEST_HYPOTHESES).write_text(lines, encoding="utf-8")
    score = scores.bleu(hypotheses, references)
    if trainer.is_world_process_zero():
        result: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "bleu": score["bleu"]}
        result["metric"] = NAMES[TOKENISED_BLEU if scores.bleu_tokenize == "none" else "bleu"]
        result |= {"signature": score["signature"], "data": data.data, "test": data.test, "sentences": len(sources)}
        keys = (
            "num_beams",
            "length_penalty",
            "length_penalty_type",
            "max_length_offset",
            "max_new_tokens",
            "max_length",
        )
        result |= {key: getattr(search, key, None) for key in keys}
        result["updates"] = trainer.state.global_step
        (output / TEST_SCORES).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return {"test_bleu": score["bleu"], "test_bleu_signature": score["signature"]}


# ---------------------------------------------------------------------------------------------------------------------
# The command line


class _Parser(HfArgumentParser):
    """HfArgumentParser whose errors are one line, without a usage of more than a hundred options before it."""

    def error(self, message: str) -> NoReturn:
        raise RecipeError(f"{message}; `{PROGRAM} --help` explains every key")


def read_settings(arguments: Sequence[str]) -> tuple[ModelChoice, DataRecipe, FinetuningArguments]:
    """What a command line `[SETTINGS.yaml] [--key value ...]` means; `--help` prints every key and exits.

    Raises:
        RecipeError: no such file, an unknown or missing key, a value that cannot be.
    """
    parser = _Parser(
        (ModelChoice, DataRecipe, FinetuningArguments),
        prog=PROGRAM,
        usage=f"{PROGRAM} [SETTINGS.yaml] [--key value ...]",
        description="Fine-tune a saved model on parallel text with transformers' Seq2SeqTrainer.",
        allow_abbrev=False,
    )
    words = list(arguments)
    if words and not words[0].startswith("-"):
        words = _words_of(Path(words[0]), parser) + words[1:]
    try:
        *settings, unknown = parser.parse_args_into_dataclasses(
            words, return_remaining_strings=True, look_for_args_file=False
        )
    except TrainingError:
        raise
    except Exception as error:  # of many kinds: the arguments check themselves
        raise RecipeError(" ".join(str(error).split())) from error
    if unknown:
        keys = [action.dest for action in parser._actions]
        near = difflib.get_close_matches(unknown[0].lstrip("-").partition("=")[0], keys, n=1)
        parser.error(f"unknown: {unknown[0]}" + (f"; did you mean --{near[0]}?" if near else ""))
    return settings[0], settings[1], settings[2]


def _words_of(path: Path, parser: HfArgumentParser) -> list[str]:
    """The keys of a YAML file as words of a command line, so that both are checked alike."""
    words = []
    for key, value in read_yaml(path).items():
        if value is False and not isinstance(parser.get_default(str(key)), bool):  # what YAML reads a bare no as
            value = "none" if key == "report_to" else "no"
        if value is None and parser.get_default(str(key)) is not None:
            raise RecipeError(f"{path}: {key} cannot be null; its default is {parser.get_default(str(key))}")
        if isinstance(value, list):
            words += [f"--{key}", *map(str, value)]
        elif value is not None:
            text = json.dumps(value) if isinstance(value, (dict, bool)) else str(value)
            words.append(f"--{key}={text}")
    return words


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors that the user can mend end it with one message: code 2 for the input, 1 for a run that
    failed, 130 for an interrupted one."""
    try:
        choice, data, training = read_settings(sys.argv[1:] if arguments is None else arguments)
        with quiet_libraries(show_datasets=training.process_index == 0):
            results = finetune(choice, data, training)
    except TrainingError as error:
        _say_error(str(error))
        raise SystemExit(1 if isinstance(error, NonFiniteLossError) else 2) from None
    except KeyboardInterrupt:
        _say_error("interrupted; the output folder holds what was saved before: --resume_from_checkpoint true")
        raise SystemExit(130) from None
    if training.process_index == 0:
        print(f"model: {training.output_dir}")
        for part in ("eval", "test"):
            if f"{part}_bleu" in results:
                print(f"{part}: BLEU {results[f'{part}_bleu']:.2f} ({results[f'{part}_bleu_signature']})")


def _say_error(message: str) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":  # the launcher's: a process may fail before it joins
        print(f"error: {message}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Translate a test set and score the translations, or score translations that are there already.

python -m training.score MODEL --source test.en --reference test.de --output FOLDER
python -m training.score MODEL --recipe RUN/recipe.yaml --split validation --length_penalty 0.6 1.0 1.4 --output FOLDER
python -m training.score MODEL --source a.en --reference a.de --metrics perplexity --output FOLDER
python -m training.score --hypotheses ours.de theirs.de --reference test.de
accelerate launch --config_file configuration/accelerate/multi_gpu.yaml -m training.score MODEL ...

MODEL is a saved model's folder, or its name on the Hub. Several models, length penalties or files of translations are
several systems: each is compared with the first by paired bootstrap resampling.
"""

import argparse
import hashlib
import importlib.metadata
import json
import shlex
import sys
import time
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerate import Accelerator, PartialState
from sacrebleu.metrics.base import Metric
from transformers import GenerationConfig

from training.data import read_lines, read_pairs
from training.evaluation import translate
from training.files import print_text
from training.forced_decoding import bits_per_character, perplexity_of, score_pairs
from training.loading import read_model, search_of
from training.metrics import METRICS, corpus_scores, make_metrics, paired_bootstrap
from training.options import LEAST_PENALTY, MOST_PENALTY, Parser, number_from
from training.recipe import DataRecipe, DecodingRecipe, TrainingError, read_recipe
from training.score_output import (
    LOG,
    SCORES,
    ScoreError,
    System,
    append_to_log,
    check_output,
    create_output,
    describe,
    write_scores,
    write_system,
)
from training.setup import make_accelerator, quiet_libraries

PERPLEXITY = "perplexity"
_DATA_KEYS = ("source_language", "target_language", "data_config", "source_column", "target_column")


@dataclass
class TestSet:
    """Sentences with their reference translations."""

    __test__ = False  # of pytest's

    name: str
    sources: list[str] | None
    references: list[list[str]]
    """One list of sentences for each reference; perplexity and the scores of pairs are those of the first."""

    def __len__(self) -> int:
        return len(self.references[0])

    def first(self, limit: int) -> "TestSet":
        """Its first sentences."""
        sources = self.sources and self.sources[:limit]
        return TestSet(
            f"{self.name}, the first {min(limit, len(self))}", sources, [lines[:limit] for lines in self.references]
        )

    def describe(self) -> dict[str, Any]:
        """What was scored, and a hash of its references, by which two scorings of the same test set are known."""
        digest = hashlib.sha256(json.dumps(self.references).encode()).hexdigest()
        return {"name": self.name, "sentences": len(self), "references": len(self.references), "sha256": digest}


# ---------------------------------------------------------------------------------------------------------------------
# The test set


def read_test_set(options: argparse.Namespace) -> TestSet:
    """The test set that the command line names.

    Raises:
        ScoreError: none, or more than one way to name it, or files of different line counts.
        TrainingError: as `read_lines`, `read_pairs` and `read_recipe`.
    """
    given = [name for name in ("reference", "recipe", "data") if getattr(options, name)]
    if len(given) != 1:
        raise ScoreError(
            "name the test set in one way: --reference FILE (and --source FILE), or --recipe RECIPE, or --data DATA "
            "--split NAME" + (f"; these are {len(given)}: --{' and --'.join(given)}" if given else "")
        )
    if options.reference:
        files = {path: read_lines(path) for path in (*options.reference, *filter(None, [options.source]))}
        first = options.reference[0]
        for path, lines in files.items():
            check_lines(path, lines, first, files[first])
        references = [files[path] for path in options.reference]
        return TestSet(", ".join(map(str, options.reference)), files.get(options.source), references)
    if options.source:
        raise ScoreError("--source goes with --reference; --recipe and --data bring both sides")
    data, split = _named_data(options)
    pairs = read_pairs(data, split)
    sources, reference = ([line or "" for line in pairs[side]] for side in ("source", "target"))
    return TestSet(f"{data.data}, {split}", sources, [reference])


def _named_data(options: argparse.Namespace) -> tuple[DataRecipe, str]:
    if options.recipe:
        recipe = read_recipe(options.recipe)
        split = options.split or "test"
        if split not in ("test", "validation"):
            raise ScoreError(f"--split {split}: with --recipe it is test or validation, the recipe's keys")
        name = getattr(recipe.data, split)
        if name is None:
            raise ScoreError(f"{options.recipe}: it names no {split} set; choose another --split, or name files")
        if options.tokenize is None:
            options.tokenize = recipe.decoding.bleu_tokenize
        options.lowercase |= recipe.decoding.bleu_lowercase
        return recipe.data, name
    for key in ("split", "source_language", "target_language"):
        if getattr(options, key) is None:
            raise ScoreError(f"--data needs --{key}")
    keys = {key: getattr(options, key) for key in _DATA_KEYS}
    return DataRecipe(data=options.data, train="", test=options.split, **keys), options.split


def check_lines(path: Path, lines: Sequence[str], other: Path | str, others: Sequence[str]) -> None:
    """Pass where two files have a line for each other's.

    Raises:
        ScoreError: they have not; the message names both.
    """
    if len(lines) != len(others):
        raise ScoreError(
            f"{path} has {len(lines)} lines but {other} has {len(others)}; line by line, they must belong together"
        )


# ---------------------------------------------------------------------------------------------------------------------
# The systems


def searches(model: Any, options: argparse.Namespace) -> list[GenerationConfig]:
    """The model's own search with the settings of the command line in their place, one for each length penalty.

    Raises:
        ScoreError: length penalties to compare, but no beams that they could rank.
    """
    found = [
        search_of(
            model,
            num_beams=options.num_beams,
            length_penalty=penalty,
            max_length_offset=options.max_length_offset,
        )
        for penalty in options.length_penalty or [None]
    ]
    if len(found) > 1 and (found[0].num_beams or 1) == 1:
        raise ScoreError("--length_penalty: with one beam no penalty changes anything; give --num_beams 2 or more")
    return found


def check_positions(name: str, model: Any, tokenizer: Any, test: TestSet, search: GenerationConfig) -> None:
    """Pass where the model has a position for every token that it will read or may write.

    Raises:
        ScoreError: learned positions, and fewer than that.
    """
    if model.config.position_embedding_type != "learned":
        return
    assert test.sources is not None
    source, target = (
        max(map(len, tokenizer(lines, split_special_tokens=True)["input_ids"]))
        for lines in (test.sources, test.references[0])
    )
    longest = max(source + (getattr(search, "max_length_offset", None) or 0), target)
    if longest > model.config.max_position_embeddings:
        raise ScoreError(
            f"{name}: the model has learned positions for {model.config.max_position_embeddings} tokens, but "
            f"{test.name} needs up to {longest}, --max_length_offset included; lower it or leave out long sentences"
        )


def model_systems(
    name: str, model: Any, tokenizer: Any, test: TestSet, options: argparse.Namespace, accelerator: Accelerator
) -> Iterator[System]:
    """A model's translations, for each search, and its scores of the reference translations."""
    assert test.sources is not None
    settings: dict[str, Any] = {
        "batch_tokens": options.batch_tokens,
        "accelerator": accelerator,
        "progress": accelerator.is_main_process,
    }
    model.to(accelerator.device)
    pairs = None
    if PERPLEXITY in options.metrics:
        with accelerator.autocast():
            pairs = score_pairs(model, tokenizer, test.sources, test.references[0], **settings)
    for search in searches(model, options):
        started = time.monotonic()
        system = f"{name}, length penalty {search.length_penalty:g}" if options.length_penalty else name
        hypotheses = None
        if options.metrics != [PERPLEXITY]:
            with accelerator.autocast():
                hypotheses = translate(model, tokenizer, test.sources, generation_config=search, **settings)
        made_by = {
            "model": name,
            "num_beams": search.num_beams or 1,
            "length_penalty": search.length_penalty,
            "length_penalty_type": getattr(search, "length_penalty_type", None) or "power",
            "max_length_offset": getattr(search, "max_length_offset", None),
            "batch_tokens": options.batch_tokens,
            "mixed_precision": accelerator.mixed_precision,
            "device": accelerator.device.type,
            "processes": accelerator.num_processes,
            "decoding_seconds": round(time.monotonic() - started, 3),
        }
        yield System(system, made_by, hypotheses, pairs)
    model.to("cpu")  # the next one may need its place


def read_hypotheses(path: Path, test: TestSet) -> System:
    """The translations of a file, a line for each sentence of the test set.

    Raises:
        ScoreError: another number of lines.
        DataError: as `read_lines`.
    """
    lines = read_lines(path)
    check_lines(path, lines, test.name, test.references[0])
    return System(str(path), {"file": str(path)}, lines)


# ---------------------------------------------------------------------------------------------------------------------
# Scoring


def score(options: argparse.Namespace) -> dict[str, Any] | None:
    """Do what the command line says, in this process or as one of several that Accelerate launched.

    Returns:
        What scores.json holds; None on all processes but the first.

    Raises:
        TrainingError: anything wrong with the options, the files or the models, before translating begins.
    """
    _check_options(options)
    accelerator = make_accelerator(options.mixed_precision)
    with quiet_libraries(accelerator.is_main_process):
        test, metrics, systems = _make_systems(options, accelerator)
    accelerator.end_training()
    if not accelerator.is_main_process:
        return None
    for system in systems:
        if system.hypotheses is not None:
            system.scores = corpus_scores(system.hypotheses, metrics)
        if system.pairs is not None:
            system.scores["perplexity"] = perplexity_of(system.pairs)
            system.scores["bits_per_character"] = bits_per_character(system.pairs, test.references[0])
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "test_set": test.describe(),
        "systems": [{"name": system.name} | system.made_by | {"scores": system.scores} for system in systems],
        "paired_bootstrap": _compare(systems, metrics, options.bootstrap),
        "command": options.command,
        "versions": {name: importlib.metadata.version(name) for name in ("sacrebleu", "torch", "transformers")},
    }
    if options.output:
        write_scores(options.output, result)
    log = options.log or (options.output and options.output.parent / LOG)
    if log:
        append_to_log(log, {"output": options.output and str(options.output)} | result)
    return result


def _make_systems(
    options: argparse.Namespace, accelerator: Accelerator
) -> tuple[TestSet, dict[str, Metric], list[System]]:
    """Everything up to the scores: all input read and checked, then the translations made and kept."""
    test = read_test_set(options)
    if options.models and test.sources is None:
        raise ScoreError("a model needs something to translate: give --source FILE beside --reference")
    given = [read_hypotheses(path, test) for path in options.hypotheses]
    if options.limit:
        test = test.first(options.limit)
        for system in given:
            system.hypotheses = (system.hypotheses or [])[: options.limit]
    texts = [name for name in options.metrics if name != PERPLEXITY]
    metrics = make_metrics(texts, test.references, tokenize=options.tokenize or "13a", lowercase=options.lowercase)
    models = [(name, *read_model(name)) for name in options.models]
    for name, model, tokenizer in models:
        for search in searches(model, options):
            check_positions(name, model, tokenizer, test, search)
    if options.output:
        inputs = (*options.hypotheses, *filter(None, [options.source]), *(options.reference or []))
        check_output(options.output, options.overwrite, inputs)
    accelerator.wait_for_everyone()  # all have looked at the folder before anything appears in it
    if options.output and accelerator.is_main_process:
        create_output(options.output)

    def made() -> Iterator[System]:
        for name, model, tokenizer in models:
            yield from model_systems(name, model, tokenizer, test, options, accelerator)
        yield from given

    several = len(models) * len(options.length_penalty or [None]) + len(given) > 1
    systems = []
    for number, system in enumerate(made(), start=1):
        systems.append(system)
        if options.output and accelerator.is_main_process:
            # Before scoring: whatever happens there, the translations are safe.
            write_system(options.output, number if several else None, system)
    return test, metrics, systems


def _compare(systems: Sequence[System], metrics: dict[str, Metric], resamples: int) -> dict[str, Any]:
    if len(systems) < 2 or not metrics:
        return {}
    hypotheses = [system.hypotheses or [] for system in systems]
    return {
        name: {
            "signature": results[0].signature,
            "systems": [{"mean": r.mean, "interval": r.interval, "p_value": r.p_value} for r in results],
        }
        for name, results in paired_bootstrap(hypotheses, metrics, resamples).items()
    }


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m training.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [MODEL ...] [--hypotheses FILE ...] --reference FILE [--source FILE] [--output FOLDER] ...",
    )
    add = parser.add_argument_group("systems").add_argument
    add(
        "models", nargs="*", metavar="MODEL", help="models, by folder or name on the Hub; each translates the test set"
    )
    translations = "translations, a line a sentence"
    add("--hypotheses", nargs="+", action="extend", type=Path, default=[], metavar="FILE", help=translations)

    add = parser.add_argument_group("test set").add_argument
    add("--source", type=Path, metavar="FILE", help="what is to be translated, a line a sentence")
    references = "its translation; several files: several references"
    add("--reference", nargs="+", action="extend", type=Path, metavar="FILE", help=references)
    add("--recipe", type=Path, help="in place of these: the test set of a recipe, with its tokenisation for BLEU")
    add("--data", help="in place of these: a folder or a Hub data set, as the recipe key data")
    add("--split", help="with --recipe test (the default) or validation; with --data as the recipe key test")
    for key in _DATA_KEYS:
        add(f"--{key}", help="with --data, as in a recipe")
    add("--limit", type=number_from(int, 1), metavar="N", help="the first N sentences only, for a try")

    add = parser.add_argument_group("scores").add_argument
    metrics = (*METRICS, PERPLEXITY)
    add("--metrics", nargs="+", choices=metrics, help="default: all; perplexity alone translates nothing")
    tokenizations = typing.get_args(typing.get_type_hints(DecodingRecipe)["bleu_tokenize"])
    add("--tokenize", choices=tokenizations, help="sacreBLEU's; none: tokenised BLEU, of text tokenised already")
    add("--lowercase", action="store_true", help="BLEU and chrF without regard to case")
    add("--bootstrap", type=number_from(int, 1), default=1000, metavar="N", help="resamplings to compare systems by")

    add = parser.add_argument_group("decoding; what isn't given is as the model has it").add_argument
    add("--num_beams", type=number_from(int, 1))
    add(
        "--length_penalty",
        nargs="+",
        type=number_from(float, LEAST_PENALTY, MOST_PENALTY),
        metavar="ALPHA",
        help="several: try each",
    )
    add(
        "--max_length_offset",
        type=number_from(int, 0),
        help="a translation's tokens beyond those of its source, at most",
    )
    add("--batch_tokens", type=number_from(int, 1), default=4096, help="token slots of a batch (default: 4096)")
    add("--mixed_precision", choices=("no", "auto", "bf16", "fp16"), default="no", help="default: no, which is exact")

    add = parser.add_argument_group("output").add_argument
    add("--output", type=Path, metavar="FOLDER", help=f"for {SCORES}, hypotheses.txt and pairs.tsv")
    add("--overwrite", action="store_true", help="replace the scores that the folder holds")
    add("--log", type=Path, metavar="FILE", help=f"gets a line for each scoring (default: {LOG} beside --output)")
    return parser


def _check_options(options: argparse.Namespace) -> None:
    if not options.models and not options.hypotheses:
        raise ScoreError("there is nothing to score: name a model, or --hypotheses FILE")
    if options.models and not options.output:
        raise ScoreError("name the folder for the translations and scores: --output FOLDER")
    if sys.stdout is None and not options.output:
        raise ScoreError("standard output is closed; name a folder for the scores with --output")
    if options.log and options.log.is_dir():
        raise ScoreError(f"--log: {options.log} is a folder; name a file")
    if options.metrics is None:
        options.metrics = [*METRICS, PERPLEXITY] if options.models else [*METRICS]
    options.metrics = list(dict.fromkeys(options.metrics))
    if options.metrics == [PERPLEXITY] and options.hypotheses:
        raise ScoreError("--metrics perplexity needs a model, which --hypotheses is not; name another metric as well")
    if PERPLEXITY in options.metrics and not options.models:
        raise ScoreError("--metrics perplexity needs a model: name one")
    for key in (*_DATA_KEYS, *(() if options.recipe else ("split",))):
        if getattr(options, key) is not None and not options.data:
            raise ScoreError(f"--{key} goes with --data")
    for key in ("num_beams", "length_penalty", "max_length_offset"):
        if getattr(options, key) is not None and not options.models:
            raise ScoreError(f"--{key} is for a model's search, but no model is named")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors that the user can mend end it with one message and code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = make_parser().parse_args(arguments)
        options.command = shlex.join(["python", "-m", "training.score", *arguments])
        result = score(options)
    except (TrainingError, OSError) as error:  # OSError: a disk that is full, a log that cannot be written
        if PartialState().is_local_main_process:
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if result:
        print_text(describe(result))


if __name__ == "__main__":
    main()

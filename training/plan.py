"""What a recipe means, without training: parameters, updates, tokens, operations, memory and hours.

python -m training.plan RECIPE [--key value ...] [--tokens_per_second N] [--processes N] [--sentence_length N] [--json]

Nothing is downloaded, and data are read only where they are small and at hand: `measure_epoch`.
"""

import argparse
import dataclasses
import glob
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_vanilla_transformer import VanillaTransformerConfig, named_configuration
from training.batching import TokenBudgetBatches
from training.costs import (
    Memory,
    Operations,
    Parameters,
    Shape,
    build_without_memory,
    count_memory,
    count_operations,
    count_parameters,
)
from training.data import EMBEDDED, read_training_data
from training.files import print_text
from training.recipe import DataRecipe, Recipe, TrainingError, recipe_from_command_line
from training.setup import quiet_libraries, read_configuration, read_tokenizer, train_tokenizer

SMALL = 16 * 2**20  # bytes of text that are read and tokenised in some seconds

# Rows of the table of hours, in target tokens a second, where no speed is given.
SPEEDS = (2_000, 10_000, 50_000, 200_000, 500_000)


class PlanError(TrainingError):
    """A plan that cannot be made; the message names the option and what would be right."""


@dataclass(frozen=True)
class PaperTraining:
    """What the paper says of training one of its two models (section 5.2, Table 2)."""

    model: str
    updates: int
    hours: float
    seconds_per_update: float
    table_2: float
    """Training FLOPs as the paper's Table 2 prints them."""
    gpus: int = 8
    flops_per_gpu: float = 9.5e12
    """Sustained single-precision operations a second of one P100, the paper's estimate."""

    @property
    def flops(self) -> float:
        """Training time x GPUs x what a GPU sustains: an upper limit of the operations, not their number."""
        return self.hours * 3600 * self.gpus * self.flops_per_gpu


PAPER = (
    PaperTraining("base", updates=100_000, hours=12, seconds_per_update=0.4, table_2=3.3e18),
    PaperTraining("big", updates=300_000, hours=3.5 * 24, seconds_per_update=1.0, table_2=2.3e19),
)
PAPER_TOKENS_PER_BATCH = 25_000
# What makes a model the paper's. The vocabulary is left out: Table 2 has one figure for both language pairs.
SIZES = (
    "d_model",
    "encoder_layers",
    "decoder_layers",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "d_k",
    "d_v",
    "position_embedding_type",
)


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pairs, as the recipe's batches divide it."""

    vocab_size: int
    """Of the model: a tokenizer that is trained here decides it."""
    pairs: int
    source_tokens: int
    target_tokens: int
    padding: float
    """Share of the slots, source and target together, that hold padding."""
    updates: int
    shapes: tuple[Shape, ...]
    """Of every part of every update."""


@dataclass(frozen=True)
class Plan:
    """What a recipe means. A slot is a place for a token: a batch has at most `tokens_per_batch` slots on each side,
    padding included, over all processes and accumulation steps."""

    model: str
    vocab_size: int
    parameters: Parameters
    tokens_per_batch: int
    processes: int
    parts: int
    """Of an update, at least: one for each process and accumulation step."""
    sentence_length: int | None
    """Tokens of every sentence, an assumption; None where the data were read."""
    epoch: Epoch | None
    """None where the data were not read: an update is then a full batch of sentences of one length."""
    updates: int | None
    """None where only epochs or minutes limit the run and the data are not known."""
    max_epochs: int | None
    max_minutes: float | None
    gradient_checkpointing: bool
    operations: Operations
    """Of one update's forward pass (the mean over an epoch, where the data were read)."""
    paper: PaperTraining | None
    """Where the recipe is the paper's: its sizes, its batch, its number of updates."""
    memory: dict[str, Memory]
    """Of the largest part, by precision: float32, bf16."""

    @property
    def tokens_per_update(self) -> tuple[float, float]:
        """Source and target tokens: what the data hold, where they were read, else the whole budget."""
        if self.epoch is None:
            return self.tokens_per_batch, self.tokens_per_batch
        return self.epoch.source_tokens / self.epoch.updates, self.epoch.target_tokens / self.epoch.updates

    @property
    def operations_per_update(self) -> int:
        return self.operations.update(self.gradient_checkpointing)

    @property
    def operations_in_all(self) -> int | None:
        return None if self.updates is None else self.operations_per_update * self.updates

    def hours(self, tokens_per_second: float) -> float | None:
        """Of the training loop at so many target tokens a second, all processes together; None where neither updates
        nor minutes limit it."""
        limits = [] if self.max_minutes is None else [self.max_minutes / 60]
        if self.updates is not None:
            limits.append(self.updates * self.tokens_per_update[1] / tokens_per_second / 3600)
        return min(limits, default=None)


def check_numbers(recipe: Recipe, processes: int, sentence_length: int) -> None:
    """Pass where an update can be shared by so many processes and holds a sentence of this length.

    Raises:
        PlanError: it cannot.
    """
    budget = recipe.optimization.tokens_per_batch
    for name, value in (("processes", processes), ("sentence_length", sentence_length)):
        if not 1 <= value <= budget:
            raise PlanError(f"{name}: is {value}; give one from 1 to tokens_per_batch: {budget}")


def plan(recipe: Recipe, *, processes: int = 1, sentence_length: int = 30, epoch: Epoch | None = None) -> Plan:
    """What `recipe` means on so many processes.

    Args:
        recipe: the recipe.
        processes: processes that share each update.
        sentence_length: tokens of every sentence on both sides, where no epoch is given.
        epoch: what `measure_epoch` found in the data.

    Raises:
        RecipeError: a model that cannot be read.
        PlanError: no such processes or sentences.
    """
    config, optimization = read_configuration(recipe), recipe.optimization
    config.vocab_size = recipe.model.vocab_size or config.vocab_size
    check_numbers(recipe, processes, sentence_length)
    budget, parts = optimization.tokens_per_batch, processes * optimization.gradient_accumulation_steps
    shapes: Sequence[Shape] = [(budget // sentence_length, sentence_length, sentence_length)]
    largest = (math.ceil(shapes[0][0] / parts), sentence_length, sentence_length)
    limits = [] if optimization.max_updates is None else [optimization.max_updates]
    if epoch is not None:
        config.vocab_size, shapes = epoch.vocab_size, epoch.shapes
        largest = max(shapes, key=lambda shape: shape[0] * (shape[1] + shape[2]))
        if optimization.max_epochs is not None:
            limits.append(optimization.max_epochs * epoch.updates)
    model = build_without_memory(config)
    return Plan(
        model=recipe.model.model,
        vocab_size=config.vocab_size,
        parameters=count_parameters(model),
        tokens_per_batch=budget,
        processes=processes,
        parts=parts,
        sentence_length=sentence_length if epoch is None else None,
        epoch=epoch,
        updates=min(limits, default=None),
        max_epochs=optimization.max_epochs,
        max_minutes=optimization.max_minutes,
        gradient_checkpointing=optimization.gradient_checkpointing,
        operations=count_operations(config, shapes, 1 if epoch is None else epoch.updates),
        paper=find_paper_training(recipe, config),
        memory={"float32": count_memory(model, largest), "bf16": count_memory(model, largest, bf16=True)},
    )


def find_paper_training(recipe: Recipe, config: VanillaTransformerConfig) -> PaperTraining | None:
    """What the paper says of this very training: the sizes of its base or big model, its batch, its updates."""
    for paper in PAPER:
        theirs = named_configuration(paper.model)
        same = all(getattr(config, size) == getattr(theirs, size) for size in SIZES)
        budget, updates = recipe.optimization.tokens_per_batch, recipe.optimization.max_updates
        if same and (budget, updates) == (PAPER_TOKENS_PER_BATCH, paper.updates):
            return paper
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Data at hand
# ---------------------------------------------------------------------------------------------------------------------


def measure_epoch(recipe: Recipe, processes: int = 1) -> Epoch | None:
    """An epoch of the recipe's batches, where all training pairs are at hand in files of at most `SMALL` bytes:
    they are read and tokenised as the run itself would (which finds the result in the cache). Else None.

    Raises:
        TrainingError: data that the run would refuse, too.
    """
    if recipe.data.streaming or not _is_small(recipe.data):
        return None
    config, optimization = read_configuration(recipe), recipe.optimization
    data = read_training_data(recipe.data)
    tokenizer = read_tokenizer(recipe, config) or train_tokenizer(
        recipe, config, data.sample_text(), show_progress=False
    )
    data.tokenize(tokenizer)
    (chapter,) = data.chapters(epoch=0)
    batches = TokenBudgetBatches(
        chapter.pairs.source_lengths,
        chapter.pairs.target_lengths,
        optimization.tokens_per_batch,
        processes=processes,
        accumulation_steps=optimization.gradient_accumulation_steps,
        seed=optimization.seed,
        max_shapes=optimization.max_shapes,
        weights=chapter.pairs.weights,
    )
    # With few shapes some pairs of the first epoch wait for the second, which has its share of both.
    updates = batches.epoch(1 if optimization.max_shapes else 0)
    if not updates:  # where weights are so small that an epoch takes nothing
        return None
    padding = batches.padding(updates)
    return Epoch(
        vocab_size=config.vocab_size if recipe.model.tokenizer else len(tokenizer),
        pairs=sum(len(update.indices) for update in updates),
        source_tokens=padding.source_tokens,
        target_tokens=padding.target_tokens,
        padding=padding.share,
        updates=len(updates),
        shapes=tuple(part.shape for update in updates for step in update.parts for part in step),
    )


def _is_small(recipe: DataRecipe) -> bool:
    bytes_at_hand = 0
    for source in recipe.training_sources():
        if source.data == EMBEDDED:
            continue
        folder, train = Path(source.data).expanduser(), source.train
        patterns = [train, *train.split(","), f"{train}.{source.source_language}", f"{train}.{source.target_language}"]
        found = {folder / name for pattern in patterns for name in glob.glob(pattern.strip(), root_dir=folder)}
        files = [file for file in found if file.is_file()]
        if not files:
            return False
        bytes_at_hand += sum(file.stat().st_size for file in files)
    return bytes_at_hand <= SMALL


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def as_dict(planned: Plan, tokens_per_second: float | None = None) -> dict[str, Any]:
    """The plan as JSON has it: the fields, and what follows from them."""
    fields = dataclasses.asdict(planned)
    if planned.epoch is not None:
        fields["epoch"]["shapes"] = len(set(planned.epoch.shapes))
    fields["operations"] |= {"update": planned.operations_per_update, "in_all": planned.operations_in_all}
    if planned.paper is not None:
        fields["paper"]["flops"] = planned.paper.flops
    for name, memory in planned.memory.items():
        fields["memory"][name] |= {
            "peak": memory.peak(),
            "peak_checkpointed": memory.peak(gradient_checkpointing=True),
            "peak_with_logits": memory.peak(hold_logits=True),
        }
    speeds = SPEEDS if tokens_per_second is None else [tokens_per_second]
    fields["hours"] = {f"{speed:g}": planned.hours(speed) for speed in speeds}
    return fields


def describe(planned: Plan, tokens_per_second: float | None = None) -> str:
    """The plan as text, by theme."""
    return "\n\n".join(
        "\n".join(lines)
        for lines in (
            _describe_model(planned),
            _describe_run(planned),
            _describe_operations(planned),
            _describe_memory(planned),
            _describe_hours(planned, tokens_per_second),
        )
    )


def _line(name: str, value: str, note: str = "") -> str:
    return f"{name:<32}{value:>16}   {note}".rstrip()


def _bytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.2f} MB"


def _hours(hours: float | None) -> str:
    return "unknown" if hours is None else f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _describe_model(planned: Plan) -> list[str]:
    parameters = planned.parameters
    return [
        _line("parameters", f"{parameters.total:,}", f"{planned.model}, vocabulary of {planned.vocab_size:,}"),
        _line("  embeddings and output", f"{parameters.embedding:,}"),
        _line("  layers", f"{parameters.layers:,}"),
    ]


def _describe_run(planned: Plan) -> list[str]:
    epoch, updates, (source, target) = planned.epoch, planned.updates, planned.tokens_per_update
    limits = {"max_epochs": planned.max_epochs, "max_minutes": planned.max_minutes}
    note = ", ".join(f"{name}: {limit:g}" for name, limit in limits.items() if limit is not None)
    lines = [_line("updates", "unknown" if updates is None else f"{updates:,}", note)]
    if epoch is not None:
        note = f"{epoch.pairs:,} pairs, {epoch.padding:.1%} of the slots padding"
        lines.append(_line("  an epoch", f"{epoch.updates:,}", note))
        if updates is not None:
            lines.append(_line("epochs", f"{updates / epoch.updates:.1f}"))
        note = f"source tokens, {target:,.0f} target tokens; at most {planned.tokens_per_batch:,} slots each"
    else:
        note = f"source slots at most, padding included, and {target:,.0f} target slots"
    lines.append(_line("tokens an update", f"{source:,.0f}", note))
    if updates is not None:
        note = f"source, and {updates * target:.3g} target"
        lines.append(_line("tokens in all", f"{updates * source:.3g}", note))
    return lines


def _describe_operations(planned: Plan) -> list[str]:
    operations = planned.operations
    length = "" if planned.sentence_length is None else f"; sentences of {planned.sentence_length} tokens"
    again = ", and the layers once more" if planned.gradient_checkpointing else ""
    lines = [f"operations in matrix products, forward (1 part) and backward (2 parts){again}{length}"]
    for name, count in (
        ("attention: projections", operations.attention_projections),
        ("attention: scores and sums", operations.attention_products),
        ("feed-forward", operations.feed_forward),
        ("output projection", operations.output_projection),
    ):
        lines.append(_line(f"  {name}", f"{count / operations.forward:.1%}"))
    lines.append(_line("an update", f"{planned.operations_per_update:.3g}"))
    if planned.operations_in_all is not None:
        lines.append(_line("in all, counted", f"{planned.operations_in_all:.3g}"))
    paper = planned.paper
    if paper is not None:
        note = f"{paper.hours:g} h x {paper.gpus} P100 x {paper.flops_per_gpu / 1e12:g} TFLOP/s sustained, not a count"
        lines.append(_line("in all, the paper's estimate", f"{paper.flops:.3g}", note))
        lines.append(_line("in all, the paper's Table 2", f"{paper.table_2:.3g}", f"Transformer ({paper.model})"))
    return lines


def _describe_memory(planned: Plan) -> list[str]:
    share = "" if planned.epoch or planned.parts == 1 else f", with 1/{planned.parts} of an update at a time"
    lines = [f"{f'memory of a process{share}':<32}{'float32':>16}{'bf16':>14}"]

    def row(name: str, values: Iterable[int]) -> None:
        lines.append(f"{name:<32}{{:>16}}{{:>14}}".format(*(_bytes(value) for value in values)))

    memories = list(planned.memory.values())
    row("  weights", [memory.weights for memory in memories])
    row("  gradients", [memory.gradients for memory in memories])
    row("  Adam's state", [memory.optimizer for memory in memories])
    row("  weights rounded to bf16", [memory.weight_copies for memory in memories])
    row("  activations, about", [memory.activations for memory in memories])
    row("in all, about", [memory.peak() for memory in memories])
    row("  with gradient checkpointing", [memory.peak(gradient_checkpointing=True) for memory in memories])
    row("  if all logits were held", [memory.peak(hold_logits=True) for memory in memories])
    return lines


def _describe_hours(planned: Plan, tokens_per_second: float | None) -> list[str]:
    speeds = {speed: "" for speed in (SPEEDS if tokens_per_second is None else [tokens_per_second])}
    if planned.paper is not None:
        paper = planned.paper
        speed = planned.tokens_per_batch / paper.seconds_per_update
        speeds[speed] = f"the paper's {paper.gpus} P100: {paper.seconds_per_update:g} s an update"
    lines = ["hours of the training loop, by target tokens a second (all processes together)"]
    for speed, note in sorted(speeds.items()):
        lines.append(_line(f"  {speed:,.0f}", _hours(planned.hours(speed)), note))
    return lines


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        number = kind(text)
        if not 0 < number < math.inf:
            raise argparse.ArgumentTypeError(f"is {text}; give a number above 0")
        return number

    convert.__name__ = kind.__name__  # argparse names it in its messages
    return convert


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; what the user can mend ends it with one message and code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m training.plan",
        usage="%(prog)s RECIPE [--key value ...] [options]",
        description="What a recipe means, without training. Every key of the recipe can be given in its place, as for "
        "training.train, whose --help explains them.",
        allow_abbrev=False,
    )
    parser.add_argument("--tokens_per_second", type=_positive(float), help="target tokens a second, for the hours")
    parser.add_argument(
        "--processes", type=_positive(int), default=1, help="processes that share each update (default: 1)"
    )
    parser.add_argument(
        "--sentence_length",
        type=_positive(int),
        default=30,
        help="tokens of a sentence, where the data are not read (default: 30)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options, rest = parser.parse_known_args(arguments)
    try:
        recipe = recipe_from_command_line(rest, program="python -m training.plan")
        check_numbers(recipe, options.processes, options.sentence_length)  # before the data are read for nothing
        with quiet_libraries(show_datasets=False):
            epoch = measure_epoch(recipe, options.processes)
        planned = plan(recipe, processes=options.processes, sentence_length=options.sentence_length, epoch=epoch)
    except TrainingError as error:
        parser.exit(2, f"error: {error}\n")
    if options.json:
        print_text(json.dumps(as_dict(planned, options.tokens_per_second), indent=2))
    else:
        print_text(describe(planned, options.tokens_per_second))


if __name__ == "__main__":
    main()

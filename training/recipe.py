"""The recipe: every choice of a training run, read from YAML and the command line into documented dataclasses.

A recipe is a flat YAML file. Each key is a field below; any of them can be given again on the command line
(`--key value` or `--key=value`), where it wins over the file.
"""

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers import HfArgumentParser

from training.files import write_whole
from training.scripts import known_languages, scripts_of

# The first line of every recipe that a run writes, so that a later run knows it from one that somebody wrote by hand.
WRITTEN_BY_A_RUN = "# The recipe of this run, all its choices resolved. Written by the run: copy it before editing.\n"


class TrainingError(Exception):
    """An error in what the user gave. Its message is meant for the user: it names the thing, the place and the fix."""


class RecipeError(TrainingError):
    """A recipe that cannot be meant: an unknown key, a wrong type, a missing or contradictory value."""


def _key(help_text: str, default: Any = dataclasses.MISSING) -> Any:
    """A field with its explanation; without a default the recipe must give it."""
    return field(default=default, metadata={"help": help_text})


def _require(condition: bool, key: str, message: str) -> None:
    if not condition:
        raise RecipeError(f"{key}: {message}")


@dataclass(kw_only=True)
class SourceRecipe:
    """One of several sources of training pairs: an entry of the key sources."""

    data: str | None = _key("As the recipe's own key of this name; null: the recipe's data and data_config.", None)
    train: str | None = _key("As the recipe's own key of this name; null: the recipe's.", None)
    weight: float = _key("How often an epoch has each of its pairs; streaming: its share of all pairs.", 1.0)
    data_config: str | None = _key("Configuration of the Hub data set.", None)
    source_column: str | None = _key("Column of the source sentences; null: found as the recipe's own key says.", None)
    target_column: str | None = _key("Column of the target sentences; null: found as the recipe's own key says.", None)

    def __post_init__(self) -> None:
        _require(self.weight > 0, "weight", f"is {self.weight}; give a value above 0, or leave the source out")
        _require(
            (self.source_column is None) == (self.target_column is None),
            "source_column and target_column",
            "give both or neither",
        )


@dataclass(kw_only=True)
class DataRecipe:
    """Where the sentence pairs come from and which of them are used."""

    _argument_group_name = "data"

    data: str = _key(
        "A folder of local files, the name of a data set on the Hugging Face Hub, or 'embedded' for the small "
        "English-German corpus that comes with the project."
    )
    source_language: str = _key("Code of the language to translate from, for instance en.")
    target_language: str = _key("Code of the language to translate to, for instance de.")
    train: str = _key(
        "Training pairs. In a folder: a prefix (train means train.en and train.de), a file (.tsv, .jsonl, .json, "
        ".parquet; * and ? stand for several files), or two text files with a comma between them. On the Hub and "
        "embedded: the name of a split. A .tsv needs no header: unless its first line names the columns, its two "
        "columns are source and target from that line on. Quotes in it are plain characters.",
        "train",
    )
    sources: list[SourceRecipe] | None = _key(
        "Several sources of training pairs in place of one: a list of entries with the keys data, train, weight, "
        "data_config, source_column and target_column. What an entry leaves out is the recipe's own; weight is 1. A "
        "weight of 2 has each pair twice an epoch, 0.25 a quarter of the pairs each epoch, another one every time.",
        None,
    )
    streaming: bool = _key(
        "Read the training pairs in chapters of streaming_pairs, of which two are on disk at a time: for what is too "
        "large to keep. A weight is then the source's share of all pairs.",
        False,
    )
    streaming_pairs: int = _key(
        "Pairs of a chapter, with streaming. Batches and drop_duplicates look no further than a chapter, and a "
        "tokenizer is trained on the first.",
        1_000_000,
    )
    validation: str | None = _key("Pairs for the perplexity during training, written as for train; null: none.", None)
    test: str | None = _key("Pairs to translate and score at the end, written as for train; null: none.", None)
    data_config: str | None = _key("Configuration of the Hub data set, for instance de-en for wmt14.", None)
    source_column: str | None = _key(
        "Column of the source sentences; null: the language code, else 'source', else inside 'translation'.", None
    )
    target_column: str | None = _key(
        "Column of the target sentences; null: the language code, else 'target', else inside 'translation'.", None
    )
    max_length: int = _key(
        "Longest side of a training pair in tokens, end of sentence included. Longer pairs are counted: long_pairs.",
        256,
    )
    long_pairs: Literal["drop", "cut"] = _key(
        "Training pairs with a side longer than max_length: drop them, or cut that side to its first tokens and the "
        "end of sentence.",
        "drop",
    )
    max_length_ratio: float | None = _key(
        "Drop training pairs whose longer side has more than this many times the tokens of the shorter one, ends of "
        "sentences included; null: don't (the paper).",
        None,
    )
    drop_duplicates: bool = _key(
        "Drop training pairs of which an earlier one, from any source, has the same text on both sides; with "
        "streaming, also those that a source's weight repeats within a chapter.",
        False,
    )
    drop_identical: bool = _key("Drop training pairs whose sides are the same text.", False)
    drop_wrong_script: bool = _key(
        "Drop training pairs with a side of which less than half the letters are of its language's script.", False
    )
    num_workers: int | None = _key(
        "Processes that clean and tokenise, where there is much to do; null: one for each CPU core. The result is the "
        "same.",
        None,
    )
    empty_lines: Literal["drop", "error"] = _key(
        "Pairs with an empty side: drop them in pairs and count them, or stop with an error. Test sets keep theirs.",
        "drop",
    )

    def __post_init__(self) -> None:
        _require(self.max_length >= 2, "max_length", f"{self.max_length} leaves no room for a word; give 2 or more")
        _require(
            self.source_language != self.target_language or bool(self.source_column and self.target_column),
            "target_language",
            f"is '{self.target_language}' like source_language; give two languages, or source_column and "
            "target_column as well",
        )
        _require(
            (self.source_column is None) == (self.target_column is None),
            "source_column and target_column",
            "give both or neither",
        )
        _require(
            self.max_length_ratio is None or self.max_length_ratio >= 1,
            "max_length_ratio",
            f"is {self.max_length_ratio}; give 1 or more, or null",
        )
        for key, value in (("streaming_pairs", self.streaming_pairs), ("num_workers", self.num_workers)):
            _require(value is None or value > 0, key, f"is {value}; give a value above 0")
        for language in (self.source_language, self.target_language):
            _require(
                not self.drop_wrong_script or scripts_of(language) is not None,
                "drop_wrong_script",
                f"the script of '{language}' isn't known here; set it to false. Known are "
                f"{', '.join(known_languages())}",
            )
        _require(self.sources != [], "sources", "is empty; list at least one source, or null")
        for source in self.training_sources():
            for key in ("validation", "test"):
                _require(
                    (source.data, source.data_config, getattr(self, key))
                    != (self.data, self.data_config, source.train),
                    key,
                    f"is '{source.train}', the training pairs themselves; name another file or split, or null",
                )

    def training_sources(self) -> list["DataRecipe"]:
        """For each source of training pairs this recipe with that source as the only one."""
        if self.sources is None:
            return [self]
        resolved = []
        for source in self.sources:
            own: dict[str, Any] = {"sources": None, "validation": None, "test": None}
            own["train"] = source.train or self.train
            if source.data is not None:
                own |= {"data": source.data, "data_config": None, "source_column": None, "target_column": None}
            own |= {
                key: getattr(source, key)
                for key in ("data_config", "source_column", "target_column")
                if getattr(source, key) is not None
            }
            resolved.append(dataclasses.replace(self, **own))
        return resolved


@dataclass(kw_only=True)
class ModelRecipe:
    """The model and its vocabulary."""

    _argument_group_name = "model"

    model: str = _key(
        "A named configuration (base, big, table3_a1, miniature, ...) or a folder with a config.json. Only the "
        "configuration is read: training starts from fresh weights."
    )
    tokenizer: str | None = _key("A folder with a trained tokenizer; null: train one on the training pairs.", None)
    vocab_size: int | None = _key(
        "Vocabulary size of a tokenizer trained here; null: the model configuration's. The model follows the "
        "tokenizer.",
        None,
    )
    dropout: float | None = _key("Dropout in place of the model configuration's; null: leave it.", None)

    def __post_init__(self) -> None:
        self.model = os.path.expanduser(self.model)
        self.tokenizer = self.tokenizer and os.path.expanduser(self.tokenizer)
        _require(
            self.tokenizer is None or self.vocab_size is None,
            "vocab_size",
            f"{self.vocab_size} contradicts tokenizer: {self.tokenizer}, which has its own size; set one to null",
        )
        _require(
            self.vocab_size is None or self.vocab_size > 0, "vocab_size", f"is {self.vocab_size}; give a size above 0"
        )
        _require(
            self.dropout is None or 0 <= self.dropout < 1, "dropout", f"is {self.dropout}; give one from 0 to below 1"
        )


@dataclass(kw_only=True)
class OptimizationRecipe:
    """How the weights are trained; the defaults are the paper's (section 5)."""

    _argument_group_name = "optimization"

    tokens_per_batch: int = _key(
        "Source token slots, and target token slots, of one update: over all processes and accumulation steps "
        "together, padding included.",
        25000,
    )
    max_shapes: int | None = _key(
        "Work through an update in as few batches as can be, their lengths rounded up to at most this many shapes: a "
        "GPU does these faster. 40 shapes pad 4 to 8 percent of the slots. null: in as many batches as pad least.",
        None,
    )
    gradient_accumulation_steps: int = _key("Parts that each process works through one by one for an update.", 1)
    max_updates: int | None = _key("Stop after this many updates; null: no limit. The limit met first counts.", 100000)
    max_epochs: int | None = _key("Stop after this many passes over the training pairs; null: no limit.", None)
    max_minutes: float | None = _key("Stop the training loop after this many minutes; null: no limit.", None)
    warmup_steps: int = _key("Updates over which the learning rate rises.", 4000)
    peak_learning_rate: float | None = _key(
        "Learning rate at the end of the warm-up; null: the paper's d_model^-0.5 * warmup_steps^-0.5.", None
    )
    adam_beta1: float = _key("Adam's decay of the mean of gradients.", 0.9)
    adam_beta2: float = _key("Adam's decay of the mean of squared gradients.", 0.98)
    adam_epsilon: float = _key("Adam's epsilon.", 1e-9)
    label_smoothing: float = _key("Share of the target distribution spread over the whole vocabulary.", 0.1)
    max_gradient_norm: float | None = _key("Clip the gradient to this norm; null: don't (the paper).", None)
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = _key(
        "Precision of the matrix products; weights stay float32. auto: bf16 where the hardware has it, else no.",
        "auto",
    )
    attention: Literal["auto", "eager", "sdpa", "flex_attention", "flash_attention_2"] = _key(
        "How attention is computed; the result is the same. auto: what is fastest for sentences on the device.", "auto"
    )
    compile: bool = _key("Compile the layers with torch.compile, for batches of all shapes at once.", False)
    gradient_checkpointing: bool = _key(
        "Compute activations again in the backward pass, which takes a third longer and far less memory.", False
    )
    patience: int | None = _key(
        "Stop once this many validations in a row brought nothing better (see best_metric); null: don't.", None
    )
    seed: int = _key("Seed of the initial weights, the order of batches and dropout.", 1)

    def __post_init__(self) -> None:
        for key in ("tokens_per_batch", "gradient_accumulation_steps", "warmup_steps", "adam_epsilon"):
            _require(getattr(self, key) > 0, key, f"is {getattr(self, key)}; give a value above 0")
        limits = ("max_updates", "max_epochs", "max_minutes", "patience", "max_shapes")
        for key in (*limits, "peak_learning_rate", "max_gradient_norm"):
            value = getattr(self, key)
            _require(value is None or value > 0, key, f"is {value}; give a value above 0, or null")
        for key in ("adam_beta1", "adam_beta2", "label_smoothing"):
            value = getattr(self, key)
            _require(0 <= value < 1, key, f"is {value}; give one from 0 to below 1")
        _require(
            any(limit is not None for limit in (self.max_updates, self.max_epochs, self.max_minutes)),
            "max_updates, max_epochs, max_minutes",
            "are all null, so the run would never end; set one of them",
        )
        _require(0 <= self.seed < 2**32, "seed", f"is {self.seed}; give one from 0 to {2**32 - 1}")


@dataclass(kw_only=True)
class OutputRecipe:
    """What the run writes, where and how often."""

    _argument_group_name = "output"

    output: str = _key("Folder of the run: checkpoints, metrics, the final model, translations and scores.")
    overwrite: bool = _key("Replace a run that the output folder already holds.", False)
    resume: Literal["no", "auto"] = _key(
        "auto: go on from the newest complete checkpoint that the output folder holds; where it holds none, start.",
        "no",
    )
    save_every: int = _key("Updates from one checkpoint to the next.", 1000)
    evaluate_every: int = _key("Updates from one validation to the next.", 1000)
    log_every: int = _key("Updates from one line of metrics to the next.", 50)
    evaluate_bleu: bool = _key(
        "Translate the validation pairs too at every validation, by the recipe's search, and score them.", False
    )
    best_metric: Literal["perplexity", "bleu"] = _key(
        "What makes one validation better than another; bleu needs evaluate_bleu.", "perplexity"
    )
    keep_best: int = _key("Models to keep on disk, in best/, that did best on the validation set.", 1)
    average_last: int = _key("The final model is the average of this many last checkpoints.", 5)
    keep_checkpoints: int = _key("Newest checkpoints to keep on disk.", 5)
    final_model: Literal["average", "best"] = _key(
        "What becomes of the run: the average of its last checkpoints, or the model that did best on the validation "
        "set.",
        "average",
    )
    trackers: str | None = _key(
        "Where Accelerate reports metrics to, beside metrics.jsonl: names with commas between them, for instance "
        "tensorboard,wandb; null: nowhere.",
        "tensorboard",
    )

    def __post_init__(self) -> None:
        self.output = os.path.expanduser(self.output)
        _require(
            not self.output.startswith("~"),
            "output",
            f"is {self.output}, but there is no such user here; name another folder",
        )
        for key in ("save_every", "evaluate_every", "log_every", "average_last", "keep_checkpoints"):
            _require(getattr(self, key) > 0, key, f"is {getattr(self, key)}; give a value above 0")
        _require(self.keep_best >= 0, "keep_best", f"is {self.keep_best}; give 0 or more")
        _require(
            not (self.overwrite and self.resume == "auto"),
            "overwrite",
            "contradicts resume: auto; the one replaces the run in the output folder, the other goes on with it",
        )
        _require(self.best_metric != "bleu" or self.evaluate_bleu, "best_metric", "bleu needs evaluate_bleu: true")
        _require(self.final_model != "best" or self.keep_best > 0, "final_model", "best needs keep_best: 1 or more")
        _require(
            self.keep_checkpoints >= self.average_last,
            "keep_checkpoints",
            f"{self.keep_checkpoints} is fewer than average_last: {self.average_last}; keep at least as many as are "
            "averaged",
        )


@dataclass(kw_only=True)
class DecodingRecipe:
    """How the test set is translated (section 6.1 of the paper) and scored."""

    _argument_group_name = "decoding"

    num_beams: int = _key("Beams of the search; 1 is greedy.", 4)
    length_penalty: float = _key("Alpha of the length penalty ((5 + length) / 6) ^ alpha.", 0.6)
    max_length_offset: int = _key("A translation has at most the source's tokens and this many more.", 50)
    decode_batch_tokens: int = _key("Source token slots of a decoding batch, padding included, beams not.", 4096)
    bleu_tokenize: Literal["13a", "intl", "char", "none", "zh", "ja-mecab", "ko-mecab", "flores200"] = _key(
        "sacreBLEU's tokenisation; none only where the text is tokenised already.", "13a"
    )
    bleu_lowercase: bool = _key("Score without regard to case.", False)

    def __post_init__(self) -> None:
        for key in ("num_beams", "decode_batch_tokens"):
            _require(getattr(self, key) > 0, key, f"is {getattr(self, key)}; give a value above 0")
        _require(
            self.max_length_offset >= 0, "max_length_offset", f"is {self.max_length_offset}; give 0 or a value above"
        )


@dataclass
class Recipe:
    """All choices of one run, by theme. `read_recipe` makes one from a file, `make_recipe` from a dictionary."""

    data: DataRecipe
    model: ModelRecipe
    optimization: OptimizationRecipe
    output: OutputRecipe
    decoding: DecodingRecipe

    def __post_init__(self) -> None:
        longest, budget = self.data.max_length, self.optimization.tokens_per_batch
        _require(
            longest <= budget,
            "tokens_per_batch",
            f"{budget} cannot hold one pair of max_length: {longest}; raise the one or lower the other",
        )
        for key, wanted in (
            ("patience", self.optimization.patience is not None),
            ("evaluate_bleu", self.output.evaluate_bleu),
            ("final_model", self.output.final_model == "best"),
        ):
            _require(self.data.validation is not None or not wanted, key, "needs validation pairs; set validation")

    def as_dict(self) -> dict[str, Any]:
        """All keys with their values, flat, as a recipe file has them."""
        return {key: value for group in dataclasses.asdict(self).values() for key, value in group.items()}

    def write(self, path: Path) -> None:
        """Write the resolved recipe as YAML; `read_recipe` reads it back to an equal recipe."""
        text = yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True)
        write_whole(path, WRITTEN_BY_A_RUN + text)


GROUPS: tuple[Any, ...] = (DataRecipe, ModelRecipe, OptimizationRecipe, OutputRecipe, DecodingRecipe)


def _key_types() -> dict[str, Any]:
    # get_type_hints rather than Field.type: HfArgumentParser rewrites the latter while it builds its help.
    return {
        item.name: typing.get_type_hints(group)[item.name] for group in GROUPS for item in dataclasses.fields(group)
    }


def _describe(kind: Any) -> str:
    names = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false", type(None): "null"}
    if typing.get_origin(kind) is list:
        keys = ", ".join(item.name for item in dataclasses.fields(typing.get_args(kind)[0]))
        return f"a list of entries with the keys {keys}"
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(kind))
    if isinstance(kind, types.UnionType):
        return " or ".join(_describe(part) for part in typing.get_args(kind))
    return names[kind]


def _convert(value: Any, kind: Any) -> Any:
    """`value`, as YAML read it, as a value of the type `kind`. Raises ValueError or OverflowError where it is none."""
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        (kind,) = (part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is Literal:
        value = "no" if value is False and "no" in typing.get_args(kind) else value  # YAML reads a bare no as false
        if value in typing.get_args(kind):
            return value
    elif typing.get_origin(kind) is list:
        (entry,) = typing.get_args(kind)
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return [_make_entry(item, entry, number) for number, item in enumerate(value, start=1)]
    elif kind is float:
        # YAML 1.1 takes 1e-9, without a point, for text
        if isinstance(value, (int, float, str)) and not isinstance(value, bool) and math.isfinite(float(value)):
            return float(value)
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ValueError


def _checked(key: Any, value: Any, key_types: dict[str, Any]) -> Any:
    """The value of a key, if there is such a key and the value is of its type."""
    if key not in key_types:
        near = difflib.get_close_matches(str(key), key_types, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise RecipeError(f"unknown key '{key}'; {hint}`python -m training.train --help` explains every key")
    kind = key_types[key]
    if isinstance(value, str) and not value.strip():
        raise RecipeError(f"{key}: is empty; give a value, or leave the key out")
    try:
        return _convert(value, kind)
    except (ValueError, OverflowError):
        hint = " (put it in quotes)" if kind in (str, str | None) else ""
        raise RecipeError(
            f"{key} must be {_describe(kind)}, but is {value!r} ({type(value).__name__}){hint}"
        ) from None


def _make_entry(values: dict[str, Any], kind: Any, number: int) -> Any:
    """An entry of a list, checked as the recipe's own keys are."""
    key_types = typing.get_type_hints(kind)
    try:
        return kind(**{key: _checked(key, value, key_types) for key, value in values.items()})
    except RecipeError as error:
        raise RecipeError(f"sources, entry {number}: {error}") from None


def comparable(key: str, value: Any) -> Any:
    """The value of a key, such that two of the same meaning are equal: a folder's name may be written in several
    ways, of which a model card keeps the one that was chosen."""
    return os.path.normpath(value) if key in ("data", "model", "tokenizer") and isinstance(value, str) else value


def make_recipe(values: dict[str, Any], origins: dict[str, str] | None = None) -> Recipe:
    """A checked recipe from a flat dictionary.

    Args:
        values: the keys given; the others take their defaults.
        origins: where each key came from, for messages ("recipes/base.yaml", "the command line").

    Raises:
        RecipeError: an unknown key, a wrong type, a missing required key, or values that contradict each other.
    """
    origins = origins or {}
    key_types = _key_types()
    checked = {}
    for key, value in values.items():
        try:
            checked[key] = _checked(key, value, key_types)
        except RecipeError as error:
            raise RecipeError(f"{origins.get(key, 'the recipe')}: {error}") from None
    for group in GROUPS:
        for item in dataclasses.fields(group):
            if item.default is dataclasses.MISSING and item.name not in checked:
                raise RecipeError(
                    f"{origins.get('', 'the recipe')}: the key '{item.name}' is missing; add `{item.name}: ...` or "
                    f"pass --{item.name}. {item.metadata['help']}"
                )
    try:
        return Recipe(*HfArgumentParser(GROUPS).parse_dict(checked))
    except RecipeError as error:
        raise RecipeError(f"{origins.get('', 'the recipe')}: {error}") from None


# PyYAML passes on what Python thinks of a number or a date that cannot be, and of lists a thousand deep.
_UNREADABLE = (yaml.YAMLError, ValueError, OverflowError, RecursionError)


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where PyYAML silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<, which takes over another mapping's keys
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise RecipeError(f"{self.name}: line {key_node.start_mark.line + 1}: {key} is no key; give a word")
            if key in seen:
                raise RecipeError(
                    f"{self.name}: line {key_node.start_mark.line + 1} gives the key '{key}' a second time; keep one"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """The recipe of a YAML file.

    Args:
        path: the file.
        overrides: keys that win over the file's, as the command line's do.

    Raises:
        RecipeError: no such file, not YAML, or anything that `make_recipe` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise RecipeError(_missing_recipe(path))
    values = read_yaml(path)
    origins = {key: str(path) for key in values} | {key: "the command line" for key in overrides or {}}
    return make_recipe(values | (overrides or {}), origins | {"": str(path)})


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YAML file with their values.

    Raises:
        RecipeError: a file that cannot be read, gives a key twice, or holds anything but keys.
    """
    try:
        with path.open(encoding="utf-8") as file:
            values = yaml.load(file, Loader=_StrictLoader)
    except (*_UNREADABLE, OSError) as error:
        raise RecipeError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is lines of `key: value`, but this file holds a {type(values).__name__}")
    return values


def _missing_recipe(path: Path) -> str:
    known = sorted((Path(__file__).parents[1] / "configuration" / "recipes").glob("*.yaml"))
    near = difflib.get_close_matches(path.stem, [file.stem for file in known], n=1)
    hint = (
        f"did you mean configuration/recipes/{near[0]}.yaml?"
        if near
        else ("the project's own are " + ", ".join(f"configuration/recipes/{file.name}" for file in known))
    )
    return f"{path}: no such recipe file; {hint}"


def _read_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """`--key value` and `--key=value` as a dictionary; each value is read as YAML unless the key takes text."""
    key_types = _key_types()
    overrides: dict[str, Any] = {}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if not argument.startswith("--"):
            raise RecipeError(f"the command line: '{argument}' has no key before it; write --key {argument}")
        key, equals, text = argument[2:].partition("=")
        key = key.replace("-", "_")
        position += 1
        if not equals:
            if position < len(arguments) and not arguments[position].startswith("--"):
                text, position = arguments[position], position + 1
            elif key_types.get(key) is bool:
                text = "true"
            elif key in key_types:
                raise RecipeError(f"the command line: --{key} has no value after it")
        if key in key_types and not text.strip():  # an unset variable of the shell's, for which YAML has null
            raise RecipeError(f"the command line: --{key} is empty; give a value, or leave it out")
        is_text = key_types.get(key) in (str, str | None) or typing.get_origin(key_types.get(key)) is Literal
        try:
            overrides[key] = text if is_text and text != "null" else yaml.safe_load(text)
        except _UNREADABLE as error:
            raise RecipeError(
                f"the command line: --{key} {text}: not readable as YAML: {' '.join(str(error).split())}"
            ) from None
    return overrides


def recipe_from_command_line(arguments: Sequence[str], program: str = "python -m training.train") -> Recipe:
    """The recipe that a command line `RECIPE [--key value ...]` means; `--help` prints every key and exits.

    Raises:
        RecipeError: as `read_recipe`, or no recipe named.
    """
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        parser = HfArgumentParser(
            GROUPS,
            prog=program,
            usage=f"{program} RECIPE [--key value ...]",
            description="Train a Transformer from nothing: parallel text in, a scored model folder out.",
            epilog=f"Example: {program} configuration/recipes/miniature.yaml --output runs/first --seed 2",
        )
        parser.add_argument("RECIPE", help="YAML file of the keys below, see configuration/recipes/")
        if arguments:
            parser.print_help()
            raise SystemExit(0)
        raise RecipeError(f"name a recipe: {program} RECIPE [--key value ...]; {program} --help explains the keys")
    path, *rest = arguments
    if path.startswith("--"):
        raise RecipeError(f"name the recipe first: {program} RECIPE [--key value ...]")
    return read_recipe(path, _read_overrides(rest))

"""What a run starts from: its processes and precision, its model's configuration, its tokenizer."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration, parse_flag_from_env
from transformers.utils import logging as transformers_logging

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerTokenizer,
    configuration_names,
    named_configuration,
)
from training.data import DataError, TokenizedPairs, all_text
from training.output import TENSORBOARD
from training.recipe import Recipe, RecipeError


def start_accelerator(recipe: Recipe) -> Accelerator:
    """Accelerate as `make_accelerator` gives it, in the recipe's precision, with its trackers.

    Raises:
        RecipeError: as `make_accelerator`, and a tracker that Accelerate doesn't know or that isn't installed.
    """
    output = recipe.output.output
    return make_accelerator(
        recipe.optimization.mixed_precision,
        log_with=_trackers(recipe) or None,
        project_config=ProjectConfiguration(output, logging_dir=str(Path(output) / TENSORBOARD)),
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)],
    )


def make_accelerator(mixed_precision: str, **keys: Any) -> Accelerator:
    """Accelerate, on the devices and processes that the launch gave.

    Args:
        mixed_precision: as in a recipe.
        keys: more of Accelerator's own.

    Raises:
        RecipeError: as `choose_precision`.
    """
    # Accelerate joins CPU processes into one run only when told that it is on a CPU.
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    # The others wait while the main process trains a tokenizer or cleans the text: longer than torch allows by itself.
    state = PartialState(cpu=on_cpu, timeout=timedelta(hours=6))
    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    precision = choose_precision(mixed_precision, state.device)
    return Accelerator(cpu=state.device.type == "cpu", mixed_precision=precision, **keys)


def _trackers(recipe: Recipe) -> list[str]:
    names = [name.strip() for name in (recipe.output.trackers or "").split(",") if name.strip()]
    available = {tracker.value for tracker in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
            raise RecipeError(f"trackers: Accelerate knows no '{name}'; it knows {known}")
        if name not in available:
            raise RecipeError(f"trackers: '{name}' isn't installed here; install its package, or name another")
    return names


@contextlib.contextmanager
def quiet_libraries(show_datasets: bool) -> Iterator[None]:
    """Without the bars that transformers draws for every file it writes, and without those of `datasets` where they
    would repeat another process's."""
    bars, datasets_bars = transformers_logging.is_progress_bar_enabled(), datasets.are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    if not show_datasets:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()
        if not datasets_bars:
            datasets.enable_progress_bars()


def choose_precision(wanted: str, device: torch.device) -> str:
    """Accelerate's name ("no", "bf16", "fp16") for the recipe's mixed_precision on this device.

    Raises:
        RecipeError: fp16 on a CPU, which has no use for it.
    """
    if wanted == "fp16" and device.type == "cpu":
        raise RecipeError("mixed_precision: fp16 needs an accelerator, but this runs on a CPU; use auto, bf16 or no")
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    if device.type == "cpu":
        # Without such instructions bf16 is emulated, and slower than float32.
        return "bf16" if _cpu_has_bf16() else "no"
    return "no"


def _cpu_has_bf16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        abilities = torch.cpu.get_capabilities()
        return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # older releases of torch


def read_configuration(recipe: Recipe) -> VanillaTransformerConfig:
    """The configuration that the recipe's model names, with its dropout.

    Raises:
        RecipeError: no such configuration or folder, or one that isn't valid.
    """
    name = recipe.model.model
    try:
        if name in configuration_names():
            config = named_configuration(name)
        elif (Path(name) / "config.json").is_file():
            ours = VanillaTransformerConfig.model_type
            found = VanillaTransformerConfig.get_config_dict(name)[0].get("model_type", ours)
            if found != ours:
                raise RecipeError(f"model: {name} has the model_type {found}; give a configuration of {ours}")
            config = VanillaTransformerConfig.from_pretrained(name)
        else:
            raise RecipeError(
                f"model: '{name}' is neither a folder with a config.json nor one of {', '.join(configuration_names())}"
            )
        if recipe.model.dropout is not None:
            config.dropout = recipe.model.dropout
    except RecipeError:
        raise
    except Exception as error:  # of many kinds: the configuration checks itself
        raise RecipeError(f"model: the configuration {name} is not valid: {' '.join(str(error).split())}") from error
    return config


def read_tokenizer(recipe: Recipe, config: VanillaTransformerConfig) -> VanillaTransformerTokenizer | None:
    """The tokenizer that the recipe names; None where one is to be trained.

    Raises:
        RecipeError: no tokenizer there, or one that doesn't fit the model.
    """
    folder = recipe.model.tokenizer
    if folder is None:
        _check_special_tokens("a tokenizer trained here", VanillaTransformerTokenizer(), recipe, config)
        if config.decoder_start_token_id != config.bos_token_id:
            raise RecipeError(
                f"model: {recipe.model.model} has the decoder_start_token_id {config.decoder_start_token_id}, but "
                f"with a tokenizer trained here it must be the bos_token_id {config.bos_token_id}"
            )
        return None
    if not (Path(folder) / "tokenizer.json").is_file():
        raise RecipeError(
            f"tokenizer: {folder} holds no tokenizer.json; give a folder that save_pretrained wrote, or null to "
            "train one"
        )
    try:
        tokenizer = VanillaTransformerTokenizer.from_pretrained(folder)
    except Exception as error:  # of the kinds that damaged JSON gives, down to the library's own bare Exception
        raise RecipeError(f"tokenizer: {folder} cannot be read: {' '.join(str(error).split())}") from error
    if len(tokenizer) > config.vocab_size:
        raise RecipeError(
            f"tokenizer: {folder} has {len(tokenizer)} tokens, but the model {recipe.model.model} has a vocab_size of "
            f"{config.vocab_size}; give a model with vocab_size {len(tokenizer)} or more, or another tokenizer"
        )
    _check_special_tokens(folder, tokenizer, recipe, config)
    return tokenizer


def _check_special_tokens(
    name: str, tokenizer: VanillaTransformerTokenizer, recipe: Recipe, config: VanillaTransformerConfig
) -> None:
    for key in ("pad_token_id", "eos_token_id", "bos_token_id"):
        if getattr(tokenizer, key) != getattr(config, key):
            raise RecipeError(
                f"tokenizer: {name} has the {key} {getattr(tokenizer, key)}, but the model {recipe.model.model} has "
                f"{getattr(config, key)}; they must be the same"
            )


def train_tokenizer(
    recipe: Recipe, config: VanillaTransformerConfig, pairs: datasets.Dataset, show_progress: bool
) -> VanillaTransformerTokenizer:
    """A byte-pair encoding of both sides of the training pairs (section 5.1: a vocabulary shared by both languages).

    Raises:
        RecipeError: a vocabulary too small for what every tokenizer must have.
        DataError: pairs without text.
    """
    size = recipe.model.vocab_size or config.vocab_size
    least = len(VanillaTransformerTokenizer())
    if size < least:
        raise RecipeError(
            f"vocab_size: no tokenizer of {size} tokens can be trained: special tokens and bytes alone are {least}"
        )
    try:
        return VanillaTransformerTokenizer.train(
            all_text(pairs), vocab_size=size, length=2 * len(pairs), show_progress=show_progress
        )
    except ValueError as error:
        raise DataError(
            f"{recipe.data.train}: the training pairs hold no text to train a tokenizer on: {error}"
        ) from error


def check_positions(
    recipe: Recipe,
    config: VanillaTransformerConfig,
    tokenizer: VanillaTransformerTokenizer,
    pairs: TokenizedPairs | None,
    validation: TokenizedPairs | None,
    test: datasets.Dataset | None,
) -> None:
    """Pass where the model has a position for every token that it will read or may write.

    Args:
        pairs: the training pairs; None where they are streamed, and may be as long as max_length.

    Raises:
        RecipeError: learned positions, and fewer than that.
    """
    if config.position_embedding_type != "learned":
        return
    longest = {"a training pair": _longest(pairs) if pairs else recipe.data.max_length}
    if validation:
        longest["a validation pair"] = _longest(validation)
    if test:
        offset = recipe.decoding.max_length_offset
        ids = tokenizer([line or "" for line in test["source"]], split_special_tokens=True)["input_ids"]
        longest[f"a translation of the test set (max_length_offset: {offset})"] = max(map(len, ids)) + offset
    for what, length in longest.items():
        if length > config.max_position_embeddings:
            raise RecipeError(
                f"model: {recipe.model.model} has learned positions, max_position_embeddings: "
                f"{config.max_position_embeddings}, but {what} has up to {length} tokens (max_length, for the "
                f"training pairs: {recipe.data.max_length}); shorten the text or give the model more positions"
            )


def _longest(pairs: TokenizedPairs) -> int:
    return int(max(pairs.source_lengths.max(), pairs.target_lengths.max()))

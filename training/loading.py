"""A saved model, from its folder or the Hub, and the search that it translates with."""

import copy
from pathlib import Path
from typing import Any

from transformers import GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    configuration_names,
)
from modeling_vanilla_transformer.beam_search_vanilla_transformer import LENGTH_PENALTIES
from training.options import LEAST_PENALTY, MOST_PENALTY
from training.recipe import TrainingError


class LoadingError(TrainingError):
    """No model that can be used; the message names it and what is wrong with it."""


def saved_configuration(name: str | Path) -> VanillaTransformerConfig:
    """The configuration of a saved model: of its folder or of its name on the Hub.

    Raises:
        LoadingError: no model of ours there, or a configuration that cannot be read.
    """
    try:
        found = VanillaTransformerConfig.get_config_dict(name)[0]
        reason = "config.json is missing or empty"
    except Exception as error:  # of many kinds: no such folder, no network, damaged JSON
        found, reason = {}, _line(error)
    if not isinstance(found, dict):
        found, reason = {}, "config.json holds no settings"
    if not found:
        if (Path(name) / "adapter_config.json").is_file():
            reason = "it is an adapter; merge it into its model (merge_and_unload) and save that"
        elif (Path(name) / "model").is_dir():
            reason = f"the model of this run is {Path(name) / 'model'}"
        raise LoadingError(
            f"{name} is neither a saved model's folder nor a model on the Hub that can be reached: {reason}"
        )
    ours = VanillaTransformerConfig.model_type
    if found.get("model_type", ours) != ours:
        raise LoadingError(f"{name} is a model of type {found['model_type']!r}; give a Vanilla Transformer")
    try:
        return VanillaTransformerConfig.from_pretrained(name)
    except Exception as error:  # of many kinds: it may contradict itself
        raise LoadingError(f"{name}: the configuration cannot be read: {_line(error)}") from error


def read_model(
    name: str | Path, **settings: Any
) -> tuple[VanillaTransformerForConditionalGeneration, VanillaTransformerTokenizer]:
    """A saved model, ready to translate, and its tokenizer: from a folder that `save_pretrained` wrote or the Hub.

    Args:
        name: the folder, or the name on the Hub.
        settings: further arguments of `from_pretrained`.

    Raises:
        LoadingError: no model of ours there, one that cannot be read, or one that lacks something.
    """
    if str(name) in configuration_names() and not Path(name).is_dir():
        raise LoadingError(f"{name} is a configuration, without weights; give a model's folder or its name on the Hub")
    saved_configuration(name)
    try:
        model, found = VanillaTransformerForConditionalGeneration.from_pretrained(
            name, output_loading_info=True, **settings
        )
        if Path(name, GENERATION_CONFIG_NAME).is_file():  # a damaged one would be passed over in silence
            GenerationConfig.from_pretrained(name)
    except Exception as error:  # of many kinds, down to those of damaged files
        raise LoadingError(f"{name}: the model cannot be read: {_line(error)}") from error
    _check_search(name, model.generation_config)
    missing = sorted(found["missing_keys"])
    if missing:  # they would be random numbers
        raise LoadingError(f"{name}: the model lacks {len(missing)} of its weights, among them {missing[0]}")
    try:
        tokenizer = VanillaTransformerTokenizer.from_pretrained(name)
    except Exception as error:  # of as many
        raise LoadingError(f"{name}: the tokenizer cannot be read: {_line(error)}") from error
    if len(tokenizer) > model.config.vocab_size:
        raise LoadingError(
            f"{name}: the tokenizer has {len(tokenizer)} tokens, but the model a vocab_size of "
            f"{model.config.vocab_size}"
        )
    return model.eval(), tokenizer


def _check_search(name: str | Path, search: GenerationConfig) -> None:
    """Pass where the search's numbers can be searched with; transformers looks at some of them only."""
    for key, least in {"num_beams": 1, "max_length_offset": 0, "max_new_tokens": 1, "max_length": 2}.items():
        value = getattr(search, key, None)
        if value is not None and not (type(value) is int and value >= least):
            raise LoadingError(
                f"{name}: {GENERATION_CONFIG_NAME} has {key}: {value!r}; give a whole number, {least} or more"
            )
    penalty = search.length_penalty
    if penalty is not None and not (isinstance(penalty, (int, float)) and LEAST_PENALTY <= penalty <= MOST_PENALTY):
        raise LoadingError(
            f"{name}: {GENERATION_CONFIG_NAME} has length_penalty: {penalty!r}; give a number from "
            f"{LEAST_PENALTY:g} to {MOST_PENALTY:g}"
        )
    kind = getattr(search, "length_penalty_type", None)
    if kind is not None and kind not in LENGTH_PENALTIES:
        raise LoadingError(
            f"{name}: {GENERATION_CONFIG_NAME} has length_penalty_type: {kind!r}; give {' or '.join(LENGTH_PENALTIES)}"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def search_of(
    model: Any,
    *,
    num_beams: int | None = None,
    length_penalty: float | None = None,
    length_penalty_type: str | None = None,
    max_length_offset: int | None = None,
) -> GenerationConfig:
    """The model's own search for one translation a sentence, with the settings given in their place; a limit by source
    length always."""
    search = copy.deepcopy(model.generation_config)
    search.num_return_sequences, search.return_dict_in_generate = 1, False
    if num_beams is not None:
        search.num_beams = num_beams
    if length_penalty_type is not None:
        search.length_penalty_type = length_penalty_type
    if length_penalty is not None:
        search.length_penalty = length_penalty
    elif search.length_penalty is None:
        search.length_penalty = 1.0  # transformers' default
    if max_length_offset is not None:  # a limit of another kind would overrule it
        search.max_length_offset, search.max_new_tokens, search.max_length = max_length_offset, None, None
    elif all(getattr(search, key, None) is None for key in ("max_length_offset", "max_new_tokens", "max_length")):
        search.max_length_offset = 50  # the paper's; without any limit, transformers would stop after 20 tokens
    return search

"""A trained model from its folder, and the search that it translates with."""

import copy
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
)
from training.recipe import TrainingError


class LoadingError(TrainingError):
    """A folder without a model that can be read; the message names the folder and what is wrong there."""


def read_model(folder: Path) -> tuple[VanillaTransformerForConditionalGeneration, VanillaTransformerTokenizer]:
    """The model and tokenizer of a folder that `save_pretrained` wrote.

    Raises:
        LoadingError: no model of ours there, or one that cannot be read.
    """
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            hint = f"; the model of this run is {folder / 'model'}" if (folder / "model").is_dir() else ""
            raise LoadingError(f"{folder}: no model here, {name} is missing{hint}")
    try:
        ours = VanillaTransformerConfig.model_type
        found = VanillaTransformerConfig.get_config_dict(folder)[0].get("model_type", ours)
        if found != ours:
            raise LoadingError(f"{folder}: the model_type is {found}; only models of the type {ours} can be used here")
        model = VanillaTransformerForConditionalGeneration.from_pretrained(folder)
        return model.eval(), VanillaTransformerTokenizer.from_pretrained(folder)
    except LoadingError:
        raise
    except Exception as error:  # of many kinds: damaged JSON or weights, a configuration that isn't valid
        raise LoadingError(f"{folder}: the model cannot be read: {' '.join(str(error).split())}") from error


def search_of(
    model: Any,
    *,
    num_beams: int | None = None,
    length_penalty: float | None = None,
    length_penalty_type: str | None = None,
    max_length_offset: int | None = None,
) -> GenerationConfig:
    """The model's own search with the settings given in their place; a limit by source length always."""
    search = copy.deepcopy(model.generation_config)
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

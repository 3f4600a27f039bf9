"""A saved model and its tokenizer, for the commands that show them, or one clear error."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerBase

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    configuration_names,
    named_configuration,
)


def load_configuration(name: str) -> VanillaTransformerConfig:
    """
    Returns the configuration of a saved model: its folder, its name on the Hub, or a name such as "base".

    Raises:
        ValueError: there is no model of this name, or it is not a Vanilla Transformer.
    """
    if name in configuration_names():
        return named_configuration(name)
    try:
        config = AutoConfig.from_pretrained(name)
    except Exception as error:  # of many kinds: no such folder, no network, a configuration that contradicts itself
        run = (Path(name) / "model").is_dir()
        reason = f"the model of this run is {Path(name) / 'model'}" if run else _line(error)
        raise ValueError(
            f"{name} is neither a saved model's folder nor a model on the Hub that can be reached: {reason}"
        ) from None
    if config.model_type != VanillaTransformerConfig.model_type:
        raise ValueError(f"{name} is a model of type {config.model_type!r}; give a Vanilla Transformer.")
    return config


def load_model(name: str) -> tuple[VanillaTransformerForConditionalGeneration, PreTrainedTokenizerBase]:
    """
    Returns a saved model, ready to translate, and its tokenizer: from a folder or a name on the Hub.

    Raises:
        ValueError: as `load_configuration`, or weights or tokenizer are missing.
    """
    if name in configuration_names() and not Path(name).is_dir():
        raise ValueError(
            f"{name} is a configuration, without weights; give a saved model's folder or its name on the Hub."
        )
    load_configuration(name)
    parts: list[Any] = []
    for part, auto in (("model", AutoModelForSeq2SeqLM), ("tokenizer", AutoTokenizer)):
        try:
            parts.append(auto.from_pretrained(name))
        except Exception as error:  # of as many kinds
            raise ValueError(f"the {part} of {name} cannot be loaded: {_line(error)}") from None
    model, tokenizer = parts
    return model.eval(), tokenizer


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

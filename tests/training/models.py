"""A model that is made in an instant and whose beams differ, with a tokenizer of its own."""

from pathlib import Path
from typing import Any

import torch

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
    paper_generation_config,
)

Parts = tuple[VanillaTransformerForConditionalGeneration, VanillaTransformerTokenizer]


def small_model(lines: list[str], search: dict[str, Any] | None = None, **keys: Any) -> Parts:
    """A random miniature with the tokens of `lines`.

    Args:
        lines: what the tokenizer is trained on.
        search: of `paper_generation_config`; two beams and few tokens beyond the source's by default.
        keys: of the configuration.
    """
    tokenizer = VanillaTransformerTokenizer.train(lines, vocab_size=320, show_progress=False)
    config = named_configuration("miniature")
    config.update(keys | {"vocab_size": len(tokenizer)})
    torch.manual_seed(0)
    model = VanillaTransformerForConditionalGeneration(config).eval()
    with torch.no_grad():  # so that beams differ
        model.get_input_embeddings().weight.mul_(3)
    model.generation_config = paper_generation_config(
        config, **({"num_beams": 2, "max_length_offset": 4} | (search or {}))
    )
    return model, tokenizer


def save(parts: Parts, folder: Path) -> Path:
    """Both in one folder."""
    for part in parts:
        part.save_pretrained(folder)
    return folder

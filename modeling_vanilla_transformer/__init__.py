# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""The Transformer of *Attention Is All You Need* as a Hugging Face model; importing it registers the Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipelines

from .configuration_vanilla_transformer import VanillaTransformerConfig
from .generation_vanilla_transformer import paper_generation_config
from .modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerModel,
    VanillaTransformerPreTrainedModel,
)
from .named_configuration import configuration_names, named_configuration
from .pipeline_vanilla_transformer import VanillaTransformerTranslationPipeline
from .tokenization_vanilla_transformer import VanillaTransformerTokenizer

# With the package installed, the Auto classes find it by model type ...
AutoConfig.register("vanilla_transformer", VanillaTransformerConfig)
AutoModel.register(VanillaTransformerConfig, VanillaTransformerModel)
AutoModelForSeq2SeqLM.register(VanillaTransformerConfig, VanillaTransformerForConditionalGeneration)
AutoTokenizer.register(VanillaTransformerConfig, tokenizer_class=VanillaTransformerTokenizer)
# ... and `pipeline` finds it by task, which transformers has no pipeline for and else refuses by name.
pipelines.PIPELINE_REGISTRY.register_pipeline(
    "translation", VanillaTransformerTranslationPipeline, pt_model=AutoModelForSeq2SeqLM
)
getattr(pipelines, "REMOVED_TASKS", {}).pop("translation", None)

# ... and what is saved carries its code along, for those who have not installed it (for models, see their file).
VanillaTransformerConfig.register_for_auto_class("AutoConfig")
VanillaTransformerTokenizer.register_for_auto_class("AutoTokenizer")

__version__ = "0.1.0"

__all__ = [
    "VanillaTransformerConfig",
    "VanillaTransformerForConditionalGeneration",
    "VanillaTransformerModel",
    "VanillaTransformerPreTrainedModel",
    "VanillaTransformerTokenizer",
    "VanillaTransformerTranslationPipeline",
    "configuration_names",
    "named_configuration",
    "paper_generation_config",
]

# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""Decoding as in the paper's section 6.1: beam search with Wu et al.'s length penalty and a limit by source length.

Two keys of the generation configuration, beside transformers' own, choose it, and are saved and loaded with the model:
`length_penalty_type` ("wu" for the paper's penalty, "power" for transformers') and `max_length_offset` (a translation
has at most so many tokens more than its source). [`paper_generation_config`] sets both to the paper's values.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedConfig
from transformers.generation import (
    GenerateBeamEncoderDecoderOutput,
    GenerateEncoderDecoderOutput,
    GenerationMixin,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from .beam_search_vanilla_transformer import LENGTH_PENALTIES, BeamSearch
from .replayed_search_vanilla_transformer import ReplayedBeamSearch, takes_steps_alike

# Settings and arguments of `generate` that make it something else than a search of ours.
OTHER_SEARCHES = (
    "do_sample",
    "penalty_alpha",
    "dola_layers",
    "constraints",
    "force_words_ids",
    "assistant_model",
    "assistant_early_exit",
    "prompt_lookup_num_tokens",
    "use_mtp",
    "streamer",
    "stop_strings",
    "synced_gpus",
    "past_key_values",
    "low_memory",
)


def paper_generation_config(
    config: PreTrainedConfig, num_beams: int = 4, length_penalty: float = 0.6, max_length_offset: int = 50
) -> GenerationConfig:
    """
    Returns the paper's search (section 6.1) for a model of configuration `config`: `num_beams` beams, Wu et al.'s
    penalty with alpha = `length_penalty`, at most `max_length_offset` tokens more than the source has, and an end as
    soon as no unfinished hypothesis can still win.
    """
    return GenerationConfig(
        num_beams=num_beams,
        length_penalty=length_penalty,
        length_penalty_type="wu",
        max_length_offset=max_length_offset,
        early_stopping="never",
        do_sample=False,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
    )


def beam_search(
    model,
    input_ids: torch.LongTensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    length_penalty_type: str = "power",
    limits: torch.LongTensor | None = None,
    **model_kwargs,
) -> GenerateBeamEncoderDecoderOutput | GenerateEncoderDecoderOutput | torch.LongTensor:
    """
    The decoding loop that `generate` runs for beam search and, with one beam, for greedy search.

    `input_ids` (sentences * beams, prompt length) and the encoder's outputs come expanded by `num_beams`. As in
    transformers' search, a hypothesis is finished when it is among the best `num_beams` continuations and meets a
    stopping criterion. Hypotheses are ranked by their log-probability over the length penalty `length_penalty_type`.
    A sentence ends when no unfinished hypothesis can beat the worst one it will return; with `early_stopping=True`, as
    soon as it has `num_beams` finished ones; with `early_stopping=False` and the penalty "power", by transformers' own
    guess; with one beam, at the end token. Logits processors may raise log-probabilities, so that nothing short of the
    limit is sure: beside them a sentence ends by the rule of transformers' `early_stopping="never"`. `limits`
    (sentences,), if any, count generated tokens.

    Returns the sequences (sentences * num_return_sequences, length), best first, or with `return_dict_in_generate` an
    output that also holds their scores and what else was asked for, all as transformers' search does (but no cache).
    """
    can_be_replayed = model.device.type == "cuda" and takes_steps_alike(model)
    search = (ReplayedBeamSearch if can_be_replayed else BeamSearch)(
        model,
        input_ids,
        logits_processor,
        stopping_criteria,
        generation_config,
        length_penalty_type,
        limits,
        model_kwargs,
    )
    # Where nobody else sees its tensors, they need no record of views and versions: a step of a small model takes a
    # quarter less. What is returned is made outside.
    with nullcontext() if search.all_stay else torch.inference_mode(), without_gradient_checkpointing(model):
        while search.advance():
            pass
    return search.result()


@contextmanager
def without_gradient_checkpointing(model: torch.nn.Module) -> Iterator[None]:
    """Inside, layers of a model in training take a cache, which with gradient checkpointing they leave aside."""
    layers = [layer for layer in model.modules() if getattr(layer, "gradient_checkpointing", False)]
    for layer in layers:
        layer.gradient_checkpointing = False
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = True


class SourceLengthCriteria(StoppingCriteria):
    """Ends each translation at a limit of its own: `limits` (sentences,) counts generated tokens."""

    def __init__(self, limits: torch.Tensor):
        self.limits = limits
        self.prompt_length: int | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs) -> torch.BoolTensor:
        rows, length = input_ids.shape  # every sentence has rows / sentences of them, one behind the other
        if self.prompt_length is None:  # the first call comes with the first generated token
            self.prompt_length = length - 1
        limits = self.limits.repeat_interleave(rows // self.limits.shape[0])
        return length - self.prompt_length >= limits.to(input_ids.device)


class VanillaTransformerGenerationMixin(GenerationMixin):
    """Gives `generate` the paper's search, and greedy and beam search at speed; the rest is transformers' own."""

    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: LogitsProcessorList | None = None,
        stopping_criteria: StoppingCriteriaList | None = None,
        **kwargs,
    ):
        """
        As transformers' `generate`, except that without an `attention_mask` the source's padding is masked, and with
        two more settings, as arguments or in the generation configuration:

        Args:
            length_penalty_type (`str`, *optional*):
                `"wu"` ranks finished hypotheses by log P / ((5 + length) / 6)^length_penalty, the paper's way;
                `"power"`, the default, by log P / length^length_penalty, transformers' way.
            max_length_offset (`int`, *optional*):
                Each translation has at most so many tokens more than its source; `max_new_tokens` or `max_length`
                given with the call or its `generation_config` overrule it.

        Beam search and, with one beam, greedy search are [`beam_search`], with a cache of its own; everything else
        (sampling, assisted decoding, streaming and so on) is transformers' own.

        Raises:
            ValueError: an unknown `length_penalty_type`, a negative `max_length_offset`, or the paper's penalty beside
                what only transformers' search does: beam sampling, groups of beams, assisted decoding, a streamer, a
                cache that is filled already, weights in shards; `decoder_inputs_embeds`; or no source at all.
        """

        def setting(name: str, default: Any = None) -> Any:
            """The setting's value by transformers' precedence: the call, its configuration, the model's."""
            if kwargs.get(name) is not None:
                return kwargs[name]
            for config in (generation_config, self.generation_config):
                if getattr(config, name, None) is not None:
                    return getattr(config, name)
            return default

        penalty_type = setting("length_penalty_type", "power")
        if penalty_type not in LENGTH_PENALTIES:
            raise ValueError(
                f"length_penalty_type={penalty_type!r}: it must be one of {', '.join(map(repr, LENGTH_PENALTIES))}."
            )
        offset, limits = setting("max_length_offset"), None
        if offset is not None and not (isinstance(offset, int) and offset >= 0 and offset is not True):
            raise ValueError(f"max_length_offset={offset!r}: it must be a whole number, at least 0.")
        others = [name for name in OTHER_SEARCHES if setting(name, 0) != 0]
        others += ["num_beam_groups"] if setting("num_beam_groups", 1) > 1 else []
        others += ["weights in shards"] if is_sharded(self) else []
        ours = not others and kwargs.get("custom_generate") is None
        paper_search = penalty_type == "wu" and setting("num_beams", 1) > 1
        if setting("cache_implementation") is not None and not paper_search:
            ours = False  # the search is the same with any cache, and transformers' has the one that is asked for
        if others and paper_search and kwargs.get("custom_generate") is None:
            raise ValueError(
                f"{', '.join(others)}: the beam search with the paper's length penalty does not do this. Leave it "
                f'out, or give length_penalty_type="power" for transformers\' own search, or num_beams=1.'
            )
        if ours and kwargs.get("decoder_inputs_embeds") is not None:
            raise ValueError("decoder_inputs_embeds: a translation's beginning is given as decoder_input_ids.")
        for name in ("length_penalty_type", "max_length_offset"):
            kwargs.pop(name, None)

        input_ids = inputs if inputs is not None else kwargs.get("input_ids")
        pad, end = self.config.pad_token_id, self.config.eos_token_id
        padded = pad is not None and pad not in (end if isinstance(end, list) else [end])
        if input_ids is not None and kwargs.get("attention_mask") is None and padded:
            kwargs["attention_mask"] = (input_ids != pad).long()
        limited = any(
            kwargs.get(name) is not None or getattr(generation_config, name, None) is not None
            for name in ("max_new_tokens", "max_length")
        )
        if offset is not None and not limited:
            limits = (self._source_lengths(input_ids, kwargs) + offset).clamp(min=1)
            if generation_config is None:
                kwargs["max_new_tokens"] = int(limits.max())
            else:  # transformers takes settings from one place only, and the caller's object is not ours to change
                generation_config = copy.deepcopy(generation_config)
                generation_config.max_new_tokens = int(limits.max())
            if not ours:
                stopping_criteria = StoppingCriteriaList(stopping_criteria or [])
                stopping_criteria.append(SourceLengthCriteria(limits))
        # transformers would put the expanded ones into the caller's object.
        if kwargs.get("encoder_outputs") is not None:
            kwargs["encoder_outputs"] = copy.copy(kwargs["encoder_outputs"])
        if ours:  # through the hook for loops of one's own

            def search(model, input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs):
                own = (logits_processor, stopping_criteria, generation_config, penalty_type, limits)
                return beam_search(model, input_ids, *own, **model_kwargs)

            kwargs["custom_generate"] = search

        return super().generate(
            inputs,
            generation_config=generation_config,
            logits_processor=logits_processor,
            stopping_criteria=stopping_criteria,
            **kwargs,
        )

    @staticmethod
    def _source_lengths(input_ids: torch.Tensor | None, kwargs: dict[str, Any]) -> torch.Tensor:
        """Returns the number of source tokens, end of sentence included, of each sentence (sentences,)."""
        if kwargs.get("attention_mask") is not None:
            return kwargs["attention_mask"].sum(dim=-1)
        encoder_outputs = kwargs.get("encoder_outputs")
        encoded = encoder_outputs[0] if encoder_outputs is not None else None
        for source in (input_ids, kwargs.get("inputs_embeds"), encoded):
            if source is not None:
                return torch.full(source.shape[:1], source.shape[1], device=source.device)
        raise ValueError("There is no source to translate: give input_ids, inputs_embeds or encoder_outputs.")


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether several processes hold parts of the weights, so that all must take every step together."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    if torch.distributed.get_world_size() == 1:
        return False
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    shards = (FSDPModule, FullyShardedDataParallel)
    return is_deepspeed_zero3_enabled() or any(isinstance(module, shards) for module in model.modules())


__all__ = ["VanillaTransformerGenerationMixin", "paper_generation_config"]

# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""Decoding as in the paper's section 6.1: beam search with Wu et al.'s length penalty and a limit by source length.

Two keys of the generation configuration, beside transformers' own, choose it, and are saved and loaded with the model:
`length_penalty_type` ("wu" for the paper's penalty, "power" for transformers') and `max_length_offset` (a translation
has at most so many tokens more than its source). [`paper_generation_config`] sets both to the paper's values.
"""

import copy
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedConfig
from transformers.generation import (
    GenerateBeamEncoderDecoderOutput,
    GenerationMixin,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

LENGTH_PENALTY_TYPES = ("wu", "power")

# The score of beams that must not win, yet finite: where constraints leave fewer hypotheses than are to be returned,
# these fill the places, as in transformers' search.
OUT_OF_THE_RUNNING = -1e9


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


def wu_length_penalty(length: torch.Tensor | int, alpha: float) -> torch.Tensor | float:
    """
    Returns lp(Y) = ((5 + |Y|) / 6)^alpha, by which a hypothesis's log-probability is divided (Wu et al., 2016,
    equation 14); `length` |Y| counts the generated tokens, the end of sentence included and the start not.
    """
    return ((5 + length) / 6) ** alpha


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
    """Gives `generate` the paper's length penalty and length limit; everything else of it is transformers' own."""

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

        Raises:
            ValueError: an unknown `length_penalty_type`, a negative `max_length_offset`, or the paper's penalty beside
                what its search does not do: beam sampling, groups of beams, assisted decoding, a streamer,
                `synced_gpus`; or no source at all.
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
        if penalty_type not in LENGTH_PENALTY_TYPES:
            raise ValueError(
                f"length_penalty_type={penalty_type!r}: it must be one of "
                f"{', '.join(map(repr, LENGTH_PENALTY_TYPES))}."
            )
        offset = setting("max_length_offset")
        if offset is not None and not (isinstance(offset, int) and offset >= 0):
            raise ValueError(f"max_length_offset={offset!r}: it must be a whole number, at least 0.")
        paper_search = penalty_type == "wu" and setting("num_beams", 1) > 1 and kwargs.get("custom_generate") is None
        if paper_search:
            unknown = {"do_sample": setting("do_sample"), "num_beam_groups": setting("num_beam_groups", 1) > 1}
            unknown |= {name: kwargs.get(name) for name in ("streamer", "synced_gpus", "assistant_model")}
            unknown["prompt_lookup_num_tokens"] = setting("prompt_lookup_num_tokens")
            for name in (name for name, given in unknown.items() if given):
                raise ValueError(
                    f"{name}: the beam search with the paper's length penalty does not do this. Leave it out, or give "
                    f'length_penalty_type="power" for transformers\' own search, or num_beams=1.'
                )
            kwargs["custom_generate"] = beam_search
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
            limits = self._source_lengths(input_ids, kwargs) + offset
            if generation_config is None:
                kwargs["max_new_tokens"] = int(limits.max())
            else:  # transformers takes settings from one place only, and the caller's object is not ours to change
                generation_config = copy.deepcopy(generation_config)
                generation_config.max_new_tokens = int(limits.max())
            stopping_criteria = StoppingCriteriaList(stopping_criteria or [])
            stopping_criteria.append(SourceLengthCriteria(limits))

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


def beam_search(
    model,
    input_ids: torch.LongTensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **model_kwargs,
) -> GenerateBeamEncoderDecoderOutput | torch.LongTensor:
    """
    Beam search with Wu et al.'s length penalty, the decoding loop that `generate` runs when asked for it.

    `input_ids` (sentences * beams, prompt length) and the encoder's outputs come expanded by `num_beams`. As in
    transformers' search, a hypothesis is finished when it is among the best `num_beams` continuations and meets a
    stopping criterion. A sentence ends when no unfinished hypothesis can beat the worst one it will return; with
    `early_stopping=True`, as soon as it has `num_beams` finished ones.

    Returns the sequences (sentences * num_return_sequences, length), best first, or with `return_dict_in_generate` an
    output that also holds their scores and what else was asked for.
    """
    beams, alpha = generation_config.num_beams, generation_config.length_penalty
    returned = generation_config.num_return_sequences
    collects = generation_config.return_dict_in_generate
    pad_token_id = generation_config.pad_token_id or 0
    cache = model_kwargs.get("past_key_values") if generation_config.use_cache else None
    encoder_outputs = model_kwargs["encoder_outputs"]
    decoder_mask = model_kwargs.get("decoder_attention_mask")

    device = input_ids.device
    sentences, prompt_length = input_ids.shape[0] // beams, input_ids.shape[1]
    max_length = generation_config.max_length
    longest = float(wu_length_penalty(max_length - prompt_length, alpha))
    eos_token_id = generation_config.eos_token_id
    end_tokens = len(eos_token_id) if isinstance(eos_token_id, list) else int(eos_token_id is not None)
    # So many that beams enough go on even if the best ones all end here.
    candidates = max(2, 1 + end_tokens) * beams
    first_row = torch.arange(sentences, device=device)[:, None] * beams  # (sentences, 1)

    running = input_ids.view(sentences, beams, prompt_length)
    history = torch.empty(sentences, beams, 0, dtype=torch.long, device=device)  # the row each token came from
    finished = torch.full((sentences, beams, max_length), pad_token_id, device=device)
    finished_history = torch.full((sentences, beams, max_length - prompt_length), -1, device=device)
    running_scores = finished_scores = torch.empty(0)
    collected: dict[str, list] = {"scores": [], "logits": [], "decoder_attentions": [], "cross_attentions": []}
    collected["decoder_hidden_states"] = []
    seen = 0  # target tokens whose keys and values are in the cache

    while True:
        rows = running.flatten(0, 1)  # (sentences * beams, length)
        length = rows.shape[1]
        outputs = model(
            decoder_input_ids=rows[:, seen:],
            encoder_outputs=encoder_outputs,
            attention_mask=model_kwargs.get("attention_mask"),
            decoder_attention_mask=decoder_mask,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=1,
            output_attentions=bool(generation_config.output_attentions),
            output_hidden_states=bool(generation_config.output_hidden_states),
        )
        seen = length if cache is not None else 0
        logits = outputs.logits[:, -1].to(torch.promote_types(outputs.logits.dtype, torch.float32))
        log_probs = logits_processor(rows, logits.log_softmax(dim=-1))  # (sentences * beams, vocabulary)
        vocabulary = log_probs.shape[-1]
        if not running_scores.numel():  # all beams begin alike, so only the first may speak
            finished_scores = log_probs.new_full((sentences, beams), -torch.inf)
            running_scores = log_probs.new_full((sentences, beams), OUT_OF_THE_RUNNING)
            running_scores[:, 0] = 0
        if collects:
            collected["scores"].append(log_probs)
            collected["logits"].append(logits)
            for name in ("decoder_attentions", "cross_attentions", "decoder_hidden_states"):
                collected[name].append(getattr(outputs, name))

        total = running_scores[..., None] + log_probs.view(sentences, beams, vocabulary)
        scores, index = total.flatten(1).topk(candidates)  # (sentences, candidates)
        origin, token = index // vocabulary, index % vocabulary
        extended = torch.cat((_take(running, origin), token[..., None]), dim=-1)
        extended_history = torch.cat((_take(history, origin), (origin + first_row)[..., None]), dim=-1)
        length += 1
        ends = stopping_criteria(extended.flatten(0, 1), None).view(sentences, candidates)

        # The finished hypotheses: the best of those before and of the best candidates that end here.
        new_scores = scores / wu_length_penalty(length - prompt_length, alpha)
        new_scores = new_scores.masked_fill(~ends, -torch.inf)
        new_scores[:, beams:] = -torch.inf
        if generation_config.early_stopping is True:  # a sentence with all its hypotheses takes no more
            new_scores = new_scores.masked_fill(finished_scores[:, -1:] > -torch.inf, -torch.inf)
        finished_scores, best = torch.cat((finished_scores, new_scores), dim=1).topk(beams)
        finished = _take(torch.cat((finished, _padded(extended, max_length, pad_token_id)), dim=1), best)
        width = finished_history.shape[-1]
        finished_history = _take(torch.cat((finished_history, _padded(extended_history, width, -1)), dim=1), best)

        # The hypotheses that go on.
        running_scores, best = scores.masked_fill(ends, -torch.inf).topk(beams)
        running, history = _take(extended, best), _take(extended_history, best)

        # A log-probability can only fall, and the penalty is monotonic: no end beats the better of these two.
        nearest = float(wu_length_penalty(length - prompt_length + 1, alpha))
        bound = torch.maximum(running_scores[:, 0] / nearest, running_scores[:, 0] / longest)
        done = finished_scores[:, returned - 1] >= bound
        if generation_config.early_stopping is True:
            done |= finished_scores[:, -1] > -torch.inf
        if done.all() or length >= max_length:
            break
        if cache is not None:  # the beams of a sentence have the same source, so only the target's part moves
            cache.self_attention_cache.reorder_cache(history[..., -1].flatten())
        if decoder_mask is not None:
            decoder_mask = torch.cat((decoder_mask, decoder_mask.new_ones(decoder_mask.shape[0], 1)), dim=-1)

    sequences = finished[:, :returned].flatten(0, 1)
    beam_indices = finished_history[:, :returned].flatten(0, 1)
    generated = int((beam_indices >= 0).sum(dim=-1).max())
    sequences, beam_indices = sequences[:, : prompt_length + generated], beam_indices[:, :generated]
    if not collects:
        return sequences

    def asked_for(flag: Any, name: str) -> tuple | None:
        return tuple(collected[name]) if flag else None

    return GenerateBeamEncoderDecoderOutput(
        sequences=sequences,
        sequences_scores=finished_scores[:, :returned].flatten(),
        scores=asked_for(generation_config.output_scores, "scores"),
        logits=asked_for(generation_config.output_logits, "logits"),
        beam_indices=beam_indices,
        encoder_attentions=encoder_outputs.get("attentions"),
        encoder_hidden_states=encoder_outputs.get("hidden_states"),
        decoder_attentions=asked_for(generation_config.output_attentions, "decoder_attentions"),
        cross_attentions=asked_for(generation_config.output_attentions, "cross_attentions"),
        decoder_hidden_states=asked_for(generation_config.output_hidden_states, "decoder_hidden_states"),
        past_key_values=cache,
    )


def _take(hypotheses: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Returns of `hypotheses` (sentences, n, length) those at `index` (sentences, m), as (sentences, m, length)."""
    return hypotheses.gather(1, index[..., None].expand(-1, -1, hypotheses.shape[-1]))


def _padded(hypotheses: torch.Tensor, length: int, value: int) -> torch.Tensor:
    """Returns `hypotheses` (sentences, n, shorter) filled up with `value` to (sentences, n, length)."""
    return torch.nn.functional.pad(hypotheses, (0, length - hypotheses.shape[-1]), value=value)


__all__ = ["VanillaTransformerGenerationMixin", "paper_generation_config"]

# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""Beam search (section 6.1) in which the beams of a sentence are queries side by side, not sentences of their own.

The decoder's input is (sentences, beams): one new token of each beam. To the source they attend as queries of one
sentence, whose keys and values are there once. Of the target, the keys and values of all beams stand side by side, a
column a step, and never move: when beams change places, only the mask does that says which of them are a beam's past.

            beam 1:  the   old   man          keys:  the the | old young | man lady
            beam 2:  the   young lady         beam 2 sees     1   0 |  0    1   |  0    1
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.generation import (
    EosTokenCriteria,
    GenerateBeamEncoderDecoderOutput,
    GenerateEncoderDecoderOutput,
    LogitsProcessorList,
    MaxLengthCriteria,
    StoppingCriteriaList,
)

# The score of beams that must not win, yet finite: where constraints leave fewer hypotheses than are to be returned,
# these fill the places, as in transformers' search.
OUT_OF_THE_RUNNING = -1e9

# Best words are looked for in the blocks of so many words that have the highest best words.
BLOCK = 64

# So many values at a time are exponentiated on a CPU.
WORKSPACE = 2**18

# Finished sentences leave the batch when they are at least this share of it: leaving copies what stays.
LEAVING_SHARE = 1 / 8

ATTENTIONS_AND_STATES = ("decoder_attentions", "cross_attentions", "decoder_hidden_states")


# ---------------------------------------------------------------------------------------------------------------------
# Length penalties


def wu_length_penalty(length: torch.Tensor | int, alpha: float) -> torch.Tensor | float:
    """
    Returns lp(Y) = ((5 + |Y|) / 6)^alpha, by which a hypothesis's log-probability is divided (Wu et al., 2016,
    equation 14); `length` |Y| counts the generated tokens, the end of sentence included and the start not.
    """
    return ((5 + length) / 6) ** alpha


def power_length_penalty(length: torch.Tensor | int, alpha: float) -> torch.Tensor | float:
    """Returns |Y|^alpha, transformers' penalty; `length` as in [`wu_length_penalty`]."""
    return length**alpha


LENGTH_PENALTIES: dict[str, Callable[[Any, float], Any]] = {"wu": wu_length_penalty, "power": power_length_penalty}


# ---------------------------------------------------------------------------------------------------------------------
# The cache


class PreallocatedLayer(DynamicLayer):
    """Keys and values of one layer in buffers with room to spare, so that a step writes only what is new."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.key_buffer = self.value_buffer = torch.empty(0)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes `key_states` and `value_states` (sentences, h, new, width) behind the others and returns all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        length = held + key_states.shape[-2]
        if held == 0 or length > self.key_buffer.shape[-2]:
            self.key_buffer = self._longer(self.keys if held else key_states[:, :, :0], 2 * length)
            self.value_buffer = self._longer(self.values if held else value_states[:, :, :0], 2 * length)
        self.key_buffer[:, :, held:length] = key_states
        self.value_buffer[:, :, held:length] = value_states
        self.keys, self.values = self.key_buffer[:, :, :length], self.value_buffer[:, :, :length]
        return self.keys, self.values

    @staticmethod
    def _longer(states: torch.Tensor, length: int) -> torch.Tensor:
        sentences, heads, held, width = states.shape
        buffer = states.new_empty(sentences, heads, length, width)
        buffer[:, :, :held] = states
        return buffer

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps the sentences `indices` alone."""
        self.key_buffer = self._longer(self.keys[indices], self.key_buffer.shape[-2])
        self.value_buffer = self._longer(self.values[indices], self.value_buffer.shape[-2])
        length = self.keys.shape[-2]
        self.keys, self.values = self.key_buffer[:, :, :length], self.value_buffer[:, :, :length]


# ---------------------------------------------------------------------------------------------------------------------
# The best continuations


def best_words(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Returns the `count` highest of each row of `logits` (rows, vocabulary) and the words that have them, both (rows,
    count), best first. The same as `topk`, in a quarter of its time: whatever is among the best stands in one of the
    `count` blocks with the best maxima.
    """
    rows, vocabulary = logits.shape
    blocks = vocabulary // BLOCK
    if blocks < 4 * count:
        return logits.topk(count)
    values, dim = _as_stored(logits)
    # A block is of neighbours, or of words that lie `blocks` apart, where the greatest of many are sought at once.
    neighbours = dim == 1 and logits.device.type == "cpu" and logits.dtype == torch.float32
    grid = values.narrow(dim, 0, blocks * BLOCK).unflatten(dim, (blocks, BLOCK) if neighbours else (BLOCK, blocks))
    block = grid.amax(dim + 1 if neighbours else dim).topk(count, dim).indices
    block = block if dim == 1 else block.t()  # (rows, count)
    offsets = torch.arange(BLOCK, device=logits.device)
    words = block[..., None] * BLOCK + offsets if neighbours else block[..., None] + offsets * blocks
    words = words.flatten(1)
    rest = torch.arange(blocks * BLOCK, vocabulary, device=logits.device)  # too few for a block
    words = torch.cat((words, rest.expand(rows, -1)), dim=1)
    best, index = logits.gather(1, words).topk(count)
    return best, words.gather(1, index)


def log_probabilities_of(logits: torch.Tensor, best: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """
    Returns the log-probabilities (rows, count) of `words` (rows, count), whose logits among `logits` (rows,
    vocabulary) are `best` (rows, count), the greatest of the row first, in the precision of `best`.
    """
    if logits.device.type != "cpu":  # in one kernel
        return logits.log_softmax(dim=-1, dtype=best.dtype).gather(1, words)
    values, dim = _as_stored(logits)
    greatest = best[:, :1] if dim == 1 else best[:, :1].t()
    # Some words at a time: a second tensor of the logits' size would be fetched from the system anew at every step.
    pieces = values.split(max(1, WORKSPACE // len(logits)), dim)
    sums = torch.stack([(piece - greatest).exp_().sum(dim, keepdim=True) for piece in pieces])
    return best - (sums.sum(0).log_() + greatest).view(-1, 1)


def _as_stored(logits: torch.Tensor) -> tuple[torch.Tensor, int]:
    """
    Returns `logits` (rows, vocabulary) as they lie in memory, and the vocabulary's dimension there: a product of few
    rows leaves them transposed (see VanillaTransformerLinear).
    """
    return (logits, 1) if logits.stride(1) == 1 else (logits.t(), 0)


# ---------------------------------------------------------------------------------------------------------------------
# The search


class Trace:
    """What the search remembers of its steps, to read hypotheses back from their last word to the first."""

    def __init__(self) -> None:
        self.words: list[torch.Tensor] = []  # of each step, the candidates' words (sentences, candidates)
        self.origins: list[torch.Tensor] = []  # ... the beams that the candidates continue (sentences, candidates)
        self.kept: list[torch.Tensor] = []  # ... the candidates that became its beams (sentences, beams)

    def __len__(self) -> int:
        return len(self.words)

    def add(self, words: torch.Tensor, origins: torch.Tensor, kept: torch.Tensor):
        """Remembers a step."""
        for steps, values in ((self.words, words), (self.origins, origins), (self.kept, kept)):
            steps.append(values)

    def select(self, sentences: torch.Tensor):
        """Forgets all sentences but `sentences`."""
        for steps in (self.words, self.origins, self.kept):
            steps[:] = [values[sentences] for values in steps]

    def read(
        self, sentences: torch.Tensor, steps: torch.Tensor, candidates: torch.Tensor, fill: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Returns hypotheses of `sentences` (n,): those that end with candidate `candidates` of step `steps`, both (n,
        hypotheses). Their words and the beams that the words continued are both (n, hypotheses, steps so far); behind
        a hypothesis stand `fill` and -1, and one whose step is -1 is empty.
        """
        words = steps.new_full((*steps.shape, len(self)), fill)
        origins = torch.full_like(words, -1)
        beam = torch.zeros_like(steps)
        for step in range(len(self) - 1, -1, -1):
            candidate = self.kept[step][sentences].gather(1, beam).where(steps != step, candidates)
            beam = self.origins[step][sentences].gather(1, candidate)
            inside = steps >= step
            words[..., step] = self.words[step][sentences].gather(1, candidate).where(inside, fill)
            origins[..., step] = beam.where(inside, -1)
        return words, origins


class BeamSearch:
    """
    The state of a beam search. Its tensors are those of the sentences that are still searched for, and `places` says
    which of the batch's those are.
    """

    def __init__(
        self,
        model,
        input_ids: torch.Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        length_penalty_type: str,
        limits: torch.Tensor | None,
        model_kwargs: dict[str, Any],
    ):
        self.model, self.config, self.logits_processor = model, generation_config, logits_processor
        self.beams = generation_config.num_beams
        self.greedy = self.beams == 1
        self.returned = generation_config.num_return_sequences
        self.length_penalty, self.alpha = LENGTH_PENALTIES[length_penalty_type], generation_config.length_penalty
        # transformers' own rule for early_stopping=False takes the present length for the best one.
        self.guesses = length_penalty_type == "power" and generation_config.early_stopping is False
        end = generation_config.eos_token_id
        ends = [] if end is None else end if isinstance(end, list) else [end]
        # So many that beams enough go on even if the best ones all end here.
        self.candidates = 1 if self.greedy else max(2, 1 + len(ends)) * self.beams

        prompt, device = input_ids[:: self.beams], input_ids.device  # beams of a sentence begin alike
        self.fill = generation_config.pad_token_id  # behind what is finished
        if self.fill is None:
            self.fill = ends[0] if ends else 0
        # The caller's criteria stand in the place of those that follow from the configuration.
        ends = [word for one in stopping_criteria if isinstance(one, EosTokenCriteria) for word in one.eos_token_id]
        self.end_tokens = torch.tensor(ends, dtype=torch.long, device=device)
        self.encoder_outputs = model_kwargs["encoder_outputs"]
        self.source = self.encoder_outputs[0][:: self.beams].contiguous()
        dtype = self.source.dtype
        # So few queries are a matter of plain products on a CPU; flash and flex attention take no mask of beams.
        implementation = model.config._attn_implementation
        self.attention = "eager" if device.type == "cpu" or implementation == "eager" else "sdpa"
        seen = model_kwargs.get("attention_mask")
        if seen is None:
            seen = torch.ones(self.source.shape[:2], device=device)
        else:
            seen = seen[:: self.beams]
        self.source_mask = _added(seen, dtype)[:, None, None]  # (sentences, 1, 1, source length)
        self.prompt = prompt
        sentences, self.prompt_length = prompt.shape
        # Which of the target's keys a beam sees, added to its attention scores: (sentences, beams, keys)
        self.mask = self.source.new_zeros(sentences, self.beams, self.prompt_length)
        seen = model_kwargs.get("decoder_attention_mask")
        if seen is not None:
            self.mask += _added(seen[:: self.beams], dtype)[:, None]
        self.own = _added(torch.eye(self.beams, device=device), dtype)  # of a step's keys, those of each beam
        self.cache = EncoderDecoderCache(
            Cache(layers=[PreallocatedLayer() for _ in range(model.config.decoder_layers)]), DynamicCache()
        )

        longest = min(generation_config.max_length, stopping_criteria.max_length or generation_config.max_length)
        self.longest = longest = max(1, longest - self.prompt_length)  # steps of any sentence
        self.limits = torch.full((sentences,), longest, device=device) if limits is None else limits.clamp(max=longest)
        own = (EosTokenCriteria, MaxLengthCriteria)  # what the search looks after itself
        self.criteria = StoppingCriteriaList(one for one in stopping_criteria if not isinstance(one, own))
        wanted = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")
        collects = generation_config.return_dict_in_generate
        self.collects = {name for name in wanted if collects and getattr(generation_config, name)}
        self.rows = None  # all words of each beam (sentences, beams, length), where somebody wants to see them
        if logits_processor or self.criteria:
            self.rows = prompt[:, None].expand(-1, self.beams, -1)
        # Who sees rows, or gets one of each step, relies on their order: then all sentences stay to the end.
        self.all_stay = self.rows is not None or bool(self.collects)

        self.places = torch.arange(sentences, device=device)
        self.words = prompt.new_empty(sentences, self.beams)  # the newest of each beam
        dtype = torch.promote_types(dtype, torch.float32)
        # Log-probabilities of the beams (sentences, beams). All begin alike, so only the first may speak.
        self.scores = self.source.new_full((sentences, self.beams), OUT_OF_THE_RUNNING, dtype=dtype)
        self.scores[:, 0] = 0
        # The best finished hypotheses (sentences, beams), best first: scores, steps and candidates of the last words.
        self.finished_scores = torch.full_like(self.scores, -torch.inf)
        self.finished_steps = prompt.new_full((sentences, self.beams), -1)
        self.finished_candidates = torch.zeros_like(self.finished_steps)
        self.done = torch.zeros_like(self.places, dtype=torch.bool)
        self.trace = Trace()
        self.results: list[tuple[torch.Tensor, ...]] = []  # of sentences that have left
        self.collected: dict[str, list] = {name: [] for name in ("scores", "logits", *ATTENTIONS_AND_STATES)}

    def advance(self) -> bool:
        """Adds a word to every beam. Returns whether the search goes on."""
        self._step(len(self.trace))
        leaving = int(self.done.sum())
        if leaving == len(self.places):
            return False
        if leaving >= LEAVING_SHARE * len(self.places) and not self.all_stay:
            self._leave()
        return True

    def _step(self, step: int | torch.Tensor):
        """Adds the word of step `step`, counted from 0, to every beam; a tensor (1,) if the step is to be replayed."""
        best, words = self._best_words_of_beams(step)  # (sentences, beams, some)
        total = best if self.greedy else self.scores[..., None] + best
        scores, index = total.flatten(1).topk(self.candidates)  # (sentences, candidates)
        origins, words = index // best.shape[-1], words.flatten(1).gather(1, index)
        if self.greedy:  # as in transformers' search, sentences that are done go on with padding
            words = words.masked_fill(self.done[:, None], self.fill)
        ends = (words[..., None] == self.end_tokens).any(-1) | (step + 1 >= self.limits)[:, None]
        rows = None
        if self.rows is not None:
            rows = torch.cat((take(self.rows, origins), words[..., None]), dim=-1)
            if self.criteria:
                collected = tuple(self.collected["scores"]) if "output_scores" in self.collects else None
                ends |= self.criteria(rows.flatten(0, 1), collected).view_as(ends)

        self._finish(scores, ends, step)
        self.scores, kept = scores.masked_fill(ends, -torch.inf).topk(self.beams)
        self.words = words.gather(1, kept)
        self.trace.add(words, origins, kept)
        self._decide(step + 1)
        if rows is not None:
            self.rows = take(rows, kept)
        self.mask = self._longer_mask(origins.gather(1, kept))

    def _longer_mask(self, origins: torch.Tensor) -> torch.Tensor:
        """Returns the mask of the beams that continue `origins` (sentences, beams) by a word."""
        # The new words' keys come behind the others, and each beam sees its own.
        own = self.own.expand(len(origins), -1, -1)
        return torch.cat((take(self.mask, origins), own), dim=-1)

    def _best_words_of_beams(self, step: int | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns log-probabilities (greedy: logits) and words (sentences, beams, some), the best first."""
        logits = self._logits(step)
        sentences, beams, vocabulary = logits.shape
        count = min(self.candidates, vocabulary)
        flat = logits.flatten(0, 1)
        if not self.all_stay:
            best, words = best_words(flat, count)
            best = best.to(self.scores.dtype)
            if not self.greedy:
                best = log_probabilities_of(flat, best, words)
        else:
            flat = flat.to(self.scores.dtype).contiguous()
            if beams < self.beams:  # the prompt's, one for all beams
                flat, beams = flat.repeat_interleave(self.beams, dim=0), self.beams
            processed = flat if self.greedy else flat.log_softmax(dim=-1)
            if self.rows is not None:
                processed = self.logits_processor(self.rows.flatten(0, 1), processed.clone())
            for name, values in (("scores", processed), ("logits", flat)):
                if f"output_{name}" in self.collects:
                    self.collected[name].append(values)
            best, words = best_words(processed, count)
        shape = (sentences, self.beams, count)
        return best.view(sentences, beams, count).expand(shape), words.view(sentences, beams, count).expand(shape)

    def _logits(self, step: int | torch.Tensor) -> torch.Tensor:
        """Runs the decoder over the newest words, at first the prompt: (sentences, beams or 1, vocabulary)."""
        length = self.prompt_length
        first = len(self.trace) == 0
        if first:
            later = torch.ones(length, length, device=self.mask.device).tril()
            mask = self.mask[:, :1] + _added(later, self.mask.dtype)  # (sentences, prompt length, prompt length)
            positions = torch.arange(length, device=mask.device)
        else:
            mask = self.mask
            positions = torch.full((self.beams,), length - 1, device=mask.device) + step
        outputs = self.model(
            decoder_input_ids=self.prompt if first else self.words,
            decoder_attention_mask=mask[:, None],
            decoder_position_ids=positions,
            encoder_outputs=(self.source,),
            attention_mask=self.source_mask,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1 if first else 0,
            attn_implementation=self.attention,
            output_attentions="output_attentions" in self.collects,
            output_hidden_states="output_hidden_states" in self.collects,
        )
        if self.collects:
            self._collect(outputs)
        return outputs.logits

    def _finish(self, scores: torch.Tensor, ends: torch.Tensor, step: int | torch.Tensor):
        """Adds those of the best candidates that end here to the finished hypotheses, and keeps the best of all."""
        scores, ends = scores[:, : self.beams], ends[:, : self.beams]
        # With one beam the first end is the end, whatever its score.
        scores = torch.zeros_like(scores) if self.greedy else scores / self.penalty(step + 1)
        scores = scores.masked_fill(~ends | self.done[:, None], -torch.inf)
        self.finished_scores, best = torch.cat((self.finished_scores, scores), dim=1).topk(self.beams)
        steps = torch.zeros_like(self.finished_steps) + step
        self.finished_steps = torch.cat((self.finished_steps, steps), dim=1).gather(1, best)
        candidates = torch.arange(self.beams, device=best.device).expand_as(steps)
        self.finished_candidates = torch.cat((self.finished_candidates, candidates), dim=1).gather(1, best)

    def penalty(self, length: int | torch.Tensor) -> float | torch.Tensor:
        """Returns what log-probabilities of `length` words are divided by."""
        return self.length_penalty(length if isinstance(length, int) else length.to(self.scores.dtype), self.alpha)

    def _decide(self, length: int | torch.Tensor):
        """Marks the sentences whose search is over after `length` words."""
        worst, best = self.finished_scores[:, -1], self.scores[:, 0]
        if self.greedy or self.config.early_stopping is True:
            over = worst > -torch.inf
        elif self.guesses:
            over = (worst > -torch.inf) & (worst >= best / self.penalty(length))
        elif self.logits_processor:  # which may raise log-probabilities; transformers' rule
            lengths = self.limits if self.config.length_penalty > 0 else length
            over = (worst > -torch.inf) & (worst >= best / self.penalty(lengths))
        else:
            # A log-probability can only fall, and the penalty is monotonic: no end beats the better of these two.
            bound = torch.maximum(best / self.penalty(length + 1), best / self.penalty(self.limits))
            over = self.finished_scores[:, self.returned - 1] >= bound
        self.done |= over | (length >= self.limits)

    def _leave(self):
        """Puts the sentences that are done aside, and goes on with the others."""
        done, stay = self.done.nonzero()[:, 0], (~self.done).nonzero()[:, 0]
        self._put_aside(done)
        tensors = ("places", "words", "scores", "limits", "done", "source", "source_mask", "mask")
        tensors += ("finished_scores", "finished_steps", "finished_candidates")
        for name in tensors:
            setattr(self, name, getattr(self, name)[stay])
        self.cache.self_attention_cache.batch_select_indices(stay)
        self.cache.cross_attention_cache.batch_select_indices(stay)
        self.trace.select(stay)

    def _put_aside(self, sentences: torch.Tensor):
        """Reads what is to be returned of `sentences` (n,)."""
        best = (sentences, slice(self.returned))
        words, origins = self.trace.read(
            sentences, self.finished_steps[best], self.finished_candidates[best], self.fill
        )
        self.results.append((self.places[sentences], self.finished_scores[best], words, origins))

    def result(self) -> GenerateBeamEncoderDecoderOutput | GenerateEncoderDecoderOutput | torch.Tensor:
        """Returns what `generate` returns."""
        self._put_aside(torch.arange(len(self.places), device=self.places.device))
        steps = max(words.shape[-1] for _, _, words, _ in self.results)
        order = torch.cat([places for places, *_ in self.results]).argsort()
        scores = torch.cat([scores for _, scores, _, _ in self.results])[order].flatten()
        words, origins = (
            torch.cat([_padded(result[field], steps, fill) for result in self.results])[order].flatten(0, 1)
            for field, fill in ((2, self.fill), (3, -1))
        )
        length = int((origins >= 0).sum(dim=-1).max())
        prompt = self.prompt.repeat_interleave(self.returned, dim=0)
        sequences = torch.cat((prompt, words[:, :length]), dim=-1)
        if not self.config.return_dict_in_generate:
            return sequences

        attends, has_states = ("output_attentions" in self.collects, "output_hidden_states" in self.collects)
        output = {
            "sequences": sequences,
            "encoder_attentions": self.encoder_outputs.get("attentions") if attends else None,
            "encoder_hidden_states": self.encoder_outputs.get("hidden_states") if has_states else None,
        }
        output |= {name: tuple(values) if values else None for name, values in self.collected.items()}
        if self.greedy:
            return GenerateEncoderDecoderOutput(**output)
        first_row = torch.arange(len(order), device=order.device).repeat_interleave(self.returned) * self.beams
        rows = (origins + first_row[:, None]).where(origins >= 0, -1)[:, :length]
        return GenerateBeamEncoderDecoderOutput(**output, sequences_scores=scores, beam_indices=rows)

    def _collect(self, outputs: Any):
        """Keeps attention weights and hidden states of a step as transformers' search has them, a beam a row."""
        if "output_attentions" in self.collects:
            self.collected["cross_attentions"].append(self._rows_of(outputs.cross_attentions))
            self.collected["decoder_attentions"].append(self._rows_of(outputs.decoder_attentions, own_past=True))
        if "output_hidden_states" in self.collects:
            rows = self._rows_of(tuple(layer[:, None] for layer in outputs.decoder_hidden_states))
            self.collected["decoder_hidden_states"].append(tuple(layer[:, 0] for layer in rows))

    def _rows_of(self, layers: tuple, own_past: bool = False) -> tuple:
        """
        Returns for each layer's (sentences, h, queries, width) what the beams have as rows (sentences * beams, h,
        queries, width); with `own_past`, of the keys of all beams a beam's own.
        """
        if not layers or layers[0] is None:  # attention that gives no weights
            return layers
        if len(self.trace) == 0:  # the prompt's, which all beams share
            return tuple(layer.repeat_interleave(self.beams, dim=0) for layer in layers)
        layers = tuple(layer.transpose(1, 2) for layer in layers)  # (sentences, beams, h, width)
        if own_past:
            sentences, beams, heads, _ = layers[0].shape
            prompt = torch.arange(self.prompt_length, device=self.places.device).expand(sentences, beams, -1)
            later = (self.mask[..., self.prompt_length :] == 0).nonzero()[:, -1].view(sentences, beams, -1)
            keys = torch.cat((prompt, later + self.prompt_length), dim=-1)[:, :, None].expand(-1, -1, heads, -1)
            layers = tuple(layer.gather(-1, keys) for layer in layers)
        return tuple(layer.flatten(0, 1)[:, :, None] for layer in layers)


def _added(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Returns `mask`, 1 where attention may go and 0 elsewhere, as what is added to the scores."""
    return (1 - mask.to(dtype)) * torch.finfo(dtype).min


def take(hypotheses: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Returns of `hypotheses` (sentences, n, length) those at `index` (sentences, m), as (sentences, m, length)."""
    return hypotheses.gather(1, index[..., None].expand(-1, -1, hypotheses.shape[-1]))


def _padded(hypotheses: torch.Tensor, length: int, value: int) -> torch.Tensor:
    """Returns `hypotheses` (sentences, n, shorter) filled up with `value` to (sentences, n, length)."""
    return torch.nn.functional.pad(hypotheses, (0, length - hypotheses.shape[-1]), value=value)

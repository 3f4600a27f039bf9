"""How probable a model finds given translations: log-probabilities of pairs, and the perplexity that follows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from modeling_vanilla_transformer.beam_search_vanilla_transformer import wu_length_penalty
from training.batching import TokenBudgetBatches

# Target tokens whose logits are in memory together: with 37,000 words, 150 MB.
_TOKENS_AT_ONCE = 1024


@dataclass(frozen=True)
class PairScore:
    """A model's score of one given translation."""

    log_probability: float
    """log P(target | source), the natural logarithm, summed over the target's tokens."""
    tokens: int
    """The target's tokens, its end of sentence included."""

    def penalised(self, alpha: float) -> float:
        """The score by which the paper's beam search ranks translations (Wu et al., 2016, equation 14)."""
        return self.log_probability / float(wu_length_penalty(self.tokens, alpha))


@torch.no_grad()
def score_pairs(
    model: Any,
    tokenizer: Any,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    batch_tokens: int = 4096,
    accelerator: Accelerator | None = None,
    progress: bool = False,
) -> list[PairScore]:
    """The model's score of each pair, by forced decoding, in the order given.

    Args:
        model: the bare model.
        tokenizer: its tokenizer.
        sources: a sentence each.
        targets: a translation of each. An empty one is scored as the end of sentence alone.
        batch_tokens: token slots of a batch on each side, padding included.
        accelerator: shares the work between its processes, each of which returns all scores; None: one process.
        progress: whether to show a progress bar.
    """
    processes = accelerator.num_processes if accelerator else 1
    process = accelerator.process_index if accelerator else 0
    # What looks like a special token in the text, such as </s>, is ordinary characters.
    source_ids = tokenizer(list(sources), split_special_tokens=True)["input_ids"]
    target_ids = tokenizer(text_target=list(targets), split_special_tokens=True)["input_ids"]
    source_lengths, target_lengths = (np.array([len(ids) for ids in side]) for side in (source_ids, target_ids))
    budget = max(batch_tokens, int(source_lengths.max()), int(target_lengths.max())) * processes
    batches = TokenBudgetBatches(source_lengths, target_lengths, budget, processes=processes, shuffle=False)
    was_training = model.training
    model.eval()
    found: list[tuple[int, float]] = []
    with tqdm(total=len(source_ids), desc="scoring pairs", unit="pairs", disable=not progress) as bar:
        for (part,) in batches.for_process(batches.epoch(0)[::-1], process):
            indices = part.indices
            if len(indices):
                values = log_probabilities(
                    model, [source_ids[index] for index in indices], [target_ids[index] for index in indices]
                )
                found += zip(indices.tolist(), values.tolist(), strict=True)
                bar.update(len(indices) * processes)
    model.train(was_training)
    if processes > 1:
        found = gather_object(found)
    by_pair = dict(found)
    return [PairScore(by_pair[index], int(length)) for index, length in enumerate(target_lengths)]


def log_probabilities(model: Any, sources: list[list[int]], targets: list[list[int]]) -> npt.NDArray[np.float64]:
    """log P of each target given its source, `(pairs,)`."""
    pad = model.config.pad_token_id
    input_ids, source_mask = padded(sources, pad, model.device)
    labels, target_mask = padded(targets, pad, model.device)
    hidden = model.model(
        input_ids=input_ids,
        attention_mask=source_mask.long(),
        decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
        use_cache=False,
    ).last_hidden_state
    # Padding is left out, and the logits of all tokens are never in memory together.
    states, tokens = hidden[target_mask], labels[target_mask]  # (tokens, d_model), (tokens,)
    chosen = []
    for state, token in zip(states.split(_TOKENS_AT_ONCE), tokens.split(_TOKENS_AT_ONCE), strict=True):
        logits = model.lm_head(state)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        chosen.append(logits.gather(-1, token[:, None])[:, 0] - logits.logsumexp(-1))
    lengths = [len(target) for target in targets]
    return np.array([pair.sum().item() for pair in torch.cat(chosen).double().cpu().split(lengths)])


def padded(ids: list[list[int]], value: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of ids as one tensor padded on the right, `(pairs, longest)`, and which of its places hold ids."""
    lengths = torch.tensor([len(sentence) for sentence in ids])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    rows = torch.full(mask.shape, value)
    rows[mask] = torch.tensor([token for sentence in ids for token in sentence])
    return rows.to(device), mask.to(device)


def perplexity_of(scores: Sequence[PairScore]) -> float:
    """Perplexity per target token, end of sentence included: exp(-sum of log-probabilities / tokens)."""
    nats = -sum(score.log_probability for score in scores)
    return math.exp(min(nats / sum(score.tokens for score in scores), 700.0))  # exp(710) is beyond a float


def bits_per_character(scores: Sequence[PairScore], targets: Sequence[str]) -> float:
    """-log2 P of all targets by their characters, line ends included: unlike perplexity per token it can be compared
    between models of different vocabularies."""
    return -sum(score.log_probability for score in scores) / math.log(2) / sum(len(target) + 1 for target in targets)


def write_pair_scores(path: Path, scores: Sequence[PairScore], alpha: float) -> None:
    """A line for each pair, in order, with columns named in a first line and divided by tabs: log_probability, tokens
    and score, which is `PairScore.penalised` with this alpha."""
    lines = [f"{score.log_probability:.6f}\t{score.tokens}\t{score.penalised(alpha):.6f}\n" for score in scores]
    path.write_text("log_probability\ttokens\tscore\n" + "".join(lines), encoding="utf-8")

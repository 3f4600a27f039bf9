"""Scoring: perplexity of pairs, translations of lines, BLEU of translations."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm
from transformers import GenerationConfig

from training.batching import TokenBudgetBatches
from training.data import TokenizedPairs
from training.recipe import RecipeError
from training.translation import Translator

BLEU_MODULE = Path(__file__).parent / "bleu"


@torch.no_grad()
def perplexity(
    model: torch.nn.Module, pairs: TokenizedPairs, accelerator: Accelerator, tokens_per_batch: int
) -> float:
    """Perplexity per target token, end of sentence included, without label smoothing, over all processes.

    Args:
        model: the bare model (`accelerator.unwrap_model`), so that no process waits for another in its forward pass.
        pairs: what to score.
        accelerator: says which share is this process's.
        tokens_per_batch: padded slots on each side of a batch, over all processes together.
    """
    longest = int(max(pairs.source_lengths.max(), pairs.target_lengths.max()))
    batches = TokenBudgetBatches(
        pairs.source_lengths,
        pairs.target_lengths,
        max(tokens_per_batch, longest),
        processes=accelerator.num_processes,
        shuffle=False,
    )
    was_training = model.training
    model.eval()
    total = torch.zeros((), dtype=torch.float64, device=accelerator.device)
    for (part,) in batches.for_process(batches.epoch(0), accelerator.process_index):
        if len(part):
            batch = to_device(pairs.batch(part.indices, model.config.pad_token_id), accelerator.device)
            total += model(
                **batch, label_smoothing=0.0, num_items_in_batch=1, return_logits=False, use_cache=False
            ).loss
    model.train(was_training)
    total = accelerator.reduce(total, reduction="sum")
    return math.exp(min(total.item() / int(pairs.target_lengths.sum()), 700.0))  # exp(710) is beyond a float


def to_device(batch: dict[str, np.ndarray], device: torch.device) -> dict[str, torch.Tensor]:
    """The arrays of a batch as tensors on a device, without waiting for the copy."""
    return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in batch.items()}


@torch.no_grad()
def translate(
    model: Any,
    tokenizer: Any,
    lines: Sequence[str],
    *,
    generation_config: GenerationConfig | None = None,
    batch_tokens: int = 4096,
    accelerator: Accelerator | None = None,
    progress: bool = False,
) -> list[str]:
    """Translate lines by `model.generate`, in batches of similar length, in the order given.

    Args:
        model: the bare model.
        tokenizer: its tokenizer.
        lines: a sentence each; an empty line, or one of blanks alone, gives an empty line. Each is translated as a
            whole, to one line.
        generation_config: the search; None for the model's own.
        batch_tokens: source token slots of a batch, padding included.
        accelerator: shares the work between its processes, each of which returns all translations; None: one process.
        progress: whether to show a progress bar.
    """
    translator = Translator(model, tokenizer, generation_config, batch_tokens=batch_tokens, accelerator=accelerator)
    was_training = model.training
    model.eval()
    with tqdm(total=len(lines), desc="translating", unit="lines", disable=not progress) as bar:
        found = translator(lines, bar.update)
        bar.update(len(lines) - bar.n)  # what is told in between is about right
    model.train(was_training)
    return [best.text for best, *_ in found]


def bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a", lowercase: bool = False
) -> dict[str, Any]:
    """Corpus BLEU by the repository's own `evaluate` module: `bleu` (0 to 100), sacreBLEU's `signature` and more."""
    # In memory: the module's default is a file that simultaneous runs would fight over.
    metric = evaluate.load(str(BLEU_MODULE), keep_in_memory=True)
    return metric.compute(
        predictions=list(hypotheses), references=list(references), tokenize=tokenize, lowercase=lowercase
    )


def check_bleu(tokenize: str) -> None:
    """Pass where sacreBLEU can tokenise so: some ways need a package, or a download, of their own.

    Raises:
        RecipeError: it cannot; the message is sacreBLEU's, which names the package.
    """
    try:
        bleu(["a b c d"], ["a b c d"], tokenize=tokenize)
    except Exception as error:  # ImportError, RuntimeError, or whatever a download raises
        raise RecipeError(
            f"bleu_tokenize: {tokenize} does not work here: {' '.join(str(error).split())} Or choose another."
        ) from error

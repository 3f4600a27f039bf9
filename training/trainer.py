"""Seq2SeqTrainer with the paper's label smoothing, losses per target token, and evaluation by the model's search."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction, Seq2SeqTrainer
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from training.data import IGNORED_LABEL, TokenizedPairs
from training.evaluation import bleu
from training.loading import search_of
from training.loop import NonFiniteLossError


class Examples(torch.utils.data.Dataset):
    """Tokenised pairs one by one, as Trainer takes them: input_ids and labels, lists of ids.

    The index None gives a pair that no loss counts.
    """

    def __init__(self, pairs: TokenizedPairs) -> None:
        self.pairs = pairs
        self.lengths = np.maximum(pairs.source_lengths, pairs.target_lengths).tolist()
        """Tokens of each pair's longer side."""

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int | None) -> dict[str, list[int]]:
        if index is None:
            return {"input_ids": self[0]["input_ids"][-1:], "labels": [IGNORED_LABEL]}
        batch = self.pairs.batch(np.array([index]), pad_token_id=0)  # of one pair, so without padding
        return {name: batch[name][0].tolist() for name in ("input_ids", "labels")}


class LengthGroups(LengthGroupedSampler):
    """Indices grouped by length and shuffled by seed and epoch alone, so that every process draws the same ones, and a
    run that goes on does too.

    An epoch ends with as many None as make its last batches whole: Accelerate would fill them up with pairs from the
    epoch's start, which would then be learned from twice.

    Args:
        size: sentence pairs of a whole update, so that updates don't depend on how they are divided into parts.
        share: sentence pairs that all processes together take at a time.
        lengths: of each pair.
        seed: of the run.
        epoch: says which epoch it is.
    """

    def __init__(self, size: int, share: int, lengths: list[int], seed: int, epoch: Callable[[], int]) -> None:
        super().__init__(size, lengths=lengths)
        self.filling, self.seed, self.epoch = -len(lengths) % share, seed, epoch

    def __len__(self) -> int:
        return len(self.lengths) + self.filling

    def __iter__(self) -> Any:
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        return iter(
            get_length_grouped_indices(self.lengths, self.batch_size, generator=generator) + [None] * self.filling
        )


class TranslationTrainer(Seq2SeqTrainer):
    """Seq2SeqTrainer, on `Examples`, whose losses are sums over target tokens divided by their global number.

    In training the loss is the model's own label-smoothed one, which gradient accumulation and several processes
    divide by the target tokens of the whole update. In evaluation it is unsmoothed, every pair counts once, and
    translations are made by the model's own search unless the arguments say otherwise.
    """

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        use_cache = model.config.use_cache
        super().__init__(model, *args, **kwargs)
        model.config.use_cache = use_cache  # which Trainer turns off, also for whoever loads the saved model
        self.label_smoother = None  # Trainer's, which would smooth the loss of evaluation too
        self.own_search = copy.deepcopy(model.generation_config)
        self.search = search_of(model)
        """The model's own search for one translation a sentence, with the paper's limit where it has none."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The model's loss, label-smoothed in training, where it holds no logits."""
        if model.training:
            inputs = {**inputs, "label_smoothing": self.args.label_smoothing_factor, "return_logits": False}
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        arguments = self.args
        share = self._train_batch_size * arguments.world_size  # which auto_find_batch_size lowers
        return LengthGroups(
            share * arguments.gradient_accumulation_steps,
            share if arguments.world_size > 1 else 1,
            self.train_dataset.lengths,
            arguments.seed if arguments.data_seed is None else arguments.data_seed,
            epoch=lambda: int(self.state.epoch or 0),
        )

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As Seq2SeqTrainer's, without a draw from the random numbers of training: resumed from a checkpoint that was
        saved before the evaluation, it goes on with the same ones."""
        with torch.random.fork_rng([self.args.device] if self.args.device.type == "cuda" else []):
            return super().evaluate(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As Seq2SeqTrainer's, without the pairs that fill up the last batch of several processes."""
        self.gather_function = self.accelerator.gather_for_metrics
        return super().evaluation_loop(*args, **kwargs)

    @torch.no_grad()
    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[None, tuple[torch.Tensor, ...], torch.Tensor]:
        """What `Scores` needs: the unsmoothed loss of each pair, summed over its tokens, `(batch,)`; with
        `predict_with_generate` the translations `(batch, length)`; the labels."""
        inputs = self._prepare_inputs(inputs)
        labels = inputs.pop("labels")
        logits = model(**inputs, use_cache=False).logits.float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(dim=-1)
        if not self.args.predict_with_generate or prediction_loss_only:
            return None, (losses,), labels
        chosen = {key: value for key, value in (gen_kwargs or self._gen_kwargs).items() if value is not None}
        source = {key: inputs[key] for key in ("input_ids", "attention_mask")}
        search = copy.deepcopy(self.search)
        if "max_length" in chosen:  # over a limit of another kind too; the start token counts in it
            search.max_length, search.max_new_tokens = None, chosen.pop("max_length") - 1
        others = search.update(**chosen)
        return None, (losses, self.model.generate(**source, generation_config=search, **others)), labels

    def save_model(self, *args: Any, **kwargs: Any) -> None:
        """As Trainer's, with the search that the model came with: Trainer writes defaults of its own into it."""
        self.model.generation_config = copy.deepcopy(self.own_search)
        super().save_model(*args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """As Trainer's.

        Raises:
            NonFiniteLossError: a loss that is no number, which training can only make worse.
        """
        if not math.isfinite(logs.get("loss", 0.0)):
            raise NonFiniteLossError(
                f"the loss became {logs['loss']} by update {self.state.global_step}; start anew with a lower "
                f"learning_rate in another output_dir, where --model may be a checkpoint in {self.args.output_dir}"
            )
        super().log(logs, *args, **kwargs)


@dataclass
class Scores:
    """Trainer's `compute_metrics`: loss and perplexity per target token, unsmoothed, and BLEU."""

    tokenizer: Any
    bleu_tokenize: str = "13a"
    bleu_lowercase: bool = False

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        labels = prediction.label_ids
        losses, *translations = prediction.predictions
        loss = float(losses.sum(dtype=np.float64) / (labels != IGNORED_LABEL).sum())
        scores = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}  # exp(710) is beyond a float
        for tokens in translations:
            scores["bleu"] = self.bleu(self._text(tokens), self._text(labels))["bleu"]
        return scores

    def _text(self, ids: np.ndarray) -> list[str]:
        padded = np.where(ids < 0, self.tokenizer.pad_token_id, ids)
        return self.tokenizer.batch_decode(padded, skip_special_tokens=True)

    def bleu(self, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        """BLEU with its signature."""
        return bleu(hypotheses, references, tokenize=self.bleu_tokenize, lowercase=self.bleu_lowercase)

"""Three ways to train the same Transformer: ours, MarianMT with Seq2SeqTrainer, PyTorch's own in a plain loop."""

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn
from transformers import (
    DataCollatorForSeq2Seq,
    MarianConfig,
    MarianMTModel,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

from modeling_vanilla_transformer import VanillaTransformerConfig, VanillaTransformerForConditionalGeneration
from training.compilation import prepare_for_training

LABEL_SMOOTHING = 0.1
Batch = dict[str, torch.Tensor]
Clock = Callable[[], float]


def fused_adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-5, betas=(0.9, 0.98), eps=1e-9, fused=True)


class Ours:
    """This project's model and loss, set up as the training loop does it."""

    name = "ours"

    def __init__(self, config: VanillaTransformerConfig, device: str, bf16: bool, compile: bool):
        self.device, self.bf16 = device, bf16
        self.model = VanillaTransformerForConditionalGeneration(config).to(device).train()
        prepare_for_training(self.model, compile=compile)
        self.optimizer = fused_adam(self.model)

    def update(self, parts: Sequence[Batch]) -> None:
        tokens = sum((part["labels"] != -100).sum() for part in parts).to(self.device)
        for part in parts:
            part = {name: tensor.to(self.device, non_blocking=True) for name, tensor in part.items()}
            with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
                loss = self.model(
                    **part,
                    label_smoothing=LABEL_SMOOTHING,
                    num_items_in_batch=tokens,
                    return_logits=False,
                    use_cache=False,
                ).loss
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def seconds(self, updates: Sequence[Sequence[Batch]], clock: Clock) -> float:
        """What the updates take, but for the first, which only warms up."""
        self.update(updates[0])
        started = clock()
        for parts in updates[1:]:
            self.update(parts)
        return clock() - started


class PlainLoop(Ours):
    """`torch.nn.Transformer` as tutorials train it: padded batches, masks, `CrossEntropyLoss` of all logits."""

    name = "torch.nn.Transformer, plain loop"

    def __init__(self, config: VanillaTransformerConfig, device: str, bf16: bool, compile: bool):
        self.device, self.bf16 = device, bf16
        self.model = _TutorialTransformer(config).to(device).train()
        self.optimizer = fused_adam(self.model)
        self.run = torch.compile(self.model) if compile else self.model
        self.loss = nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=LABEL_SMOOTHING)

    def update(self, parts: Sequence[Batch]) -> None:
        for part in parts:
            part = {name: tensor.to(self.device, non_blocking=True) for name, tensor in part.items()}
            read = shifted(part["labels"])
            with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
                logits = self.run(part["input_ids"], read, part["attention_mask"] == 0, read == 0)
                loss = self.loss(logits.flatten(0, 1), part["labels"].flatten())
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class _TutorialTransformer(nn.Module):
    def __init__(self, config: VanillaTransformerConfig, positions: int = 512):
        super().__init__()
        self.scale = math.sqrt(config.d_model)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model, padding_idx=0)
        self.transformer = nn.Transformer(
            config.d_model,
            config.encoder_attention_heads,
            config.encoder_layers,
            config.decoder_layers,
            config.encoder_ffn_dim,
            config.dropout,
            batch_first=True,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.d_model, config.vocab_size)
        self.output.weight = self.embedding.weight  # the same number of weights as the others
        angles = torch.arange(positions)[:, None] / 10000 ** (torch.arange(0, config.d_model, 2) / config.d_model)
        self.register_buffer("positions", torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1))

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.embedding(ids) * self.scale + self.positions[: ids.shape[1]])

    def forward(self, source, target, source_padding, target_padding):
        length = target.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=target.device).triu(1)
        decoded = self.transformer(
            self.embed(source),
            self.embed(target),
            tgt_mask=future,
            src_key_padding_mask=source_padding,
            tgt_key_padding_mask=target_padding,
            memory_key_padding_mask=source_padding,
        )
        return self.output(decoded)


def marian_of_the_same_sizes(config: VanillaTransformerConfig, positions: int = 512) -> MarianMTModel:
    """Returns `MarianMTModel` with as many weights as our model of this configuration has, and its special tokens."""
    same = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim")
    same += ("encoder_attention_heads", "decoder_attention_heads", "dropout", "activation_function")
    same += ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id")
    return MarianMTModel(
        MarianConfig(
            **{name: getattr(config, name) for name in same},
            scale_embedding=True,
            max_position_embeddings=positions,
            forced_eos_token_id=None,
        )
    )


class MarianTrainer:
    """`MarianMTModel` of the same sizes, trained by `Seq2SeqTrainer`."""

    name = "MarianMT, Seq2SeqTrainer"

    def __init__(self, config: VanillaTransformerConfig, device: str, bf16: bool, compile: bool, folder: str):
        self.model = marian_of_the_same_sizes(config)
        self.settings = dict(
            output_dir=folder, label_smoothing_factor=LABEL_SMOOTHING, bf16=bf16, torch_compile=compile
        )
        self.settings |= dict(use_cpu=device == "cpu", report_to="none", save_strategy="no", logging_strategy="no")
        self.settings |= dict(disable_tqdm=True, learning_rate=1e-5, train_sampling_strategy="sequential")

    def seconds(self, updates: Sequence[Sequence[Batch]], clock: Clock) -> float:
        """What the updates take, each of one part, but for the first, which only warms up."""
        batches = [dict(part, decoder_input_ids=shifted(part["labels"])) for (part,) in updates]
        return self._train(batches, 1, lambda items: items[0], clock)

    def seconds_of_pairs(self, pairs: Sequence[dict], sentences: int, tokenizer, clock: Clock) -> float:
        """What updates of so many sentences each take, padded by `DataCollatorForSeq2Seq`, but for the first."""
        return self._train(pairs, sentences, DataCollatorForSeq2Seq(tokenizer, model=self.model), clock)

    def _train(self, rows: Sequence[dict], sentences: int, collator: Callable, clock: Clock) -> float:
        stamps: list[float] = []

        class Stamp(TrainerCallback):
            def on_step_end(self, *arguments, **keywords):
                stamps.append(clock())

        settings = Seq2SeqTrainingArguments(
            **self.settings,
            max_steps=len(rows) // sentences,
            per_device_train_batch_size=sentences,
            remove_unused_columns=False,
        )
        trainer = Seq2SeqTrainer(
            model=self.model, args=settings, train_dataset=rows, data_collator=collator, callbacks=[Stamp()]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return stamps[-1] - stamps[0]


def shifted(labels: torch.Tensor) -> torch.Tensor:
    """What the decoder reads: the labels behind a start token (2), with padding (0) where they don't count."""
    read = labels.roll(1, dims=1)
    read[:, 0] = 2
    return read.masked_fill(read == -100, 0)


def processor_or_wall_clock(device: str, processor: bool) -> Clock:
    """Processor seconds for a busy machine, else wall-clock seconds, in which a GPU has finished its work."""

    def wall() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    return time.process_time if processor else wall

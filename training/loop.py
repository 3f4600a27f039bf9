"""The training loop: updates until a limit is met, with metrics, validation and checkpoints on the way."""

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, VanillaTransformerTokenizer
from training.batching import TokenBudgetBatches, Update
from training.checkpoints import Checkpoint, list_checkpoints, prune_checkpoints, save_checkpoint
from training.data import IGNORED_LABEL, TokenizedPairs
from training.evaluation import perplexity, to_device
from training.optimization import PaperSchedule, adam
from training.output import TENSORBOARD, Metrics
from training.progress import Limits, ProgressBar
from training.recipe import Recipe, TrainingError


class NonFiniteLossError(TrainingError):
    """The loss became infinite or no number; the message names the update and the last checkpoint."""


class Interrupted(TrainingError):
    """The run was stopped by the user; the message names what was saved."""


class TrainingLoop:
    """The training loop and what it carries from update to update."""

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        accelerator: Accelerator,
        model: VanillaTransformerForConditionalGeneration,
        tokenizer: VanillaTransformerTokenizer,
        pairs: TokenizedPairs,
        validation: TokenizedPairs | None,
        show: bool,
    ) -> None:
        choices = recipe.optimization
        self.recipe, self.output, self.accelerator, self.show = recipe, output, accelerator, show
        self.tokenizer, self.pairs, self.validation = tokenizer, pairs, validation
        self.batches = TokenBudgetBatches(
            pairs.source_lengths,
            pairs.target_lengths,
            choices.tokens_per_batch,
            processes=accelerator.num_processes,
            accumulation_steps=choices.gradient_accumulation_steps,
            seed=choices.seed,
        )
        optimizer = adam(
            model.parameters(), beta1=choices.adam_beta1, beta2=choices.adam_beta2, epsilon=choices.adam_epsilon
        )
        self.schedule = PaperSchedule(
            optimizer,
            d_model=model.config.d_model,
            warmup_steps=choices.warmup_steps,
            peak_learning_rate=choices.peak_learning_rate,
        )
        self.config = model.config
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.metrics = Metrics(output, accelerator)
        accelerator.init_trackers(TENSORBOARD)
        self.updates = 0
        self.epochs = 0.0
        self.losses: list[torch.Tensor] = []  # of the updates since the last log, this process's share
        self.tokens: list[int] = []  # of the same updates, over all processes
        self.logged_at = 0.0
        self.interrupted = False

    def run(self) -> None:
        """Train until the first limit; the newest state is then a checkpoint."""
        updates = self.batches.epoch(0)
        padding = self.batches.padding(updates)
        self.limits = Limits.of(self.recipe.optimization, len(updates))
        self.bar = ProgressBar(self.limits, self.show)
        self.bar.write(f"{len(updates):,} updates an epoch, {padding.share:.1%} of their slots padding")
        self.model.train()
        stopping, epoch = False, 0
        with self._listen_for_interrupt(), contextlib.closing(self.bar):
            while not stopping:
                updates = self.batches.epoch(epoch)
                for position, update in enumerate(updates, start=1):
                    self._update(update)
                    self.epochs = epoch + position / len(updates)
                    stopping = self._after_update()
                    if stopping:
                        break
                epoch += 1
        newest = self._newest_checkpoint()
        if newest is None or newest.updates != self.updates:
            newest = self._save()
        if self.interrupted:
            raise Interrupted(
                f"interrupted after update {self.updates}; saved as {newest.folder}. A model from the newest "
                f"checkpoints: python -m training.average {self.output} --last {len(list_checkpoints(self.output))}"
            )

    def _update(self, update: Update) -> None:
        """One step of Adam on the sum of all parts' losses, divided by the target tokens of them all."""
        accelerator, pad = self.accelerator, self.config.pad_token_id
        target_tokens = int(self.pairs.target_lengths[update.indices].sum())
        divisor = torch.tensor(target_tokens, device=accelerator.device)
        total = torch.zeros((), device=accelerator.device)
        for step, row in enumerate(update.parts, start=1):
            part = row[accelerator.process_index]
            if len(part):
                arrays = self.pairs.batch(part, pad)
            else:  # fewer pairs than parts: this process goes through the motions with a pair that doesn't count
                arrays = self.pairs.batch(update.indices[:1], pad)
                arrays["labels"][:] = IGNORED_LABEL
            # Gradients travel between processes once an update, with the last part.
            waiting = contextlib.nullcontext() if step == len(update.parts) else accelerator.no_sync(self.model)
            with waiting:
                loss = self.model(
                    **to_device(arrays, accelerator.device),
                    label_smoothing=self.recipe.optimization.label_smoothing,
                    num_items_in_batch=divisor,
                    use_cache=False,
                ).loss
                # DistributedDataParallel divides the summed gradients by the number of processes.
                accelerator.backward(loss * accelerator.num_processes)
            total += loss.detach()
        if self.recipe.optimization.max_gradient_norm is not None:
            accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.optimization.max_gradient_norm)
        self.rate = self.schedule.step()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1
        self.losses.append(total)
        self.tokens.append(target_tokens)
        self.bar.update()

    def _after_update(self) -> bool:
        """Log, save and evaluate where it is time to; returns whether the run ends here."""
        every, last = self.recipe.output, self.limits.out_of_updates(self.updates)
        logging = self.updates % every.log_every == 0 or last
        # Processes agree on a stop only where they talk anyway, so that no device waits for it at every update.
        if logging or self.accelerator.num_processes == 1:
            stop = torch.tensor(float(self.interrupted or self.limits.out_of_time()), device=self.accelerator.device)
            last = last or bool(self.accelerator.reduce(stop, reduction="sum") > 0)
        evaluating = self.validation is not None and (self.updates % every.evaluate_every == 0 or last)
        saving = self.updates % every.save_every == 0 or last
        if logging or evaluating or saving:
            self._log()  # before saving: a checkpoint never holds weights after a loss that wasn't finite
        if saving:
            self._save()
        if evaluating and not self.interrupted:
            self._evaluate()
        return last

    def _log(self) -> None:
        if not self.losses:
            return
        losses = self.accelerator.reduce(torch.stack(self.losses).double(), reduction="sum").tolist()
        first = self.updates - len(losses) + 1
        for update, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                newest = self._newest_checkpoint()
                raise NonFiniteLossError(
                    f"the loss of update {update} is {loss}, so the run ends here; the last checkpoint is "
                    f"{newest.folder if newest else 'none yet'}. Lower peak_learning_rate, lengthen warmup_steps, set "
                    "max_gradient_norm, or train with mixed_precision: no"
                )
        seconds = self.limits.seconds
        tokens = sum(self.tokens)
        loss = sum(value * count for value, count in zip(losses, self.tokens, strict=True)) / tokens
        speed = tokens / max(seconds - self.logged_at, 1e-9)
        self.metrics.log(
            self.updates,
            {
                "epoch": round(self.epochs, 4),
                "loss": loss,
                "learning_rate": self.rate,
                "target_tokens": tokens,
                "target_tokens_per_second": round(speed, 1),
                "seconds": round(seconds, 3),
            },
        )
        self.bar.report(self.updates, loss, speed, self.rate)
        self.losses.clear()
        self.tokens.clear()
        self.logged_at = seconds

    def _evaluate(self) -> None:
        assert self.validation is not None
        started = self.limits.seconds
        value = perplexity(
            self.accelerator.unwrap_model(self.model),
            self.validation,
            self.accelerator,
            self.recipe.optimization.tokens_per_batch,
        )
        self.metrics.log(self.updates, {"validation_perplexity": value, "validation_loss": math.log(value)})
        self.bar.write(f"update {self.updates}: validation perplexity {value:.3f}")
        self.logged_at += self.limits.seconds - started  # tokens a second are those of training

    def _save(self) -> Checkpoint:
        started = self.limits.seconds
        if self.accelerator.is_main_process:
            save_checkpoint(
                self.output,
                self.updates,
                self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False),
                self.tokenizer,
            )
            prune_checkpoints(self.output, self.recipe.output.keep_checkpoints)
        self.accelerator.wait_for_everyone()
        self.logged_at += self.limits.seconds - started
        newest = self._newest_checkpoint()
        assert newest is not None
        return newest

    def _newest_checkpoint(self) -> Checkpoint | None:
        return max(list_checkpoints(self.output), default=None)

    @contextlib.contextmanager
    def _listen_for_interrupt(self) -> Iterator[None]:
        """Ctrl-C ends the run after the update at hand, so that what is saved is whole; a second one, at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

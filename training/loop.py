"""The training loop: updates until a limit is met, with metrics, validation and checkpoints on the way."""

import contextlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, VanillaTransformerTokenizer
from training.checkpoints import (
    Checkpoint,
    CheckpointError,
    best_folder,
    checkpoints_folder,
    checkpoints_in,
    last_good_checkpoint,
    list_checkpoints,
    prune_checkpoints,
    save_checkpoint,
)
from training.compilation import uncompiled
from training.data import StreamedTrainingData, TokenizedPairs, TrainingData
from training.distributed import Vote, broken_weights, prepare, whole_model, without_gradient_exchange
from training.evaluation import bleu, perplexity, translate
from training.interruption import Interrupted, Interruption
from training.optimization import PaperSchedule, adam
from training.output import NON_FINITE, Metrics
from training.progress import Limits, ProgressBar
from training.reader import Prepared, Reader, Reading
from training.recipe import Recipe, TrainingError
from training.resume import choices_of_validations
from training.state import Progress, TrainingState, restore, seed_update

# What ends a run before its last update, in the order in which one goes before the other; signals, by their numbers,
# go before both.
NOTHING, TIME = 0, 1
_SHOWN_SENTENCES = 3  # of a batch whose loss is no number; all of them go to a file


class NonFiniteLossError(TrainingError):
    """A loss, or weights, became infinite or no number; the message names the update, its sentences and the last
    checkpoint."""


@dataclass
class Validation:
    """Pairs to watch a run by."""

    pairs: TokenizedPairs
    text: datasets.Dataset
    """Columns source and target."""


class TrainingLoop:
    """The training loop and what it carries from update to update."""

    def __init__(
        self,
        recipe: Recipe,
        output: Path,
        accelerator: Accelerator,
        model: VanillaTransformerForConditionalGeneration,
        tokenizer: VanillaTransformerTokenizer,
        data: TrainingData | StreamedTrainingData,
        validation: Validation | None,
        show: bool,
        resumed: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> None:
        """
        Args:
            resumed: the checkpoint that the run goes on from; the model has its weights already.
            progress: how far the run was then.
        """
        choices = recipe.optimization
        self.recipe, self.output, self.accelerator, self.show = recipe, output, accelerator, show
        self.tokenizer, self.validation = tokenizer, validation
        self.config = model.config
        self.progress = progress or Progress()
        self.data = data
        self.reader = Reader(data, choices, accelerator, self.config.pad_token_id)
        self.model, self.optimizer = prepare(
            accelerator,
            model,
            lambda model: adam(
                model.parameters(), beta1=choices.adam_beta1, beta2=choices.adam_beta2, epsilon=choices.adam_epsilon
            ),
        )
        self.bare = accelerator.unwrap_model(self.model)  # with what Accelerate does for mixed precision
        if resumed:
            restore(resumed.folder, self.bare, self.optimizer.optimizer, accelerator.scaler)
        self.schedule = PaperSchedule(
            self.optimizer,
            d_model=self.config.d_model,
            warmup_steps=choices.warmup_steps,
            peak_learning_rate=choices.peak_learning_rate,
            updates=self.progress.updates,
        )
        # What an interruption saved between two regular checkpoints goes with the next one: it must not get into the
        # average of the last.
        self.between = resumed if resumed and resumed.updates % recipe.output.save_every else None
        self.rate = 0.0
        self.metrics = Metrics(output, accelerator)
        self.metrics.start(recipe, self.progress.updates)
        self.interruption = Interruption()
        self.stopped_by = NOTHING
        self.vote = Vote(accelerator.num_processes)
        # Of the updates since the last log: losses (this process's share) and where the updates stand.
        self.losses: list[torch.Tensor] = []
        self.readings: list[Reading] = []
        self.limits = Limits(choices, self.progress)
        self.logged_at = self.limits.seconds

    def run(self) -> None:
        """Train until the first limit; the newest state is then a checkpoint.

        Raises:
            NonFiniteLossError: a loss that is no number.
            CheckpointError: a checkpoint that could not be written.
            Interrupted: SIGINT or SIGTERM; the newest state is saved.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.interruption.listening())
            stack.callback(self.vote.close)
            updates = self.reader.prepared(self.progress)
            stack.callback(updates.close)
            self.bar = stack.enter_context(contextlib.closing(ProgressBar(self.limits, self.show)))
            self.model.train()
            self._make_up_for_a_validation()
            stopping = self.limits.were_met() or self._out_of_patience()
            for prepared in updates if not stopping else ():
                if self.limits.updates_per_epoch is None and not self.data.streaming:
                    self.limits.updates_per_epoch = prepared.reading.of
                    self.bar.write(self.reader.description)
                self._update(prepared)
                if self._after_update():
                    break
            # A signal during the last validation or save counts, too.
            self.stopped_by = max(self.stopped_by, self.vote.last(self.interruption.signal_number or NOTHING))
        if self.stopped_by > TIME:
            newest = list_checkpoints(self.output)[-1]
            raise Interrupted(
                f"interrupted after update {self.progress.updates}; saved as {newest.folder}. Go on with --resume "
                f"auto, or make a model of the newest checkpoints: python -m training.average {self.output} --last "
                f"{len(list_checkpoints(self.output))}",
                self.stopped_by,
            )

    def _update(self, prepared: Prepared) -> None:
        """One step of Adam on the sum of all parts' losses, divided by the target tokens of them all."""
        accelerator, progress, reading = self.accelerator, self.progress, prepared.reading
        seed_update(self.recipe.optimization.seed, progress.updates + 1, accelerator.process_index)
        # DistributedDataParallel and FSDP divide the summed gradients by the number of processes.
        share = accelerator.num_processes / reading.target_tokens
        total = torch.zeros((), device=accelerator.device)
        for step, batch in enumerate(prepared.batches, start=1):
            batch = {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()}
            # Gradients travel between processes once an update, with the last part.
            last = step == len(prepared.batches)
            with contextlib.nullcontext() if last else without_gradient_exchange(accelerator, self.model):
                loss = self.model(
                    **batch,
                    label_smoothing=self.recipe.optimization.label_smoothing,
                    num_items_in_batch=1,
                    return_logits=False,
                    use_cache=False,
                ).loss
                accelerator.backward(loss * share)
            total += loss.detach()
        if self.recipe.optimization.max_gradient_norm is not None:
            accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.optimization.max_gradient_norm)
        self.rate = self.schedule.step()
        self.optimizer.step()
        self.optimizer.zero_grad()
        following = prepared.following
        progress.updates += 1
        progress.epoch, progress.chapter, progress.position = following.epoch, following.chapter, following.position
        # How far into an epoch of unknown length a stream is, nobody knows.
        progress.epochs = following.epoch + (0.0 if self.data.streaming else following.position / following.of)
        self.losses.append(total / reading.target_tokens)
        self.readings.append(reading)
        self.bar.update()

    def _after_update(self) -> bool:
        """Log, evaluate and save where it is time to; returns whether the run ends here."""
        every, updates = self.recipe.output, self.progress.updates
        wish = self.interruption.signal_number or (TIME if self.limits.out_of_time() else NOTHING)
        self.stopped_by = self.vote(wish)
        stopping = self.stopped_by != NOTHING or self.limits.out_of_updates()
        evaluating = self.validation is not None and (updates % every.evaluate_every == 0 or stopping)
        saving = updates % every.save_every == 0 or stopping
        if updates % every.log_every == 0 or evaluating or saving:
            self._log()  # before saving: no checkpoint, and no best model, holds weights that are no numbers
        if evaluating and self.stopped_by <= TIME:
            self._evaluate()
            stopping |= self._out_of_patience()
        if saving or stopping:
            self._save()
        return stopping

    def _log(self) -> None:
        if not self.losses:
            return
        shares = torch.stack([*self.losses, broken_weights(self.model)]).double()
        *losses, broken = self.accelerator.reduce(shares, reduction="sum").tolist()
        first = self.progress.updates - len(losses) + 1
        for update, (loss, reading) in enumerate(zip(losses, self.readings, strict=True), start=first):
            if not math.isfinite(loss):
                raise self._not_finite(f"the loss of update {update} is {loss}", reading)
        if broken:  # a gradient can be infinite where the loss is not
            raise self._not_finite(
                f"the weights after update {self.progress.updates} aren't finite", self.readings[-1]
            )
        seconds = self.limits.seconds
        counts = [reading.target_tokens for reading in self.readings]
        tokens = sum(counts)
        loss = sum(value * count for value, count in zip(losses, counts, strict=True)) / tokens
        speed = tokens / max(seconds - self.logged_at, 1e-9)
        self.metrics.log(
            self.progress.updates,
            {
                "epoch": round(self.progress.epochs, 4),
                "loss": loss,
                "learning_rate": self.rate,
                "target_tokens": tokens,
                "target_tokens_per_second": round(speed, 1),
                "seconds": round(seconds, 3),
            },
        )
        self.bar.report(loss, speed, self.rate)
        self.losses.clear()
        self.readings.clear()
        self.logged_at = seconds

    def _not_finite(self, what: str, reading: Reading) -> NonFiniteLossError:
        """The error, once the sentences of the update are in a file."""
        pairs, indices = reading.pairs, reading.update.indices
        table = pairs.table.with_format(None)[pairs.rows[indices]]
        sentences = [
            {"pair": int(pair), "source": source, "target": target}
            for pair, source, target in zip(
                pairs.rows[indices],
                self.tokenizer.batch_decode(table["source_ids"], skip_special_tokens=True),
                self.tokenizer.batch_decode(table["target_ids"], skip_special_tokens=True),
                strict=True,
            )
        ]
        file = self.output / NON_FINITE
        if self.accelerator.is_main_process:
            lines = "".join(json.dumps(sentence, ensure_ascii=False) + "\n" for sentence in sentences)
            file.write_text(lines, encoding="utf-8")
        shown = "; ".join(f"{sentence['source']!r}" for sentence in sentences[:_SHOWN_SENTENCES])
        return NonFiniteLossError(
            f"{what}, so the run ends here. Its {len(sentences)} sentences are in "
            f"{file} (the first: {shown}); {last_good_checkpoint(self.output)}. "
            "Lower peak_learning_rate, lengthen warmup_steps, set max_gradient_norm, or train with mixed_precision: no"
        )

    # -----------------------------------------------------------------------------------------------------------------
    # Validation
    # -----------------------------------------------------------------------------------------------------------------

    def _make_up_for_a_validation(self) -> None:
        """A run that was interrupted where a validation was due saved first; a run that never was must not differ."""
        updates, every = self.progress.updates, self.recipe.output.evaluate_every
        done = any(validation["updates"] == updates for validation in self.progress.validations)
        due = updates and (updates % every == 0 or self.limits.were_met())
        if self.validation and due and not done:
            self._evaluate()

    def _evaluate(self) -> None:
        assert self.validation is not None
        started, updates, validation = self.limits.seconds, self.progress.updates, self.validation
        model = whole_model(self.bare)
        assert model is not None
        with self.accelerator.autocast(), uncompiled():
            value = perplexity(model, validation.pairs, self.accelerator, self.recipe.optimization.tokens_per_batch)
            values = {"perplexity": value}
            if self.recipe.output.evaluate_bleu:
                values["bleu"] = self._bleu(model, validation)
        self.progress.validations.append({"updates": updates} | values)
        self.progress.validated_by = choices_of_validations(self.recipe)
        self.metrics.log(
            updates,
            {f"validation_{name}": value for name, value in values.items()} | {"validation_loss": math.log(value)},
        )
        shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
        self.bar.write(f"update {updates}: validation {shown}")
        keep = self.recipe.output.keep_best
        if updates in self.progress.best(self.recipe.output.best_metric, keep):
            self._save_in(best_folder(self.output))
        self.logged_at += self.limits.seconds - started  # tokens a second are those of training

    def _bleu(self, model: VanillaTransformerForConditionalGeneration, validation: Validation) -> float:
        sources, references = ([line or "" for line in validation.text[side]] for side in ("source", "target"))
        decoding = self.recipe.decoding
        hypotheses = translate(
            model,
            self.tokenizer,
            sources,
            batch_tokens=decoding.decode_batch_tokens,
            accelerator=self.accelerator,
        )
        return bleu(hypotheses, references, tokenize=decoding.bleu_tokenize, lowercase=decoding.bleu_lowercase)["bleu"]

    def _out_of_patience(self) -> bool:
        """Whether the last validations, as many as the recipe's patience, brought nothing better."""
        patience, metric = self.recipe.optimization.patience, self.recipe.output.best_metric
        if patience is None or self.progress.validations_since_best(metric) < patience:
            return False
        best = self.progress.best(metric, 1)[0]
        self.bar.write(f"no better {metric} in {patience} validations since update {best}: the run ends here")
        return True

    # -----------------------------------------------------------------------------------------------------------------
    # Saving
    # -----------------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """The newest checkpoint, from which the run can go on."""
        started = self.limits.seconds
        self.progress.seconds = started
        main = self.accelerator.is_main_process
        state = TrainingState(self.bare, self.optimizer.optimizer, self.accelerator.scaler, self.progress, main)
        newest, best = checkpoints_folder(self.output), best_folder(self.output)
        self._save_in(newest, state)
        if main:
            choices = self.recipe.output
            regular = [checkpoint for checkpoint in checkpoints_in(newest) if checkpoint != self.between]
            prune_checkpoints(newest, keep=regular[-choices.keep_checkpoints :])
            # Only now: until here the run would have gone on from a checkpoint that knows of no better ones.
            updates = self.progress.best(choices.best_metric, choices.keep_best)
            prune_checkpoints(best, keep=[model for model in checkpoints_in(best) if model.updates in updates])
        self.accelerator.wait_for_everyone()
        self.logged_at += self.limits.seconds - started

    def _save_in(self, folder: Path, *parts: Any) -> None:
        """Save model, tokenizer and `parts` on the main process; all processes learn whether that went well."""
        model = whole_model(self.bare, keep=self.accelerator.is_main_process)
        problem = None
        if model is not None and self.accelerator.is_main_process:
            try:
                save_checkpoint(folder, self.progress.updates, model, self.tokenizer, *parts)
            except CheckpointError as error:
                problem = str(error)
        (problem,) = broadcast_object_list([problem])
        if problem:
            raise CheckpointError(
                f"{problem}; {last_good_checkpoint(self.output)}. Make room, and go on with --resume auto"
            )

"""Updates in their order, epoch after epoch, with the arrays of each prepared while the one before it computes."""

import contextlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import torch
from accelerate import Accelerator

from training.batching import Part, TokenBudgetBatches, Update
from training.data import Chapter, StreamedTrainingData, TokenizedPairs, TrainingData
from training.recipe import OptimizationRecipe
from training.state import Progress

_AHEAD = 2  # updates whose arrays wait in memory


@dataclass
class Reading:
    """One update and where it stands."""

    epoch: int
    chapter: int
    position: int
    """Updates before it in its chapter."""
    of: int
    """Updates of its chapter."""
    pairs: TokenizedPairs
    update: Update

    @cached_property
    def target_tokens(self) -> int:
        """Target tokens of the whole update, over all processes and accumulation steps."""
        return int(self.pairs.target_lengths[self.update.indices].sum())


@dataclass
class Prepared:
    """One update, ready for this process."""

    reading: Reading
    batches: list[dict[str, torch.Tensor]]
    """The model's input for each accumulation step."""
    following: Reading
    """The update after it."""


class Reader:
    """Reads `TrainingData` in updates, from any place on."""

    def __init__(
        self,
        data: TrainingData | StreamedTrainingData,
        recipe: OptimizationRecipe,
        accelerator: Accelerator,
        pad_token_id: int,
    ) -> None:
        self.data, self.recipe, self.accelerator, self.pad_token_id = data, recipe, accelerator, pad_token_id
        self._batches: tuple[TokenizedPairs, TokenBudgetBatches] | None = None
        self._first: TokenBudgetBatches | None = None
        self.description = ""
        """What the batches of the first chapter read are like, in a line."""

    def batches(self, epoch: int, chapter: Chapter) -> TokenBudgetBatches:
        """The batches of a chapter; those of data that isn't streamed are found once."""
        if self._batches is None or self._batches[0] is not chapter.pairs:
            like = None
            if self.data.streaming and (epoch, chapter.number) != (0, 0):
                # All chapters take the shapes of the very first, from wherever a run goes on.
                self._first = self._first or self._make_batches(next(self.data.chapters(0)))
                like = self._first
            self._batches = chapter.pairs, self._make_batches(chapter, like)
            self._first = self._first or self._batches[1]
        return self._batches[1]

    def _make_batches(self, chapter: Chapter, like: TokenBudgetBatches | None = None) -> TokenBudgetBatches:
        pairs, recipe = chapter.pairs, self.recipe
        return TokenBudgetBatches(
            pairs.source_lengths,
            pairs.target_lengths,
            recipe.tokens_per_batch,
            processes=self.accelerator.num_processes,
            accumulation_steps=recipe.gradient_accumulation_steps,
            seed=recipe.seed,
            max_shapes=recipe.max_shapes,
            weights=pairs.weights,
            like=like,
        )

    def readings(self, start: Progress) -> Iterator[Reading]:
        """All updates from `start` on, without end."""
        for epoch in count(start.epoch):
            first = start.chapter if epoch == start.epoch else 0
            for chapter in self.data.chapters(epoch, first):
                batches = self.batches(epoch, chapter)
                updates = batches.epoch(epoch)
                self.description = self.description or batches.describe(updates)
                skipped = start.position if (epoch, chapter.number) == (start.epoch, start.chapter) else 0
                for position, update in enumerate(updates[skipped:], start=skipped):
                    yield Reading(epoch, chapter.number, position, len(updates), chapter.pairs, update)

    def prepared(self, start: Progress) -> Generator[Prepared, None, None]:
        """The same, each with this process's arrays."""
        # Chapters are read in this thread, as processes may wait for each other there; arrays are made in another.
        with ThreadPoolExecutor(max_workers=1) as worker, contextlib.ExitStack() as stack:
            waiting: deque = deque()
            stack.callback(lambda: [future.cancel() for _, future in waiting])
            for reading in self.readings(start):
                waiting.append((reading, worker.submit(self._arrays, reading)))
                if len(waiting) > _AHEAD:
                    due, future = waiting.popleft()
                    yield Prepared(due, future.result(), waiting[0][0])

    def _arrays(self, reading: Reading) -> list[dict[str, torch.Tensor]]:
        """This process's share of an update as tensors, from where a GPU can fetch them by itself."""
        batches = []
        for row in reading.update.parts:
            part: Part = row[self.accelerator.process_index]
            arrays = reading.pairs.batch(part, self.pad_token_id)
            if not len(part):
                arrays["labels"][:] = -100
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            if self.accelerator.device.type == "cuda":
                tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
            batches.append(tensors)
        return batches

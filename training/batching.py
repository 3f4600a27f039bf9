"""Batches under a token budget: pairs of similar length, in an order of their own each epoch, split over processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Update:
    """The pairs of one update.

    `parts[accumulation][process]` holds the indices of the pairs that a process works through at once. A part may be
    empty where an update has fewer pairs than parts.
    """

    parts: tuple[tuple[Indices, ...], ...]

    @property
    def indices(self) -> Indices:
        """All pairs of the update, `(pairs,)`."""
        return np.concatenate([part for row in self.parts for part in row])


@dataclass(frozen=True)
class Padding:
    """How many token slots of an epoch hold tokens, on each side."""

    source_tokens: int
    source_slots: int
    target_tokens: int
    target_slots: int

    @property
    def share(self) -> float:
        """Share of all slots, source and target together, that hold padding."""
        slots = self.source_slots + self.target_slots
        return 1 - (self.source_tokens + self.target_tokens) / slots if slots else 0.0


class TokenBudgetBatches:
    """The updates of every epoch: each pair exactly once, within a budget of padded token slots on each side.

    The pairs of an update depend on the lengths, the budget, the seed and the epoch alone. The number of processes and
    accumulation steps only says how an update is divided, so that the same recipe gives the same updates on one
    device or eight. (Section 5.1 of the paper: pairs batched together by approximate sequence length, about 25,000
    source and 25,000 target tokens each.)
    """

    def __init__(
        self,
        source_lengths: npt.ArrayLike,
        target_lengths: npt.ArrayLike,
        tokens_per_batch: int,
        *,
        processes: int = 1,
        accumulation_steps: int = 1,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        """
        Args:
            source_lengths: tokens of each pair's source, end of sentence included, `(pairs,)`.
            target_lengths: the same for the target.
            tokens_per_batch: padded slots that an update may have on each side.
            processes: processes that share an update.
            accumulation_steps: parts that each process works through one after the other.
            seed: together with the epoch decides the order.
            shuffle: False keeps the batches in order of length, the same in every epoch (for scoring).

        Raises:
            ValueError: a pair that alone exceeds the budget, or an empty side.
        """
        self.source_lengths = np.asarray(source_lengths, dtype=np.int64)
        self.target_lengths = np.asarray(target_lengths, dtype=np.int64)
        self.tokens_per_batch = tokens_per_batch
        self.processes = processes
        self.accumulation_steps = accumulation_steps
        self.seed = seed
        self.shuffle = shuffle
        if self.source_lengths.shape != self.target_lengths.shape or self.source_lengths.ndim != 1:
            raise ValueError("source_lengths and target_lengths must be two lists of the same size")
        if len(self.source_lengths):
            longest = np.maximum(self.source_lengths, self.target_lengths)
            if longest.max() > tokens_per_batch:
                raise ValueError(
                    f"pair {longest.argmax()} has {longest.max()} tokens on a side, more than tokens_per_batch = "
                    f"{tokens_per_batch}"
                )
            if min(self.source_lengths.min(), self.target_lengths.min()) < 1:
                raise ValueError("every side of a pair needs at least one token, its end of sentence")
        self._strips = self._best_strips()

    def epoch(self, epoch: int) -> list[Update]:
        """The updates of an epoch, counted from 0, in the order in which they are to be made."""
        random = np.random.default_rng((self.seed, epoch))
        batches = self._cut(self._order(self._strips, random))
        if self.shuffle:
            batches = [batches[position] for position in random.permutation(len(batches))]
        return [Update(self._divide(batch)) for batch in batches]

    def for_process(self, updates: list[Update], process: int) -> Iterator[tuple[Indices, ...]]:
        """The parts of `updates` that are one process's own, an accumulation step each."""
        for update in updates:
            yield tuple(row[process] for row in update.parts)

    def padding(self, updates: list[Update]) -> Padding:
        """Tokens and padded slots of these updates, as divided over processes and accumulation steps."""
        counts = np.zeros(4, dtype=np.int64)
        for update in updates:
            for row in update.parts:
                for part in row:
                    if len(part):
                        source, target = self.source_lengths[part], self.target_lengths[part]
                        counts += (source.sum(), source.max() * len(part), target.sum(), target.max() * len(part))
        return Padding(*counts.tolist())

    def _order(self, strips: int, random: np.random.Generator) -> Indices:
        """All pairs such that neighbours are of similar length on both sides, `(pairs,)`.

        Pairs are sorted by source length into strips of equal size, and within each strip by target length: sorting
        by one side alone leaves the other side's lengths mixed. Every other strip runs backwards, so that lengths
        change little from strip to strip. Pairs of the same lengths stand in random order.
        """
        pairs = len(self.source_lengths)
        order = random.permutation(pairs) if self.shuffle else np.arange(pairs)
        order = order[np.lexsort((self.target_lengths[order], self.source_lengths[order]))]
        strip = np.arange(pairs) * strips // max(pairs, 1)
        target = self.target_lengths[order]
        direction = np.where(strip % 2 == 0, 1, -1)
        return order[np.lexsort((self.source_lengths[order], direction * target, strip))]

    def _best_strips(self) -> int:
        """The number of strips that pads least, tried in powers of two.

        Padding is that of undivided updates, so that what an update holds doesn't depend on the number of processes.
        """
        pairs = len(self.source_lengths)
        if pairs == 0:
            return 1
        best, least = 1, np.inf
        strips = 1
        while strips <= min(pairs, 1024):
            batches = self._cut(self._order(strips, np.random.default_rng((self.seed, 0))))
            share = self.padding([Update(((batch,),)) for batch in batches]).share
            if share < least:
                best, least = strips, share
            elif strips > 4 * best:
                break
            strips *= 2
        return best

    def _cut(self, order: Indices) -> list[Indices]:
        """`order` in runs as long as the budget allows: pairs times the longest within it, on each side."""
        source, target = self.source_lengths[order], self.target_lengths[order]
        batches, start = [], 0
        while start < len(order):
            # No batch has more pairs than this, as its longest side is at least as long as its first pair's.
            most = self.tokens_per_batch // max(source[start], target[start])
            window = slice(start, start + most)
            longest = np.maximum.accumulate(np.maximum(source[window], target[window]))
            fits = longest * np.arange(1, len(longest) + 1) <= self.tokens_per_batch
            size = len(fits) if fits.all() else int(fits.argmin())
            batches.append(order[start : start + size])
            start += size
        return batches

    def _divide(self, batch: Indices) -> tuple[tuple[Indices, ...], ...]:
        """The pairs of an update in equal shares, each of neighbouring lengths."""
        shares = np.array_split(batch, self.accumulation_steps * self.processes)
        return tuple(
            tuple(shares[step * self.processes : (step + 1) * self.processes])
            for step in range(self.accumulation_steps)
        )

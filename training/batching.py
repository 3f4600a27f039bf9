"""Batches under a token budget: pairs of similar length, in an order of their own each epoch, split over processes."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.grouping import Shape, choose_shapes, cut, distinct, keep_shapes, order_of_lengths

Indices = npt.NDArray[np.int64]

# An update has as few groups as bring padding down to this share of slots. More than 16, or smaller ones than that,
# would leave a GPU idle between many small steps.
_PADDING_AIMED_AT = 0.045
_PADDING_AIMED_AT_WITH_FEW_SHAPES = 0.09
_MOST_GROUPS = 16
_SMALLEST_GROUP = 1024  # slots on each side


@dataclass(frozen=True)
class Part:
    """The pairs that a process works through at once, and the shape of the arrays that hold them.

    The arrays may have more rows than there are pairs, and be longer than the longest pair: padding, which counts for
    nothing. A part without pairs is all padding; it stands where an update has fewer pairs than parts.
    """

    indices: Indices
    """The pairs, `(pairs,)`."""
    sentences: int
    """Rows of the arrays."""
    source_length: int
    """Their columns on the source's side."""
    target_length: int
    """Their columns on the target's side."""

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.indices)

    @property
    def slots(self) -> int:
        """Places for tokens, source and target together."""
        return self.sentences * (self.source_length + self.target_length)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sentences, source length, target length."""
        return self.sentences, self.source_length, self.target_length


@dataclass(frozen=True)
class Update:
    """The pairs of one update: `parts[step][process]`, to be worked through step after step."""

    parts: tuple[tuple[Part, ...], ...]

    @property
    def indices(self) -> Indices:
        """All pairs of the update, `(pairs,)`."""
        return np.concatenate([part.indices for row in self.parts for part in row])


@dataclass(frozen=True)
class Padding:
    """How many token slots of some updates hold tokens, on each side, and how many shapes of part they have."""

    source_tokens: int
    source_slots: int
    target_tokens: int
    target_slots: int
    shapes: int

    @property
    def share(self) -> float:
        """Share of all slots, source and target together, that hold padding."""
        slots = self.source_slots + self.target_slots
        return 1 - (self.source_tokens + self.target_tokens) / slots if slots else 0.0


class TokenBudgetBatches:
    """The updates of every epoch, within a budget of padded token slots on each side.

    An update is made of groups: rectangles of pairs of similar lengths, one where that pads little enough, else 2, 4,
    8 or 16 of different lengths. Groups, and so the pairs of an update, follow from the lengths, the weights, the
    budget, the seed and the epoch alone. The number of processes and accumulation steps only says how an update is
    divided, so that the same recipe gives the same updates on one device or eight. (Section 5.1 of the paper: pairs
    batched together by approximate sequence length, about 25,000 source and 25,000 target tokens each.)

    Without `max_shapes`, an epoch has each pair exactly once. With it, lengths are rounded up to those of a few
    shapes, each with a fixed number of sentences; what doesn't fill a group waits for the next epoch, so that over
    the epochs each pair is seen equally often. Nothing needs to be remembered for that: epoch 7 can be asked for
    without the six before it.
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
        max_shapes: int | None = None,
        weights: npt.ArrayLike | None = None,
        like: "TokenBudgetBatches | None" = None,
    ) -> None:
        """
        Args:
            source_lengths: tokens of each pair's source, end of sentence included, `(pairs,)`.
            target_lengths: the same for the target.
            tokens_per_batch: padded slots that an update may have on each side.
            processes: processes that share an update.
            accumulation_steps: a process works through an update in about so many parts, one after the other: a few
                more where the groups of an update don't go round, fewer where it has fewer groups.
            seed: together with the epoch decides the order.
            shuffle: False keeps one group an update, in order of length, the same in every epoch (for scoring); each
                pair is then there exactly once, with `max_shapes` too.
            max_shapes: the most shapes that parts may have (sentences, source length, target length), in all epochs
                together, so that they are few and large; None: every part is as long as its longest pair.
            weights: how often an epoch has each pair, one value for each source of pairs, `(pairs,)`: 2 is twice, 0.25
                another quarter of them in each epoch; None: once.
            like: batches of other pairs of the same data, such as its first chapter, with the same settings: their
                shapes and number of groups are used here too, with one more shape for pairs that are longer than all
                of them; None: those that suit these pairs best.

        Raises:
            ValueError: a pair that alone exceeds the budget, an empty side, a weight or a number of shapes, processes
                or steps that isn't positive.
        """
        self.source_lengths = np.asarray(source_lengths, dtype=np.int32)
        self.target_lengths = np.asarray(target_lengths, dtype=np.int32)
        self.tokens_per_batch = tokens_per_batch
        self.processes = processes
        self.accumulation_steps = accumulation_steps
        self.seed = seed
        self.shuffle = shuffle
        self.max_shapes = max_shapes
        self._weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        self._check()
        self.groups = 1
        """Groups of an update."""
        self._shapes: list[Shape] = []
        if len(self.source_lengths):
            self._choose_plan(like)

    def epoch(self, epoch: int) -> list[Update]:
        """The updates of an epoch, counted from 0, in the order in which they are to be made."""
        if not len(self.source_lengths):
            return []
        groups = list(self._groups_of_shapes(epoch) if self.max_shapes else self._groups_by_length(epoch))
        if not groups:
            return []  # where weights are so small that an epoch takes nothing
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch, 0)).permutation(len(groups))
            groups = [groups[position] for position in order]
        # Updates have equally many groups or one less, rather than the last of them a few alone.
        updates = math.ceil(len(groups) / self.groups)
        edges = [len(groups) * update // updates for update in range(updates + 1)]
        return [Update(self._divide(groups[start:end])) for start, end in itertools.pairwise(edges)]

    def for_process(self, updates: Sequence[Update], process: int) -> Iterator[tuple[Part, ...]]:
        """The parts of `updates` that are one process's own, a step each."""
        for update in updates:
            yield tuple(row[process] for row in update.parts)

    def padding(self, updates: Sequence[Update]) -> Padding:
        """Tokens, padded slots and shapes of these updates, as divided over processes and steps."""
        parts = [part for update in updates for row in update.parts for part in row]
        pairs = np.concatenate([part.indices for part in parts] or [np.zeros(0, dtype=np.int64)])
        return Padding(
            source_tokens=int(self.source_lengths[pairs].sum(dtype=np.int64)),
            source_slots=sum(part.sentences * part.source_length for part in parts),
            target_tokens=int(self.target_lengths[pairs].sum(dtype=np.int64)),
            target_slots=sum(part.sentences * part.target_length for part in parts),
            shapes=len({part.shape for part in parts}),
        )

    def describe(self, updates: Sequence[Update]) -> str:
        """One line on the updates of an epoch, for the log."""
        padding = self.padding(updates)
        return (
            f"{len(updates):,} updates an epoch, {padding.share:.1%} of their slots padding, {padding.shapes:,} shapes"
        )

    def _check(self) -> None:
        sides = {"source": self.source_lengths, "target": self.target_lengths}
        if self.source_lengths.shape != self.target_lengths.shape or self.source_lengths.ndim != 1:
            raise ValueError("source_lengths and target_lengths must be two lists of the same size")
        for name in ("tokens_per_batch", "processes", "accumulation_steps", "max_shapes"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but is {value}")
        if self._weights is not None:
            if self._weights.shape != self.source_lengths.shape:
                raise ValueError("weights must be as many as pairs")
            if not (np.isfinite(self._weights) & (self._weights > 0)).all():
                raise ValueError("every weight must be above 0; leave out a source that isn't wanted")
        if len(self.source_lengths) == 0:
            return
        longest = np.maximum(*sides.values())
        if longest.max() > self.tokens_per_batch:
            raise ValueError(
                f"pair {longest.argmax()} has {longest.max()} tokens on a side, more than tokens_per_batch = "
                f"{self.tokens_per_batch}"
            )
        if min(side.min() for side in sides.values()) < 1:
            raise ValueError("every side of a pair needs at least one token, its end of sentence")

    def _choose_plan(self, like: "TokenBudgetBatches | None") -> None:
        """Choose the number of groups and, for it, the order of lengths or the shapes that pad least."""
        source_values, source_codes = distinct(self.source_lengths)
        target_values, target_codes = distinct(self.target_lengths)
        shape = (len(source_values), len(target_values))
        cells = source_codes * shape[1] + target_codes
        counts = np.bincount(cells, weights=self._weights, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
        least_budget = max(source_values[-1], target_values[-1], _SMALLEST_GROUP)
        aim = _PADDING_AIMED_AT_WITH_FEW_SHAPES if self.max_shapes else _PADDING_AIMED_AT
        best, groups = np.inf, 1
        if like is not None:
            groups, aim = (
                min(like.groups, self.tokens_per_batch // int(max(source_values[-1], target_values[-1]))),
                np.inf,
            )
        # Scoring, which doesn't shuffle, keeps an update one group: one part for each process.
        while np.isinf(best) or (
            self.shuffle and best > aim and groups <= _MOST_GROUPS and self.tokens_per_batch // groups >= least_budget
        ):
            budget = self.tokens_per_batch // groups
            if self.max_shapes is None:
                plan = order_of_lengths(counts, source_values, target_values, budget)
            elif like is not None and like._shapes:
                plan = keep_shapes(counts, source_values, target_values, budget, like._shapes)
            else:
                plan = choose_shapes(counts, source_values, target_values, budget, self.max_shapes)
            if plan.padding < 0.9 * best:  # else smaller groups are hardly worth it
                best, self.groups, self._shapes, places = plan.padding, groups, plan.shapes, plan.places
            groups *= 2
        # Small integers, as numpy sorts those in linear time.
        places = places.astype(np.min_scalar_type(int(places.max())))
        place = places.ravel()[cells]
        self._place = place
        """For each pair: the place of its lengths in the order of lengths, or the number of its shape, `(pairs,)`."""
        self._strata = list(self._stratify(place if self.max_shapes else np.zeros_like(place)))

    def _stratify(self, kind: npt.NDArray[np.integer]) -> Iterator[tuple[int, float, Indices]]:
        """The pairs apart by kind and weight: (kind, weight, pairs)."""
        for weight in [1.0] if self._weights is None else np.unique(self._weights).tolist():
            pairs = np.arange(len(kind)) if self._weights is None else np.flatnonzero(self._weights == weight)
            order = pairs[np.argsort(kind[pairs], kind="stable")]
            edges = np.flatnonzero(np.diff(kind[order], prepend=-1, append=-1))
            for start, end in itertools.pairwise(edges.tolist()):
                yield int(kind[order[start]]), weight, order[start:end]

    def _taken_before(self, stratum: int, epoch: int) -> int:
        """How many pairs of a stratum the epochs before this one take, one that is taken twice counted twice."""
        _, weight, pairs = self._strata[stratum]
        return math.floor(epoch * weight * len(pairs))

    def _taken(self, stratum: int, epoch: int) -> Indices:
        """The pairs of a stratum that an epoch takes, in random order.

        Random orders of all of them are thought laid end to end; each epoch takes the next stretch.
        """
        pairs = self._strata[stratum][2]
        start, end = self._taken_before(stratum, epoch), self._taken_before(stratum, epoch + 1)
        stretches = [pairs[:0]]
        for turn in range(start // len(pairs), math.ceil(end / len(pairs))):
            order = pairs
            if self.shuffle:
                order = pairs[np.random.default_rng((self.seed, turn, 1, stratum)).permutation(len(pairs))]
            before = turn * len(pairs)
            stretches.append(order[max(start - before, 0) : end - before])
        return np.concatenate(stretches)

    def _taken_of(self, strata: Sequence[int], epoch: int) -> Indices:
        """The pairs that an epoch takes of several strata, mixed."""
        pairs = np.concatenate([self._taken(stratum, epoch) for stratum in strata])
        if self.shuffle and len(strata) > 1:
            pairs = np.random.default_rng((self.seed, epoch, 2, strata[0])).permutation(pairs)
        return pairs

    def _groups_by_length(self, epoch: int) -> Iterator[Part]:
        """All pairs of an epoch in groups as large as the budget allows, along the order of lengths.

        Pairs of the same lengths stand in random order, and the first group is of random size, so that the groups
        after it begin elsewhere in every epoch.
        """
        pairs = self._taken_of(range(len(self._strata)), epoch)
        order = pairs[np.argsort(self._place[pairs], kind="stable")]
        first = np.random.default_rng((self.seed, epoch, 3)).random() if self.shuffle else 1.0
        starts = cut(
            self.source_lengths[order], self.target_lengths[order], self.tokens_per_batch // self.groups, first
        )
        for start, end in itertools.pairwise((*starts, len(order))):
            yield self._part(order[start:end])

    def _groups_of_shapes(self, epoch: int) -> Iterator[Part]:
        """The groups of each shape that an epoch makes full.

        The pairs that the epochs take of a shape are thought laid end to end and cut into runs of as many sentences
        as the shape has. A run belongs to the epoch in which it ends, so its first pairs may be of the epoch before.
        """
        for number, shape in enumerate(self._shapes):
            strata = [position for position, (kind, _, _) in enumerate(self._strata) if kind == number]
            if not self.shuffle:
                pairs = self._taken_of(strata, epoch)
                for start in range(0, len(pairs), shape[0]):
                    yield Part(pairs[start : start + shape[0]], *shape)
                continue
            before = sum(self._taken_before(stratum, epoch) for stratum in strata)
            after = sum(self._taken_before(stratum, epoch + 1) for stratum in strata)
            runs = after // shape[0] - before // shape[0]
            left, earlier = before % shape[0], epoch  # how many pairs of earlier epochs the first run begins with
            pairs = self._taken_of(strata, epoch) if runs else np.zeros(0, dtype=np.int64)
            while runs and left:
                earlier -= 1
                tail = self._taken_of(strata, earlier)[-left:]
                pairs = np.concatenate((tail, pairs))
                left -= len(tail)
            for start in range(0, runs * shape[0], shape[0]):
                yield Part(pairs[start : start + shape[0]], *shape)

    def _part(self, indices: Indices) -> Part:
        """These pairs as tightly as they fit."""
        if not len(indices):
            return Part(indices, 1, 1, 1)
        source, target = self.source_lengths[indices], self.target_lengths[indices]
        return Part(indices, len(indices), int(source.max()), int(target.max()))

    def _divide(self, groups: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
        """The groups of an update over steps and processes, the parts of a step as equal as can be.

        Each group is divided into as few shares as make the shares of all groups go round.
        """
        places = self.processes * self.accumulation_steps
        shares = [share for group in groups for share in self._shares(group, places // math.gcd(places, self.groups))]
        shares.sort(key=lambda share: share.slots, reverse=True)
        spare = Part(shares[0].indices[:0], *(shares[-1].shape if self.max_shapes else (1, 1, 1)))
        rows: list[tuple[Part, ...]] = []
        for start in range(0, len(shares), self.processes):
            row = shares[start : start + self.processes]
            row += [spare] * (self.processes - len(row))
            # Every other step goes the other way, so that no process has the largest part of all of them.
            rows.append(tuple(row if len(rows) % 2 == 0 else row[::-1]))
        return tuple(rows)

    def _shares(self, group: Part, shares: int) -> Iterator[Part]:
        """The pairs of a group in equal shares, each of neighbouring lengths."""
        edges = [len(group) * share // shares for share in range(shares + 1)]
        for start, end in itertools.pairwise(edges):
            if self.max_shapes:
                rows = math.ceil(group.sentences / shares)
                yield Part(group.indices[start:end], rows, group.source_length, group.target_length)
            else:
                yield self._part(group.indices[start:end])

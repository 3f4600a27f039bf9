"""How pairs are grouped by their lengths so that they pad little: an order of all lengths, or a few shapes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Counts = npt.NDArray[np.float64]
Shape = tuple[int, int, int]

# The lengths on each side from which the search for few shapes sets out.
_CANDIDATES = 20
# Sentences of a batch of few shapes come in multiples of this, so that 2, 4 or 8 processes divide them evenly.
_SENTENCES_MULTIPLE = 8


@dataclass(frozen=True)
class Plan:
    """How pairs are grouped by their lengths."""

    padding: float
    """The share of slots that it pads."""
    places: npt.NDArray[np.int64]
    """The place in the order of lengths, or the number of the shape, `(source lengths, target lengths)`."""
    shapes: list[Shape]
    """Sentences, source length and target length of each shape, where they are few."""


def distinct(lengths: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct lengths in order, and for each pair which of them is its."""
    values = np.flatnonzero(np.bincount(lengths))
    codes = np.zeros(values[-1] + 1, dtype=np.int64)
    codes[values] = np.arange(len(values))
    return values, codes[lengths]


def cut(source: npt.NDArray[np.integer], target: npt.NDArray[np.integer], budget: int, first: float) -> list[int]:
    """Where runs begin that are as long as the budget allows: pairs times the longest within it, on each side.

    Args:
        source: lengths in order, `(pairs,)`.
        target: the same for the target.
        budget: slots of a run on each side.
        first: the share of what the budget allows that the first run takes.
    """
    longer = np.maximum(source, target).astype(np.int64)
    numbers = np.arange(1, min(budget, len(longer)) + 1)
    starts, start = [], 0
    while start < len(longer):
        starts.append(start)
        # No run has more pairs than this, as its longest side is at least as long as its first pair's.
        longest = np.maximum.accumulate(longer[start : start + budget // int(longer[start])])
        fits = longest * numbers[: len(longest)] <= budget
        size = len(fits) if fits[-1] else int(fits.argmin())
        if start == 0 and size < len(longer):
            size = max(1, int(size * first))
        start += size
    return starts


# ---------------------------------------------------------------------------------------------------------------------
# The order of lengths


def order_of_lengths(counts: Counts, source_values: Indices, target_values: Indices, budget: int) -> Plan:
    """An order of lengths in which neighbours are similar on both sides, so that runs of it pad little.

    Lengths are sorted by source into strips of about equally many pairs, and within each strip by target: sorting by
    one side alone leaves the other side's lengths mixed. Every other strip runs backwards, so that lengths change
    little from strip to strip. The number of strips is the one that pads least.

    Args:
        counts: pairs of each source and target length, `(source lengths, target lengths)`.
        source_values: the source lengths, ascending.
        target_values: the target lengths, ascending.
        budget: slots of a group on each side.
    """
    sources, targets = np.nonzero(counts)
    pairs = np.ceil(counts[sources, targets]).astype(np.int64)
    of_source = counts.sum(axis=1)
    middles = (of_source.cumsum() - of_source / 2) / of_source.sum()
    best, since, strips = np.inf, 0, 1.0
    while strips < 2 * len(source_values) and since < 3:
        strip = np.unique(np.floor(middles * int(strips)), return_inverse=True)[1][sources]
        order = np.lexsort((sources, np.where(strip % 2 == 0, targets, -targets), strip))
        source = np.repeat(source_values[sources[order]], pairs[order])
        target = np.repeat(target_values[targets[order]], pairs[order])
        starts = cut(source, target, budget, 1.0)
        sizes = np.diff(starts, append=len(source))
        slots = sizes @ (np.maximum.reduceat(source, starts) + np.maximum.reduceat(target, starts))
        share = 1 - (source.sum() + target.sum()) / slots
        since += 1
        if share < best:
            best, chosen, since = share, order, 0
        strips *= 2**0.5
    places = np.zeros(counts.shape, dtype=np.int64)
    places[sources[chosen], targets[chosen]] = np.arange(len(chosen))
    return Plan(float(best), places, [])


# ---------------------------------------------------------------------------------------------------------------------
# Few shapes


def choose_shapes(counts: Counts, source_values: Indices, target_values: Indices, budget: int, limit: int) -> Plan:
    """Shapes that pad little, found by adding one after the other and then moving each as long as that helps.

    A pair has the smallest shape that is long enough on both sides. A shape of which an epoch wouldn't fill a single
    group is given up. The largest cannot be, as the longest pairs need it: it is filled up with the next longest, and
    where their lengths are far too frequent for it, has fewer sentences.

    Args:
        counts: pairs of each source and target length in an epoch, `(source lengths, target lengths)`.
        source_values: the source lengths, ascending.
        target_values: the target lengths, ascending.
        budget: slots of a group on each side.
        limit: the most shapes.
    """
    cells = np.nonzero(counts)
    pairs, source, target = counts[cells], source_values[cells[0]], target_values[cells[1]]
    edges = np.array([(source_values[-1], target_values[-1])])
    candidates = np.stack(np.meshgrid(_spread(source, pairs), _spread(target, pairs)), axis=-1).reshape(-1, 2)
    slots_of_candidates = _slots(candidates, source, target)
    slots = _slots(edges, source, target)[0]
    while len(edges) < limit:
        gains = np.maximum(slots - slots_of_candidates, 0) @ pairs
        if gains.max() <= 0:
            break
        edges = np.append(edges, candidates[[gains.argmax()]], axis=0)
        slots = np.minimum(slots, slots_of_candidates[gains.argmax()])
    for step in (4, 2, 1):
        edges = _move(edges, pairs, source, target, step)
    while True:
        slots = _slots(edges, source, target)
        shape = slots.argmin(axis=0)
        sentences = _sentences(np.minimum(budget // edges.max(axis=1), pairs.sum()))
        missing = sentences[0] - pairs[shape == 0].sum()
        if missing > 0:
            more = np.flatnonzero((shape != 0) & (pairs <= sentences[0]))
            more = more[np.argsort((slots[0] - slots.min(axis=0))[more], kind="stable")]
            shape[more[: 1 + np.searchsorted(pairs[more].cumsum(), missing)]] = 0
            sentences[0] = min(sentences[0], _sentences(pairs[shape == 0].sum()))
        filled = np.bincount(shape, weights=pairs, minlength=len(edges)) / sentences
        if (filled[1:] >= 1).all():
            break
        emptiest = 1 + int(filled[1:].argmin())
        edges = _move(np.delete(edges, emptiest, axis=0), pairs, source, target, 1, rounds=1)
    places = np.zeros(counts.shape, dtype=np.int64)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    places[cells] = np.argsort(order)[shape]
    share = 1 - pairs @ (source + target) / (pairs @ slots[shape, np.arange(len(pairs))])
    chosen = [(int(sentences[number]), int(edges[number, 0]), int(edges[number, 1])) for number in order]
    return Plan(float(share), places, chosen)


def keep_shapes(
    counts: Counts, source_values: Indices, target_values: Indices, budget: int, shapes: list[Shape]
) -> Plan:
    """The smallest of these shapes for each pair, and one more for pairs that are too long for all of them.

    Args:
        counts: pairs of each source and target length, `(source lengths, target lengths)`.
        source_values: the source lengths, ascending.
        target_values: the target lengths, ascending.
        budget: slots of a group on each side, for a shape that has to be added.
        shapes: sentences, source length and target length of each.
    """
    cells = np.nonzero(counts)
    pairs, source, target = counts[cells], source_values[cells[0]], target_values[cells[1]]
    slots = _slots(np.array(shapes)[:, 1:], source, target)
    long = np.isinf(slots.min(axis=0))
    if long.any():
        longest = int(source[long].max()), int(target[long].max())
        shapes = [*shapes, (int(_sentences(budget // max(longest))), *longest)]
        slots = _slots(np.array(shapes)[:, 1:], source, target)
    places = np.zeros(counts.shape, dtype=np.int64)
    places[cells] = slots.argmin(axis=0)
    return Plan(float(1 - pairs @ (source + target) / (pairs @ slots.min(axis=0))), places, shapes)


def _spread(lengths: Indices, pairs: Counts) -> Indices:
    """Some of the lengths: halfway between equally many pairs and equally many lengths from one to the next."""
    counts = np.bincount(lengths, weights=pairs)
    place = counts.cumsum() / counts.sum() + np.arange(len(counts)) / len(counts)
    return np.searchsorted(place, np.linspace(0, place[-1], _CANDIDATES + 1)[1:])


def _slots(edges: Indices, source: Indices, target: Indices) -> Counts:
    """Slots of a pair of each length in each shape, infinite where it is too long for it, `(shapes, lengths)`."""
    fits = (source <= edges[:, :1]) & (target <= edges[:, 1:])
    return np.where(fits, edges.sum(axis=1, keepdims=True), np.inf)


def _move(edges: Indices, pairs: Counts, source: Indices, target: Indices, step: int, rounds: int = 8) -> Indices:
    """The shapes after each, the first apart, has been moved to where all pairs need fewer slots, in rounds."""
    edges, slots = edges.copy(), _slots(edges, source, target)
    ways = step * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)])
    for _ in range(rounds):
        before = edges.copy()
        for number in range(1, len(edges)):
            others = np.delete(slots, number, axis=0).min(axis=0)
            trials = np.minimum(edges[number] + ways, edges[0])
            slots_of_trials = _slots(trials, source, target)
            best = (np.minimum(slots_of_trials, others) @ pairs).argmin()
            edges[number], slots[number] = trials[best], slots_of_trials[best]
        if (edges == before).all():
            break
    return edges


def _sentences(fitting: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Sentences of a batch where so many fit: a multiple that several processes divide, below it a power of two."""
    most = np.maximum(fitting, 1).astype(np.int64)
    powers = 2 ** np.floor(np.log2(most)).astype(np.int64)
    return np.where(most >= _SENTENCES_MULTIPLE, most - most % _SENTENCES_MULTIPLE, powers)

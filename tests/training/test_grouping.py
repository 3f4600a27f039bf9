"""Plans by length: cuts worked out by hand, few shapes beside the best that exhaustive search finds."""

import itertools

import numpy as np
import pytest

from training.grouping import choose_shapes, cut, distinct, order_of_lengths


def histogram(lengths):
    source_values, source = distinct(np.array(lengths, dtype=np.int32)[:, 0])
    target_values, target = distinct(np.array(lengths, dtype=np.int32)[:, 1])
    counts = np.zeros((len(source_values), len(target_values)))
    np.add.at(counts, (source, target), 1)
    return counts, source_values, target_values


def test_distinct_lengths():
    values, codes = distinct(np.array([7, 3, 3, 9], dtype=np.int32))
    assert values.tolist() == [3, 7, 9] and codes.tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize(
    ("source", "target", "first", "starts"),
    [
        ([5, 5, 5, 5, 10, 10], [1] * 6, 1.0, [0, 4]),
        ([1] * 6, [5, 5, 5, 5, 10, 10], 1.0, [0, 4]),
        ([2, 2, 9, 2, 2], [2] * 5, 1.0, [0, 2, 4]),  # two of 9 fit, three don't
        ([5] * 10, [5] * 10, 0.5, [0, 2, 6]),
        ([5] * 10, [5] * 10, 0.0, [0, 1, 5, 9]),
        ([5] * 4, [5] * 4, 0.5, [0]),  # all in one: nothing to move
        ([20, 20], [20, 1], 1.0, [0, 1]),
        ([], [], 1.0, []),
    ],
)
def test_cuts_by_hand(source, target, first, starts):
    assert cut(np.array(source), np.array(target), 20, first) == starts


def test_a_budget_far_beyond_all_pairs():
    assert cut(np.array([3, 4]), np.array([4, 3]), 10**15, 1.0) == [0]


def test_the_order_of_lengths_has_each_once_and_foretells_its_padding():
    lengths = np.random.default_rng(0).integers(3, 30, (4000, 2))
    counts, source_values, target_values = histogram(lengths)
    plan = order_of_lengths(counts, source_values, target_values, 600)
    assert sorted(plan.places[counts > 0]) == list(range((counts > 0).sum()))
    keys = plan.places[np.searchsorted(source_values, lengths[:, 0]), np.searchsorted(target_values, lengths[:, 1])]
    sorted_lengths = lengths[np.argsort(keys)]
    starts = cut(*sorted_lengths.T, 600, 1.0)
    slots = sum(
        (end - start) * sorted_lengths[start:end].max(axis=0).sum()
        for start, end in itertools.pairwise((*starts, len(lengths)))
    )
    assert plan.padding == pytest.approx(1 - lengths.sum() / slots)
    # Sorting by one side alone leaves the other side's lengths mixed.
    by_source = lengths[np.argsort(lengths[:, 0])]
    starts = cut(*by_source.T, 600, 1.0)
    naive = sum(
        (end - start) * by_source[start:end].max(axis=0).sum()
        for start, end in itertools.pairwise((*starts, len(lengths)))
    )
    assert slots < 0.85 * naive


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_few_shapes_are_about_as_good_as_any(seed, limit):
    random = np.random.default_rng(seed)
    source = random.poisson(6, 400) + 1
    lengths = np.stack((source, np.maximum(1, source + random.integers(-2, 3, 400))), axis=1)
    plan = choose_shapes(*histogram(lengths), 40, limit)
    longest = lengths.max(axis=0)
    corners = list(itertools.product(np.unique(lengths[:, 0]), np.unique(lengths[:, 1])))
    slots = np.array([np.where((lengths <= corner).all(axis=1), sum(corner), 10**6) for corner in corners])
    whole = np.full(len(lengths), longest.sum())
    least = min(
        np.minimum(slots[list(chosen)].min(axis=0), whole).sum() if chosen else whole.sum()
        for chosen in itertools.combinations(range(len(corners)), limit - 1)
    )
    assert lengths.sum() / (1 - plan.padding) <= 1.02 * least
    assert len(plan.shapes) <= limit


@pytest.mark.parametrize("budget", [200, 1000, 4000, 20_000])
def test_every_shape_has_the_pairs_for_a_group_and_fits_its_pairs(budget):
    random = np.random.default_rng(1)
    lengths = np.clip(np.exp(random.normal(2.5, 0.6, (3000, 1))) + random.normal(0, 2, (3000, 2)), 1, 100).astype(int)
    counts, source_values, target_values = histogram(lengths)
    plan = choose_shapes(counts, source_values, target_values, budget, 30)
    assert 1 <= len(plan.shapes) <= 30 and len(set(plan.shapes)) == len(plan.shapes)
    for number, (sentences, source, target) in enumerate(plan.shapes):
        rows, columns = np.nonzero((plan.places == number) & (counts > 0))
        assert counts[rows, columns].sum() >= sentences >= 1
        assert source_values[rows].max() <= source and target_values[columns].max() <= target
        assert sentences * max(source, target) <= budget
        assert sentences % 8 == 0 or sentences in (1, 2, 4)

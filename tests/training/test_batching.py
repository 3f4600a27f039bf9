"""Batches: every pair as often as it should be, in budget, the same for any number of processes, little padding."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import batching
from training.batching import TokenBudgetBatches

pairs = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=200)


@pytest.fixture(autouse=True, scope="module")
def small_groups():
    """Groups so small that a few pairs already give updates of several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "_SMALLEST_GROUP", 1)
        yield


def make(lengths, budget, **settings):
    source, target = np.array(lengths).T
    return TokenBudgetBatches(source, target, budget, **settings)


def text_lengths(count, mean, spread, longest, seed=0):
    """Lengths as in text: skewed, and those of the two sides alike but not the same."""
    random = np.random.default_rng(seed)
    source = np.exp(random.normal(np.log(mean), spread, count))
    target = source * np.exp(random.normal(0.05, 0.2, count)) + random.normal(0, 1.5, count)
    return np.clip(np.stack((source, target), axis=1).round().astype(int), 2, longest)


CAPTIONS = text_lengths(29_000, 15, 0.28, 60)
MIXED = text_lengths(150_000, 15, 0.65, 128)


def contents(updates):
    return [sorted(update.indices.tolist()) for update in updates]


def parts_of(updates):
    return [part for update in updates for row in update.parts for part in row]


@settings(deadline=None, max_examples=80)
@given(
    lengths=pairs,
    budget=st.integers(40, 400),
    processes=st.integers(1, 4),
    steps=st.integers(1, 3),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
)
def test_every_pair_is_in_an_epoch_once_and_every_update_in_its_budget(
    lengths, budget, processes, steps, seed, epoch, shuffle
):
    batches = make(lengths, budget, processes=processes, accumulation_steps=steps, seed=seed, shuffle=shuffle)
    updates = batches.epoch(epoch)
    assert sorted(np.concatenate([update.indices for update in updates])) == list(range(len(lengths)))
    alone = make(lengths, budget, seed=seed, shuffle=shuffle)
    for update in alone.epoch(epoch):
        assert sum(part.sentences * part.source_length for row in update.parts for part in row) <= budget
        assert sum(part.sentences * part.target_length for row in update.parts for part in row) <= budget
    for update in updates:
        assert len(update.parts) >= (steps if batches.groups == 1 else 1)
        assert all(len(row) == processes for row in update.parts)
    if not shuffle:
        assert batches.groups == 1 and all(len(update.parts) == steps for update in updates)
    for part in parts_of(updates):
        source, target = np.array(lengths)[part.indices].reshape(-1, 2).max(axis=0, initial=1)
        assert part.shape == (max(len(part), 1), source, target)
        # A process has in memory at a time no more than its share of the budget, but for the rounding of one pair.
        share = budget / (processes * steps)
        assert part.sentences * max(source, target) <= share + max(source, target)
    shares = [list(batches.for_process(updates, process)) for process in range(processes)]
    assert {len(share) for share in shares} == {len(updates)}


@settings(deadline=None, max_examples=60)
@given(
    lengths=pairs,
    budget=st.integers(40, 400),
    processes=st.integers(1, 4),
    steps=st.integers(1, 3),
    max_shapes=st.none() | st.integers(1, 6),
    weighted=st.booleans(),
)
def test_updates_do_not_depend_on_processes_or_accumulation(lengths, budget, processes, steps, max_shapes, weighted):
    weights = np.where(np.arange(len(lengths)) % 3 == 0, 0.5, 1.5) if weighted else None
    choices = {"seed": 3, "max_shapes": max_shapes, "weights": weights}
    alone = make(lengths, budget, **choices).epoch(2)
    shared = make(lengths, budget, processes=processes, accumulation_steps=steps, **choices).epoch(2)
    assert contents(alone) == contents(shared)


@settings(deadline=None, max_examples=60)
@given(
    lengths=pairs,
    budget=st.integers(40, 400),
    processes=st.integers(1, 4),
    max_shapes=st.integers(1, 6),
    seed=st.integers(0, 5),
    weighted=st.booleans(),
)
def test_few_shapes_hold_every_pair_equally_often_over_the_epochs(
    lengths, budget, processes, max_shapes, seed, weighted
):
    weights = np.where(np.arange(len(lengths)) % 3 == 0, 0.5, 1.5) if weighted else np.ones(len(lengths))
    batches = make(lengths, budget, processes=processes, seed=seed, max_shapes=max_shapes, weights=weights)
    epochs = 6
    seen = np.zeros(len(lengths), dtype=int)
    shapes = set()
    for epoch in range(epochs):
        updates = batches.epoch(epoch)
        for update in updates:
            seen += np.bincount(update.indices, minlength=len(seen))
        shapes |= {part.shape for part in parts_of(updates)}
        for part in parts_of(updates):
            longest = np.array(lengths)[part.indices].reshape(-1, 2).max(axis=0, initial=1)
            assert len(part) <= part.sentences
            assert part.source_length >= longest[0] and part.target_length >= longest[1]
    assert len(shapes) <= max_shapes
    # Of a pair that should have come up w * epochs times, one turn may be under way and one run still wait.
    assert (np.abs(seen - weights * epochs) <= 3).all()
    assert seen.sum() <= sum(weights) * epochs


@pytest.mark.parametrize("max_shapes", [None, 12])
def test_weights_say_how_often_an_epoch_has_a_pair(max_shapes):
    lengths = CAPTIONS[:3000]
    weights = np.repeat([1, 2, 0.25], 1000)
    batches = make(lengths, 1000, seed=1, weights=weights, max_shapes=max_shapes)
    epochs = [np.concatenate([update.indices for update in batches.epoch(epoch)]) for epoch in range(4)]
    seen = np.bincount(np.concatenate(epochs), minlength=3000)
    if max_shapes is None:
        assert (seen == weights * 4).all()
        assert [len(epoch) for epoch in epochs] == [3250] * 4
        # Sources are mixed: no update is of one source alone.
        update = batches.epoch(0)[10].indices
        assert len(set(weights[update])) > 1
    else:  # what isn't yet part of a whole group is behind by at most one
        assert (seen <= weights * 4).all() and (seen >= weights * 4 - 2).all()
        assert seen.sum() > 0.95 * weights.sum() * 4


def test_order_depends_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(1, 30, (500, 2))

    def order(seed, epoch, **choices):
        return [index for update in make(lengths, 200, seed=seed, **choices).epoch(epoch) for index in update.indices]

    for choices in ({}, {"max_shapes": 5}):
        assert order(1, 0, **choices) == order(1, 0, **choices)
        assert order(1, 0, **choices) != order(1, 1, **choices)
        assert order(1, 0, **choices) != order(2, 0, **choices)


@pytest.mark.parametrize("max_shapes", [None, 10])
def test_pairs_meet_others_in_every_epoch(max_shapes):
    batches = make(CAPTIONS[:2000], 600, seed=1, max_shapes=max_shapes)
    first, second = ({tuple(pairs) for pairs in contents(batches.epoch(epoch))} for epoch in (0, 1))
    assert len(first & second) <= 1


def test_any_epoch_can_be_asked_for_alone():
    settings = {"seed": 2, "max_shapes": 8, "weights": np.full(500, 0.7)}
    lengths = CAPTIONS[:500]
    batches = make(lengths, 400, **settings)
    in_turn = [contents(batches.epoch(epoch)) for epoch in range(5)]
    assert contents(make(lengths, 400, **settings).epoch(4)) == in_turn[4]


def test_every_epoch_has_the_same_shapes_and_each_fills_its_budget():
    batches = make(CAPTIONS, 4096, seed=1, max_shapes=40, processes=2)
    epochs = [{part.shape for part in parts_of(batches.epoch(epoch))} for epoch in range(3)]
    assert epochs[0] == epochs[1] == epochs[2] and 30 <= len(epochs[0]) <= 40
    for sentences, source, target in epochs[0]:
        assert 2 * sentences % 8 == 0
        assert 0.75 * 4096 < 2 * sentences * max(source, target) <= 4096
    assert all(len(part) == part.sentences for part in parts_of(batches.epoch(0)))


def test_processes_that_do_not_divide_a_group_get_rows_of_padding():
    alone = make([(5, 5)] * 16, 80, max_shapes=1)
    assert [part.shape for part in parts_of(alone.epoch(0))] == [(16, 5, 5)]
    three = make([(5, 5)] * 16, 80, max_shapes=1, processes=3)
    assert [part.shape for part in parts_of(three.epoch(0))] == [(6, 5, 5)] * 3
    assert sorted(len(part) for part in parts_of(three.epoch(0))) == [5, 5, 6]


def test_what_does_not_fill_a_group_begins_the_next_epoch():
    batches = make([(5, 5)] * 20, 80, max_shapes=1, seed=1)  # 16 sentences a group
    epochs = [contents(batches.epoch(epoch)) for epoch in range(4)]
    assert [len(epoch) for epoch in epochs] == [1, 1, 1, 2]  # 20, 40, 60, 80 pairs are 1, 2, 3, 5 groups of 16
    assert set(range(20)) - set(epochs[0][0]) <= set(epochs[1][0])
    seen = collections.Counter(pair for epoch in epochs for group in epoch for pair in group)
    assert seen == dict.fromkeys(range(20), 4)


@pytest.mark.parametrize("max_shapes", [None, 4])
def test_without_shuffling_every_epoch_is_the_same(max_shapes):
    lengths = np.random.default_rng(0).integers(1, 30, (100, 2))
    batches = make(lengths, 200, shuffle=False, max_shapes=max_shapes)
    first, second = batches.epoch(0), batches.epoch(1)
    assert [list(update.indices) for update in first] == [list(update.indices) for update in second]
    assert sorted(np.concatenate([update.indices for update in first])) == list(range(100))
    assert max_shapes is None or len({part.shape for part in parts_of(first)}) <= max_shapes


def test_exact_batches_of_a_small_case():
    # Four pairs of 5 tokens fill 20 slots; the two of 10 tokens fill the next 20.
    batches = make([(5, 5)] * 4 + [(10, 10)] * 2, 20, shuffle=False)
    assert [list(update.indices) for update in batches.epoch(0)] == [[0, 1, 2, 3], [4, 5]]
    padding = batches.padding(batches.epoch(0))
    assert (padding.source_tokens, padding.source_slots, padding.target_tokens, padding.target_slots) == (40,) * 4
    assert padding.share == 0 and padding.shapes == 2
    assert batches.describe(batches.epoch(0)) == "2 updates an epoch, 0.0% of their slots padding, 2 shapes"


def test_groups_are_shared_out_whole_where_they_go_round(monkeypatch):
    monkeypatch.setattr(batching, "_SMALLEST_GROUP", 1024)
    alone = make(CAPTIONS, 8192, seed=1)
    groups = alone.groups
    assert groups > 1
    groups_of_updates = [len(update.parts) for update in alone.epoch(0)]  # one process, a step each
    assert set(groups_of_updates) <= {groups - 1, groups}

    def steps_and_sizes(**division):
        updates = make(CAPTIONS, 8192, seed=1, **division).epoch(0)
        return [len(update.parts) for update in updates], [len(part) for part in parts_of(updates)]

    whole = sorted(len(part) for part in parts_of(alone.epoch(0)))
    steps, sizes = steps_and_sizes(processes=groups)
    assert set(steps) == {1} and sorted(size for size in sizes if size) == whole
    steps, sizes = steps_and_sizes(accumulation_steps=groups)
    assert steps == groups_of_updates and sorted(sizes) == whole
    steps, sizes = steps_and_sizes(processes=2 * groups)
    assert set(steps) == {1} and max(sizes) == -(-whole[-1] // 2)
    steps, sizes = steps_and_sizes(processes=3)
    assert steps == groups_of_updates and max(sizes) == -(-whole[-1] // 3)


def test_processes_have_similar_work(monkeypatch):
    monkeypatch.setattr(batching, "_SMALLEST_GROUP", 1024)
    for max_shapes in (None, 40):
        updates = make(CAPTIONS, 8192, processes=4, seed=1, max_shapes=max_shapes).epoch(0)
        slots = np.array(
            [[sum(row[process].slots for row in update.parts) for process in range(4)] for update in updates]
        )
        assert slots.mean(axis=1).sum() > 0.9 * slots.max(axis=1).sum()


def test_padding_counts_the_slots_of_each_part():
    batches = make([(2, 3), (4, 3)], 100, shuffle=False)
    padding = batches.padding(batches.epoch(0))
    assert (padding.source_tokens, padding.source_slots) == (6, 8)
    assert (padding.target_tokens, padding.target_slots) == (6, 6)
    assert padding.share == pytest.approx(2 / 14)
    halves = make([(2, 3), (4, 3)], 100, shuffle=False, processes=2)
    assert halves.padding(halves.epoch(0)).share == 0


@pytest.mark.parametrize(
    ("lengths", "budget", "bound"),
    [(CAPTIONS, 4096, 0.05), (CAPTIONS, 8192, 0.05), (CAPTIONS, 25_000, 0.05), (MIXED, 25_000, 0.05)],
)
def test_padding_is_small_on_lengths_as_in_text(lengths, budget, bound, monkeypatch):
    monkeypatch.setattr(batching, "_SMALLEST_GROUP", 1024)
    batches = make(lengths, budget, seed=1)
    updates = batches.epoch(0)
    padding = batches.padding(updates)
    assert padding.share < bound
    assert padding.source_tokens + padding.target_tokens > 0.8 * 2 * budget * len(updates)


@pytest.mark.parametrize(("lengths", "budget"), [(CAPTIONS, 4096), (CAPTIONS, 25_000), (MIXED, 25_000)])
def test_padding_of_forty_shapes_is_under_an_eighth(lengths, budget, monkeypatch):
    monkeypatch.setattr(batching, "_SMALLEST_GROUP", 1024)
    batches = make(lengths, budget, seed=1, max_shapes=40)
    padding = batches.padding(batches.epoch(0))
    assert padding.share < 0.12 and padding.shapes <= 40


def test_chapters_share_shapes():
    settings = {"seed": 1, "max_shapes": 20}
    first = make(CAPTIONS[:10_000], 2048, **settings)
    longest = CAPTIONS[:10_000].max(axis=0)
    second = CAPTIONS[10_000:20_000]
    second = second[(second <= longest).all(axis=1)]
    known = {part.shape for part in parts_of(first.epoch(0))}
    following = make(second, 2048, like=first, **settings)
    assert following.groups == first.groups
    assert {part.shape for part in parts_of(following.epoch(0))} <= known
    longer = make([*second.tolist(), [90, 80]], 2048, like=first, **settings)
    shapes = {part.shape for epoch in range(25) for part in parts_of(longer.epoch(epoch))}
    assert shapes - known == {(16, 90, 80)}
    # Without few shapes there is nothing to share but the number of groups.
    coarse = make(CAPTIONS[:10_000], 8192, seed=1)
    assert make(CAPTIONS[10_000:20_000], 8192, seed=1, like=coarse).groups == coarse.groups
    assert make([(8000, 10), (5, 5)], 8192, seed=1, like=coarse).groups == 1


def test_a_single_long_pair_does_not_pad_all_others():
    batches = make([(10, 10)] * 1000 + [(200, 200)], 4096, max_shapes=40)
    epochs = [batches.epoch(epoch) for epoch in range(3)]
    assert all(sum(1000 in update.indices for update in updates) == 1 for updates in epochs)
    assert all(batches.padding(updates).share < 0.01 for updates in epochs)


@pytest.mark.parametrize("max_shapes", [None, 1, 40])
@pytest.mark.parametrize("lengths", [[(7, 3)], [(100, 100)], [(9, 9)] * 50])
def test_the_fewest_pairs(lengths, max_shapes):
    batches = make(lengths, 100, max_shapes=max_shapes)
    seen = np.concatenate([update.indices for epoch in range(4) for update in batches.epoch(epoch)])
    assert set(seen.tolist()) == set(range(len(lengths)))
    assert batches.padding(batches.epoch(0)).share == 0


@pytest.mark.parametrize("max_shapes", [None, 5])
def test_no_pairs_are_no_updates(max_shapes):
    batches = TokenBudgetBatches([], [], 10, max_shapes=max_shapes)
    assert batches.epoch(0) == []
    assert batches.padding([]).share == 0
    # Nor is an epoch whose share of a pair is less than one.
    quarter = TokenBudgetBatches([3], [3], 10, weights=[0.25], max_shapes=max_shapes)
    assert [len(quarter.epoch(epoch)) for epoch in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("source", "target", "choices", "message"),
    [
        ([5, 50], [5, 5], {}, "pair 1 has 50 tokens on a side, more than tokens_per_batch = 20"),
        ([5, 0], [5, 5], {}, "at least one token"),
        ([5, 5], [5], {}, "same size"),
        ([5, 5], [5, 5], {"max_shapes": 0}, "max_shapes must be at least 1, but is 0"),
        ([5, 5], [5, 5], {"processes": 0}, "processes must be at least 1"),
        ([5, 5], [5, 5], {"weights": [1]}, "as many as pairs"),
        ([5, 5], [5, 5], {"weights": [1, 0]}, "above 0"),
        ([5, 5], [5, 5], {"weights": [1, np.nan]}, "above 0"),
    ],
)
def test_impossible_pairs_and_choices_are_refused(source, target, choices, message):
    with pytest.raises(ValueError, match=message):
        TokenBudgetBatches(source, target, 20, **choices)

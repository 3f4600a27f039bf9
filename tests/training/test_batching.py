"""Batches: every pair once, within the budget, the same for any number of processes, little padding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.batching import TokenBudgetBatches

pairs = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=200)


def make(lengths, budget, **settings):
    source, target = np.array(lengths).T
    return TokenBudgetBatches(source, target, budget, **settings)


@settings(deadline=None, max_examples=150)
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
    source, target = np.array(lengths).T
    for update in updates:
        assert len(update.parts) == steps and all(len(row) == processes for row in update.parts)
        for side in (source, target):
            assert side[update.indices].max() * len(update.indices) <= budget
        sizes = [len(part) for row in update.parts for part in row]
        assert max(sizes) - min(sizes) <= 1
    shares = [list(batches.for_process(updates, process)) for process in range(processes)]
    assert {len(share) for share in shares} == {len(updates)}


@settings(deadline=None, max_examples=50)
@given(lengths=pairs, budget=st.integers(40, 400), processes=st.integers(1, 4), steps=st.integers(1, 3))
def test_updates_do_not_depend_on_processes_or_accumulation(lengths, budget, processes, steps):
    alone = make(lengths, budget, seed=3).epoch(2)
    shared = make(lengths, budget, seed=3, processes=processes, accumulation_steps=steps).epoch(2)
    assert [list(update.indices) for update in alone] == [list(update.indices) for update in shared]


def test_order_depends_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(1, 30, (500, 2))

    def order(seed, epoch):
        return [index for update in make(lengths, 200, seed=seed).epoch(epoch) for index in update.indices]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_without_shuffling_every_epoch_is_the_same():
    lengths = np.random.default_rng(0).integers(1, 30, (100, 2))
    batches = make(lengths, 200, shuffle=False)
    first, second = batches.epoch(0), batches.epoch(1)
    assert [list(update.indices) for update in first] == [list(update.indices) for update in second]


def test_exact_batches_of_a_small_case():
    # Four pairs of 5 tokens fill 20 slots; the two of 10 tokens fill the next 20.
    batches = make([(5, 5)] * 4 + [(10, 10)] * 2, 20, shuffle=False)
    assert [list(update.indices) for update in batches.epoch(0)] == [[0, 1, 2, 3], [4, 5]]
    padding = batches.padding(batches.epoch(0))
    assert (padding.source_tokens, padding.source_slots, padding.target_tokens, padding.target_slots) == (40,) * 4
    assert padding.share == 0


def test_padding_counts_the_slots_of_each_part():
    batches = make([(2, 3), (4, 3)], 100, shuffle=False)
    padding = batches.padding(batches.epoch(0))
    assert (padding.source_tokens, padding.source_slots) == (6, 8)
    assert (padding.target_tokens, padding.target_slots) == (6, 6)
    assert padding.share == pytest.approx(2 / 14)
    halves = make([(2, 3), (4, 3)], 100, shuffle=False, processes=2)
    assert halves.padding(halves.epoch(0)).share == 0


def test_padding_is_small_on_lengths_as_in_text():
    random = np.random.default_rng(0)
    source = random.poisson(14, 20_000) + 2
    target = np.maximum(1, source + random.normal(0, 2.5, source.size).round().astype(int))
    batches = TokenBudgetBatches(source, target, 4096, seed=1)
    assert batches.padding(batches.epoch(0)).share < 0.06


def test_no_pairs_are_no_updates():
    assert TokenBudgetBatches([], [], 10).epoch(0) == []


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([5, 50], [5, 5], "pair 1 has 50 tokens on a side, more than tokens_per_batch = 20"),
        ([5, 0], [5, 5], "at least one token"),
        ([5, 5], [5], "same size"),
    ],
)
def test_impossible_pairs_are_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        TokenBudgetBatches(source, target, 20)

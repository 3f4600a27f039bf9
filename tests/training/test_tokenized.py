"""Tokens: made once and noticed when stale, dropped, cut and padded by rules, the same by one process or two."""

import datasets
import numpy as np
import pytest

from modeling_vanilla_transformer import VanillaTransformerTokenizer
from tests.training.text import sentences
from training import cleaning
from training.batching import Part
from training.cleaning import Filters, describe_counts
from training.reading import DataError
from training.tokenized import _Tokenize, tokenize_pairs

SOURCE, TARGET = sentences(20, seed=5)
ROWS = [{"source": source, "target": target} for source, target in zip(SOURCE, TARGET, strict=True)]


@pytest.fixture(scope="module")
def tokenizer():
    return VanillaTransformerTokenizer.train(SOURCE + TARGET, vocab_size=320, show_progress=False)


def test_tokens_lengths_and_counts(tmp_path, tokenizer):
    table = datasets.Dataset.from_dict(
        {"source": ["one cat", "", "two", "red " * 50, None], "target": ["eins Katze", "leer", " ", "rot", "x"]}
    )
    pairs = tokenize_pairs(table, tokenizer, max_length=20, name="train")
    counts = {"read": 5, "empty": 3, "too_long": 1, "kept": 1}
    assert {reason: count for reason, count in pairs.counts.items() if count} == counts
    assert describe_counts("train", pairs.counts) == (
        "train: 1 of 5 pairs; dropped 3 with an empty side, 1 longer than max_length"
    )
    batch = pairs.batch(np.array([0]), pad_token_id=0)
    assert batch["input_ids"].tolist() == [tokenizer("one cat")["input_ids"]]
    assert batch["labels"].tolist() == [tokenizer(text_target="eins Katze")["input_ids"]]
    assert pairs.source_lengths.tolist() == [batch["input_ids"].shape[1]]
    assert batch["labels"][0, -1] == tokenizer.eos_token_id == batch["input_ids"][0, -1]


def test_a_batch_is_padded_on_the_right(tokenizer):
    pairs = tokenize_pairs(datasets.Dataset.from_list(ROWS), tokenizer)
    chosen = np.array([7, 2, 11])
    batch = pairs.batch(chosen, pad_token_id=0)
    for row, index in enumerate(chosen):
        ids = tokenizer(SOURCE[index])["input_ids"]
        width = batch["input_ids"].shape[1]
        assert batch["input_ids"][row].tolist() == ids + [0] * (width - len(ids))
        assert batch["attention_mask"][row].tolist() == [1] * len(ids) + [0] * (width - len(ids))
        labels = tokenizer(text_target=TARGET[index])["input_ids"]
        assert batch["labels"][row].tolist() == labels + [-100] * (batch["labels"].shape[1] - len(labels))


def test_special_tokens_in_the_text_are_ordinary_characters(tokenizer):
    table = datasets.Dataset.from_dict({"source": ["one </s> cat"], "target": ["<pad> eins"]})
    batch = tokenize_pairs(table, tokenizer).batch(np.array([0]), 0)
    assert (batch["input_ids"] == tokenizer.eos_token_id).sum() == 1
    assert (batch["labels"] == tokenizer.pad_token_id).sum() == 0


def test_the_cache_notices_other_text_another_tokenizer_and_other_filters(tokenizer, monkeypatch):
    calls = []
    work = _Tokenize.__call__

    def counting(self, rows, indices):
        calls.append(len(indices))
        return work(self, rows, indices)

    monkeypatch.setattr(_Tokenize, "__call__", counting)
    rows = [{"source": f"cache {row['source']}", "target": row["target"]} for row in ROWS]
    table = datasets.Dataset.from_list(rows)
    first = tokenize_pairs(table, tokenizer)
    assert calls == [20]
    again = tokenize_pairs(
        datasets.Dataset.from_list(rows), tokenizer, max_length=int(np.median(first.source_lengths))
    )
    assert calls == [20]  # a limit decides what is used, not what is tokenised
    assert len(again) < len(first)
    rows[3]["target"] += " und"
    tokenize_pairs(datasets.Dataset.from_list(rows), tokenizer)
    assert calls == [20, 20]
    other = VanillaTransformerTokenizer.train(SOURCE, vocab_size=280, show_progress=False)
    ids = tokenize_pairs(table, other).batch(np.array([0]), 0)["input_ids"][0]
    assert calls == [20, 20, 20]
    assert other.decode(ids, skip_special_tokens=True) == f"cache {SOURCE[0]}"
    rows[4] = {"source": "same", "target": "same"}
    table = datasets.Dataset.from_list(rows)
    assert len(tokenize_pairs(table, tokenizer)) == 20
    assert len(tokenize_pairs(table, tokenizer, filters=Filters(drop_identical=True))) == 19
    assert calls == [20, 20, 20, 20, 20]


def test_workers_give_the_same(tokenizer, monkeypatch, tmp_path):
    source, target = sentences(300, seed=9)
    table = datasets.Dataset.from_dict({"source": source, "target": target})
    filters = Filters(drop_duplicates=True)
    alone = tokenize_pairs(table, tokenizer, filters=filters, cache=tmp_path)
    monkeypatch.setattr(cleaning, "_PAIRS_PER_WORKER", 100)
    (tmp_path / "shared").mkdir()
    shared = tokenize_pairs(table, tokenizer, filters=filters, num_workers=2, cache=tmp_path / "shared")
    assert len(list((tmp_path / "shared").glob("*_of_00002.arrow"))) == 4
    assert shared.counts == alone.counts
    every = np.arange(len(alone))
    for name, array in alone.batch(every, 0).items():
        assert (shared.batch(every, 0)[name] == array).all()


def test_a_part_has_the_shape_it_says(tokenizer):
    pairs = tokenize_pairs(datasets.Dataset.from_list(ROWS), tokenizer)
    indices = np.array([7, 2])
    longest = int(max(pairs.source_lengths.max(), pairs.target_lengths.max()))
    padded = pairs.batch(Part(indices, 4, longest + 3, longest + 5), pad_token_id=0)
    assert {name: array.shape for name, array in padded.items()} == {
        "input_ids": (4, longest + 3),
        "attention_mask": (4, longest + 3),
        "labels": (4, longest + 5),
    }
    for name, array in pairs.batch(indices, 0).items():
        assert (padded[name][:2, : array.shape[1]] == array).all()
        assert (padded[name][:2, array.shape[1] :] == (-100 if name == "labels" else 0)).all()
    assert (padded["input_ids"][2:] == 0).all() and (padded["labels"][2:] == -100).all()
    assert padded["attention_mask"][2:].sum(1).tolist() == padded["attention_mask"][2:, 0].tolist() == [1, 1]
    nothing = pairs.batch(Part(indices[:0], 1, 2, 3), 0)
    assert nothing["attention_mask"].tolist() == [[1, 0]]
    assert nothing["labels"].tolist() == [[-100] * 3]


def test_long_pairs_are_cut_with_their_end_of_sentence(tokenizer):
    table = datasets.Dataset.from_dict({"source": ["one two three four", "cat"], "target": ["eins", "Katze"]})
    whole = tokenizer("one two three four")["input_ids"]
    limit = len(whole) - 1
    pairs = tokenize_pairs(table, tokenizer, max_length=limit, long_pairs="cut")
    batch = pairs.batch(np.array([0, 1]), 0)
    assert batch["input_ids"][0].tolist() == [*whole[: limit - 1], tokenizer.eos_token_id]
    assert batch["input_ids"][1].tolist()[: pairs.source_lengths[1]] == tokenizer("cat")["input_ids"]
    assert pairs.source_lengths[0] == limit
    assert (pairs.counts["kept"], pairs.counts["cut"], pairs.counts["too_long"]) == (2, 1, 0)
    assert describe_counts("train", pairs.counts) == "train: 2 of 2 pairs (1 of them cut to max_length)"
    dropped = tokenize_pairs(table, tokenizer, max_length=limit)
    assert (dropped.counts["kept"], dropped.counts["cut"], dropped.counts["too_long"]) == (1, 0, 1)


def test_the_ratio_of_lengths_is_one_of_tokens(tokenizer):
    table = datasets.Dataset.from_dict({"source": ["one " * 8, "one " * 9], "target": ["eins", "eins"]})
    every = tokenize_pairs(table, tokenizer)
    ratio = every.source_lengths[0] / every.target_lengths[0]
    pairs = tokenize_pairs(table, tokenizer, max_length_ratio=float(ratio))
    assert pairs.rows.tolist() == [0]
    assert pairs.counts["ratio"] == 1


def test_errors_of_whole_splits(tokenizer):
    table = datasets.Dataset.from_dict({"source": ["one two three", ""], "target": ["eins zwei drei", "zwei"]})
    with pytest.raises(DataError, match="val: pair 2 has an empty side.*empty_lines: drop"):
        tokenize_pairs(table, tokenizer, empty_lines="error", name="val")
    with pytest.raises(
        DataError, match=r"val: no pair is left of 2 \(1 with an empty side, 1 longer than max_length; max_length: 2"
    ):
        tokenize_pairs(table, tokenizer, max_length=2, name="val")

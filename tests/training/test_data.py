"""Parallel text from every source, tokenised once; bad files are named with the place and the fix."""

import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modeling_vanilla_transformer import VanillaTransformerTokenizer
from tests.training.text import sentences, write_lines
from training.data import DataError, all_text, describe_counts, read_lines, read_pairs, tokenize_pairs
from training.recipe import DataRecipe

SOURCE, TARGET = sentences(20, seed=5)
ROWS = [{"source": source, "target": target} for source, target in zip(SOURCE, TARGET, strict=True)]


def recipe(folder, **keys):
    return DataRecipe(data=str(folder), **({"source_language": "en", "target_language": "de"} | keys))


@pytest.fixture(scope="module")
def tokenizer():
    return VanillaTransformerTokenizer.train(SOURCE + TARGET, vocab_size=320, show_progress=False)


def write_every_form(folder):
    write_lines(folder / "a.en", SOURCE)
    write_lines(folder / "a.de", TARGET)
    write_lines(folder / "plain.tsv", [f"{s}\t{t}" for s, t in zip(SOURCE, TARGET, strict=True)])
    named = ["id\tde\ten", *(f"{i}\t{t}\t{s}" for i, (s, t) in enumerate(zip(SOURCE, TARGET, strict=True)))]
    write_lines(folder / "named.tsv", named)
    codes = [{"source": "corpus", "en": s, "de": t} for s, t in zip(SOURCE, TARGET, strict=True)]
    write_lines(folder / "codes.jsonl", [json.dumps(row, ensure_ascii=False) for row in codes])
    nested = [{"translation": {"en": s, "de": t}} for s, t in zip(SOURCE, TARGET, strict=True)]
    (folder / "nested.json").write_text(json.dumps(nested))
    datasets.Dataset.from_list(codes).to_parquet(folder / "codes.parquet")
    datasets.Dataset.from_list(nested).to_parquet(folder / "nested.parquet")
    swapped = [{"source": row["target"], "target": row["source"]} for row in ROWS]
    write_lines(folder / "swapped.jsonl", [json.dumps(row) for row in swapped])


@pytest.mark.parametrize(
    ("split", "keys"),
    [
        ("a", {}),
        ("a.en, a.de", {}),
        ("plain.tsv", {}),
        ("named.tsv", {}),
        ("codes.jsonl", {}),
        ("nested.json", {}),
        ("codes.parquet", {}),
        ("nested.parquet", {}),
        ("swapped.jsonl", {"source_column": "target", "target_column": "source"}),
    ],
)
def test_every_form_gives_the_same_pairs(tmp_path, split, keys):
    write_every_form(tmp_path)
    assert read_pairs(recipe(tmp_path, **keys), split).to_list() == ROWS


def test_only_a_line_feed_ends_a_line(tmp_path):
    lines = ["a\u2028b", "c\x0bd\x85e", "", "f"]
    path = tmp_path / "odd.en"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert read_lines(path) == lines
    assert read_lines(write_lines(path, lines)) == lines


def test_a_hub_data_set(monkeypatch, tmp_path):
    asked = []

    def load(name, config, split):
        asked.append((name, config, split))
        return datasets.Dataset.from_list(
            [{"translation": {"de": t, "en": s}} for s, t in zip(SOURCE, TARGET, strict=True)]
        )

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read_pairs(recipe("wmt/wmt14", data_config="de-en"), "train").to_list() == ROWS
    assert asked == [("wmt/wmt14", "de-en", "train")]

    def fail(name, config, split):
        raise ConnectionError("cannot reach\nthe Hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="'wmt/wmt14' is no local folder.*data_config: None.*cannot reach the Hub"):
        read_pairs(recipe("wmt/wmt14"), "train")


def broken(folder):
    write_lines(folder / "short.en", SOURCE)
    write_lines(folder / "short.de", TARGET[:-1])
    (folder / "latin.en").write_bytes(b"good\nalso good\nca\xe9 bad\n")
    write_lines(folder / "latin.de", ["a", "b", "c"])
    write_lines(folder / "empty.de", ["a"])
    (folder / "empty.en").write_text("")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "empty.tsv").write_text("\n\n")
    write_lines(folder / "header.tsv", ["en\tde"])
    write_lines(folder / "ragged.tsv", ["en\tde", "a\tb", "a\tb\tc"])
    write_lines(folder / "three.tsv", ["a\tb\tc"])
    write_lines(folder / "columns.jsonl", ['{"english": "a", "german": "b"}'])
    write_lines(folder / "syntax.jsonl", ['{"en": "a", "de": "b"}', "{"])
    write_lines(folder / "rows.jsonl", ['{"en": "a", "de": "b"}', "[1]"])
    write_lines(folder / "cells.jsonl", ['{"en": "a", "de": "b"}', '{"en": 5, "de": "b"}'])
    write_lines(folder / "half.jsonl", ['{"en": "a", "de": null}', r'{"en": "b", "de": "\ud83d"}'])
    write_lines(folder / "digits.jsonl", ["1" * 5000])
    (folder / "nested.json").write_text('[{"translation": {"en": "a", "de": "b"}}, {"translation": "c"}]')
    (folder / "none.json").write_text("[]")
    (folder / "deep.json").write_text("[" * 100_000)
    pq.write_table(pa.table({"en": [1], "de": ["b"]}), folder / "numbers.parquet")
    pq.write_table(pa.table({"a": ["1"], "b": ["b"]}), folder / "columns.parquet")
    (folder / "noise.parquet").write_bytes(b"no parquet at all")


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("short", ["short.en has 20 lines", "short.de has 19"]),
        ("latin", ["latin.en: line 3, byte 3 is not UTF-8", "0xe9", "iconv"]),
        ("empty", ["empty.en: the file is empty"]),
        ("empty.tsv", ["empty.tsv: the file is empty"]),
        ("empty.parquet", ["empty.parquet: the file is empty"]),
        ("header.tsv", ["header.tsv", "no pairs"]),
        ("ragged.tsv", ["ragged.tsv: line 3 has 3 columns, but line 1 has 2"]),
        ("three.tsv", ["three.tsv: no columns 'en' and 'de'; the columns are a, b, c"]),
        ("columns.jsonl", ["no columns 'en' and 'de'; the columns are english, german", "source_column"]),
        ("columns.parquet", ["columns.parquet: no columns 'en' and 'de'; the columns are a, b"]),
        ("syntax.jsonl", ["syntax.jsonl: line 2 is not JSON"]),
        ("rows.jsonl", ["rows.jsonl: row 2 is no object"]),
        ("cells.jsonl", ["cells.jsonl: row 2: 'en' must be text or null, but is 5"]),
        ("half.jsonl", ["half.jsonl: row 2: 'de' holds half a surrogate pair"]),
        ("digits.jsonl", ["digits.jsonl: line 1 is not JSON"]),
        ("nested.json", ["nested.json: row 2 is no object"]),
        ("none.json", ["none.json: the file holds no pairs"]),
        ("deep.json", ["deep.json: not readable as JSON"]),
        ("numbers.parquet", ["numbers.parquet: the column 'en' must hold text"]),
        ("noise.parquet", ["noise.parquet: not readable as Parquet"]),
        ("other", ["other.en and", "other.de: no such file", "latin.en"]),
        ("other.tsv", ["other.tsv: no such file"]),
        ("a,b,c", ["one comma"]),
        ("x.en,short.de", ["x.en: no such file"]),
    ],
)
def test_bad_files_are_named(tmp_path, split, parts):
    broken(tmp_path)
    with pytest.raises(DataError) as caught:
        read_pairs(recipe(tmp_path), split)
    for part in parts:
        assert part in str(caught.value)


def test_other_json_columns_may_hold_anything(tmp_path):
    rows = ['{"id": 1, "en": "a", "de": "b"}', '{"de": "c", "id": "x", "more": [1]}']
    write_lines(tmp_path / "mixed.jsonl", rows)
    read = read_pairs(recipe(tmp_path), "mixed.jsonl").to_list()
    assert read == [{"source": "a", "target": "b"}, {"source": None, "target": "c"}]


def test_quotes_in_a_tsv_are_plain_characters(tmp_path):
    write_lines(tmp_path / "quotes.tsv", ['"a\t"b"'])
    assert read_pairs(recipe(tmp_path), "quotes.tsv").to_list() == [{"source": '"a', "target": '"b"'}]


def test_a_missing_folder_or_split_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        read_pairs(recipe(tmp_path / "nowhere"), "train")
    with pytest.raises(DataError, match="English and German"):
        read_pairs(DataRecipe(data="embedded", source_language="en", target_language="fr"), "train")


def test_tokens_lengths_and_counts(tmp_path, tokenizer):
    table = datasets.Dataset.from_dict(
        {"source": ["one cat", "", "two", "red " * 50, None], "target": ["eins Katze", "leer", " ", "rot", "x"]}
    )
    pairs = tokenize_pairs(table, tokenizer, max_length=20, name="train")
    assert pairs.counts == {"read": 5, "empty": 3, "too_long": 1, "kept": 1}
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


def test_the_cache_notices_other_text_and_another_tokenizer(tokenizer, monkeypatch):
    calls = []
    make = datasets.Dataset.map

    def counting(self, function, **settings):
        def counted(rows):
            calls.append(len(rows["source"]))
            return function(rows)

        return make(self, counted, **settings)

    monkeypatch.setattr(datasets.Dataset, "map", counting)
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


def test_errors_of_whole_splits(tokenizer):
    table = datasets.Dataset.from_dict({"source": ["one two three", ""], "target": ["eins zwei drei", "zwei"]})
    with pytest.raises(DataError, match="val: line 2 has an empty side.*empty_lines: drop"):
        tokenize_pairs(table, tokenizer, empty_lines="error", name="val")
    with pytest.raises(
        DataError, match=r"val: no pair is left of 2 \(1 with an empty side, 1 longer than max_length: 2"
    ):
        tokenize_pairs(table, tokenizer, max_length=2, name="val")


def test_all_text_leaves_out_pairs_with_an_empty_side():
    table = datasets.Dataset.from_dict({"source": ["a", "", None], "target": ["b", "c", "d"]})
    assert list(all_text(table)) == ["a", "b"]

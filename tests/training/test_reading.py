"""Parallel text from every source; bad files are named with the place and the fix."""

import json
import os
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.text import sentences, write_lines
from training.reading import DataError, read_lines, read_pairs, stream_pairs
from training.recipe import DataRecipe

SOURCE, TARGET = sentences(20, seed=5)
ROWS = [{"source": source, "target": target} for source, target in zip(SOURCE, TARGET, strict=True)]


def recipe(folder, **keys):
    return DataRecipe(data=str(folder), **({"source_language": "en", "target_language": "de"} | keys))


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
    assert list(stream_pairs(recipe(tmp_path, **keys), split)) == ROWS


def test_several_files_are_one_split(tmp_path):
    for number, rows in enumerate((ROWS[:7], ROWS[7:])):
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / f"train-{number}.parquet")
    for pattern in ("train-*.parquet", str(tmp_path / "train-*.parquet")):
        assert read_pairs(recipe(tmp_path), pattern).to_list() == ROWS
    stream = stream_pairs(recipe(tmp_path), "train-*.parquet")
    assert list(stream) == ROWS
    assert stream.num_shards == 2
    with pytest.raises(DataError, match="valid-.*.parquet: no file has such a name"):
        read_pairs(recipe(tmp_path), "valid-*.parquet")


def test_a_pattern_reaches_every_folder_below(tmp_path):
    for number, place in enumerate((tmp_path, tmp_path / "b", tmp_path / "b" / "c")):
        place.mkdir(exist_ok=True)
        datasets.Dataset.from_list(ROWS[number * 4 : number * 4 + 4]).to_parquet(place / "part.parquet")
    found = read_pairs(recipe(tmp_path), "**/*.parquet").to_list()
    assert sorted(map(str, found)) == sorted(map(str, ROWS[:12]))


def test_a_column_of_parquet_may_be_a_dictionary_or_of_views(tmp_path):
    columns = {"en": pa.array(["a", "b"]).dictionary_encode(), "de": pa.array(["c", None], pa.string_view())}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert read_pairs(recipe(tmp_path), "a.parquet")["source"][:] == ["a", "b"]
    assert read_pairs(recipe(tmp_path), "a.parquet")["target"][:] == ["c", None]


def test_text_is_read_from_disk_and_a_changed_file_is_noticed(tmp_path):
    paths = [write_lines(tmp_path / f"a.{code}", lines) for code, lines in (("en", SOURCE), ("de", TARGET))]
    stamp = paths[0].stat()
    first = read_pairs(recipe(tmp_path), "a")
    assert [Path(file["filename"]).parent.name for file in first.cache_files] == ["vanilla_transformer"]
    write_lines(paths[0], [SOURCE[0].upper(), *SOURCE[1:]])
    os.utime(paths[0], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert paths[0].stat().st_size == stamp.st_size  # neither its size nor its time tells
    assert read_pairs(recipe(tmp_path), "a")[0]["source"] == SOURCE[0].upper()
    assert first[0]["source"] == SOURCE[0]


def test_what_cannot_be_read_leaves_nothing_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    broken(tmp_path)
    for split in ("ragged.tsv", "cells.jsonl", "short"):
        with pytest.raises(DataError):
            read_pairs(recipe(tmp_path), split)
    assert list((tmp_path / "cache" / "vanilla_transformer").iterdir()) == []


def test_only_a_line_feed_ends_a_line(tmp_path):
    lines = ["a\u2028b", "c\x0bd\x85e", "", "f"]
    path = tmp_path / "odd.en"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert read_lines(path) == lines
    assert read_lines(write_lines(path, lines)) == lines


TRANSLATION = datasets.Features({"translation": datasets.Translation(["de", "en"])})


@pytest.mark.parametrize("features", [TRANSLATION, None], ids=["translation", "struct"])
def test_a_hub_data_set(monkeypatch, tmp_path, features):
    rows = [{"translation": {"de": t, "en": s}} for s, t in zip(SOURCE, TARGET, strict=True)]
    (tmp_path / "de-en").mkdir()
    for number in range(2):
        part = datasets.Dataset.from_list(rows[number * 10 : number * 10 + 10], features=features)
        part.to_parquet(tmp_path / "de-en" / f"train-0000{number}-of-00002.parquet")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: de-en\n  data_files:\n  - split: train\n    path: de-en/train-*\n---\n"
    )
    load, asked = datasets.load_dataset, []

    def load_local(name, config, **settings):
        asked.append((name, config, settings))
        return load(str(tmp_path), config, **settings)

    monkeypatch.setattr(datasets, "load_dataset", load_local)
    assert read_pairs(recipe("wmt/wmt14", data_config="de-en"), "train").to_list() == ROWS
    assert list(stream_pairs(recipe("wmt/wmt14", data_config="de-en"), "train")) == ROWS
    assert asked == [("wmt/wmt14", "de-en", {"split": "train", "streaming": streaming}) for streaming in (False, True)]
    with pytest.raises(DataError, match="'wmt/wmt14' is no local folder.*data_config: None"):
        read_pairs(recipe("wmt/wmt14"), "other")


def test_the_hub_out_of_reach(monkeypatch):
    def fail(name, config, **settings):
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
    latin = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xe9")])
    pq.write_table(pa.table({"en": latin, "de": ["b"]}), folder / "latin.parquet")
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
        ("three.tsv,ragged.tsv", ["a file of pairs has both sides", "a pattern with *", "sources"]),
        ("latin.parquet", ["latin.parquet: not readable as Parquet"]),
        ("x.en,short.de", ["x.en: no such file"]),
    ],
)
def test_bad_files_are_named(tmp_path, split, parts):
    broken(tmp_path)
    with pytest.raises(DataError) as caught:
        read_pairs(recipe(tmp_path), split)
    for part in parts:
        assert part in str(caught.value)
    with pytest.raises(DataError) as caught:
        list(stream_pairs(recipe(tmp_path), split))
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

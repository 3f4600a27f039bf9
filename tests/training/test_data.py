"""What a recipe trains on: several sources with weights, and streams in chapters that come again as they were."""

import contextlib
import itertools

import datasets
import numpy as np
import pytest

from modeling_vanilla_transformer import VanillaTransformerTokenizer
from tests.training.text import sentences, write_lines
from training.data import DataError, all_text, read_training_data, tokenize_pairs
from training.recipe import DataRecipe, SourceRecipe

SOURCE, TARGET = sentences(60, seed=5)


@pytest.fixture(scope="module")
def tokenizer():
    return VanillaTransformerTokenizer.train(SOURCE + TARGET, vocab_size=320, show_progress=False)


@pytest.fixture
def folder(tmp_path):
    """a (20 pairs), b (40 others), and both in three Parquet files, wmt-0 to wmt-2, of the Hub's schema."""
    for name, part in (("a", slice(0, 20)), ("b", slice(20, 60))):
        write_lines(tmp_path / f"{name}.en", SOURCE[part])
        write_lines(tmp_path / f"{name}.de", TARGET[part])
    rows = [{"translation": {"de": t, "en": s}} for s, t in zip(SOURCE, TARGET, strict=True)]
    for number in range(3):
        part = datasets.Dataset.from_list(rows[20 * number : 20 * number + 20])
        part.to_parquet(tmp_path / f"wmt-{number}.parquet")
    return tmp_path


def recipe(folder, **keys):
    return DataRecipe(data=str(folder), **({"source_language": "en", "target_language": "de"} | keys))


def ids(pairs):
    """The tokens of all pairs, both sides."""
    batch = pairs.batch(np.arange(len(pairs)), 0)
    return [
        (source.tobytes(), target.tobytes())
        for source, target in zip(batch["input_ids"], batch["labels"], strict=True)
    ]


def lines(pairs, tokenizer):
    batch = pairs.batch(np.arange(len(pairs)), tokenizer.pad_token_id)
    return tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)


def test_one_source_is_one_chapter_in_every_epoch(folder, tokenizer):
    data = read_training_data(recipe(folder, train="a"))
    assert not data.streaming
    assert data.sample_text()["source"][:] == SOURCE[:20]
    data.tokenize(tokenizer)
    (chapter,) = data.chapters(0)
    assert lines(chapter.pairs, tokenizer) == SOURCE[:20]
    assert chapter.pairs.weights is None
    assert [other.pairs is chapter.pairs for other in data.chapters(7)] == [True]
    assert list(data.chapters(0, first=1)) == []
    assert (data.counts["read"], data.counts["kept"]) == (20, 20)


def test_several_sources_follow_each_other_with_their_weights(folder, tokenizer):
    write_lines(folder / "a.en", ["", *SOURCE[1:20]])
    sources = [SourceRecipe(train="a", weight=2), SourceRecipe(train="b", weight=0.25)]
    data = read_training_data(recipe(folder, sources=sources))
    data.tokenize(tokenizer)
    (chapter,) = data.chapters(0)
    assert lines(chapter.pairs, tokenizer) == SOURCE[1:]
    assert chapter.pairs.weights.tolist() == [2] * 19 + [0.25] * 40
    assert data.counts["empty"] == 1


def test_sources_of_different_kinds(folder, tmp_path_factory, tokenizer):
    other = tmp_path_factory.mktemp("other")
    write_lines(other / "x.tsv", ["german\tenglish", *(f"{t}\t{s}" for s, t in zip(SOURCE, TARGET, strict=True))])
    sources = [
        SourceRecipe(data=str(other), train="x.tsv", source_column="english", target_column="german"),
        SourceRecipe(train="wmt-*.parquet"),
        SourceRecipe(data="embedded", train="held_out"),
    ]
    data = read_training_data(recipe(folder, sources=sources))
    assert data.text["source"][:120] == SOURCE * 2
    assert data.text["target"][:120] == TARGET * 2
    assert len(data.text) > 120


def test_duplicates_are_found_across_sources_and_are_no_part_of_the_sample(folder, tokenizer):
    write_lines(folder / "c.en", [*SOURCE[5:15], "a new one"])
    write_lines(folder / "c.de", [*TARGET[5:15], "ein neuer"])
    sources = [SourceRecipe(train="a"), SourceRecipe(train="c", weight=3)]
    data = read_training_data(recipe(folder, sources=sources, drop_duplicates=True))
    assert data.sample_text()["source"][:] == [*SOURCE[:20], "a new one"]
    data.tokenize(tokenizer)
    (chapter,) = data.chapters(0)
    assert chapter.pairs.weights.tolist() == [1] * 20 + [3]
    assert data.counts["duplicate"] == 10


def test_an_empty_line_is_named_with_its_source(folder):
    write_lines(folder / "b.de", [*TARGET[20:25], " ", *TARGET[26:]])
    sources = [SourceRecipe(train="a"), SourceRecipe(train="b")]
    with pytest.raises(DataError, match=f"b: pair 6 has an empty side .the other is '{SOURCE[25]}'"):
        read_training_data(recipe(folder, sources=sources, empty_lines="error"))


def stream(folder, tokenizer, **keys):
    """A stream over the three files, ready to be read, with a folder of its own."""
    run = keys.pop("run", "")
    data = read_training_data(
        recipe(folder, **({"train": "wmt-*.parquet", "streaming": True, "streaming_pairs": 16} | keys)), run=run
    )
    data.tokenize(tokenizer)
    return data


def test_a_stream_gives_every_pair_once_an_epoch_in_an_order_of_its_own(folder, tokenizer):
    data = stream(folder, tokenizer)
    assert data.streaming
    epochs = [[lines(chapter.pairs, tokenizer) for chapter in data.chapters(epoch)] for epoch in (0, 1)]
    assert [len(chapter) for chapter in epochs[0]] == [16, 16, 16, 12]
    flat = [list(itertools.chain.from_iterable(epoch)) for epoch in epochs]
    assert sorted(flat[0]) == sorted(flat[1]) == sorted(SOURCE)
    assert flat[0] != flat[1] and flat[0] != SOURCE
    assert data.counts["kept"] == 120
    data.close()


def test_a_chapter_is_the_same_whenever_it_is_read(folder, tokenizer):
    whole = [ids(chapter.pairs) for chapter in stream(folder, tokenizer).chapters(3)]
    again = list(stream(folder, tokenizer).chapters(3, first=2))
    assert [chapter.number for chapter in again] == [2, 3]
    assert [ids(chapter.pairs) for chapter in again] == whole[2:]
    other = [ids(chapter.pairs) for chapter in read(folder, tokenizer, seed=2).chapters(3)]
    assert other != whole


def read(folder, tokenizer, **settings):
    made = recipe(folder, train="wmt-*.parquet", streaming=True, streaming_pairs=16)
    data = read_training_data(made, **settings)
    data.tokenize(tokenizer)
    return data


def test_chapters_past_leave_the_disk(folder, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = stream(folder, tokenizer)
    data.sample_text()
    cache = tmp_path / "cache" / "vanilla_transformer"
    seen = []
    for chapter in data.chapters(0):
        (run,) = cache.iterdir()
        seen.append(sorted(path.name for path in run.iterdir()))
        assert len(chapter.pairs)
    assert seen == [["0-0"], ["0-0", "0-1"], ["0-1", "0-2"], ["0-2", "0-3"]]
    # What another process may not have opened yet stays: the end of the epoch, and what was read in between.
    for epoch, there in ((1, {"0-4", "1-0"}), (0, {"1-0", "0-0"}), (2, {"0-0", "2-0"})):
        next(data.chapters(epoch))
        assert {path.name for path in run.iterdir()} == there
    data.close()
    assert list(cache.iterdir()) == []


def test_processes_read_what_the_main_one_wrote(folder, tokenizer, monkeypatch):
    """Two processes in turns: the second never reads the files, and comes to every chapter after the first."""
    main, order = read(folder, tokenizer), []

    @contextlib.contextmanager
    def after_the_main_one():
        order.append("second")
        yield

    second = read(folder, tokenizer, main_first=after_the_main_one, is_main=False)
    monkeypatch.setattr(second, "_rows", lambda epoch: pytest.fail("the text was read a second time"))
    pairs = zip(main.chapters(0), second.chapters(0), strict=False)
    assert [ids(one.pairs) == ids(other.pairs) for one, other in pairs] == [True] * 4
    assert len(order) == 4
    main.close()


def test_weights_share_a_stream_out(folder, tokenizer):
    sources = [SourceRecipe(train="a", weight=3), SourceRecipe(train="b", weight=1)]
    data = stream(folder, tokenizer, sources=sources, streaming_pairs=1000)
    (chapter,) = data.chapters(0)
    read_lines = lines(chapter.pairs, tokenizer)
    assert set(SOURCE) == set(read_lines)  # all of every source, the smaller one several times
    share = sum(line in set(SOURCE[:20]) - set(SOURCE[20:]) for line in read_lines) / len(read_lines)
    assert 0.6 < share < 0.9


def test_a_stream_is_cleaned_and_its_first_chapter_is_the_sample(folder, tokenizer):
    write_lines(
        folder / "same.tsv", [f"{s}\t{t}" for s, t in zip(["cat", "dog"] * 8, ["Katze", "dog"] * 8, strict=True)]
    )
    data = stream(folder, tokenizer, train="same.tsv", drop_identical=True, drop_duplicates=True)
    assert data.sample_text().to_list() == [{"source": "cat", "target": "Katze"}]
    assert [len(chapter.pairs) for chapter in data.chapters(0)] == [1]
    assert (data.counts["identical"], data.counts["duplicate"]) == (8, 7)


def test_a_chapter_of_which_nothing_is_left_is_passed_over(folder, tokenizer):
    write_lines(folder / "some.tsv", ["one cat\teine Katze", "\tleer", "one dog\tein Hund"])
    data = stream(folder, tokenizer, train="some.tsv", streaming_pairs=1)
    assert sorted(lines(chapter.pairs, tokenizer)[0] for chapter in data.chapters(0)) == ["one cat", "one dog"]
    assert (data.counts["read"], data.counts["empty"], data.counts["kept"]) == (3, 1, 2)
    data = stream(folder, tokenizer, train="some.tsv", streaming_pairs=1, max_length=2)
    with pytest.raises(DataError, match="no pair is left.*0 of 3 pairs; dropped 1 with an empty side, 2 longer"):
        list(data.chapters(0))
    data = stream(folder, tokenizer, train="some.tsv", empty_lines="error")
    with pytest.raises(DataError, match="in the order of the stream.*the other is 'leer'"):
        list(data.chapters(0))


def test_a_bad_line_of_a_stream_is_named(folder, tokenizer):
    write_lines(folder / "bad.tsv", ["a\tb", "c\td", "e"])
    with pytest.raises(DataError, match="bad.tsv: line 3 has 1 columns"):
        list(stream(folder, tokenizer, train="bad.tsv").chapters(0))
    with pytest.raises(DataError, match="none.tsv: no such file"):
        stream(folder, tokenizer, train="none.tsv")


def test_the_sets_that_are_scored_are_never_cleaned(folder, tokenizer):
    made = recipe(folder, train="a", drop_duplicates=True, drop_identical=True, max_length=2)
    table = datasets.Dataset.from_dict({"source": ["one cat"] * 2, "target": ["one cat"] * 2})
    assert len(tokenize_pairs(table, tokenizer, empty_lines=made.empty_lines)) == 2


def test_all_text_leaves_out_pairs_with_an_empty_side():
    table = datasets.Dataset.from_dict({"source": ["a", "", None], "target": ["b", "c", "d"]})
    assert list(all_text(table)) == ["a", "b"]

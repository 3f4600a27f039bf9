"""What a recipe trains on: the pairs of all its sources, cleaned, tokenised, counted; whole, or in chapters.

The way there: `reading` brings text to disk, `cleaning` says which pairs are fit, `tokenized` makes ids of them.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from training.cleaning import Filters, describe_counts, examine, refuse_empty
from training.reading import (
    EMBEDDED,
    FEATURES,
    DataError,
    cache_folder,
    read_lines,
    read_pairs,
    stream_pairs,
    write_pairs,
)
from training.recipe import DataRecipe
from training.tokenized import IGNORED_LABEL, TokenizedPairs, tokenize_pairs

# Rows of a stream among which the next one is chosen; what lies in one chapter is mixed by its batches anyway.
_SHUFFLE_BUFFER = 10_000

MainFirst = Callable[[], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True)
class Chapter:
    """A piece of an epoch that fits on this machine."""

    number: int
    """Its place in the epoch, from 0."""
    pairs: TokenizedPairs


class TrainingData:
    """The training pairs of a recipe that lie on this machine as a whole: one chapter, the same in every epoch."""

    streaming = False

    def __init__(self, recipe: DataRecipe, main_first: MainFirst) -> None:
        self.recipe, self.main_first = recipe, main_first
        self.counts: dict[str, int] = {}
        """Pairs read, dropped for each reason, kept and cut; known once they are tokenised."""
        self._pairs: TokenizedPairs | None = None
        sources = recipe.training_sources()
        with main_first():  # the others find its result in the cache
            tables = [read_pairs(source, source.train) for source in sources]
            if recipe.empty_lines == "error":
                for source, table in zip(sources, tables, strict=True):
                    reasons = examine(table, Filters(), num_workers=recipe.num_workers, name=source.train)
                    refuse_empty(table, reasons, source.train)
            if len(tables) > 1:
                tables = [table if table.features == FEATURES else table.cast(FEATURES) for table in tables]
        self.text = tables[0] if len(tables) == 1 else datasets.concatenate_datasets(tables)
        """All pairs that were read, source after source: columns source and target."""
        self._sizes = [len(table) for table in tables]

    def sample_text(self) -> datasets.Dataset:
        """The text to train a tokenizer on, columns source and target: the pairs that pass the filters on text."""
        reasons = examine(self.text, Filters.of(self.recipe), num_workers=self.recipe.num_workers, name="the text")
        return self.text.select(np.flatnonzero(reasons == 0)) if reasons.any() else self.text

    def tokenize(self, tokenizer: Any) -> None:
        """Clean and tokenise the pairs; before, there are no chapters.

        Raises:
            DataError: as `tokenize_pairs`.
        """
        with self.main_first():
            self._pairs = _tokenize(self.text, tokenizer, self.recipe)
        self.counts = self._pairs.counts
        if self.recipe.sources is not None:
            weights = np.repeat([source.weight for source in self.recipe.sources], self._sizes)
            self._pairs.weights = weights[self._pairs.rows]

    def chapters(self, epoch: int, first: int = 0) -> Iterator[Chapter]:
        """The chapters of an epoch, from number `first` on."""
        assert self._pairs is not None, "tokenize comes first"
        if first == 0:
            yield Chapter(0, self._pairs)

    def close(self) -> None:
        """Remove what only this run needs."""


class StreamedTrainingData:
    """The training pairs of a recipe that are read anew in each epoch, in chapters of `streaming_pairs`.

    The order of a stream follows from the seed and the epoch: its shards (the files) are shuffled, then its rows
    within a buffer; sources take turns at random by their weights until each was read to its end once, those that end
    sooner begin again. So a chapter is the same whenever it is read; to start at a later one, the rows before it are
    read and passed over. The main process of each machine writes text and tokens of a chapter to disk for all of them
    there, and removes those of chapters past.
    """

    streaming = True

    def __init__(self, recipe: DataRecipe, main_first: MainFirst, is_main: bool, seed: int, run: str) -> None:
        self.recipe, self.main_first, self.is_main, self.seed = recipe, main_first, is_main, seed
        self.counts: dict[str, int] = {}
        """Pairs read, dropped for each reason, kept and cut, of the chapters read so far."""
        self._tokenizer: Any = None
        self._last: Path | None = None  # the folder written last
        settings = repr((platform.node(), run, seed, dataclasses.asdict(recipe)))
        self._folder = cache_folder() / f"stream-{hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()}"
        self._streams = [stream_pairs(source, source.train) for source in recipe.training_sources()]

    def sample_text(self) -> datasets.Dataset:
        """The text to train a tokenizer on, columns source and target: the first chapter's pairs that pass the filters
        on text."""
        folder = self._folder / "sample"
        self._write(folder, self._rows(0))
        text = datasets.Dataset.from_file(str(folder / "text.arrow"))
        reasons = examine(text, Filters.of(self.recipe), num_workers=self.recipe.num_workers, cache=folder)
        return text.select(np.flatnonzero(reasons == 0)) if reasons.any() else text

    def tokenize(self, tokenizer: Any) -> None:
        """Set the tokenizer of all chapters; before, there are none."""
        self._tokenizer = tokenizer

    def chapters(self, epoch: int, first: int = 0) -> Iterator[Chapter]:
        """The chapters of an epoch, from number `first` on.

        A chapter of which the filters leave nothing is passed over.

        Raises:
            DataError: what is wrong in the data, when the stream arrives there; a whole epoch without a pair left.
        """
        assert self._tokenizer is not None, "tokenize comes first"
        size, any_left = self.recipe.streaming_pairs, first > 0
        rows = itertools.islice(self._rows(epoch), first * size, None) if self.is_main else iter(())
        for number in itertools.count(first):
            folder = self._folder / f"{epoch}-{number}"
            with self.main_first():
                if self.is_main:
                    self._remove_all_but_the_last()
                    self._write(folder, rows)
                    self._last = folder
                text = datasets.Dataset.from_file(str(folder / "text.arrow"))
                if not len(text):
                    break
                pairs = _tokenize(text, self._tokenizer, self.recipe, folder)
            self.counts = {reason: self.counts.get(reason, 0) + number for reason, number in pairs.counts.items()}
            if len(pairs):
                any_left = True
                yield Chapter(number, pairs)
        if not any_left:
            raise DataError(f"no pair is left to train on; {describe_counts(_name(self.recipe), self.counts)}")

    def close(self) -> None:
        """Remove what only this run needs."""
        if self.is_main:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _rows(self, epoch: int) -> Iterator[tuple[str | None, str | None]]:
        """All pairs of an epoch in its order."""
        seed = int(np.random.SeedSequence((self.seed, epoch)).generate_state(1)[0])
        streams = [stream.shuffle(seed=seed, buffer_size=_SHUFFLE_BUFFER) for stream in self._streams]
        stream = streams[0]
        if len(streams) > 1:
            weights = np.array([source.weight for source in self.recipe.sources or []])
            stream = datasets.interleave_datasets(
                streams, probabilities=list(weights / weights.sum()), seed=seed, stopping_strategy="all_exhausted"
            )
        for row in stream:
            yield row["source"], row["target"]

    def _write(self, folder: Path, rows: Iterator[tuple[str | None, str | None]]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_pairs(folder / "text.arrow", itertools.islice(rows, self.recipe.streaming_pairs))

    def _remove_all_but_the_last(self) -> None:
        # Another process may not have opened the last chapter yet, of whichever epoch it is.
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder != self._last:
                shutil.rmtree(folder, ignore_errors=True)


def read_training_data(
    recipe: DataRecipe,
    *,
    seed: int = 1,
    run: str = "",
    main_first: MainFirst = contextlib.nullcontext,
    is_main: bool = True,
) -> TrainingData | StreamedTrainingData:
    """What a recipe trains on, to be tokenised next.

    Args:
        recipe: the data part of a recipe.
        seed: decides the order of a stream, with the epoch.
        run: tells this run from others that stream the same data on this machine, such as its output folder.
        main_first: makes a context that this machine's main process passes before the others, such as the
            accelerator's `local_main_process_first`.
        is_main: whether this process is that one.

    Raises:
        DataError: anything wrong with a source, as `read_pairs`.
    """
    if recipe.streaming:
        return StreamedTrainingData(recipe, main_first, is_main, seed, run)
    return TrainingData(recipe, main_first)


def _tokenize(text: datasets.Dataset, tokenizer: Any, recipe: DataRecipe, cache: Path | None = None) -> TokenizedPairs:
    return tokenize_pairs(
        text,
        tokenizer,
        max_length=recipe.max_length,
        long_pairs=recipe.long_pairs,
        max_length_ratio=recipe.max_length_ratio,
        filters=Filters.of(recipe),
        # Of a source, refused where it was read, with its number there.
        empty_lines="drop" if cache is None else recipe.empty_lines,
        num_workers=recipe.num_workers,
        may_be_none=cache is not None,  # of a stream, a chapter
        cache=cache,
        name=_name(recipe) if cache is None else f"{_name(recipe)}, in the order of the stream",
    )


def _name(recipe: DataRecipe) -> str:
    return recipe.train if recipe.sources is None else f"{len(recipe.sources)} sources"


def all_text(pairs: datasets.Dataset) -> Iterator[str]:
    """Every sentence of both sides, for training a shared vocabulary; pairs with an empty side are left out."""
    for rows in pairs.iter(batch_size=10_000):
        for source, target in zip(rows["source"], rows["target"], strict=True):
            if source and target and source.strip() and target.strip():
                yield source
                yield target


__all__ = [
    "EMBEDDED",
    "IGNORED_LABEL",
    "Chapter",
    "DataError",
    "StreamedTrainingData",
    "TokenizedPairs",
    "TrainingData",
    "all_text",
    "describe_counts",
    "read_lines",
    "read_pairs",
    "read_training_data",
    "tokenize_pairs",
]

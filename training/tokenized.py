"""Pairs as token ids: made once, in parallel, kept on disk, read in padded batches."""

import functools
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from training.batching import Part
from training.cleaning import (
    REASONS,
    Filters,
    content_key,
    count_reasons,
    examine,
    reason_number,
    refuse_empty,
    workers,
)
from training.reading import DataError, cache_folder

IGNORED_LABEL = -100
# Part of the name of every cached table of tokens: raise it with any change to what `_Tokenize` writes.
_CACHE_VERSION = 2
_SIDES = ("source", "target")


class Tokens:
    """One side of a table of tokens, read from disk row by row."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        # Views of the mapped file, a piece each: to join them would load them all.
        self._pieces = [piece.flatten().to_numpy() for piece in column.chunks]
        lengths = [piece.value_lengths().to_numpy(zero_copy_only=False) for piece in column.chunks]
        self.lengths = np.concatenate([np.zeros(0, np.int32), *lengths])
        """Tokens of each row, `(rows,)`."""
        self._first_row = np.cumsum([0, *map(len, lengths)])
        starts = [np.cumsum(piece, dtype=np.int32) - piece for piece in lengths]
        self._starts = np.concatenate([np.zeros(0, np.int32), *starts])

    def of(self, rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The first `lengths` tokens of these rows, one after the other: `(sum of lengths,)`."""
        pieces = np.searchsorted(self._first_row, rows, side="right") - 1
        starts = self._starts[rows]
        places = zip(pieces.tolist(), starts.tolist(), (starts + lengths).tolist(), strict=True)
        return np.concatenate(
            [np.zeros(0, np.int32), *(self._pieces[piece][start:end] for piece, start, end in places)]
        )


@dataclass
class TokenizedPairs:
    """Pairs as token ids, with their lengths at hand and a batch of any of them as padded arrays."""

    table: datasets.Dataset
    """Columns source_ids and target_ids, each ending with the end of sentence; a row for every row read, without ids
    where the pair is dropped."""
    rows: npt.NDArray[np.int64]
    """Rows of the table that are used, `(pairs,)`: pair i is row `rows[i]`."""
    source_lengths: npt.NDArray[np.int64]
    """Tokens of each pair's source, `(pairs,)`; those of the table, where it isn't cut."""
    target_lengths: npt.NDArray[np.int64]
    """Tokens of each pair's target, `(pairs,)`."""
    counts: dict[str, int]
    """Pairs read, dropped for each reason, kept; and how many of those are cut."""
    eos_token_id: int
    """Ends what is cut."""
    weights: npt.NDArray[np.float64] | None = None
    """How often an epoch has each pair, `(pairs,)`; None: once."""
    _tokens: tuple[Tokens, Tokens] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tokens = Tokens(self.table.data.column("source_ids")), Tokens(self.table.data.column("target_ids"))

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, part: Part | npt.NDArray[np.int64], pad_token_id: int) -> dict[str, npt.NDArray[np.int64]]:
        """The model's input for some pairs: input_ids and attention_mask `(sentences, source length)`, labels
        `(sentences, target length)`.

        Args:
            part: the pairs and the shape of the arrays; or the pairs alone, `(pairs,)`, for the smallest shape that
                holds them.
            pad_token_id: fills input_ids; labels are filled with -100. Rows that stand for no pair are all padding,
                but for a 1 in their mask's first place: there is no attention to nothing.
        """
        if not isinstance(part, Part):
            part = Part(part, len(part), int(self.source_lengths[part].max()), int(self.target_lengths[part].max()))
        source, mask = self._padded(0, self.source_lengths, part, (part.sentences, part.source_length), pad_token_id)
        target, _ = self._padded(1, self.target_lengths, part, (part.sentences, part.target_length), IGNORED_LABEL)
        attention_mask = mask.astype(np.int64)
        attention_mask[len(part.indices) :, 0] = 1
        return {"input_ids": source, "attention_mask": attention_mask, "labels": target}

    def _padded(
        self, side: int, lengths: npt.NDArray[np.int64], part: Part, shape: tuple[int, int], value: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The ids of one side padded on the right with `value`, and which places of the array hold ids."""
        rows, tokens = self.rows[part.indices], self._tokens[side]
        used = np.zeros(shape[0], np.int64)
        used[: len(rows)] = lengths[part.indices]
        mask = np.arange(shape[1]) < used[:, None]
        padded = np.full(shape, value, dtype=np.int64)
        padded[mask] = tokens.of(rows, used[: len(rows)])
        cut = np.flatnonzero(used[: len(rows)] < tokens.lengths[rows])
        padded[cut, used[cut] - 1] = self.eos_token_id
        return padded, mask


def tokenize_pairs(
    pairs: datasets.Dataset,
    tokenizer: Any,
    *,
    max_length: int | None = None,
    long_pairs: str = "drop",
    max_length_ratio: float | None = None,
    filters: Filters | None = None,
    empty_lines: str = "drop",
    may_be_none: bool = False,
    num_workers: int | None = 1,
    cache: Path | None = None,
    name: str = "the data",
) -> TokenizedPairs:
    """Tokenise pairs once and say which are used.

    The result is kept in the cache of `datasets` under a name made from the text, the tokenizer, the filters and this
    code's version, so that a change of any of them is noticed. Limits of length only decide what is used of it.

    Args:
        pairs: columns source and target.
        tokenizer: ends both sides with the end of sentence, as ours does.
        max_length: the longest side in tokens; None: any.
        long_pairs: "drop" drops pairs with a longer side, "cut" cuts it to its first tokens and the end of sentence.
        max_length_ratio: pairs whose longer side has more than this many times the tokens of the shorter one are
            dropped; None: none.
        filters: what else is dropped, before tokenising; None: nothing.
        empty_lines: "drop" drops pairs with an empty side, "error" raises for the first.
        may_be_none: whether it is no error where no pair is left.
        num_workers: processes that share the work where there is much; None: one for each CPU core.
        cache: the folder that the result is kept in; None: one in the cache of `datasets`.
        name: what the pairs are called in messages.

    Raises:
        DataError: an empty side, or no pair left, where that is an error.
    """
    cache = cache or cache_folder()
    reasons = examine(pairs, filters or Filters(), num_workers=num_workers, cache=cache, name=name)
    if empty_lines == "error":
        refuse_empty(pairs, reasons, name)
    table = _tokenized(pairs, tokenizer, reasons == 0, num_workers, cache, name)
    source, target = (
        np.concatenate([np.zeros(0, np.int64), *(chunk.value_lengths().to_numpy() for chunk in column.chunks)])
        for column in (table.data.column(f"{side}_ids") for side in _SIDES)
    )
    longest, shortest = np.maximum(source, target), np.minimum(source, target)
    long = (reasons == 0) & (longest > (max_length or np.inf))
    if long_pairs == "drop":
        reasons[long] = reason_number("too_long")
    if max_length_ratio is not None:
        reasons[(reasons == 0) & (longest > max_length_ratio * shortest)] = reason_number("ratio")
    rows = np.flatnonzero(reasons == 0)
    counts = count_reasons(reasons) | {"cut": int(long[rows].sum())}
    if not len(rows) and not may_be_none:
        dropped = ", ".join(f"{counts[reason]} {text}" for reason, text in REASONS.items() if counts[reason])
        raise DataError(f"{name}: no pair is left of {counts['read']} ({dropped}; max_length: {max_length})")
    source, target = (np.minimum(lengths[rows], max_length or np.iinfo(np.int64).max) for lengths in (source, target))
    return TokenizedPairs(table, rows, source, target, counts, tokenizer.eos_token_id)


def _tokenized(
    pairs: datasets.Dataset,
    tokenizer: Any,
    wanted: npt.NDArray[np.bool_],
    num_workers: int | None,
    cache: Path,
    name: str,
) -> datasets.Dataset:
    """The table of tokens, made or found in the cache; rows that aren't wanted have none."""
    pipeline = tokenizer.backend_tokenizer.to_str()
    key = content_key(pairs, f"{_CACHE_VERSION}\0{pipeline}\0{np.packbits(wanted).tobytes().hex()}")
    return pairs.with_format("arrow").map(
        _Tokenize(pipeline, wanted),
        with_indices=True,
        batched=True,
        batch_size=2000,
        remove_columns=pairs.column_names,
        features=_FEATURES,
        cache_file_name=str(cache / f"{key}.arrow"),
        new_fingerprint=key,
        num_proc=workers(len(pairs), num_workers),
        desc=f"tokenising {name}",
    )


_FEATURES = datasets.Features({f"{side}_ids": datasets.List(datasets.Value("int32")) for side in _SIDES})


@dataclass
class _Tokenize:
    """Tokenises the rows that are wanted; what it holds is what travels to another process."""

    pipeline: str
    """The tokenizer as JSON."""
    wanted: npt.NDArray[np.bool_]

    def __call__(self, rows: pa.Table, indices: list[int]) -> pa.Table:
        # The pipeline itself rather than the tokenizer around it: its call takes half as long again to make lists,
        # masks and types that nobody reads.
        backend, wanted, columns = _backend(self.pipeline), self.wanted[indices], {}
        for side in _SIDES:
            texts = rows[side].filter(pa.array(wanted)).to_pylist()
            ids = [encoding.ids for encoding in backend.encode_batch_fast(texts)]
            ends = np.zeros(len(wanted) + 1, np.int64)
            ends[1:][wanted] = list(map(len, ids))
            ends = np.cumsum(ends)
            flat = np.fromiter(itertools.chain.from_iterable(ids), np.int32, count=int(ends[-1]))
            columns[f"{side}_ids"] = pa.ListArray.from_arrays(ends.astype(np.int32), flat)
        return pa.table(columns)


@functools.lru_cache(maxsize=1)
def _backend(pipeline: str) -> Tokenizer:
    backend = Tokenizer.from_str(pipeline)
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True  # what looks like one in the text, such as </s>, is ordinary characters
    return backend

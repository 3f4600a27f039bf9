"""Parallel text: read from files, the Hub or the embedded corpus, checked, tokenised once, counted."""

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.recipe import DataRecipe, TrainingError

EMBEDDED = "embedded"
FILE_TYPES = (".tsv", ".jsonl", ".json", ".parquet")
IGNORED_LABEL = -100
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell one, UTF-8 cannot
# Part of every cache's name: raise it with any change to what `tokenize_pairs` writes.
_CACHE_VERSION = 1


class DataError(TrainingError):
    """Text that cannot be used as it is; the message names the file, the place and the fix."""


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def read_pairs(recipe: DataRecipe, split: str) -> datasets.Dataset:
    """The pairs of one split as a table with the columns `source` and `target`, aligned with what was read.

    Args:
        recipe: the data part of a recipe.
        split: what its key train, validation or test holds.

    Raises:
        DataError: a missing or empty file, files of different line counts, text that isn't UTF-8, a missing column.
    """
    if recipe.data == EMBEDDED:
        return _read_embedded(recipe, split)
    folder = Path(recipe.data).expanduser()
    if folder.is_dir():
        return _read_local(recipe, folder, split)
    if folder.is_absolute() or recipe.data.startswith((".", "~")) or recipe.data.count("/") > 1:
        raise DataError(f"data: there is no folder {recipe.data}; give one that exists, a Hub data set or 'embedded'")
    return _read_hub(recipe, split)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file without their ends. Only a line feed ends a line, so that rare separators inside
    a sentence cannot shift the alignment.

    Raises:
        DataError: no such file, an empty one, or bytes that aren't UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # a byte order mark is no part of the first sentence
    if not raw.strip():
        raise DataError(f"{path}: the file is empty; give one sentence a line")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(
            f"{path}: line {line}, byte {byte} is not UTF-8 (0x{raw[error.start]:02x}); convert the file, for "
            "instance with `iconv -f LATIN1 -t UTF-8`"
        ) from None
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _read_local(recipe: DataRecipe, folder: Path, split: str) -> datasets.Dataset:
    if "," in split:
        names = [name.strip() for name in split.split(",")]
        if len(names) != 2:
            raise DataError(f"'{split}': give two text files, source and target, with one comma between them")
        return _read_text(folder / names[0], folder / names[1])
    path = folder / split
    if path.suffix not in FILE_TYPES:
        source, target = (folder / f"{split}.{code}" for code in (recipe.source_language, recipe.target_language))
        missing = [str(file) for file in (source, target) if not file.is_file()]
        if missing:
            present = ", ".join(sorted(file.name for file in folder.iterdir() if file.is_file())[:20]) or "no files"
            raise DataError(f"{' and '.join(missing)}: no such file; {folder} holds {present}")
        return _read_text(source, target)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".tsv":
        return _read_tsv(recipe, path)
    if path.suffix == ".parquet":
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        try:
            table = datasets.Dataset.from_parquet(str(path))
        except (datasets.exceptions.DatasetGenerationError, pa.ArrowInvalid) as error:
            raise DataError(f"{path}: not readable as Parquet: {error.__cause__ or error}") from None
        return _columns(recipe, table, str(path))
    return _read_json(recipe, path)


def _read_text(source: Path, target: Path) -> datasets.Dataset:
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        raise DataError(
            f"{source} has {len(sources)} lines but {target} has {len(targets)}; line by line, each must be the "
            "translation of the other"
        )
    return _table(sources, targets)


def _read_tsv(recipe: DataRecipe, path: Path) -> datasets.Dataset:
    rows = [line.split("\t") for line in read_lines(path)]
    header = rows[0]
    names = _find_columns(recipe, header)
    if names is None:
        if len(header) != 2 or recipe.source_column:
            raise _missing_column(recipe, str(path), header)
        positions = (0, 1)  # no header: the first column is the source
    else:
        positions = (header.index(names[0]), header.index(names[1]))
        rows = rows[1:]
    for number, row in enumerate(rows, start=1 if names is None else 2):
        if len(row) != len(header):
            raise DataError(f"{path}: line {number} has {len(row)} columns, but line 1 has {len(header)}")
    if not rows:
        raise DataError(f"{path}: the file holds no pairs")
    return _table([row[positions[0]] for row in rows], [row[positions[1]] for row in rows])


def _read_json(recipe: DataRecipe, path: Path) -> datasets.Dataset:
    rows = list(_read_json_rows(path))
    if not rows:
        raise DataError(f"{path}: the file holds no pairs")
    names = _find_columns(recipe, {name for _, row in rows for name in row})
    if names is None and any("translation" in row for _, row in rows):
        rows = [(number, _json_object(path, number, row.get("translation") or {})) for number, row in rows]
        names = _find_columns(recipe, {name for _, row in rows for name in row})
    if names is None:
        raise _missing_column(recipe, str(path), dict.fromkeys(name for _, row in rows for name in row))
    for number, row in rows:
        for name in names:
            text = row.get(name)
            if not (text is None or isinstance(text, str)):
                raise DataError(f"{path}: row {number}: '{name}' must be text or null, but is {json.dumps(text)[:80]}")
            if text and _LONE_SURROGATE.search(text):
                raise DataError(f"{path}: row {number}: '{name}' holds half a surrogate pair, which is no character")
    return _table(*([row.get(name) for _, row in rows] for name in names))


def _json_object(path: Path, number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{path}: row {number} is no object with named columns")
    return row


def _read_json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with their numbers: those of a list, or one a line."""
    lines = read_lines(path)
    if lines[0].lstrip().startswith("["):
        try:
            rows = list(enumerate(json.loads("\n".join(lines)), start=1))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {error.lineno} is not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists a thousand deep
            raise DataError(f"{path}: not readable as JSON: {error}") from None
    else:
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append((number, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is not JSON: {getattr(error, 'msg', error)}") from None
    for number, row in rows:
        yield number, _json_object(path, number, row)


def _read_hub(recipe: DataRecipe, split: str) -> datasets.Dataset:
    try:
        table = datasets.load_dataset(recipe.data, recipe.data_config, split=split)
    except Exception as error:  # whatever the network, the Hub or the data set's own files raise
        raise DataError(
            f"data: '{recipe.data}' is no local folder, and as a Hub data set (data_config: {recipe.data_config}, "
            f"split: {split}) it could not be loaded: {' '.join(str(error).split())}"
        ) from error
    return _columns(recipe, table, f"{recipe.data}, split {split}")


@functools.cache
def _embedded_corpus() -> Any:
    from training.corpus import generate_corpus  # only where it is asked for

    return generate_corpus()


def _read_embedded(recipe: DataRecipe, split: str) -> datasets.Dataset:
    languages = (recipe.source_language, recipe.target_language)
    if set(languages) != {"en", "de"}:
        raise DataError(f"the embedded corpus is English and German (en, de), not {' and '.join(languages)}")
    corpus = _embedded_corpus()
    splits = {"train": corpus.train, "validation": corpus.validation, "held_out": corpus.held_out}
    if split not in splits:
        raise DataError(f"the embedded corpus has no split '{split}'; it has {', '.join(splits)}")
    english = [pair.source for pair in splits[split]]
    german = [pair.target for pair in splits[split]]
    return _table(english, german) if languages == ("en", "de") else _table(german, english)


def _table(sources: Sequence[str | None], targets: Sequence[str | None]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"source": sources, "target": targets})


def _find_columns(recipe: DataRecipe, columns: Iterable[str]) -> tuple[str, str] | None:
    columns = list(columns)
    candidates = [(recipe.source_language, recipe.target_language), ("source", "target")]
    if recipe.source_column and recipe.target_column:
        candidates = [(recipe.source_column, recipe.target_column)]
    return next((pair for pair in candidates if pair[0] in columns and pair[1] in columns), None)


def _missing_column(recipe: DataRecipe, place: str, columns: Iterable[str]) -> DataError:
    wanted = (recipe.source_column or recipe.source_language, recipe.target_column or recipe.target_language)
    return DataError(
        f"{place}: no columns '{wanted[0]}' and '{wanted[1]}'; the columns are {', '.join(map(str, columns))}. Set "
        "source_column and target_column"
    )


def _columns(recipe: DataRecipe, table: datasets.Dataset, place: str) -> datasets.Dataset:
    """The two text columns of any table, named `source` and `target`."""
    names = _find_columns(recipe, table.column_names)
    if names is None and "translation" in table.column_names:
        table = table.select_columns(["translation"]).flatten()
        table = table.rename_columns({name: name.removeprefix("translation.") for name in table.column_names})
        names = _find_columns(recipe, table.column_names)
    if names is None:
        raise _missing_column(recipe, place, table.column_names)
    if len(table) == 0:
        raise DataError(f"{place}: the file holds no pairs")
    for name in names:
        kind = table.features[name]
        if getattr(kind, "dtype", None) not in ("string", "large_string", "null"):
            raise DataError(f"{place}: the column '{name}' must hold text, but holds {kind}")
    table = table.select_columns(list(names))
    # Through unused names, as one of the columns may already be called as the other shall be.
    table = table.rename_columns(dict(zip(names, ("vt_source", "vt_target"), strict=True)))
    return table.rename_columns({"vt_source": "source", "vt_target": "target"})


# ---------------------------------------------------------------------------------------------------------------------
# Tokenising


@dataclass
class TokenizedPairs:
    """Pairs as token ids, with their lengths at hand and a batch of any of them as padded arrays."""

    table: datasets.Dataset
    """Columns source_ids and target_ids, each ending with the end of sentence; a row for every row read."""
    rows: npt.NDArray[np.int64]
    """Rows of the table that are used, `(pairs,)`: pair i is row `rows[i]`."""
    source_lengths: npt.NDArray[np.int64]
    """Tokens of each pair's source, `(pairs,)`."""
    target_lengths: npt.NDArray[np.int64]
    """Tokens of each pair's target, `(pairs,)`."""
    counts: dict[str, int]
    """Pairs read, dropped for each reason, and kept."""

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, pairs: npt.NDArray[np.int64], pad_token_id: int) -> dict[str, npt.NDArray[np.int64]]:
        """input_ids, attention_mask `(pairs, longest source)` and labels `(pairs, longest target)` of these pairs."""
        table = self.table.with_format("arrow")[self.rows[pairs]]
        source, mask = _pad(table.column("source_ids"), pad_token_id)
        target, _ = _pad(table.column("target_ids"), IGNORED_LABEL)
        return {"input_ids": source, "attention_mask": mask.astype(np.int64), "labels": target}


def _pad(column: pa.ChunkedArray, value: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Lists of ids as one array padded on the right with `value`, and which of its places hold ids."""
    lists = column.combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(mask.shape, value, dtype=np.int64)
    padded[mask] = lists.flatten().to_numpy()
    return padded, mask


def tokenize_pairs(
    pairs: datasets.Dataset,
    tokenizer: Any,
    *,
    max_length: int | None = None,
    empty_lines: str = "drop",
    name: str = "the data",
) -> TokenizedPairs:
    """Tokenise pairs once and say which are used.

    The result is kept in the cache of `datasets` under a name made from the text, the tokenizer and this code's
    version, so that a change of any of them is noticed.

    Args:
        pairs: columns source and target.
        tokenizer: ends both sides with the end of sentence, as ours does.
        max_length: pairs with a longer side, in tokens, are dropped; None keeps all.
        empty_lines: "drop" drops pairs with an empty side, "error" raises for the first.
        name: what the pairs are called in messages.

    Raises:
        DataError: an empty side where that is an error, or no pair left.
    """
    key = _cache_key(pairs, tokenizer)
    cache = Path(datasets.config.HF_DATASETS_CACHE) / "vanilla_transformer" / f"{key}.arrow"
    cache.parent.mkdir(parents=True, exist_ok=True)
    table = pairs.map(
        _tokenize(tokenizer),
        batched=True,
        remove_columns=pairs.column_names,
        features=datasets.Features(
            {
                "source_ids": datasets.List(datasets.Value("int32")),
                "target_ids": datasets.List(datasets.Value("int32")),
                "source_length": datasets.Value("int32"),
                "target_length": datasets.Value("int32"),
                "empty": datasets.Value("bool"),
            }
        ),
        cache_file_name=str(cache),
        new_fingerprint=key,
        desc=f"tokenising {name}",
    )
    columns = {
        column: np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in table.data.column(column).chunks])
        for column in ("source_length", "target_length", "empty")
    }
    source, target = columns["source_length"].astype(np.int64), columns["target_length"].astype(np.int64)
    empty = columns["empty"]
    if empty.any() and empty_lines == "error":
        raise DataError(f"{name}: line {empty.argmax() + 1} has an empty side; fill it or set empty_lines: drop")
    long = ~empty & (np.maximum(source, target) > (max_length or np.inf))
    rows = np.flatnonzero(~empty & ~long)
    counts = {"read": len(table), "empty": int(empty.sum()), "too_long": int(long.sum()), "kept": len(rows)}
    if not len(rows):
        raise DataError(
            f"{name}: no pair is left of {counts['read']} ({counts['empty']} with an empty side, {counts['too_long']} "
            f"longer than max_length: {max_length})"
        )
    return TokenizedPairs(table, rows, source[rows], target[rows], counts)


def _tokenize(tokenizer: Any) -> Callable[[Mapping[str, list[str | None]]], dict[str, list[Any]]]:
    def tokenize(rows: Mapping[str, list[str | None]]) -> dict[str, list[Any]]:
        sources, targets = ([text or "" for text in rows[side]] for side in ("source", "target"))
        # What looks like a special token in the text, such as </s>, is ordinary characters.
        source_ids = tokenizer(sources, split_special_tokens=True)["input_ids"]
        target_ids = tokenizer(text_target=targets, split_special_tokens=True)["input_ids"]
        return {
            "source_ids": source_ids,
            "target_ids": target_ids,
            "source_length": [len(ids) for ids in source_ids],
            "target_length": [len(ids) for ids in target_ids],
            "empty": [not s.strip() or not t.strip() for s, t in zip(sources, targets, strict=True)],
        }

    return tokenize


def _cache_key(pairs: datasets.Dataset, tokenizer: Any) -> str:
    """A name for the tokenised form of exactly this text by exactly this tokenizer."""
    digest = hashlib.blake2b(f"{_CACHE_VERSION}\0{type(tokenizer).__name__}\0".encode(), digest_size=16)
    digest.update(tokenizer.backend_tokenizer.to_str().encode("utf-8", "surrogatepass"))
    for rows in pairs.iter(batch_size=10_000):
        for side in ("source", "target"):
            digest.update(json.dumps(rows[side]).encode())
    return digest.hexdigest()


def describe_counts(name: str, counts: Mapping[str, int]) -> str:
    """One line on what was read, kept and dropped, for the log."""
    line = f"{name}: {counts['kept']:,} of {counts['read']:,} pairs"
    dropped = [f"{counts[reason]:,} {text}" for reason, text in _REASONS.items() if counts[reason]]
    return f"{line}; dropped {', '.join(dropped)}" if dropped else line


_REASONS = {"empty": "with an empty side", "too_long": "longer than max_length"}


def all_text(pairs: datasets.Dataset) -> Iterator[str]:
    """Every sentence of both sides, for training a shared vocabulary; pairs with an empty side are left out."""
    for rows in pairs.iter(batch_size=10_000):
        for source, target in zip(rows["source"], rows["target"], strict=True):
            if source and target and source.strip() and target.strip():
                yield source
                yield target

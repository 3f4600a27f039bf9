"""Parallel text from local files, the Hub or the embedded corpus: checked, and read from disk wherever it is large."""

import functools
import glob
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from training.recipe import DataRecipe, TrainingError

EMBEDDED = "embedded"
FILE_TYPES = (".tsv", ".jsonl", ".json", ".parquet")
FEATURES = datasets.Features({"source": datasets.Value("string"), "target": datasets.Value("string")})
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell one, UTF-8 cannot
# Part of the name of every cached text: raise it with any change to what the readers give.
_CACHE_VERSION = 1
_ROWS_AT_ONCE = 10_000

Pair = tuple[str | None, str | None]


class DataError(TrainingError):
    """Text that cannot be used as it is; the message names the file, the place and the fix."""


def cache_folder() -> Path:
    """Where text and tokens are kept from one run to the next: a folder within the cache of `datasets`."""
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "vanilla_transformer"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: no cache can be kept there ({error}); set HF_DATASETS_CACHE") from error
    return folder


def read_pairs(recipe: DataRecipe, split: str) -> datasets.Dataset:
    """The pairs of one split as a table with the columns `source` and `target`, aligned with what was read.

    Local files are written once into the cache of `datasets`, under a name made from their content and the columns
    asked for, and read from there, so that no process holds the text in memory.

    Args:
        recipe: the data part of a recipe.
        split: what its key train, validation or test holds.

    Raises:
        DataError: a missing or empty file, files of different line counts, text that isn't UTF-8, a missing column.
    """
    if recipe.data == EMBEDDED:
        return _read_embedded(recipe, split)
    folder = _local_folder(recipe)
    if folder is None:
        return _columns(recipe, _load_hub(recipe, split, streaming=False), f"{recipe.data}, split {split}")
    return _stored(recipe, _local_files(recipe, folder, split))


def stream_pairs(recipe: DataRecipe, split: str) -> datasets.IterableDataset:
    """The pairs of one split as a stream of rows with `source` and `target`, of which nothing is kept. Local files,
    and those of a Hub data set, are its shards.

    Raises:
        DataError: as `read_pairs`; for what is wrong inside a file, when the stream arrives there.
    """
    if recipe.data == EMBEDDED:
        return _read_embedded(recipe, split).to_iterable_dataset()
    folder = _local_folder(recipe)
    if folder is None:
        return _stream_columns(recipe, _load_hub(recipe, split, streaming=True), f"{recipe.data}, split {split}")
    files = _local_files(recipe, folder, split)
    for path in itertools.chain.from_iterable(files):
        # Its first filled block: that the file is there, and isn't empty.
        next(block for block in _blocks(path) if block.strip())
    return datasets.IterableDataset.from_generator(
        _stream_files, features=FEATURES, gen_kwargs={"recipe": recipe, "files": files}
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file without their ends. Only a line feed ends a line, so that rare separators inside
    a sentence cannot shift the alignment.

    Raises:
        DataError: no such file, an empty one, or bytes that aren't UTF-8.
    """
    for _ in _blocks(path):
        pass
    return list(_lines(path))


def decode_line(raw: bytes, number: int, name: str) -> str:
    """A line of UTF-8 without its end, which is a line feed and nothing else, with or without a carriage return.

    Args:
        raw: the line, as iteration over a binary file gives it.
        number: which line of the file it is, from 1.
        name: the file's, for the message.

    Raises:
        DataError: bytes that aren't UTF-8.
    """
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")  # a byte order mark is no part of the first sentence
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: line {number}, byte {error.start + 1} is not UTF-8 (0x{raw[error.start]:02x}); convert the "
            "text, for instance with `iconv -f LATIN1 -t UTF-8`"
        ) from None
    return text.removesuffix("\n").removesuffix("\r")


# ---------------------------------------------------------------------------------------------------------------------
# Local files


def _local_folder(recipe: DataRecipe) -> Path | None:
    """The folder that `data` names; None where it can only be a data set of the Hub."""
    folder = Path(recipe.data).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or recipe.data.startswith((".", "~")) or recipe.data.count("/") > 1:
        raise DataError(f"data: there is no folder {recipe.data}; give one that exists, a Hub data set or 'embedded'")
    return None


def _local_files(recipe: DataRecipe, folder: Path, split: str) -> list[tuple[Path, ...]]:
    """The files that a split names: single ones with both sides, or two of plain text with a side each."""
    if "," in split:
        names = [name.strip() for name in split.split(",")]
        if len(names) != 2:
            raise DataError(f"'{split}': give two text files, source and target, with one comma between them")
        if any(Path(name).suffix in FILE_TYPES for name in names):
            raise DataError(
                f"'{split}': a file of pairs has both sides; give one, several by a pattern with *, or, to train on, "
                "each as one of sources"
            )
        return [(folder / names[0], folder / names[1])]
    path = folder / split
    if path.suffix not in FILE_TYPES:
        source, target = (folder / f"{split}.{code}" for code in (recipe.source_language, recipe.target_language))
        missing = [str(file) for file in (source, target) if not file.is_file()]
        if missing:
            present = ", ".join(sorted(file.name for file in folder.iterdir() if file.is_file())[:20]) or "no files"
            raise DataError(f"{' and '.join(missing)}: no such file; {folder} holds {present}")
        return [(source, target)]
    if "*" in split or "?" in split:
        found = sorted(folder / name for name in glob.glob(split, root_dir=folder, recursive=True))
        if not found:
            raise DataError(f"{path}: no file has such a name")
        return [(file,) for file in found]
    return [(path,)]


def _blocks(path: Path) -> Iterator[bytes]:
    """A file's bytes, block by block.

    Raises:
        DataError: no such file, or, at its end, one without content.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    blank = True
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            blank = blank and not block.removeprefix(b"\xef\xbb\xbf").strip()
            yield block
    if blank:
        raise DataError(f"{path}: the file is empty; give one sentence a line")


def _stored(recipe: DataRecipe, files: list[tuple[Path, ...]]) -> datasets.Dataset:
    """The pairs of files, read once into the cache and from there ever after."""
    columns = (recipe.source_language, recipe.target_language, recipe.source_column, recipe.target_column)
    kinds = [[path.suffix for path in paths] for paths in files]
    key = hashlib.blake2b(json.dumps([_CACHE_VERSION, columns, kinds]).encode(), digest_size=16)
    for path in itertools.chain.from_iterable(files):
        for block in _blocks(path):
            key.update(block)
        key.update(b"the end of a file")
    stored = cache_folder() / f"text-{key.hexdigest()}.arrow"
    if not stored.is_file():
        write_pairs(stored, (pair for paths in files for pair in _file_pairs(recipe, paths)))
    return datasets.Dataset.from_file(str(stored))


def write_pairs(path: Path, pairs: Iterator[Pair]) -> int:
    """Write pairs as an Arrow file, which appears only when it is complete; returns how many there were.

    Raises:
        DataError: the file cannot be written.
    """
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    schema, count = pa.schema({"source": pa.string(), "target": pa.string()}), 0
    try:
        with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            while rows := list(itertools.islice(pairs, _ROWS_AT_ONCE)):
                columns = [pa.array(side, pa.string()) for side in zip(*rows, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=schema))
                count += len(rows)
        unfinished.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); make room, or set HF_DATASETS_CACHE") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _stream_files(recipe: DataRecipe, files: list[tuple[Path, ...]]) -> Iterator[dict[str, str | None]]:
    for paths in files:
        for source, target in _file_pairs(recipe, paths):
            yield {"source": source, "target": target}


def _file_pairs(recipe: DataRecipe, paths: tuple[Path, ...]) -> Iterator[Pair]:
    """The pairs of one file, or of two files of plain text."""
    if len(paths) == 2:
        return _text_pairs(*paths)
    (path,) = paths
    readers = {".tsv": _tsv_pairs, ".parquet": _parquet_pairs, ".jsonl": _json_pairs, ".json": _json_pairs}
    return _some(readers[path.suffix](recipe, path), path)


def _some(pairs: Iterator[Pair], path: Path) -> Iterator[Pair]:
    """The pairs of a file, of which there must be one."""
    first = next(pairs, None)
    if first is None:
        raise DataError(f"{path}: the file holds no pairs")
    yield first
    yield from pairs


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            yield decode_line(raw, number, str(path))


def _text_pairs(source: Path, target: Path) -> Iterator[Pair]:
    counts = [0, 0]

    def counted(side: int, path: Path) -> Iterator[str]:
        for line in _lines(path):
            counts[side] += 1
            yield line

    sources, targets = counted(0, source), counted(1, target)
    yield from zip(sources, targets, strict=False)
    for _ in itertools.chain(sources, targets):  # what one has more than the other, to be counted
        pass
    if counts[0] != counts[1]:
        raise DataError(
            f"{source} has {counts[0]} lines but {target} has {counts[1]}; line by line, each must be the translation "
            "of the other"
        )


def _tsv_pairs(recipe: DataRecipe, path: Path) -> Iterator[Pair]:
    lines = _lines(path)
    header = next(lines, "").split("\t")
    names = _find_columns(recipe, header)
    if names is None:
        if len(header) != 2 or recipe.source_column:
            raise _missing_column(recipe, str(path), header)
        yield header[0], header[1]  # no header: the first column is the source
    source, target = (header.index(names[0]), header.index(names[1])) if names else (0, 1)
    for number, line in enumerate(lines, start=2):
        row = line.split("\t")
        if len(row) != len(header):
            raise DataError(f"{path}: line {number} has {len(row)} columns, but line 1 has {len(header)}")
        yield row[source], row[target]


def _parquet_pairs(recipe: DataRecipe, path: Path) -> Iterator[Pair]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            names, prefix = _find_columns(recipe, schema.names), ""
            if (
                names is None
                and "translation" in schema.names
                and pa.types.is_struct(schema.field("translation").type)
            ):
                schema, prefix = pa.schema(schema.field("translation").type), "translation."
                names = _find_columns(recipe, schema.names)
            if names is None:
                raise _missing_column(recipe, str(path), schema.names)
            for name in names:
                kind = schema.field(name).type
                kind = kind.value_type if pa.types.is_dictionary(kind) else kind
                texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
                if not any(is_text(kind) for is_text in texts):
                    raise DataError(f"{path}: the column '{name}' must hold text, but holds {kind}")
            for rows in file.iter_batches(_ROWS_AT_ONCE, columns=[prefix + name for name in names]):
                columns = rows.column("translation").flatten() if prefix else rows.columns
                order = rows.schema.field("translation").type if prefix else rows.schema
                source, target = (columns[order.get_field_index(name)].to_pylist() for name in names)
                yield from zip(source, target, strict=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as Parquet: {' '.join(str(error).split())}") from None


def _json_pairs(recipe: DataRecipe, path: Path) -> Iterator[Pair]:
    # Any row may lack a column, so that only all of them together say which there are.
    columns: dict[str, None] = {}
    for _, row in _json_rows(path):
        columns.update(dict.fromkeys(row))
    rows, names = _json_rows(path), _find_columns(recipe, columns)
    if names is None and "translation" in columns:
        columns = {}
        for _, row in _nested_rows(path):
            columns.update(dict.fromkeys(row))
        rows, names = _nested_rows(path), _find_columns(recipe, columns)
    if names is None:
        if not columns:
            return
        raise _missing_column(recipe, str(path), columns)
    for number, row in rows:
        for name in names:
            text = row.get(name)
            if not (text is None or isinstance(text, str)):
                raise DataError(f"{path}: row {number}: '{name}' must be text or null, but is {json.dumps(text)[:80]}")
            if text and _LONE_SURROGATE.search(text):
                raise DataError(f"{path}: row {number}: '{name}' holds half a surrogate pair, which is no character")
        yield row.get(names[0]), row.get(names[1])


def _nested_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, row in _json_rows(path):
        yield number, _json_object(path, number, row.get("translation") or {})


def _json_object(path: Path, number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{path}: row {number} is no object with named columns")
    return row


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows with their numbers: those of a list, which is read as a whole, or one a line."""
    lines = _lines(path)
    first = next(lines, "")
    if first.lstrip().startswith("["):
        try:
            rows = json.loads("\n".join([first, *lines]))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {error.lineno} is not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists a thousand deep
            raise DataError(f"{path}: not readable as JSON: {error}") from None
        for number, row in enumerate(rows, start=1):
            yield number, _json_object(path, number, row)
        return
    for number, line in enumerate(itertools.chain([first], lines), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON: {getattr(error, 'msg', error)}") from None
        yield number, _json_object(path, number, row)


# ---------------------------------------------------------------------------------------------------------------------
# The Hub and the embedded corpus


def _load_hub(recipe: DataRecipe, split: str, *, streaming: bool) -> Any:
    try:
        return datasets.load_dataset(recipe.data, recipe.data_config, split=split, streaming=streaming)
    except Exception as error:  # whatever the network, the Hub or the data set's own files raise
        raise DataError(
            f"data: '{recipe.data}' is no local folder, and as a Hub data set (data_config: {recipe.data_config}, "
            f"split: {split}) it could not be loaded: {' '.join(str(error).split())}"
        ) from error


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
    sources, targets = (english, german) if languages == ("en", "de") else (german, english)
    return datasets.Dataset.from_dict({"source": sources, "target": targets})


# ---------------------------------------------------------------------------------------------------------------------
# Columns


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
    """The two text columns of a Hub data set, named `source` and `target`."""
    names = _find_columns(recipe, table.column_names)
    if names is None and "translation" in table.column_names:
        table = table.select_columns(["translation"]).flatten()
        table = table.rename_columns({name: name.removeprefix("translation.") for name in table.column_names})
        names = _find_columns(recipe, table.column_names)
    if names is None:
        raise _missing_column(recipe, place, table.column_names)
    if len(table) == 0:
        raise DataError(f"{place}: it holds no pairs")
    for name in names:
        kind = table.features[name]
        if getattr(kind, "dtype", None) not in ("string", "large_string", "null"):
            raise DataError(f"{place}: the column '{name}' must hold text, but holds {kind}")
    table = table.select_columns(list(names))
    # Through unused names, as one of the columns may already be called as the other shall be.
    table = table.rename_columns(dict(zip(names, ("vt_source", "vt_target"), strict=True)))
    return table.rename_columns({"vt_source": "source", "vt_target": "target"})


def _stream_columns(recipe: DataRecipe, rows: datasets.IterableDataset, place: str) -> datasets.IterableDataset:
    """As `_columns`, of a stream, whose first row says which columns there are."""
    first = next(iter(rows), None)
    if first is None:
        raise DataError(f"{place}: it holds no pairs")
    names, nested = _find_columns(recipe, first), False
    if names is None and isinstance(first.get("translation"), dict):
        names, nested = _find_columns(recipe, first["translation"]), True
    if names is None:
        raise _missing_column(recipe, place, first["translation"] if nested else first)

    def pick(row: dict[str, Any]) -> dict[str, str | None]:
        cells = row["translation"] if nested else row
        source, target = cells.get(names[0]), cells.get(names[1])
        for name, text in zip(names, (source, target), strict=True):
            if not (text is None or isinstance(text, str)):
                raise DataError(f"{place}: the column '{name}' must hold text, but holds {str(text)[:80]}")
        return {"source": source, "target": target}

    return rows.map(pick, remove_columns=list(first), features=FEATURES)

"""Which training pairs are used: filters on the text, each with a count of what it drops."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.machine import available_cores
from training.reading import DataError, cache_folder
from training.recipe import DataRecipe
from training.scripts import is_in_script, scripts_of

# Why a pair is dropped, in the order in which it is asked: each pair counts for the first reason that holds.
REASONS = {
    "empty": "with an empty side",
    "identical": "with identical sides",
    "wrong_script": "in another script than their language's",
    "duplicate": "given before",
    "too_long": "longer than max_length",
    "ratio": "of too different lengths",
}
# Part of the name of every cached verdict: raise it with any change to what `examine` gives.
_CACHE_VERSION = 1
# Below this many pairs, starting another process takes longer than it saves.
_PAIRS_PER_WORKER = 10_000


@dataclass(frozen=True)
class Filters:
    """What makes a pair unfit; by default only an empty side does."""

    drop_identical: bool = False
    drop_duplicates: bool = False
    scripts: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """The scripts of source and target that are wanted; None: any."""

    @classmethod
    def of(cls, recipe: DataRecipe) -> "Filters":
        """The filters that a recipe asks for."""
        scripts = None
        if recipe.drop_wrong_script:
            source, target = scripts_of(recipe.source_language), scripts_of(recipe.target_language)
            assert source is not None and target is not None  # the recipe checks its languages
            scripts = source, target
        return cls(recipe.drop_identical, recipe.drop_duplicates, scripts)


def examine(
    pairs: datasets.Dataset,
    filters: Filters,
    *,
    num_workers: int | None = 1,
    cache: Path | None = None,
    name: str = "the data",
) -> npt.NDArray[np.uint8]:
    """For each pair 0 where it is used, else the place of its reason in `REASONS`, counted from 1: `(pairs,)`.

    The result is kept in `cache`, by default the cache of `datasets`, under a name made from the text and the filters.

    Raises:
        DataError: no pairs at all.
    """
    if not len(pairs):
        raise DataError(f"{name}: there are no pairs")
    key = content_key(pairs, repr((_CACHE_VERSION, filters)))
    table = pairs.with_format("arrow").map(
        _Examine(filters),
        batched=True,
        batch_size=2000,
        remove_columns=pairs.column_names,
        features=datasets.Features({"reason": datasets.Value("uint8"), "hash": datasets.Value("uint64")}),
        cache_file_name=str((cache or cache_folder()) / f"{key}.arrow"),
        new_fingerprint=key,
        num_proc=workers(len(pairs), num_workers),
        desc=f"cleaning {name}",
    )
    reasons = np.concatenate([chunk.to_numpy() for chunk in table.data.column("reason").chunks])
    if filters.drop_duplicates:
        left = np.flatnonzero(reasons == 0)
        hashes = np.concatenate([chunk.to_numpy() for chunk in table.data.column("hash").chunks])[left]
        first = np.unique(hashes, return_index=True)[1]  # of equal ones the place of the first
        again = np.ones(len(left), bool)
        again[first] = False
        reasons[left[again]] = reason_number("duplicate")
    return reasons


def refuse_empty(pairs: datasets.Dataset, reasons: npt.NDArray[np.uint8], name: str) -> None:
    """Pass where no pair has an empty side.

    Raises:
        DataError: for the first that has.
    """
    empty = reasons == reason_number("empty")
    if empty.any():
        number = int(empty.argmax())
        other = next((text for text in pairs[number].values() if text and text.strip()), "")
        raise DataError(
            f"{name}: pair {number + 1} has an empty side (the other is {other[:80]!r}); fill it or set empty_lines: "
            "drop"
        )


def reason_number(reason: str) -> int:
    """What stands for a reason in the result of `examine`."""
    return list(REASONS).index(reason) + 1


def count_reasons(reasons: npt.NDArray[np.uint8]) -> dict[str, int]:
    """Pairs read, dropped for each reason, and kept."""
    counts = np.bincount(reasons, minlength=len(REASONS) + 1).tolist()
    return {"read": len(reasons), **dict(zip(REASONS, counts[1:], strict=True)), "kept": counts[0]}


def describe_counts(name: str, counts: Mapping[str, int]) -> str:
    """One line on what was read, kept, cut and dropped, for the log."""
    line = f"{name}: {counts['kept']:,} of {counts['read']:,} pairs"
    if counts.get("cut"):
        line += f" ({counts['cut']:,} of them cut to max_length)"
    dropped = [f"{counts[reason]:,} {text}" for reason, text in REASONS.items() if counts.get(reason)]
    return f"{line}; dropped {', '.join(dropped)}" if dropped else line


def content_key(pairs: datasets.Dataset, settings: str) -> str:
    """A name for what is made from exactly this text with these settings."""
    digest = hashlib.blake2b(settings.encode("utf-8", "surrogatepass"), digest_size=16)
    schema = pa.schema({"source": pa.string(), "target": pa.string()})
    for rows in pairs.select_columns(["source", "target"]).with_format("arrow").iter(batch_size=10_000):
        columns = [rows.column(name).combine_chunks().cast(pa.string()) for name in schema.names]
        digest.update(pa.record_batch(columns, schema=schema).serialize())
    return digest.hexdigest()


def workers(pairs: int, wanted: int | None) -> int | None:
    """How many processes `Dataset.map` is to start for this many pairs; None: none beside this one."""
    number = min(wanted or available_cores(), pairs // _PAIRS_PER_WORKER)
    return number if number > 1 else None


@dataclass
class _Examine:
    """Judges pairs by their own text, and gives each a hash by which the same text is found again."""

    filters: Filters
    numbers: dict[str, int] = field(default_factory=lambda: {reason: reason_number(reason) for reason in REASONS})

    def __call__(self, rows: pa.Table) -> pa.Table:
        sources, targets = ([(text or "").strip() for text in rows[side].to_pylist()] for side in ("source", "target"))
        reasons = list(map(self._reason, sources, targets))
        hashes = np.zeros(len(reasons), np.uint64)
        if self.filters.drop_duplicates:
            hashes = np.frombuffer(b"".join(map(_hash, sources, targets)), np.uint64)
        return pa.table({"reason": pa.array(reasons, pa.uint8()), "hash": hashes})

    def _reason(self, source: str, target: str) -> int:
        if not source or not target:
            return self.numbers["empty"]
        if self.filters.drop_identical and source == target:
            return self.numbers["identical"]
        if self.filters.scripts is not None and not (
            is_in_script(source, self.filters.scripts[0]) and is_in_script(target, self.filters.scripts[1])
        ):
            return self.numbers["wrong_script"]
        return 0


def _hash(source: str, target: str) -> bytes:
    return hashlib.blake2b(f"{source}\0{target}".encode(), digest_size=8).digest()

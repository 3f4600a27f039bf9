"""What a scoring leaves: translations, scores of pairs and scores.json in a folder, a line in a log, and a table."""

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.forced_decoding import PairScore, write_pair_scores
from training.metrics import NAMES, TOKENISED_BLEU
from training.recipe import TrainingError

SCORES, LOG = "scores.json", "scores.jsonl"
# Everything that a scoring writes into its folder; nothing else there is ever touched.
_WRITTEN = re.compile(r"scores\.json|hypotheses(\.\d+)?\.txt|pairs(\.\d+)?\.tsv")


class ScoreError(TrainingError):
    """Something that cannot be scored; the message names the file or option and the fix."""


@dataclass
class System:
    """Translations with what made them, and their scores."""

    name: str
    made_by: dict[str, Any]
    """The model with its decoding settings, or the file."""
    hypotheses: list[str] | None = None
    pairs: list[PairScore] | None = None
    scores: dict[str, Any] = field(default_factory=dict)


def check_output(folder: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Pass where the scores may be written to the folder; nothing is changed.

    Args:
        folder: the output folder; it needn't exist.
        overwrite: whether other scores there may be replaced.
        inputs: the files that are read.

    Raises:
        ScoreError: the folder cannot be written to, holds other scores (unless `overwrite`), or one of the inputs
            where the scores will be.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ScoreError(f"--output: {existing} is a file; name a folder")
    present = _written(folder)
    if present and not overwrite:
        raise ScoreError(
            f"--output: {folder} holds other scores ({', '.join(file.name for file in present)}); name another "
            "folder, or replace them with --overwrite"
        )
    for path in inputs:
        if path.resolve() in (file.resolve() for file in present):
            raise ScoreError(f"--output: {path}, which is to be read, would be replaced; name another folder")
    try:
        with tempfile.TemporaryFile(dir=existing):  # the proof that it can be written to
            pass
    except OSError as error:
        raise ScoreError(f"--output: {folder} cannot be written to ({error}); name another folder") from error


def create_output(folder: Path) -> None:
    """Make the folder, free of an earlier scoring's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in _written(folder):
        file.unlink()


def _written(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if _WRITTEN.fullmatch(file.name))


def write_system(folder: Path, number: int | None, system: System) -> None:
    """Keep a system's translations and its scores of pairs, and say in `made_by` where.

    Args:
        folder: the output folder.
        number: part of the files' names where there are several systems; None for a single one.
        system: translations, scores of pairs or both; those that are None are not written.
    """
    middle = "" if number is None else f".{number}"
    if system.hypotheses is not None:
        system.made_by["hypotheses"] = f"hypotheses{middle}.txt"
        lines = "".join(f"{line}\n" for line in system.hypotheses)
        (folder / system.made_by["hypotheses"]).write_text(lines, encoding="utf-8")
    if system.pairs is not None:
        system.made_by["pairs"] = f"pairs{middle}.tsv"
        write_pair_scores(folder / system.made_by["pairs"], system.pairs, system.made_by["length_penalty"])


def write_scores(folder: Path, result: dict[str, Any]) -> None:
    """Write scores.json."""
    (folder / SCORES).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def append_to_log(log: Path, entry: dict[str, Any]) -> None:
    """Add a line to a log of scorings, by which it can be told how often a test set was looked at."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def describe(result: dict[str, Any]) -> str:
    """What scores.json holds as a table for the terminal, with signatures, decoding settings and comparisons."""
    systems, test = result["systems"], result["test_set"]
    texts = [name for name in systems[0]["scores"] if name in NAMES]
    lines = [f"{test['name']}: {test['sentences']:,} sentences", "", *_table(systems, texts), ""]
    lines += [f"{NAMES[name]}: {systems[0]['scores'][name]['signature']}" for name in texts]
    if TOKENISED_BLEU in texts:
        lines.append("tokenised BLEU is of text as tokenised in the files: no figure to set beside BLEU of plain text")
    for system in systems:
        if "model" in system and texts:
            lines.append(
                f"{system['name']}: {system['num_beams']} beams, length penalty {system['length_penalty']:g} "
                f"({system['length_penalty_type']}), max_length_offset {system['max_length_offset']}, mixed precision "
                f"{system['mixed_precision']}, {system['decoding_seconds']:.0f} s"
            )
    for name, compared in result["paired_bootstrap"].items():
        lines += ["", f"{NAMES[name]}: mean of the resamplings, 95% interval, p against the first"]
        for system, resampled in zip(systems, compared["systems"], strict=True):
            p = "" if resampled["p_value"] is None else f"p = {resampled['p_value']:.4f}"
            lines.append(f"  {resampled['mean']:6.2f} ± {resampled['interval']:.2f}  {p:10}  {system['name']}")
        lines.append(f"  {compared['signature']}")
    return "\n".join(lines).rstrip()


def _table(systems: Sequence[dict[str, Any]], texts: Sequence[str]) -> list[str]:
    """A line of column names and one for each system; columns that no system has are left out."""
    columns: dict[str, list[str]] = {"": [system["name"] for system in systems]}
    for name in texts:
        columns[NAMES[name]] = [f"{system['scores'][name]['score']:.2f}" for system in systems]
        if "brevity_penalty" in systems[0]["scores"][name]:
            columns["brevity penalty"] = [f"{system['scores'][name]['brevity_penalty']:.3f}" for system in systems]
    for name in ("perplexity", "bits_per_character"):
        values = [system["scores"].get(name) for system in systems]
        if any(value is not None for value in values):
            columns[name.replace("_", " ")] = ["" if value is None else f"{value:.3f}" for value in values]
    widths = [max(map(len, (title, *cells))) for title, cells in columns.items()]
    lines = []
    for row in zip(*([title, *cells] for title, cells in columns.items()), strict=True):
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return lines

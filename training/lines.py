"""Lines to translate, from a file or from standard input, in windows that fit into memory, with their place in it."""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from training.reading import DataError, decode_line

# A window ends where its text is longer than this, so that lines of any length fit into memory.
_MOST_BYTES = 1 << 24
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Place:
    """How far an input was read."""

    lines: int = 0
    bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    """Of all that was read."""


@dataclass(frozen=True)
class Window:
    """Neighbouring lines, without their ends."""

    lines: list[str]
    end: Place
    """The place behind them."""


class Input:
    """The lines of a file, or of standard input; what is wrong in a file is found before any of them is used."""

    def __init__(self, path: Path | None) -> None:
        """
        Args:
            path: the file; None: standard input.

        Raises:
            DataError: no such file, or one that isn't UTF-8.
        """
        self.name = "standard input" if path is None else str(path)
        if path is not None and not path.exists():
            raise DataError(f"{path}: no such file")
        if path is None and sys.stdin is None:
            raise DataError("standard input is closed; name a file with --input")
        try:
            self._file: BinaryIO = sys.stdin.buffer if path is None else path.open("rb")
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error})") from error
        self.lines: int | None = None
        """How many there are; None where only reading them will tell."""
        if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            start = self._file.tell()
            number = 0
            for number, raw in enumerate(self._file, start=1):
                decode_line(raw, number, self.name)
            self.lines = number
            self._file.seek(start)

    def windows(self, most_lines: int, start: Place) -> Iterator[Window]:
        """The lines from a place on, at most so many together.

        Raises:
            DataError: bytes that aren't UTF-8, when all lines before them were given; another text before `start` than
                when it was read first.
        """
        digest = hashlib.sha256()
        left = start.bytes
        while left and (block := self._file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
        if digest.hexdigest() != start.sha256:
            raise DataError(
                f"{self.name}: the first {start.lines:,} lines are not those that were translated already; give the "
                "input of the translation that is to be gone on with, or start anew by --resume no --overwrite"
            )
        lines: list[str] = []
        count, read, begin, error = start.lines, start.bytes, start.bytes, None
        # Not by iteration, which may read further than the line that somebody waits for an answer to.
        while raw := self._file.readline():
            try:
                lines.append(decode_line(raw, count + 1, self.name))
            except DataError as wrong:
                error = wrong
                break
            digest.update(raw)
            count, read = count + 1, read + len(raw)
            if len(lines) == most_lines or read - begin >= _MOST_BYTES:
                yield Window(lines, Place(count, read, digest.hexdigest()))
                lines, begin = [], read
        if lines:
            yield Window(lines, Place(count, read, digest.hexdigest()))
        if error:
            raise error

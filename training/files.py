"""Text where it belongs: files that are never seen half written, and output to a reader who may leave."""

import os
import sys
from pathlib import Path


def unfinished_name(path: Path) -> Path:
    """What `write_whole` calls a file until it is complete."""
    return path.with_name(f".{path.name}.unfinished")


def write_whole(path: Path, text: str) -> None:
    """Write a text file in UTF-8; until it is complete, what stood there before stays, whatever kills the process."""
    unfinished = unfinished_name(path)
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def print_text(text: str) -> None:
    """Print to standard output, of which the reader may have had enough before its end, as `head` has."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes it once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

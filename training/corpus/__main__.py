"""Writes the embedded corpus as text files: `python -m training.corpus --output FOLDER [--seed N]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.corpus.generate import generate_corpus, write_corpus


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, generate the corpus and write it."""
    parser = argparse.ArgumentParser(prog="python -m training.corpus", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another corpus (default: 1)")
    options = parser.parse_args(arguments)
    for path, count in write_corpus(generate_corpus(options.seed), options.output).items():
        print(f"{path}: {count} sentences")


if __name__ == "__main__":
    main()

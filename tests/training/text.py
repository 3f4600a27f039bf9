"""Made-up parallel text: every sentence the other's translation word by word."""

import random
from pathlib import Path

WORDS = {
    "one": "eins", "two": "zwei", "three": "drei", "four": "vier", "red": "rot", "blue": "blau", "cat": "Katze",
    "dog": "Hund", "house": "Haus", "tree": "Baum", "sees": "sieht", "and": "und",
}  # fmt: skip


def sentences(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Pairs of sentences, each the other's translation word by word."""
    chooser = random.Random(seed)
    sources = [[chooser.choice(list(WORDS)) for _ in range(chooser.randint(2, 7))] for _ in range(count)]
    return [" ".join(line) for line in sources], [" ".join(WORDS[word] for word in line) for line in sources]


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path

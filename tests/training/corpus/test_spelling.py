"""Every German word of the corpus stands in Debian's German dictionary."""

import os
import re
import shutil
import subprocess

import pytest

INSTALL = "hunspell with its German dictionary is missing: apt-get install hunspell hunspell-de-de"


def misspelled(words):
    """The words that hunspell does not know. Where it is missing, the test is skipped, and fails in CI."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    if shutil.which("hunspell") is None:
        missing(INSTALL)
    done = subprocess.run(
        ["hunspell", "-i", "utf-8", "-d", "de_DE", "-l"],
        input="\n".join(words), capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    if done.returncode != 0:
        missing(f"{INSTALL} ({done.stderr.strip()})")
    return done.stdout.split()


def test_every_german_word_is_in_the_dictionary(corpus):
    pairs = (*corpus.train, *corpus.validation, *corpus.held_out)
    words = sorted({word for pair in pairs for word in re.findall(r"[^\W\d_]+'?", pair.target)})
    assert len(words) > 800
    assert misspelled(words) == []


def test_the_dictionary_knows_wrong_forms():
    assert misspelled(["gehst", "gehtst", "Häusern", "Häuseren"]) == ["gehtst", "Häuseren"]

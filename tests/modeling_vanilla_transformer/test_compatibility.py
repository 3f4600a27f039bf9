"""The README's table of what is supported names a test for every line, and these tests exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAD = "| feature | how | test |"
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    for row in README.partition(HEAD)[2].split("\n\n")[0].splitlines()[2:]
]


def test_the_readme_has_the_table():
    assert HEAD in README
    assert len(ROWS) >= 20
    assert all(len(row) == 3 and all(row) for row in ROWS)
    assert len({feature for feature, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_line_names_tests_that_exist(row):
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", row[2])
    assert tests and len(tests) == row[2].count("::")
    for path, name in tests:
        source = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", source, flags=re.M), f"{path} has no {name}"

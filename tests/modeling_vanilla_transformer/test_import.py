"""Importing the package costs about what importing a comparable model of transformers costs."""

import subprocess
import sys
from pathlib import Path
from statistics import median

import modeling_vanilla_transformer

OURS = "import modeling_vanilla_transformer"
MARIAN = "from transformers import MarianConfig, MarianMTModel, MarianTokenizer"


def seconds_of_importing(statement: str) -> float:
    """Returns the processor time that `statement` takes in a fresh process."""
    code = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    checkout = Path(modeling_vanilla_transformer.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def test_importing_the_package_costs_at_most_a_tenth_more_than_importing_marian():
    # Taking turns, so that a busy spell of the machine meets both; the middle of several, so that no single lucky or
    # unlucky start decides.
    ours, marian = [], []
    for rounds in range(1, 10):
        ours.append(seconds_of_importing(OURS))
        marian.append(seconds_of_importing(MARIAN))
        if rounds >= 3 and median(ours) <= 1.1 * median(marian):
            break
    print(f"importing the package {median(ours):.2f} s, MarianMT {median(marian):.2f} s")
    assert median(ours) <= 1.1 * median(marian)

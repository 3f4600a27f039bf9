"""Importing the package costs about what importing a comparable model of transformers costs."""

import subprocess
import sys
from pathlib import Path

import modeling_vanilla_transformer

# The processor time of importing MarianMT in a fresh process, and of importing the package after it: whatever the
# package needs that MarianMT does not.
CODE = """
import time
start = time.process_time()
from transformers import MarianConfig, MarianMTModel, MarianTokenizer
between = time.process_time()
import modeling_vanilla_transformer
print(between - start, time.process_time() - between)
"""


def test_importing_the_package_costs_at_most_a_tenth_more_than_importing_marian():
    checkout = Path(modeling_vanilla_transformer.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", CODE], cwd=checkout, capture_output=True, text=True, check=True)
    marian, more = map(float, done.stdout.split())
    print(f"importing MarianMT {marian:.2f} s, the package {more:.2f} s more")
    assert 0 < more <= marian / 10

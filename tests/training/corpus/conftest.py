"""The corpus of seed 1, generated once for all tests of this folder."""

import pytest

from training.corpus import Corpus, generate_corpus


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return generate_corpus(seed=1)

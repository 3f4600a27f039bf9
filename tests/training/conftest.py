"""Small text, a small recipe and a cache of their own for the tests of `training`."""

from pathlib import Path

import datasets
import pytest
import torch

from tests.training.text import sentences, write_lines


@pytest.fixture(scope="session", autouse=True)
def _own_cache_and_one_thread(tmp_path_factory):
    torch.set_num_threads(1)
    cache = tmp_path_factory.mktemp("datasets_cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
        patch.setenv("HF_DATASETS_CACHE", str(cache))  # of the processes that tests start
        yield


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory) -> Path:
    """train.en, train.de (600 pairs), val (40) and test (30)."""
    folder = tmp_path_factory.mktemp("text")
    for seed, (name, count) in enumerate({"train": 600, "val": 40, "test": 30}.items()):
        source, target = sentences(count, seed)
        write_lines(folder / f"{name}.en", source)
        write_lines(folder / f"{name}.de", target)
    return folder


@pytest.fixture
def recipe_values(text_folder, tmp_path) -> dict:
    """A recipe, as a dictionary, that trains on `text_folder` in a second or two."""
    return {
        "data": str(text_folder),
        "source_language": "en",
        "target_language": "de",
        "validation": "val",
        "test": "test",
        "max_length": 60,
        "model": "miniature",
        "vocab_size": 300,
        "tokens_per_batch": 600,
        "max_updates": 8,
        "warmup_steps": 4,
        "peak_learning_rate": 0.005,
        "mixed_precision": "no",
        "output": str(tmp_path / "run"),
        "save_every": 3,
        "evaluate_every": 4,
        "log_every": 1,
        "average_last": 2,
        "keep_checkpoints": 2,
        "num_beams": 2,
        "max_length_offset": 5,
    }

"""A saved model is read whole, from its folder or the Hub, or it is said what is wrong with it."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.models import save, small_model
from tests.training.text import sentences
from training.loading import LoadingError, read_model, saved_configuration
from training.translate import describe_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path) -> Path:
    return save(small_model(sentences(30, seed=5)[0]), tmp_path / "model")


@pytest.fixture
def name(folder, tmp_path, monkeypatch) -> str:
    """The model by its name on the Hub, from which it was fetched before."""
    for setting, value in (("HF_HUB_CACHE", str(tmp_path / "cache")), ("HF_HUB_OFFLINE", True)):
        monkeypatch.setattr(f"huggingface_hub.constants.{setting}", value)
    fetched = tmp_path / "cache" / "models--somebody--model"
    (fetched / "refs").mkdir(parents=True)
    (fetched / "refs" / "main").write_text(COMMIT)
    (fetched / "snapshots").mkdir()
    (fetched / "snapshots" / COMMIT).symlink_to(folder)
    return "somebody/model"


def test_a_model_is_the_same_by_folder_and_by_name(folder, name):
    (model, tokenizer), (other, its) = read_model(folder), read_model(name)
    assert not other.training and tokenizer.get_vocab() == its.get_vocab()
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    assert describe_model(name) == describe_model(str(folder))
    assert describe_model(name).keys() > {"the model's config.json", "the model's model.safetensors"}


def test_settings_are_from_pretraineds(folder):
    model, _ = read_model(folder, dtype=torch.float64, dropout=0.25)
    assert model.dtype == torch.float64 and model.config.dropout == 0.25


@pytest.mark.parametrize("keys", [{}, {"tie_word_embeddings": False}, {"position_embedding_type": "learned"}])
def test_models_of_every_kind_in_shards_and_in_half_precision(keys, tmp_path):
    model, tokenizer = small_model(sentences(30, seed=5)[0], **keys)
    model.to(torch.bfloat16).save_pretrained(tmp_path, max_shard_size="50KB")
    tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    (tmp_path / "tokenizer").mkdir()  # is no part of what is translated by
    found, _ = read_model(tmp_path)
    assert found.dtype == torch.bfloat16
    assert all(torch.equal(found.state_dict()[name], value) for name, value in model.state_dict().items())
    assert "the model's tokenizer.json" in describe_model(str(tmp_path))


def drop_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.encoder.layers.0.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def set_search(key: str, value: Any, folder: Path) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def cut_the_vocabulary(folder: Path) -> None:
    model, _ = small_model(sentences(30, seed=5)[0])
    model.resize_token_embeddings(100)
    model.save_pretrained(folder)


DAMAGE = {
    "no configuration": (
        lambda folder: (folder / "config.json").unlink(),
        "is neither .*: config.json is missing or empty",
    ),
    "no settings": (lambda folder: (folder / "config.json").write_text('"x"'), "is neither .* holds no settings"),
    "half a search": (
        lambda folder: (folder / "generation_config.json").write_text("{"),
        ": the model cannot be read: .*generation_config.json",
    ),
    **{
        f"{key}: {value!r}": (
            partial(set_search, key, value),
            rf": generation_config.json has {key}: {value!r}; give {fix}",
        )
        for key, value, fix in (
            ("num_beams", 0, "a whole number, 1 or more"),
            ("num_beams", "4", "a whole number, 1 or more"),
            ("num_beams", True, "a whole number, 1 or more"),
            ("max_length", 1, "a whole number, 2 or more"),
            ("max_length_offset", -5, "a whole number, 0 or more"),
            ("length_penalty", "x", "a number from -50 to 50"),
            ("length_penalty", 1e9, "a number from -50 to 50"),
            ("length_penalty_type", "x", "wu or power"),
        )
    },
    "an adapter": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "adapter_config.json").write_text("{}")),
        "is neither .*: it is an adapter; merge it into its model",
    ),
    "half a configuration": (lambda folder: (folder / "config.json").write_text("{"), "is neither .* JSON"),
    "another model": (
        lambda folder: (folder / "config.json").write_text('{"model_type": "marian"}'),
        "is a model of type 'marian'; give a Vanilla Transformer",
    ),
    "a contradiction": (
        lambda folder: (folder / "config.json").write_text('{"d_model": -1}'),
        ": the configuration cannot be read: .*d_model",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), ": the model cannot be read"),
    "half the weights": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"cut"),
        ": the model cannot be read",
    ),
    "a weight too few": (drop_a_weight, ": the model lacks 1 of its weights, among them model.*q_proj"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), ": the tokenizer cannot be read"),
    "words too few": (cut_the_vocabulary, r": the tokenizer has \d+ tokens, but the model a vocab_size of 100"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_wrong_is_said_in_a_line(what, folder):
    damage, message = DAMAGE[what]
    damage(folder)
    with pytest.raises(LoadingError, match=f"^{re.escape(str(folder))} ?{message}") as error:
        read_model(folder)
    assert "\n" not in str(error.value)


def test_names_that_are_no_model(folder, name, tmp_path, monkeypatch):
    with pytest.raises(LoadingError, match="somebody/else is neither a saved model's folder nor a model on the Hub"):
        saved_configuration("somebody/else")
    with pytest.raises(LoadingError, match=f"the model of this run is {folder}"):
        read_model(tmp_path)
    with pytest.raises(LoadingError, match="base is a configuration, without weights"):
        read_model("base")
    monkeypatch.chdir(tmp_path)
    folder.rename("base")
    read_model("base")

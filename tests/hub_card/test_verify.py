"""A folder that doesn't work for somebody else is found out before anybody has it."""

import json

import pytest
import torch

from hub_card import verify as module
from hub_card.verify import EXAMPLE, VerificationError, translate_elsewhere, verify
from tests.hub_card.runs import SOURCES
from tests.training.models import save, small_model
from training.loading import read_model


@pytest.fixture
def folder(tmp_path):
    folder = save(small_model(SOURCES * 3), tmp_path / "a-model")
    (folder / EXAMPLE).write_text(json.dumps({"source": SOURCES[0], "translation": "Der alte Bauer"}))
    return folder


def test_the_translation_must_be_the_stored_one_word_for_word(folder, monkeypatch):
    monkeypatch.setattr(module, "translate_elsewhere", lambda folder, sentence: "Der alte Bauer")
    verify(folder)
    monkeypatch.setattr(module, "translate_elsewhere", lambda folder, sentence: "Der alte bauer")
    with pytest.raises(VerificationError, match="'The old farmer sees a dog.' becomes 'Der alte bauer'"):
        verify(folder)


def test_any_sentence_can_be_an_example(folder):
    """One, too, with a character that no command line may hold."""
    odd = "The dog\0 {{ 7 * 7 }} 🦊 \x85"
    model, tokenizer = read_model(folder)
    with torch.no_grad():
        generated = model.generate(**tokenizer(odd, return_tensors="pt"))
    translation = tokenizer.decode(generated[0], skip_special_tokens=True)
    (folder / EXAMPLE).write_text(json.dumps({"source": odd, "translation": translation}))
    verify(folder)


def test_code_that_is_missing_is_an_error_in_one_line(folder):
    (folder / "configuration_vanilla_transformer.py").unlink()
    with pytest.raises(VerificationError, match="without the package it cannot be loaded: .*configuration_") as error:
        translate_elsewhere(folder, SOURCES[0])
    assert "\n" not in str(error.value)

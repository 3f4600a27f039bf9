"""`pipeline("translation", ...)`: whatever text comes in, what `generate` makes of it comes out."""

import gc

import pytest
import torch
from datasets import Dataset
from transformers import MarianConfig, MarianMTModel, pipeline
from transformers.pipelines.pt_utils import KeyDataset

from modeling_vanilla_transformer import VanillaTransformerTranslationPipeline

TEXTS = ["The cat.", "Die", "The cat sleeps on the mat.", "Die Matte"]


@pytest.fixture(scope="module")
def translator(published) -> VanillaTransformerTranslationPipeline:
    return pipeline("translation", str(published.folder))


@pytest.fixture(scope="module")
def by_hand(published):
    """Returns a function: the translations of a text without a pipeline, by arguments of `generate`."""

    def translate(text: str, **arguments) -> list[str]:
        encoded = published.tokenizer(text, return_tensors="pt")
        generated = published.model.generate(**encoded, **arguments)
        return published.tokenizer.batch_decode(generated, skip_special_tokens=True)

    return translate


def as_dicts(texts: list[str]) -> list[dict[str, str]]:
    return [{"translation_text": text} for text in texts]


def test_with_the_package_the_task_is_known_and_needs_no_trust(translator):
    assert type(translator) is VanillaTransformerTranslationPipeline
    assert translator.task == "translation" and translator.model.dtype == torch.float64


def test_a_string_has_a_list_of_its_translations(translator, by_hand):
    assert translator(TEXTS[0]) == as_dicts(by_hand(TEXTS[0]))
    assert by_hand(TEXTS[0]) != by_hand(TEXTS[2])  # or this test could not fail


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_list_has_a_translation_of_each_text_whatever_shares_its_batch(batch_size, translator, by_hand):
    assert translator(TEXTS, batch_size=batch_size) == as_dicts([by_hand(text)[0] for text in TEXTS])
    assert translator(tuple(TEXTS), batch_size=batch_size) == translator(TEXTS, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_n_best_is_a_list_for_each_text_with_its_scores(batch_size, translator, by_hand, published):
    settings = dict(num_beams=5, num_return_sequences=3, length_penalty=0.2)
    found = translator(TEXTS, batch_size=batch_size, return_scores=True, **settings)
    for text, translations in zip(TEXTS, found, strict=True):
        assert [each["translation_text"] for each in translations] == by_hand(text, **settings)
        encoded = published.tokenizer(text, return_tensors="pt")
        scores = published.model.generate(**encoded, **settings, return_dict_in_generate=True).sequences_scores
        assert [each["score"] for each in translations] == pytest.approx(scores.tolist())
    assert translator(TEXTS[0], **settings) == as_dicts(by_hand(TEXTS[0], **settings))


def test_the_arguments_of_generate_may_come_with_the_pipeline_or_the_call(published, by_hand):
    translator = pipeline("translation", model=published.model, tokenizer=published.tokenizer, num_beams=1)
    greedy, wide = by_hand(TEXTS[0], num_beams=1), by_hand(TEXTS[0], num_beams=6, max_new_tokens=3)
    assert translator(TEXTS[0]) == as_dicts(greedy) != as_dicts(wide)
    assert translator(TEXTS[0], num_beams=6, max_new_tokens=3) == as_dicts(wide)
    with pytest.raises(ValueError, match="nun_beams"):
        translator(TEXTS[0], nun_beams=6)


def test_data_sets_columns_and_generators_are_translated(translator):
    expected = translator(TEXTS)
    data = Dataset.from_dict({"en": TEXTS})
    assert translator(data["en"], batch_size=2) == expected
    iterated = [
        KeyDataset(data, "en"),
        data.to_iterable_dataset()["en"],
        (text for text in TEXTS),
        map(str.strip, TEXTS),
    ]
    for texts in iterated:
        assert list(translator(texts, batch_size=2)) == [[translation] for translation in expected]


def test_a_generator_is_read_a_batch_at_a_time_and_memory_does_not_grow(translator):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield TEXTS[read % 2]

    translations = translator(endless(), batch_size=16, num_beams=1, max_new_tokens=1)
    held = []
    for count, translation in enumerate(translations, 1):
        assert len(translation) == 1
        assert read <= count + 16
        if count % 160 == 0:  # at the end of a batch
            gc.collect()
            held.append(len(gc.get_objects()))
        if count == 480:
            break
    assert held[2] < held[1] + 50  # after 160 texts more; the first time, caches fill


@pytest.mark.parametrize("wrong", [3, None, b"cat", {"text": "cat"}])
def test_what_is_no_text_is_an_error_that_shows_it(wrong, translator):
    with pytest.raises(ValueError, match=f"is of type {type(wrong).__name__}. Give a string"):
        translator(wrong)
    with pytest.raises(ValueError, match=f"is of type {type(wrong).__name__}. Give a string"):
        translator([TEXTS[0], wrong])


def test_a_text_that_utf8_cannot_hold_is_an_error_that_says_where(translator):
    with pytest.raises(ValueError, match=r"'cat\\ud800' is no text at its character 4"):
        translator(["cat", "cat\ud800"])


def test_blank_texts_have_empty_translations_and_no_text_none(translator):
    assert translator([]) == []
    assert translator("") == translator(" \n") == as_dicts([""])
    first, blank, last = translator([TEXTS[0], "", TEXTS[1]], batch_size=3, num_return_sequences=2, return_scores=True)
    assert blank == [{"translation_text": "", "score": 0.0}] * 2
    assert [first[0]["translation_text"], last[0]["translation_text"]] == [
        translation["translation_text"] for translation in translator(TEXTS[:2])
    ]


def test_scores_are_those_of_beam_search_alone(translator):
    with pytest.raises(ValueError, match="num_beams above 1"):
        translator(TEXTS[0], num_beams=1, return_scores=True)


def test_a_long_text_is_translated_whole_or_cut(translator, by_hand, published):
    text = "The cat sleeps on the mat. " * 200
    assert len(published.tokenizer(text)["input_ids"]) > published.tokenizer.model_max_length
    settings = dict(num_beams=2, max_new_tokens=3)
    assert translator(text, **settings) == as_dicts(by_hand(text, **settings))
    encoded = published.tokenizer(text, truncation=True, return_tensors="pt")
    assert encoded["input_ids"].shape[1] == published.tokenizer.model_max_length
    cut = published.tokenizer.batch_decode(published.model.generate(**encoded, **settings), skip_special_tokens=True)
    assert translator(text, truncation=True, **settings) == as_dicts(cut)


def test_a_text_beyond_learned_positions_is_an_error_that_names_the_limit(small_model, published):
    model = small_model(
        vocab_size=len(published.tokenizer), position_embedding_type="learned", max_position_embeddings=9
    )
    translator = VanillaTransformerTranslationPipeline(model, published.tokenizer, task="translation")
    assert len(translator("Die Matte", max_new_tokens=3)) == 1
    with pytest.raises(ValueError, match="max_position_embeddings=9"):
        translator("The cat sleeps on the mat. " * 3, max_new_tokens=3)


def test_a_saved_pipeline_translates_the_same(translator, published, tmp_path):
    translator.save_pretrained(tmp_path)
    names = {path.name for path in published.folder.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert pipeline("translation", str(tmp_path))(TEXTS) == translator(TEXTS)


def test_other_models_of_transformers_are_served_too(published):
    sizes = dict(d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2)
    special = dict(pad_token_id=0, eos_token_id=1, decoder_start_token_id=2, forced_eos_token_id=None)
    config = MarianConfig(vocab_size=len(published.tokenizer), max_position_embeddings=64, **sizes, **special)
    translator = pipeline("translation", model=MarianMTModel(config), tokenizer=published.tokenizer)
    found = translator(TEXTS, batch_size=2, num_beams=2, num_return_sequences=2, max_new_tokens=4)
    assert [len(translations) for translations in found] == [2] * len(TEXTS)
    found = translator(TEXTS[0], num_beams=2, max_new_tokens=4, return_scores=True)
    assert [set(translation) for translation in found] == [{"translation_text", "score"}]

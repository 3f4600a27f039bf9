"""Lines become translations: whatever the batches, when memory runs out, with scores by hand, in pieces."""

from types import SimpleNamespace

import pytest
import torch

from tests.training.models import small_model
from tests.training.text import sentences
from training.alignment import align
from training.translation import EMPTY, MemoryTooSmall, Translation, Translator, default_batch_tokens

SOURCE, TARGET = sentences(24, seed=9)
LINES = [*SOURCE[:6], "", *SOURCE[6:], "   "]
ALL = {"scores": True, "alignments": True}


@pytest.fixture(scope="module")
def parts():
    return small_model(SOURCE + TARGET)


def translator(parts, batch_tokens=1000, search=None, **keys):
    model, tokenizer = parts
    config = model.generation_config.__class__(**(model.generation_config.to_dict() | (search or {})))
    return Translator(model, tokenizer, config, batch_tokens=batch_tokens, **keys)


def log_probability(parts, line, tokens):
    """Of the tokens, one after the other, by the model's plain logits."""
    model, tokenizer = parts
    start, total = [model.config.decoder_start_token_id], 0.0
    source = torch.tensor([tokenizer(line)["input_ids"]])
    for place, token in enumerate(tokens):
        with torch.no_grad():
            logits = model(input_ids=source, decoder_input_ids=torch.tensor([start + tokens[:place]])).logits[0, -1]
        total += logits.double().log_softmax(-1)[token].item()
    return total


def assert_same(found, expected):
    """The same translations and links; scores but for rounding."""
    for line, (left, right) in enumerate(zip(found, expected, strict=True)):
        assert [(one.text, one.links) for one in left] == [(one.text, one.links) for one in right], line
        assert [one.score for one in left] == pytest.approx([one.score for one in right], abs=1e-5)


def test_a_search_that_returns_more_than_tokens_translates_as_well(parts):
    search = {"num_beams": 2, "return_dict_in_generate": True, "output_scores": True}
    assert_same(translator(parts, search=search)(LINES), translator(parts, search={"num_beams": 2})(LINES))


def test_no_line_depends_on_the_others(parts):
    best = {"num_beams": 4, "num_return_sequences": 3}
    whole = translator(parts, 10_000, best, **ALL)(LINES)
    assert_same(translator(parts, 1, best, **ALL)(LINES), whole)
    assert_same(translator(parts, 70, best, **ALL)(LINES[::-1])[::-1], whole)
    assert [len(translations) for translations in whole] == [3] * len(LINES)
    assert whole[6] == whole[-1] == [EMPTY] * 3
    for translations in whole:
        scores = [translation.score for translation in translations]
        assert scores == sorted(scores, reverse=True)
    assert translator(parts)([]) == [] and translator(parts)([" "]) == [[EMPTY]]


@pytest.mark.parametrize(
    "search",
    [
        {"num_beams": 3, "length_penalty": 0.6},
        {"num_beams": 3, "length_penalty": 2.0, "length_penalty_type": "power"},
        {"num_beams": 1, "length_penalty": 1.5},
    ],
)
def test_scores_are_those_that_the_search_ranks_by(parts, search):
    model, tokenizer = parts
    search = {"num_return_sequences": min(search["num_beams"], 2), "length_penalty_type": "wu"} | search
    one = translator(parts, search=search, scores=True)
    for line, translations in zip(SOURCE[:5], one(SOURCE[:5]), strict=True):
        rows = model.generate(torch.tensor([tokenizer(line)["input_ids"]]), generation_config=one.search)
        for row, translation in zip(rows.tolist(), translations, strict=True):
            tokens = [token for token in row[1:] if token != model.config.pad_token_id]
            assert translation.text == tokenizer.decode(tokens, skip_special_tokens=True)
            base = (5 + len(tokens)) / 6 if search["length_penalty_type"] == "wu" else len(tokens)
            expected = log_probability(parts, line, tokens) / base ** search["length_penalty"]
            assert translation.score == pytest.approx(expected, abs=1e-4)


def out_of_memory(kind, most_rows, model):
    """`generate` on a machine on which so many rows fit."""
    generate, refused = model.generate, []

    def limited(input_ids, **keys):
        if len(input_ids) > most_rows:
            refused.append(tuple(input_ids.shape))
            raise kind
        return generate(input_ids=input_ids, **keys)

    return limited, refused


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you ..."
        ),
        MemoryError(),
    ],
)
def test_batches_get_smaller_when_memory_runs_out_and_stay_so(parts, error, monkeypatch):
    expected = translator(parts, **ALL)(LINES)
    limited, refused = out_of_memory(error, 5, parts[0])
    monkeypatch.setattr(parts[0], "generate", limited)
    one = translator(parts, **ALL)
    assert_same(one(LINES), expected)
    assert [rows for rows, _ in refused] == [24, 12, 6]
    assert one.batch_tokens < 6 * 25
    assert_same(one(LINES), expected)
    assert len(refused) == 3
    limited, _ = out_of_memory(error, 0, parts[0])
    monkeypatch.setattr(parts[0], "generate", limited)
    with pytest.raises(MemoryTooSmall, match="even alone: '.*--max_source_length"):
        one(LINES)


def test_other_errors_are_not_taken_for_it(parts, monkeypatch):
    limited, _ = out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 1, parts[0])
    monkeypatch.setattr(parts[0], "generate", limited)
    with pytest.raises(RuntimeError, match="mat1"):
        translator(parts)(LINES)


def test_a_translation_is_one_line_whatever_the_model_writes(parts, monkeypatch):
    monkeypatch.setattr(parts[1], "batch_decode", lambda rows, **_: ["a\nb\r\nc\u2028d\x85"] * len(rows))
    assert translator(parts)(["one"]) == [[Translation("a b c d")]]


def test_progress_is_told_in_lines(parts):
    told = []
    translator(parts, 60)(LINES, told.append)
    assert sum(told) == 24 and len(told) > 3


# ---------------------------------------------------------------------------------------------------------------------
# Long lines

LONG = "One cat sees two dogs. A red house!  Three trees and four cats."
PIECES = ["One cat sees two dogs.", "A red house!", "Three trees and four cats."]


def test_a_long_line_is_the_translations_of_its_sentences(parts):
    best = {"num_beams": 3, "num_return_sequences": 2}
    length = max(len(ids) for ids in parts[1](PIECES)["input_ids"])
    one = translator(parts, search=best, max_source_length=length, **ALL)
    short, long = one([SOURCE[0], LONG])
    alone = translator(parts, search=best, **ALL)([SOURCE[0], *PIECES])
    assert_same([short], alone[:1])
    for rank, translation in enumerate(long):
        pieces = [translations[rank] for translations in alone[1:]]
        assert translation.text == " ".join(piece.text for piece in pieces)
        assert translation.score == pytest.approx(sum(piece.score for piece in pieces), abs=1e-4)
        words = translation.text.split(" ")
        assert sorted(target for _, target in translation.links) == [i for i, word in enumerate(words) if word]
        (links,) = align(*parts, PIECES[2:], [pieces[2].text])
        last = [(source + 8, target + len(f"{pieces[0].text} {pieces[1].text}".split())) for source, target in links]
        assert list(translation.links[-len(last) :]) == last
    assert (one.long_lines.in_pieces, one.long_lines.as_a_whole) == (1, 0)


def test_a_sentence_that_is_too_long_is_translated_as_a_whole_or_in_runs_of_words(parts):
    line = SOURCE[1] + " " + SOURCE[2] + ". One."
    one = translator(parts, max_source_length=8)
    whole = translator(parts)([f"{SOURCE[1]} {SOURCE[2]}.", "One."])
    assert one([line])[0][0].text == " ".join(translations[0].text for translations in whole)
    assert (one.long_lines.in_pieces, one.long_lines.as_a_whole) == (1, 1)
    one([f"{SOURCE[1]} {SOURCE[2]}"])
    assert (one.long_lines.in_pieces, one.long_lines.as_a_whole) == (1, 2)
    one = translator(parts, max_source_length=8, cut_sentences=True)
    one([line])
    assert (one.long_lines.in_pieces, one.long_lines.as_a_whole) == (1, 0)
    assert translator(parts)([line]) != one([line])


def test_the_first_batch_follows_the_device():
    cpu, gpu = (default_batch_tokens(torch.device(name), 4) for name in ("cpu", "cuda"))
    assert gpu > cpu and default_batch_tokens(torch.device("cpu"), 1) == 4 * cpu


def test_an_error_of_another_process_is_everybodys(parts, monkeypatch):
    other = (MemoryTooSmall("a line of the other process"), [])
    monkeypatch.setattr("training.translation.gather_object", lambda ours: [*ours, other])
    two = SimpleNamespace(num_processes=2, process_index=0)
    with pytest.raises(MemoryTooSmall, match="a line of the other process"):
        translator(parts, accelerator=two)(LINES)

"""Scores of given pairs against a recomputation token by token in double precision."""

import copy
import math

import datasets
import pytest
import torch
from accelerate import Accelerator

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
    paper_generation_config,
)
from tests.training.text import sentences
from training import forced_decoding
from training.data import tokenize_pairs
from training.evaluation import perplexity, translate
from training.forced_decoding import PairScore, bits_per_character, perplexity_of, score_pairs, write_pair_scores

SOURCE, TARGET = sentences(14, seed=9)


@pytest.fixture(scope="module")
def tokenizer():
    return VanillaTransformerTokenizer.train(SOURCE + TARGET, vocab_size=300, show_progress=False)


@pytest.fixture(scope="module")
def model(tokenizer):
    config = named_configuration("miniature")
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    model = VanillaTransformerForConditionalGeneration(config).eval()
    with torch.no_grad():  # far from uniform, so that every token has a probability of its own
        model.get_input_embeddings().weight.mul_(4)
    model.generation_config = paper_generation_config(config, num_beams=2, max_length_offset=4)
    return model


@pytest.fixture(scope="module")
def expected(model, tokenizer):
    """log P of each pair and its tokens: one token after the other, each from a pass of its own."""
    double = copy.deepcopy(model).double()
    found = []
    for source, target in zip(SOURCE, TARGET, strict=True):
        ids = torch.tensor([tokenizer(source)["input_ids"]])
        labels = tokenizer(text_target=target)["input_ids"]
        prefix, total = [model.config.decoder_start_token_id], 0.0
        for token in labels:
            with torch.no_grad():
                logits = double(input_ids=ids, decoder_input_ids=torch.tensor([prefix])).logits[0, -1]
            total += math.log(torch.softmax(logits, dim=-1)[token].item())
            prefix.append(token)
        found.append(PairScore(total, len(labels)))
    return found


def test_scores_are_those_of_single_tokens_in_double_precision(model, tokenizer, expected):
    found = score_pairs(copy.deepcopy(model).double(), tokenizer, SOURCE, TARGET)
    for ours, other in zip(found, expected, strict=True):
        assert ours.tokens == other.tokens
        assert ours.log_probability == pytest.approx(other.log_probability, rel=1e-10)


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_scores_and_their_order_do_not_depend_on_the_batches(model, tokenizer, expected, batch_tokens, monkeypatch):
    monkeypatch.setattr(forced_decoding, "_TOKENS_AT_ONCE", 7)  # many pieces, most of them across pairs
    model.train()
    found = score_pairs(model, tokenizer, SOURCE, TARGET, batch_tokens=batch_tokens)
    assert model.training  # as it was, though scored without dropout
    model.eval()
    for ours, other in zip(found, expected, strict=True):
        assert ours.log_probability == pytest.approx(other.log_probability, rel=1e-6)


def test_a_translation_found_by_beam_search_has_the_score_that_the_search_gave_it(model, tokenizer):
    search = paper_generation_config(model.config, num_beams=3, max_length_offset=4)
    search.update(return_dict_in_generate=True, output_scores=True)
    ids = tokenizer(SOURCE[0], return_tensors="pt")
    generated = model.generate(**ids, generation_config=search)
    tokens = generated.sequences[0, 1:]
    (score,) = forced_decoding.log_probabilities(model, [ids["input_ids"][0].tolist()], [tokens.tolist()])
    penalised = PairScore(score, len(tokens)).penalised(0.6)
    assert penalised == pytest.approx(generated.sequences_scores[0].item(), rel=1e-5)


def test_perplexity_is_that_of_the_sum(model, tokenizer, expected):
    scores = score_pairs(model, tokenizer, SOURCE, TARGET)
    nats, tokens = -sum(s.log_probability for s in expected), sum(s.tokens for s in expected)
    assert perplexity_of(scores) == pytest.approx(math.exp(nats / tokens), rel=1e-6)
    characters = sum(len(target) + 1 for target in TARGET)
    assert bits_per_character(scores, TARGET) == pytest.approx(nats / math.log(2) / characters, rel=1e-6)
    # And that which training reports.
    pairs = tokenize_pairs(datasets.Dataset.from_dict({"source": SOURCE, "target": TARGET}), tokenizer)
    assert perplexity_of(scores) == pytest.approx(perplexity(model, pairs, Accelerator(cpu=True), 200), rel=1e-5)


def test_a_model_without_knowledge_has_the_perplexity_of_its_vocabulary(model, tokenizer):
    blank = copy.deepcopy(model)
    with torch.no_grad():
        blank.lm_head.weight.zero_()
    scores = score_pairs(blank, tokenizer, SOURCE, TARGET)
    assert perplexity_of(scores) == pytest.approx(model.config.vocab_size, rel=1e-6)
    assert perplexity_of([PairScore(-1e6, 10)]) == pytest.approx(math.exp(700))  # no overflow


def test_empty_sides_and_names_of_special_tokens_are_text(model, tokenizer):
    empty, special, alone = score_pairs(model, tokenizer, ["", "a </s> b", SOURCE[0]], ["", "</s>", ""])
    assert empty.tokens == alone.tokens == 1  # the end of sentence
    assert special.tokens > 2
    assert translate(model, tokenizer, [""]) == [""]
    assert empty.log_probability < 0


def test_the_file_has_a_line_for_each_pair(tmp_path):
    write_pair_scores(tmp_path / "pairs.tsv", [PairScore(-6.0, 7), PairScore(-1.5, 1)], alpha=1.0)
    # ((5 + 7) / 6)^1 = 2, ((5 + 1) / 6)^1 = 1
    assert (tmp_path / "pairs.tsv").read_text().splitlines() == [
        "log_probability\ttokens\tscore",
        "-6.000000\t7\t-3.000000",
        "-1.500000\t1\t-1.500000",
    ]
    assert PairScore(-6.0, 7).penalised(0.0) == -6.0

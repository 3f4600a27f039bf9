"""Scores: perplexity by hand, translations in the order given, BLEU with its signature."""

import math

import datasets
import evaluate
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
from training.data import tokenize_pairs
from training.evaluation import BLEU_MODULE, bleu, perplexity, translate

SOURCE, TARGET = sentences(12, seed=9)


@pytest.fixture(scope="module")
def tokenizer():
    return VanillaTransformerTokenizer.train(SOURCE + TARGET, vocab_size=300, show_progress=False)


@pytest.fixture(scope="module")
def model(tokenizer):
    config = named_configuration("miniature")
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    model = VanillaTransformerForConditionalGeneration(config).eval()
    model.generation_config = paper_generation_config(config, num_beams=2, max_length_offset=4)
    return model


def test_perplexity_weighs_tokens_and_is_not_smoothed(model, tokenizer):
    pairs = tokenize_pairs(datasets.Dataset.from_dict({"source": SOURCE, "target": TARGET}), tokenizer)
    model.train()
    value = perplexity(model, pairs, Accelerator(cpu=True), tokens_per_batch=60)
    assert model.training
    model.eval()
    total, tokens = 0.0, 0
    for source, target in zip(SOURCE, TARGET, strict=True):
        ids = torch.tensor([tokenizer(source)["input_ids"]])
        labels = torch.tensor([tokenizer(text_target=target)["input_ids"]])
        with torch.no_grad():
            log_probabilities = model(input_ids=ids, labels=labels).logits.log_softmax(-1)
        total -= log_probabilities.gather(-1, labels[..., None]).sum().item()
        tokens += labels.numel()
    assert value == pytest.approx(math.exp(total / tokens), rel=1e-5)


def test_translations_keep_their_order_whatever_the_batches(model, tokenizer):
    lines = [*SOURCE[:6], "", *SOURCE[6:], "   "]
    one_batch = translate(model, tokenizer, lines, batch_tokens=10_000)
    small_batches = translate(model, tokenizer, lines, batch_tokens=20)
    alone = [translate(model, tokenizer, [line])[0] for line in lines]
    assert one_batch == small_batches == alone
    assert one_batch[6] == one_batch[-1] == ""
    assert translate(model, tokenizer, ["", " "]) == ["", ""]


def test_a_search_of_ones_own_is_used(model, tokenizer):
    greedy = paper_generation_config(model.config, num_beams=1, max_length_offset=0)
    for line, text in zip(SOURCE, translate(model, tokenizer, SOURCE, generation_config=greedy), strict=True):
        ids = torch.tensor([tokenizer(line)["input_ids"]])
        expected = model.generate(input_ids=ids, generation_config=greedy)
        assert text == tokenizer.decode(expected[0], skip_special_tokens=True)


def test_bleu_is_sacrebleus_with_its_signature():
    same = bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    assert same["bleu"] == pytest.approx(100)
    assert same["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    # One word of six differs: precisions 5/6, 3/5, 2/4, 1/3 and no brevity penalty.
    score = bleu(["the cat sat on the mat"], ["the cat sat on a mat"])
    assert score["precisions"] == pytest.approx([100 * 5 / 6, 60, 50, 100 / 3])
    assert score["bleu"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    lowercase = bleu(["THE cat sat on the mat"], ["the cat sat on the mat"], lowercase=True, tokenize="none")
    assert lowercase["bleu"] == pytest.approx(100)
    assert "case:lc|eff:no|tok:none" in lowercase["signature"]


def test_the_bleu_module_takes_several_references_and_batches():
    metric = evaluate.load(str(BLEU_MODULE), keep_in_memory=True)
    several = metric.compute(predictions=["a b c d"], references=[["a b c x", "a b c d"]])
    assert several["bleu"] == pytest.approx(100)
    assert several["signature"].startswith("nrefs:2")
    with pytest.raises(ValueError, match="same number of references"):
        metric.compute(predictions=["a", "b"], references=[["a", "b"], ["a"]])
    metric.add_batch(predictions=["a b c d"], references=["a b c d"])
    assert metric.compute()["bleu"] == pytest.approx(100)

"""Figures show what the model computes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hub_card.figures import cross_attention_figure
from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
    paper_generation_config,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tokenizer():
    text = ["the old farmer sees a dog", "der alte Bauer sieht einen Hund"] * 3
    return VanillaTransformerTokenizer.train(text, vocab_size=320, show_progress=False)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    config = named_configuration("miniature")
    config.vocab_size = len(tokenizer)
    model = VanillaTransformerForConditionalGeneration(config).eval()
    model.generation_config = paper_generation_config(config, num_beams=2, max_length_offset=3)
    return model


def drawn(figure) -> tuple[torch.Tensor, list[str], list[str]]:
    axes = figure.axes[0]
    weights = torch.tensor(axes.images[0].get_array().filled())
    rows, columns = (
        [label.get_text() for label in labels] for labels in (axes.get_yticklabels(), axes.get_xticklabels())
    )
    return weights, rows, columns


def test_cross_attention_shows_the_weights_of_every_step(model, tokenizer):
    sentence = "the old farmer"
    source = tokenizer(sentence, return_tensors="pt")
    translation = model.generate(**source)
    weights, rows, columns = drawn(cross_attention_figure(model, tokenizer, sentence, layer=0))
    assert columns == [token.replace(" ", "·") for token in tokenizer.convert_ids_to_tokens(source["input_ids"][0])]
    assert len(rows) == translation.shape[1] - 1
    assert torch.allclose(weights.sum(dim=1), torch.ones(len(rows)), atol=1e-5)

    # Token by token, as the search sees it, with nothing of the target's future in the input.
    model.set_attn_implementation("eager")
    for step in range(1, translation.shape[1]):
        prefix = translation[:, :step]
        with torch.no_grad():
            attentions = model(**source, decoder_input_ids=prefix, output_attentions=True).cross_attentions[0]
        assert torch.allclose(weights[step - 1], attentions[0, :, -1].mean(dim=0), atol=1e-6)
    model.set_attn_implementation("sdpa")


def test_the_models_attention_implementation_is_left_as_it_was(model, tokenizer):
    model.set_attn_implementation("sdpa")
    cross_attention_figure(model, tokenizer, "a dog")
    assert model.config._attn_implementation == "sdpa"


def test_any_text_can_be_labelled_and_long_text_stays_small(model, tokenizer, tmp_path):
    figure = cross_attention_figure(model, tokenizer, "costs $5 or $$_ 机\n😊")
    figure.savefig(tmp_path / "odd.png")
    _, _, columns = drawn(figure)
    assert "<0xE6>" in columns and "<0x0A>" in columns and "<0x24>" in columns
    long = cross_attention_figure(model, tokenizer, "the old farmer " * 60)
    assert max(long.get_size_inches()) <= 40
    long.savefig(tmp_path / "long.png")


@pytest.mark.parametrize(("sentence", "layer", "message"), [("  ", -1, "empty"), ("a dog", 2, "layers 0 to 1")])
def test_what_cannot_be_drawn_is_an_error(model, tokenizer, sentence, layer, message):
    with pytest.raises(ValueError, match=message):
        cross_attention_figure(model, tokenizer, sentence, layer)


def test_the_command_writes_a_png(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    command = [sys.executable, "-m", "hub_card.figures", str(tmp_path / "model"), "the dog", "-o"]
    done = subprocess.run([*command, str(tmp_path / "a" / "b.png")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "b.png").read_bytes().startswith(b"\x89PNG")
    command[3] = str(tmp_path / "nothing")
    done = subprocess.run([*command, str(tmp_path / "c.png")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "nothing" in done.stderr and "Traceback" not in done.stderr

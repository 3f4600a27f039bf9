"""8-bit weights by transformers' own configuration class, and whether our projections are seen as what they are."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForSeq2SeqLM, BitsAndBytesConfig

from modeling_vanilla_transformer.modeling_vanilla_transformer import VanillaTransformerLinear


@pytest.fixture(scope="module")
def folder(small_model, tmp_path_factory):
    place = tmp_path_factory.mktemp("quantization")
    small_model(torch.float32).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def quantised(folder):
    return AutoModelForSeq2SeqLM.from_pretrained(folder, quantization_config=BitsAndBytesConfig(load_in_8bit=True))


def projections(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def test_every_projection_of_the_layers_has_8_bit_weights_and_the_tied_one_has_not(quantised):
    for name, module in projections(quantised).items():
        assert module.weight.dtype == (torch.float32 if name == "lm_head" else torch.int8), name


def test_logits_are_near_the_exact_ones(quantised, folder, batch):
    exact = AutoModelForSeq2SeqLM.from_pretrained(folder)
    with torch.no_grad():
        ours, theirs = quantised(**batch.inputs).logits, exact(**batch.inputs).logits
    seen = batch.inputs["decoder_attention_mask"].bool()
    assert not torch.equal(ours, theirs)
    assert (ours - theirs)[seen].norm() < 0.05 * theirs[seen].norm()


def test_it_translates_and_is_saved_with_its_8_bit_weights(quantised, batch, tmp_path):
    source = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    search = dict(num_beams=3, max_new_tokens=6)
    quantised.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert projections(again)["model.encoder.layers.0.self_attn.q_proj"].weight.dtype == torch.int8
    assert torch.equal(again.generate(**source, **search), quantised.generate(**source, **search))


def test_without_quantisation_projections_are_the_fast_ones(folder):
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    assert {type(module) for module in projections(model).values()} == {VanillaTransformerLinear}

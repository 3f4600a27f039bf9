"""Projections with 8-bit weights: near the exact ones, and nothing that a user could take for the model itself."""

import copy

import pytest
import torch

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, named_configuration
from modeling_vanilla_transformer.int8_vanilla_transformer import VanillaTransformerInt8Linear


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return VanillaTransformerForConditionalGeneration(named_configuration("miniature")).eval()


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_a_projection_is_near_the_exact_one(bias):
    torch.manual_seed(0)
    exact = torch.nn.Linear(300, 70, bias=bias)
    exact.weight[3] = 0  # an output without a scale of its own
    inputs = torch.randn(4, 9, 300)
    ours = VanillaTransformerInt8Linear(exact)
    assert ours(inputs).shape == (4, 9, 70)
    difference = ours(inputs) - exact(inputs)
    assert 1e-4 < difference.norm() / exact(inputs).norm() < 0.04
    assert (ours.weight - exact.weight).abs().max() <= exact.weight.abs().max() / 127


@torch.no_grad()
def test_all_projections_are_replaced_and_translations_are_much_the_same(model):
    quantized = copy.deepcopy(model).quantize_int8()
    assert not any(isinstance(module, torch.nn.Linear) for module in quantized.modules())
    source, labels = torch.tensor([[5, 6, 7, 1]]), torch.tensor([[8, 9, 1]])
    exact, rounded = (one(input_ids=source, labels=labels) for one in (model, quantized))
    torch.testing.assert_close(rounded.logits, exact.logits, atol=0.1 * float(exact.logits.std()), rtol=0)
    loss = quantized(input_ids=source, labels=labels, return_logits=False).loss
    torch.testing.assert_close(loss, exact.loss, atol=0.1, rtol=0)
    settings = dict(num_beams=3, max_new_tokens=6, return_dict_in_generate=True)
    exact, rounded = (one.generate(source, **settings) for one in (model, quantized))
    torch.testing.assert_close(rounded.sequences_scores, exact.sequences_scores, atol=0.1, rtol=0)


def test_it_is_for_float32_and_is_not_saved(model, tmp_path):
    with pytest.raises(ValueError, match="float32"):
        copy.deepcopy(model).to(torch.bfloat16).quantize_int8()
    with pytest.raises(ValueError, match="save the model that it was made of"):
        copy.deepcopy(model).quantize_int8().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="save the model that it was made of"):
        copy.deepcopy(model).quantize_int8().model.save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())

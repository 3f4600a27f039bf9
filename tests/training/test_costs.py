"""What a model costs, against PyTorch's own counts: parameters, operations and bytes of real models."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    named_configuration,
)
from training.costs import build_without_memory, count_memory, count_operations, count_parameters
from training.optimization import adam

# Nothing about it is square: stacks, heads and widths differ wherever they may.
UNEVEN = {
    "vocab_size": 90,
    "d_model": 48,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 160,
    "decoder_ffn_dim": 112,
    "d_k": 20,
    "d_v": 28,
}


def build(config, device="cpu"):
    with torch.device(device):
        model = VanillaTransformerForConditionalGeneration(config).train()
    model.set_attn_implementation("eager")  # plain matrix products: fused attention computes the scores once more
    return model


def run(model, shape, device="cpu"):
    """Logits of a batch of this shape without padding."""
    sentences, source_length, target_length = shape
    source = torch.full((sentences, source_length), 5, device=device)
    target = torch.full((sentences, target_length), 5, device=device)
    return model(input_ids=source, decoder_input_ids=target, use_cache=False).logits


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}, {"position_embedding_type": "learned"}])
def test_parameters_are_those_of_the_model(changes):
    config = VanillaTransformerConfig(**UNEVEN | changes)
    model = VanillaTransformerForConditionalGeneration(config)
    counted = count_parameters(build_without_memory(config))
    assert counted.total == model.num_parameters()
    layers = [*model.model.encoder.layers, *model.model.decoder.layers]
    assert counted.layers == sum(weight.numel() for layer in layers for weight in layer.parameters())
    assert counted.embedding + counted.layers == counted.total


def test_parameters_of_the_papers_models():
    base, big = (count_parameters(build_without_memory(named_configuration(name))) for name in ("base", "big"))
    assert (base.total, base.embedding) == (63_045_632, 37_000 * 512)
    assert base.total == pytest.approx(65e6, rel=0.07) and big.total == pytest.approx(213e6, rel=0.07)


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_operations_are_those_that_pytorch_counts(gradient_checkpointing):
    config = VanillaTransformerConfig(**UNEVEN)
    model = build(config)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable()
    with FlopCounterMode(display=False) as counter:
        run(model, (3, 7, 9)).sum().backward()
    operations = count_operations(config, [(3, 7, 9)])
    assert operations.update(gradient_checkpointing) == counter.get_total_flops()


@pytest.mark.parametrize("name", ["base", "table3_b1"])
def test_operations_of_the_papers_models(name):
    config = named_configuration(name)
    with FlopCounterMode(display=False) as counter:
        run(build(config, "meta"), (4, 25, 28), "meta").sum().backward()
    assert count_operations(config, [(4, 25, 28)]).update() == counter.get_total_flops()


def test_each_kind_of_operation_is_that_of_its_modules():
    config = VanillaTransformerConfig(**UNEVEN)
    with FlopCounterMode(display=False, depth=8) as counter:
        run(build(config), (2, 6, 5))
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    counted = count_operations(config, [(2, 6, 5)])
    assert counted.forward == flops["Global"]

    def of_modules(*endings):
        return sum(count for name, count in flops.items() if name.endswith(endings))

    projections = of_modules("q_proj", "k_proj", "v_proj", "out_proj")
    assert counted.attention_projections == projections
    assert counted.attention_products == of_modules("self_attn", "encoder_attn") - projections
    assert counted.feed_forward == of_modules("feed_forward")
    assert counted.output_projection == of_modules("lm_head")


def test_operations_of_several_shapes_are_their_mean():
    config = VanillaTransformerConfig(**UNEVEN)
    shapes = [(3, 7, 9), (1, 20, 4)]
    one, other = (count_operations(config, [shape]).forward for shape in shapes)
    assert count_operations(config, shapes, updates=2).forward == pytest.approx((one + other) / 2, abs=4)


def test_weights_gradients_and_adams_state_are_exact():
    config = VanillaTransformerConfig(**UNEVEN)
    model = build(config)
    optimizer = adam(model.parameters())
    run(model, (2, 5, 5)).sum().backward()
    optimizer.step()
    memory = count_memory(build_without_memory(config), (2, 5, 5))
    assert memory.weights == sum(weight.nbytes for weight in model.parameters())
    assert memory.gradients == sum(weight.grad.nbytes for weight in model.parameters())
    states = [value for state in optimizer.state.values() for value in state.values()]
    assert memory.optimizer == sum(value.nbytes for value in states)


def bytes_kept(model, shape):
    """Of all that the backward pass of a real model keeps, weights aside: float32 and bf16, and shapes of bf16."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = run(model, shape)
    assert logits.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)


@pytest.mark.parametrize("changes", [{}, {"d_model": 96, "encoder_layers": 1}, {"encoder_ffn_dim": 640}])
def test_activations_are_nearly_those_that_autograd_keeps(changes):
    # Without dropout: its masks are a byte a number on a GPU, but floating-point numbers on a CPU.
    config = VanillaTransformerConfig(**UNEVEN | changes, dropout=0.0)
    memory = count_memory(build_without_memory(config), (8, 20, 24))
    assert memory.activations == pytest.approx(bytes_kept(build(config), (8, 20, 24)), rel=0.01)


def test_activations_in_bf16():
    config = VanillaTransformerConfig(**UNEVEN, dropout=0.0)
    memory = count_memory(build_without_memory(config), (8, 20, 24), bf16=True)
    with torch.autocast("cpu", torch.bfloat16):
        kept = bytes_kept(build(config), (8, 20, 24))
    # On a CPU softmax keeps bf16 where it needs no mask; on a GPU always float32, which is what is counted.
    encoder, cross = 3 * 4 * 8 * 20 * 20, 2 * 6 * 8 * 24 * 20
    assert memory.activations + memory.weight_copies - 4 * (encoder + cross) == pytest.approx(kept, rel=0.01)


def test_gradient_checkpointing_keeps_inputs_and_one_layer():
    config = VanillaTransformerConfig(**UNEVEN)
    one = VanillaTransformerConfig(**UNEVEN | {"encoder_layers": 1, "decoder_layers": 1})
    with_all, with_one = (
        count_memory(build_without_memory(config), (8, 20, 24)),
        count_memory(build_without_memory(one), (8, 20, 24)),
    )
    more = 2 * 8 * 20 * 48 * 4 + 8 * 24 * 48 * 4  # the inputs of two encoder layers and a decoder layer
    assert with_all.activations_checkpointed - with_one.activations_checkpointed == more
    assert with_all.activations_checkpointed < with_all.activations


def test_logits_held_count_three_times():
    memory = count_memory(build_without_memory(named_configuration("base")), (1000, 25, 25))
    assert memory.logits == 37_000 * 25_000 * 4
    assert memory.peak(hold_logits=True) - memory.peak() == 3 * memory.logits
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations)
    assert memory.weight_copies == 0 and memory.peak() == sum(parts)

"""What a model costs, from its configuration alone: parameters, operations, memory."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from modeling_vanilla_transformer import VanillaTransformerConfig, VanillaTransformerForConditionalGeneration

# Sentences of a batch, and the lengths that their sources and targets are padded to.
Shape = tuple[int, int, int]

FLOAT32, BF16 = 4, 2  # bytes of a number


@dataclass(frozen=True)
class Parameters:
    """Weights of the model, each counted once however many places share it."""

    total: int
    embedding: int
    """Of the token embeddings, the projection onto the vocabulary and learned positions."""

    @property
    def layers(self) -> int:
        return self.total - self.embedding


@dataclass(frozen=True)
class Operations:
    """Floating-point operations (a multiplication and an addition are two) of one forward pass, by matrix product.

    Nothing else is counted: softmax, layer norm, dropout, the loss and the optimizer are few operations beside them.
    """

    attention_projections: int
    """The products with W^Q, W^K, W^V and W^O."""
    attention_products: int
    """Q K^T, and the weights times V; masked positions are computed too."""
    feed_forward: int
    output_projection: int

    @property
    def forward(self) -> int:
        return sum(dataclasses.astuple(self))

    @property
    def layers(self) -> int:
        """Of encoder and decoder layers: what gradient checkpointing computes once more."""
        return self.forward - self.output_projection

    def update(self, gradient_checkpointing: bool = False) -> int:
        """Forward and backward: every product of the forward pass has two in the backward pass, one for the gradient
        of each factor."""
        return 3 * self.forward + (self.layers if gradient_checkpointing else 0)


@dataclass(frozen=True)
class Memory:
    """Bytes that one process holds at the peak of an update, by what needs them.

    Weights, gradients and Adam's state are exact. Activations are an estimate for plain matrix products run layer by
    layer, with dropout masks of a byte: a compiled model and fused attention hold less.
    """

    weights: int
    gradients: int
    optimizer: int
    """Adam's running means of the gradients and of their squares, and its step counts."""
    weight_copies: int
    """The weights of the matrix products once more, in bf16."""
    activations: int
    """What the backward pass needs of the forward pass, all layers."""
    activations_checkpointed: int
    """The same with gradient checkpointing: every layer's input, and all of one layer."""
    logits: int
    """float32 numbers for every target slot and every word of the vocabulary, once."""

    def peak(self, gradient_checkpointing: bool = False, hold_logits: bool = False) -> int:
        """All of it together. Held logits count three times: beside them stand their log-softmax and its gradient."""
        return (
            self.weights
            + self.gradients
            + self.optimizer
            + self.weight_copies
            + (self.activations_checkpointed if gradient_checkpointing else self.activations)
            + (3 * self.logits if hold_logits else 0)
        )


def build_without_memory(config: VanillaTransformerConfig) -> VanillaTransformerForConditionalGeneration:
    """The model on the meta device: names and shapes, no numbers."""
    with torch.device("meta"):
        return VanillaTransformerForConditionalGeneration(config)


def count_parameters(model: VanillaTransformerForConditionalGeneration) -> Parameters:
    """Parameters of a model, which may stand on the meta device."""
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)} | {model.lm_head.weight}
    return Parameters(
        total=sum(weight.numel() for weight in model.parameters()),
        embedding=sum(weight.numel() for weight in tables),
    )


def count_operations(config: VanillaTransformerConfig, shapes: Iterable[Shape], updates: int = 1) -> Operations:
    """Of one update's forward pass, where `updates` updates have batches of these shapes, padding included."""
    widths = [
        heads * sum(config.head_sizes(heads))  # h (d_k + d_v)
        for heads in (config.encoder_attention_heads, config.decoder_attention_heads)
    ]
    encoder_attention, decoder_attention = config.encoder_layers * widths[0], config.decoder_layers * widths[1]
    encoder_ffn, decoder_ffn = (
        config.encoder_layers * config.encoder_ffn_dim,
        config.decoder_layers * config.decoder_ffn_dim,
    )
    projections = products = feed_forward = output = 0  # multiplications, for d_model = 1 where it is a factor
    for sentences, source_length, target_length in shapes:
        source, target = sentences * source_length, sentences * target_length
        # W^Q and W^O stand at every query, W^K and W^V at every key.
        projections += encoder_attention * 2 * source + decoder_attention * (2 * target + target + source)
        products += encoder_attention * source * source_length
        products += decoder_attention * target * (target_length + source_length)
        feed_forward += 2 * (encoder_ffn * source + decoder_ffn * target)
        output += config.vocab_size * target
    return Operations(
        attention_projections=2 * config.d_model * projections // updates,
        attention_products=2 * products // updates,
        feed_forward=2 * config.d_model * feed_forward // updates,
        output_projection=2 * config.d_model * output // updates,
    )


def count_memory(model: VanillaTransformerForConditionalGeneration, shape: Shape, *, bf16: bool = False) -> Memory:
    """Of one process that works through a batch of this shape at once; the model may stand on the meta device."""
    config: VanillaTransformerConfig = model.config
    weights = list(model.parameters())
    numbers = sum(weight.numel() for weight in weights)
    products = {module.weight: module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear)}
    sentences, source_length, target_length = shape
    source, target = sentences * source_length, sentences * target_length

    heads = config.encoder_attention_heads
    encoder_layer = _attention(config, heads, source, source, source_length, bf16)
    encoder_layer += _feed_forward(config, config.encoder_ffn_dim, source, bf16)
    heads = config.decoder_attention_heads
    decoder_layer = _attention(config, heads, target, target, target_length, bf16)
    decoder_layer += _attention(config, heads, target, source, source_length, bf16)
    decoder_layer += _feed_forward(config, config.decoder_ffn_dim, target, bf16)
    masks = _dropout_mask(config, source + target)  # on the embeddings
    inputs = (config.encoder_layers * source + config.decoder_layers * target) * config.d_model * FLOAT32
    encoded, decoded = source * config.d_model * FLOAT32, target * config.d_model * _size(bf16)
    return Memory(
        weights=numbers * FLOAT32,
        gradients=numbers * FLOAT32,
        optimizer=2 * numbers * FLOAT32 + len(weights) * FLOAT32,
        weight_copies=sum(products.values()) * BF16 if bf16 else 0,
        activations=config.encoder_layers * encoder_layer
        + config.decoder_layers * decoder_layer
        + (decoded if bf16 else encoded + decoded)  # in bf16, every layer has rounded the encoder's output for itself
        + masks,
        activations_checkpointed=inputs + max(encoder_layer, decoder_layer) + encoded + decoded + masks,
        logits=target * config.vocab_size * FLOAT32,
    )


def _attention(
    config: VanillaTransformerConfig, heads: int, queries: int, keys: int, key_length: int, bf16: bool
) -> int:
    """Bytes that one attention and the residual connection around it keep for the backward pass."""
    d_k, d_v = config.head_sizes(heads)
    # In bf16 every projection rounds its input for itself; in float32 all share it, and the encoder's output is
    # counted once for all layers.
    inputs = (queries + 2 * keys if bf16 else queries) * config.d_model
    projected = heads * (queries * d_k + keys * (d_k + d_v) + queries * d_v)
    weights = heads * queries * key_length
    # Softmax works in float32.
    rounded = BF16 * weights if bf16 else 0
    return (inputs + projected) * _size(bf16) + FLOAT32 * weights + rounded + _residual_norm(config, queries)


def _feed_forward(config: VanillaTransformerConfig, ffn_dim: int, slots: int, bf16: bool) -> int:
    return slots * (config.d_model + ffn_dim) * _size(bf16) + _residual_norm(config, slots)


def _residual_norm(config: VanillaTransformerConfig, slots: int) -> int:
    """The sum before the norm with its mean and deviation, in float32, and the dropout mask."""
    return slots * (config.d_model + 2) * FLOAT32 + _dropout_mask(config, slots)


def _dropout_mask(config: VanillaTransformerConfig, slots: int) -> int:
    return slots * config.d_model if config.dropout else 0


def _size(bf16: bool) -> int:
    return BF16 if bf16 else FLOAT32

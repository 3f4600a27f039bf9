# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""The Transformer of *Attention Is All You Need* (Vaswani et al., 2017), in reading order.

Positions, attention, feed-forward, layers, encoder, decoder, model, language-model head. Sections, equations and
tables named in this file are the paper's. Shape comments use its symbols: h heads, d_k and d_v the widths of a head's
keys and values, d_ff the inner width of the feed-forward network.
"""

import math

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_vanilla_transformer import VanillaTransformerConfig
from .generation_vanilla_transformer import VanillaTransformerGenerationMixin
from .int8_vanilla_transformer import VanillaTransformerInt8Linear, quantize_projections
from .loss_vanilla_transformer import IGNORE_INDEX, VanillaTransformerProjectedLoss, label_smoothed_cross_entropy

# The widest head that flash attention kernels take.
FLASH_MAX_HEAD_WIDTH = 256

# From two to so many rows, a CPU has better ways to compute a projection than PyTorch's own choice.
FEW_ROWS = 256

# Where oneDNN's product is the best of them in float32. Its name is private to PyTorch: a version without it takes the
# other one.
HAS_ONEDNN_LINEAR = (
    torch.backends.cpu.get_cpu_capability() == "AVX512"
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)

# Up to so many, MKL is slow where rows lie transposed, as they do after another projection: they are copied first.
VERY_FEW_ROWS = 10


def shift_right(labels: torch.Tensor, pad_token_id: int | None, decoder_start_token_id: int | None) -> torch.Tensor:
    """
    Returns the decoder's input for `labels`, both (batch, target length): the same tokens one position to the right,
    behind the start token (section 3.1). Ignored labels become padding. A configuration that lacks one of the two ids
    is a ValueError.
    """
    if pad_token_id is None or decoder_start_token_id is None:
        raise ValueError(
            "The decoder's input needs padding and a start token: set both in the configuration, which has "
            f"pad_token_id={pad_token_id} and decoder_start_token_id={decoder_start_token_id}."
        )
    shifted = labels.roll(1, dims=-1)
    shifted[:, 0] = decoder_start_token_id
    return shifted.masked_fill(shifted == IGNORE_INDEX, pad_token_id)


def apply_dropout(hidden_states: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """
    Returns `hidden_states` with a share `p` of the values zero and the others divided by 1 - p (section 5.4), as
    `torch.nn.functional.dropout`. Drawing that one's masks takes a CPU up to a fifth of a training step, so there each
    value gets 16 random bits, which are compared with `p` (rounded to 16 bits) in much less time.
    """
    if not training or p == 0:
        return hidden_states
    if hidden_states.device.type != "cpu" or torch.compiler.is_compiling() or not 0 < p < 1:
        return nn.functional.dropout(hidden_states, p=p, training=training)
    count = hidden_states.numel()
    bits = torch.empty(math.ceil(count / 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    dropped = min(round(p * 2**16), 2**16 - 1)  # of the 2^16 values of 16 bits
    kept = bits.view(hidden_states.shape) >= dropped - 2**15  # bits are read with their sign
    return hidden_states * kept.to(hidden_states.dtype).mul_(1 / (1 - dropped / 2**16))


# ---------------------------------------------------------------------------------------------------------------------
# Positions (section 3.5)
# ---------------------------------------------------------------------------------------------------------------------


class VanillaTransformerSinusoidalPositions(nn.Module):
    """
    The paper's position signals: PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos(the same).

    They are computed from the positions at every call, so they reach any length, need no memory, and stay exact in
    whatever precision the weights are loaded.
    """

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__()
        self.d_model = config.d_model

    @torch.no_grad()
    def forward(self, positions: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Returns the signals (length, d_model) of `positions` (length,), rounded once, at the end, to `dtype`."""
        device = positions.device
        if device.type == "mps":  # has no float64, and float32 angles drift with the position
            positions = positions.cpu()
        exponents = torch.arange(0, self.d_model, 2, dtype=torch.float64, device=positions.device) / self.d_model
        angles = positions[:, None] / 10000**exponents  # (length, d_model / 2)
        signals = torch.stack((angles.sin(), angles.cos()), dim=-1)  # sine and cosine interleaved
        return signals.flatten(-2).to(dtype).to(device)


class VanillaTransformerLearnedPositions(nn.Embedding):
    """Learned position embeddings (Table 3, row E). A position beyond the table is an error."""

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config.max_position_embeddings, config.d_model)

    def forward(self, positions: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Returns the embeddings (length, d_model) of `positions` (length,) in `dtype`."""
        if not torch.compiler.is_compiling() and positions[-1] >= self.num_embeddings:
            raise ValueError(
                f"Position {int(positions[-1])} is beyond the {self.num_embeddings} learned positions: shorten the "
                f"sentence to max_position_embeddings={self.num_embeddings} tokens, or use a model with "
                f'position_embedding_type="sinusoidal".'
            )
        return super().forward(positions).to(dtype)


POSITIONS: dict[str, type[nn.Module]] = {
    "sinusoidal": VanillaTransformerSinusoidalPositions,
    "learned": VanillaTransformerLearnedPositions,
}


# ---------------------------------------------------------------------------------------------------------------------
# Attention (section 3.2)
# ---------------------------------------------------------------------------------------------------------------------


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,  # (batch, h, queries, d_k)
    key: torch.Tensor,  # (batch, h, keys, d_k)
    value: torch.Tensor,  # (batch, h, keys, d_v)
    attention_mask: torch.Tensor | None,  # (batch or 1, h or 1, queries, keys), added to the scores
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Scaled dot-product attention: softmax(Q K^T / sqrt(d_k)) V (equation 1), in plain matrix products. Returns the
    weighted sums (batch, queries, h, d_v) and the weights (batch, h, queries, keys).
    """
    scores = query @ key.transpose(-1, -2) * scaling  # (batch, h, queries, keys)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1)
    weights = apply_dropout(weights, p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


class VanillaTransformerLinear(nn.Linear):
    """
    A projection. For decoding, in which few rows meet large matrices, a CPU's product takes half the time in float32,
    and two thirds in bfloat16, the other way round: x W^T = (W x^T)^T. In float32 a CPU with AVX-512 is faster by
    oneDNN's product, which PyTorch keeps for compiled models.
    """

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weight, self.bias
        rows = hidden_states.numel() // self.in_features
        if not (
            not torch.compiler.is_compiling()  # first, or what is traced holds for this number of rows alone
            and hidden_states.device.type == "cpu"
            and hidden_states.dtype in (torch.float32, torch.bfloat16)
            and 1 < rows <= FEW_ROWS
            and type(weight) is nn.Parameter  # quantised ones know products of their own
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
        ):
            return super().forward(hidden_states)
        if HAS_ONEDNN_LINEAR and weight.dtype == torch.float32:
            return torch.ops.mkldnn._linear_pointwise(hidden_states, weight, bias, "none", [], "")
        states = hidden_states.reshape(rows, self.in_features)
        if rows <= VERY_FEW_ROWS:
            states = states.contiguous()
        columns = states.t()
        product = torch.mm(weight, columns) if bias is None else torch.addmm(bias[:, None], weight, columns)
        return product.t().view(*hidden_states.shape[:-1], self.out_features)


def projection(config: VanillaTransformerConfig, inputs: int, outputs: int, bias: bool = False) -> nn.Linear:
    """Returns a new projection; one that transformers is to quantise is PyTorch's, as some quantisers see no other."""
    is_quantised = getattr(config, "quantization_config", None) is not None
    return (nn.Linear if is_quantised else VanillaTransformerLinear)(inputs, outputs, bias)


class VanillaTransformerAttention(nn.Module):
    """
    Multi-head attention: Concat(head_1, ..., head_h) W^O with head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V) (section
    3.2.2). All heads' W^Q stand side by side in `q_proj`, and so on; there are no biases. Subclasses say where keys
    and values come from.
    """

    is_causal = False  # SDPA takes a missing `is_causal` for True

    def __init__(self, config: VanillaTransformerConfig, num_heads: int, layer_idx: int | None = None):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx  # the layer's place in the decoder's cache
        self.num_heads = num_heads
        self.d_k, self.d_v = config.head_sizes(num_heads)
        self.scaling = 1 / math.sqrt(self.d_k)
        self.dropout = config.attention_dropout
        self.q_proj = projection(config, config.d_model, num_heads * self.d_k)
        self.k_proj = projection(config, config.d_model, num_heads * self.d_k)
        self.v_proj = projection(config, config.d_model, num_heads * self.d_v)
        self.out_proj = projection(config, num_heads * self.d_v, config.d_model)
        for drawn in (self.q_proj, self.k_proj, self.v_proj):
            drawn.xavier_gain = 1 / math.sqrt(2)  # as if the three were drawn as one fused matrix

    def split_heads(self, states: torch.Tensor, width: int) -> torch.Tensor:
        """(batch, length, h * width) to (batch, h, length, width); h is fewer where devices share the heads"""
        return states.unflatten(-1, (-1, width)).transpose(1, 2)

    def keys_and_values(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns K (batch, h, length, d_k) and V (batch, h, length, d_v) of `states` (batch, length, d_model)."""
        return self.split_heads(self.k_proj(states), self.d_k), self.split_heads(self.v_proj(states), self.d_v)

    def attend(
        self,
        hidden_states: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        attn_implementation: str | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Lets the queries of `hidden_states` (batch, queries, d_model) attend to `key` and `value`, by the
        configuration's back end or that of this call, `attn_implementation`. Returns the output (batch, queries,
        d_model) and, from back ends that have them, the weights (batch, h, queries, keys).
        """
        implementation = attn_implementation or self.config._attn_implementation
        if "flash" in implementation and (self.d_k != self.d_v or self.d_k > FLASH_MAX_HEAD_WIDTH):
            raise ValueError(
                f"Flash attention serves heads with d_k = d_v <= {FLASH_MAX_HEAD_WIDTH} only, and this model has "
                f'd_k={self.d_k}, d_v={self.d_v}: load it with attn_implementation="sdpa" or "eager".'
            )
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        output, weights = attention(
            self,
            self.split_heads(self.q_proj(hidden_states), self.d_k),
            key,
            value,
            attention_mask,
            dropout=self.dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.out_proj(output.flatten(-2)), weights


class VanillaTransformerSelfAttention(VanillaTransformerAttention):
    """Attention of a sequence to itself; in the decoder, to what came before (section 3.2.3)."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        key, value = self.keys_and_values(hidden_states)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        return self.attend(hidden_states, key, value, attention_mask, **kwargs)


class VanillaTransformerCausalSelfAttention(VanillaTransformerSelfAttention):
    """The decoder's self-attention, in which no position sees a later one (section 3.2.3)."""

    is_causal = True


class VanillaTransformerCrossAttention(VanillaTransformerAttention):
    """Attention of the decoder's queries to the encoder's output (section 3.2.3)."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if past_key_values is None:
            key, value = self.keys_and_values(encoder_hidden_states)
        elif past_key_values.is_updated.get(self.layer_idx):  # the source does not change while the target grows
            layer = past_key_values.cross_attention_cache.layers[self.layer_idx]
            key, value = layer.keys, layer.values
        else:
            key, value = self.keys_and_values(encoder_hidden_states)
            key, value = past_key_values.cross_attention_cache.update(key, value, self.layer_idx)
            past_key_values.is_updated[self.layer_idx] = True
        return self.attend(hidden_states, key, value, attention_mask, **kwargs)


# ---------------------------------------------------------------------------------------------------------------------
# Feed-forward and layers (sections 3.1 and 3.3)
# ---------------------------------------------------------------------------------------------------------------------


class VanillaTransformerFeedForward(nn.Module):
    """Position-wise feed-forward network: max(0, x W_1 + b_1) W_2 + b_2 (equation 2)."""

    def __init__(self, config: VanillaTransformerConfig, ffn_dim: int):
        super().__init__()
        self.fc1 = projection(config, config.d_model, ffn_dim, bias=True)
        self.fc2 = projection(config, ffn_dim, config.d_model, bias=True)
        self.activation_fn = ACT2FN[config.activation_function]
        self.dropout = config.activation_dropout

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.activation_fn(self.fc1(hidden_states))  # (batch, length, d_ff)
        hidden_states = apply_dropout(hidden_states, p=self.dropout, training=self.training)
        return self.fc2(hidden_states)


class VanillaTransformerResidualNorm(nn.LayerNorm):
    """What surrounds every sub-layer: LayerNorm(x + Dropout(Sublayer(x))) (sections 3.1 and 5.4)."""

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config.d_model, eps=config.layer_norm_eps)
        self.dropout = config.dropout

    def forward(self, residual: torch.Tensor, sublayer_output: torch.Tensor) -> torch.Tensor:
        sublayer_output = apply_dropout(sublayer_output, p=self.dropout, training=self.training)
        return super().forward(residual + sublayer_output)


class VanillaTransformerEncoderLayer(GradientCheckpointingLayer):
    """One of the encoder's N layers: self-attention, then feed-forward."""

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__()
        self.self_attn = VanillaTransformerSelfAttention(config, config.encoder_attention_heads)
        self.self_attn_layer_norm = VanillaTransformerResidualNorm(config)
        self.feed_forward = VanillaTransformerFeedForward(config, config.encoder_ffn_dim)
        self.feed_forward_layer_norm = VanillaTransformerResidualNorm(config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        """Returns the layer's output, (batch, source length, d_model) as its input."""
        attended, _ = self.self_attn(hidden_states, attention_mask, **kwargs)
        hidden_states = self.self_attn_layer_norm(hidden_states, attended)
        return self.feed_forward_layer_norm(hidden_states, self.feed_forward(hidden_states))


class VanillaTransformerDecoderLayer(GradientCheckpointingLayer):
    """One of the decoder's N layers: masked self-attention, attention to the encoder's output, then feed-forward."""

    def __init__(self, config: VanillaTransformerConfig, layer_idx: int):
        super().__init__()
        heads = config.decoder_attention_heads
        self.self_attn = VanillaTransformerCausalSelfAttention(config, heads, layer_idx)
        self.self_attn_layer_norm = VanillaTransformerResidualNorm(config)
        self.encoder_attn = VanillaTransformerCrossAttention(config, heads, layer_idx)
        self.encoder_attn_layer_norm = VanillaTransformerResidualNorm(config)
        self.feed_forward = VanillaTransformerFeedForward(config, config.decoder_ffn_dim)
        self.feed_forward_layer_norm = VanillaTransformerResidualNorm(config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        """Returns the layer's output, (batch, target length, d_model) as its input."""
        past_target = past_key_values.self_attention_cache if past_key_values is not None else None
        attended, _ = self.self_attn(hidden_states, attention_mask, past_target, **kwargs)
        hidden_states = self.self_attn_layer_norm(hidden_states, attended)
        attended, _ = self.encoder_attn(
            hidden_states, encoder_hidden_states, encoder_attention_mask, past_key_values, **kwargs
        )
        hidden_states = self.encoder_attn_layer_norm(hidden_states, attended)
        return self.feed_forward_layer_norm(hidden_states, self.feed_forward(hidden_states))


# ---------------------------------------------------------------------------------------------------------------------
# Encoder, decoder, model (section 3.1)
# ---------------------------------------------------------------------------------------------------------------------


class VanillaTransformerPreTrainedModel(PreTrainedModel):
    """What all models of this file share: how weights begin, and which of transformers' abilities they have."""

    config_class = VanillaTransformerConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["VanillaTransformerEncoderLayer", "VanillaTransformerDecoderLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        """
        Xavier-uniform projections; embeddings from N(0, 1 / d_model), so that they have variance 1 once scaled, and
        the projection onto the vocabulary like them. (The paper leaves this open.)
        """
        if isinstance(module, nn.Embedding) or (hasattr(self, "lm_head") and module is self.lm_head):
            init.normal_(module.weight, std=self.config.d_model**-0.5)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight, gain=getattr(module, "xavier_gain", 1.0))
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As transformers' own; a target embedding of its own (untied) is resized along with the source's."""
        source = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        decoder = getattr(self.base_model, "decoder", None)
        if decoder is not None and decoder.embed_tokens.num_embeddings != source.num_embeddings:
            decoder.embed_tokens = self._get_resized_embeddings(
                decoder.embed_tokens, source.num_embeddings, mean_resizing=mean_resizing
            )
        return source

    def save_pretrained(self, save_directory, **kwargs):
        """
        As transformers' own; the configuration also names the class for every Auto class the code can serve. A model
        after `quantize_int8()` is a ValueError.
        """
        if any(isinstance(module, VanillaTransformerInt8Linear) for module in self.modules()):
            raise ValueError("A model after quantize_int8() cannot be saved: save the model that it was made of.")
        if self._auto_class is not None:
            module = type(self).__module__.split(".")[-1]
            self.config.auto_map = getattr(self.config, "auto_map", None) or {}
            self.config.auto_map.update(
                AutoModel=f"{module}.VanillaTransformerModel",
                AutoModelForSeq2SeqLM=f"{module}.VanillaTransformerForConditionalGeneration",
            )
        super().save_pretrained(save_directory, **kwargs)


class VanillaTransformerStack(VanillaTransformerPreTrainedModel):
    """What encoder and decoder share: the way from tokens to the first layer's input (sections 3.4 and 3.5)."""

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.embed_positions = POSITIONS[config.position_embedding_type](config)
        self.gradient_checkpointing = False

    def init_parallel_plans(self):
        """As transformers' own, but none: the configuration's plans name the modules of the whole model."""
        super().init_parallel_plans()
        self._tp_plan, self._fsdp_plan = {}, {}

    def embed(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> torch.Tensor:
        """
        Returns the token embeddings (batch, length, d_model), before scaling: those of `input_ids` (batch, length), or
        `inputs_embeds` as they are. Exactly one of the two must be given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            given = "neither" if input_ids is None else "both"
            raise ValueError(f"Give token ids or their embeddings, exactly one of the two; {given} was given.")
        return self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds

    def first_layer_input(self, embeddings: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        """
        Returns Dropout(embeddings * sqrt(d_model) + position signals), (batch, length, d_model). `positions` (length,)
        are 0, 1, 2 ... where not given.
        """
        if positions is None:
            positions = torch.arange(embeddings.shape[1], device=embeddings.device)
        hidden_states = embeddings * math.sqrt(self.config.d_model)
        hidden_states = hidden_states + self.embed_positions(positions, dtype=embeddings.dtype)
        return apply_dropout(hidden_states, p=self.config.dropout, training=self.training)

    def source_mask(
        self,
        embeddings: torch.Tensor,
        attention_mask: torch.Tensor | None,
        encoder_hidden_states: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """
        Returns what `attention_mask` (batch, source length) hides from `embeddings` (batch, length, d_model), in the
        back end's form; None, outside training, if it hides nothing. `encoder_hidden_states` (batch, source length,
        d_model), if the source is not what `embeddings` are of.
        """
        return create_bidirectional_mask(
            config=self.config,
            inputs_embeds=embeddings,
            attention_mask=attention_mask,
            encoder_hidden_states=encoder_hidden_states,
            # To see whether it hides anything, a GPU is waited for, and layers would be compiled for either case.
            allow_is_bidirectional_skip=attention_mask is None or not self.training,
        )


class VanillaTransformerEncoder(VanillaTransformerStack):
    """The encoder: N layers over the source."""

    main_input_name = "input_ids"
    _can_record_outputs = {
        "hidden_states": VanillaTransformerEncoderLayer,
        "attentions": VanillaTransformerSelfAttention,
    }

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config)
        self.layers = nn.ModuleList(VanillaTransformerEncoderLayer(config) for _ in range(config.encoder_layers))
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutput:
        """
        Encodes `input_ids` (batch, source length). `attention_mask` (batch, source length) is 1 at tokens and 0 at
        padding. Returns `last_hidden_state` (batch, source length, d_model).
        """
        embeddings = self.embed(input_ids, inputs_embeds)
        hidden_states = self.first_layer_input(embeddings)
        attention_mask = self.source_mask(embeddings, attention_mask)
        for layer in self.layers:
            hidden_states = layer(hidden_states, attention_mask, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)


class VanillaTransformerDecoder(VanillaTransformerStack):
    """The decoder: N layers over the target so far, each attending to the encoder's output."""

    main_input_name = "input_ids"
    _can_record_outputs = {
        "hidden_states": VanillaTransformerDecoderLayer,
        "attentions": OutputRecorder(VanillaTransformerCausalSelfAttention, index=1),
        "cross_attentions": OutputRecorder(VanillaTransformerCrossAttention, index=1),
    }

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config)
        self.layers = nn.ModuleList(VanillaTransformerDecoderLayer(config, i) for i in range(config.decoder_layers))
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.FloatTensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """
        Decodes `input_ids` (batch, target length), which follow on what `past_key_values` holds; `position_ids`
        (target length,) are their positions where they don't (beams side by side have the same one).
        `encoder_hidden_states` is (batch, source length, d_model) and `encoder_attention_mask` (batch, source length)
        its mask; `attention_mask` (batch, past and present length) is 0 at target padding. Returns `last_hidden_state`
        (batch, target length, d_model) and, with `use_cache`, the grown `past_key_values`.
        """
        if encoder_hidden_states is None:
            raise ValueError("The decoder attends to the encoder's output: give encoder_hidden_states.")
        embeddings = self.embed(input_ids, inputs_embeds)
        if past_key_values is None and use_cache:
            past_key_values = EncoderDecoderCache(DynamicCache(), DynamicCache())
        if position_ids is None and past_key_values is not None:
            position_ids = torch.arange(embeddings.shape[1], device=embeddings.device)
            position_ids = position_ids + past_key_values.get_seq_length()
        hidden_states = self.first_layer_input(embeddings, position_ids)
        attention_mask = create_causal_mask(
            config=self.config,
            inputs_embeds=embeddings,
            attention_mask=attention_mask,
            past_key_values=past_key_values.self_attention_cache if past_key_values is not None else None,
        )
        encoder_attention_mask = self.source_mask(embeddings, encoder_attention_mask, encoder_hidden_states)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states,
                encoder_hidden_states,
                attention_mask,
                encoder_attention_mask,
                past_key_values=past_key_values,
                **kwargs,
            )
        return BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=hidden_states, past_key_values=past_key_values
        )


class VanillaTransformerModel(VanillaTransformerPreTrainedModel):
    """
    Encoder and decoder without the projection onto the vocabulary.

    Example:

        >>> import torch
        >>> from modeling_vanilla_transformer import VanillaTransformerModel, named_configuration
        >>> model = VanillaTransformerModel(named_configuration("miniature"))
        >>> source, target = torch.tensor([[5, 6, 7, 1]]), torch.tensor([[2, 8, 9]])
        >>> tuple(model(input_ids=source, decoder_input_ids=target).last_hidden_state.shape)
        (1, 3, 32)
    """

    _tied_weights_keys = {"decoder.embed_tokens.weight": "encoder.embed_tokens.weight"}

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config)
        self.encoder = VanillaTransformerEncoder(config)
        self.decoder = VanillaTransformerDecoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Returns the source embedding, which is also the target's when the embeddings are tied."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding):
        self.encoder.embed_tokens = value
        if self.config.tie_word_embeddings:
            self.decoder.embed_tokens = value

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        decoder_inputs_embeds: torch.FloatTensor | None = None,
        decoder_position_ids: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Seq2SeqModelOutput:
        """
        Runs both stacks. The source is `input_ids` (batch, source length) or its embeddings, with `attention_mask`
        0 at padding, or the encoder's finished `encoder_outputs`; the target is `decoder_input_ids` (batch, target
        length), which begin with the start token and are at `decoder_position_ids` (target length,) where those do not
        follow on what the cache holds. Returns the decoder's `last_hidden_state` (batch, target length,
        d_model), the encoder's, the cache, and with `output_attentions` or `output_hidden_states` those of each layer.
        """
        encoded: BaseModelOutput = encoder_outputs
        if encoder_outputs is None:
            encoded = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs
            )
        elif not isinstance(encoder_outputs, BaseModelOutput):
            encoded = BaseModelOutput(*encoder_outputs)

        decoder_outputs = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=encoded.last_hidden_state,
            encoder_attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=decoder_inputs_embeds,
            position_ids=decoder_position_ids,
            use_cache=use_cache,
            **kwargs,
        )
        return Seq2SeqModelOutput(
            last_hidden_state=decoder_outputs.last_hidden_state,
            past_key_values=decoder_outputs.past_key_values,
            decoder_hidden_states=decoder_outputs.hidden_states,
            decoder_attentions=decoder_outputs.attentions,
            cross_attentions=decoder_outputs.cross_attentions,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )


# ---------------------------------------------------------------------------------------------------------------------
# Language-model head (section 3.4)
# ---------------------------------------------------------------------------------------------------------------------


class VanillaTransformerForConditionalGeneration(
    VanillaTransformerPreTrainedModel, VanillaTransformerGenerationMixin, GenerationMixin
):
    """
    The paper's model: encoder, decoder and the projection onto the vocabulary, for training and translating.

    Example:

        >>> import torch
        >>> from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, named_configuration
        >>> model = VanillaTransformerForConditionalGeneration(named_configuration("miniature"))
        >>> source, labels = torch.tensor([[5, 6, 7, 1]]), torch.tensor([[8, 9, 1]])
        >>> tuple(model(input_ids=source, labels=labels).logits.shape)
        (1, 3, 64)
    """

    _tied_weights_keys = {
        "model.decoder.embed_tokens.weight": "model.encoder.embed_tokens.weight",
        "lm_head.weight": "model.encoder.embed_tokens.weight",
    }
    _tp_plan = {"lm_head": "colwise_gather_output"}

    def __init__(self, config: VanillaTransformerConfig):
        super().__init__(config)
        self.model = VanillaTransformerModel(config)
        self.lm_head = projection(config, config.d_model, config.vocab_size)
        self.loss_function = label_smoothed_cross_entropy
        self.projected_loss = VanillaTransformerProjectedLoss()  # the same, where no logits are asked for
        self.post_init()

    def quantize_int8(self) -> "VanillaTransformerForConditionalGeneration":
        """
        Turns the projections' weights into 8-bit numbers, for translating on a CPU in less time and memory, and
        returns the model: translations change a little, and it can neither be trained nor saved from then on.

        Raises:
            ValueError: the model is not float32 on a CPU.
        """
        if self.device.type != "cpu" or self.dtype != torch.float32:
            raise ValueError(
                f"8-bit projections are for float32 models on a CPU, and this one is {self.dtype} on {self.device}: "
                f'load it anew, without device or dtype, or call .to("cpu", torch.float32) before.'
            )
        quantize_projections(self)
        return self.eval().requires_grad_(False)

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns the decoder's input for `labels`, both (batch, target length)."""
        return shift_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        decoder_inputs_embeds: torch.FloatTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        return_logits: bool = True,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Seq2SeqLMOutput:
        """
        As [`VanillaTransformerModel`], with `logits` (batch, target length, vocabulary) on top.

        Args:
            labels (`torch.LongTensor` of shape (batch, target length), *optional*):
                The target, with its end-of-sentence token and without a start token; -100 does not count. Without
                `decoder_input_ids`, the decoder reads the labels shifted right.
            logits_to_keep (`int` or `torch.Tensor`, defaults to 0):
                Compute logits for the last so many target positions, or for the positions in a 1-D tensor; 0 for all.
                Not together with `labels`.
            return_logits (`bool`, defaults to `True`):
                `False` computes the loss of `labels` alone, a chunk of tokens at a time: logits (batch, target length,
                vocabulary) are never held, and `logits` is `None`. The loss and its gradients are the same.
            label_smoothing (`float`, defaults to 0):
                Epsilon of the loss (section 5.4). Training takes 0.1; evaluation leaves it at 0.
            num_items_in_batch (`torch.Tensor` or `int`, *optional*):
                What the summed loss is divided by, in place of the labels that count: the target tokens of the whole
                update, when this batch is a part of it.

        Raises:
            ValueError: neither or both of ids and embeddings are given, `logits_to_keep` stands beside `labels`,
                neither logits nor a loss are asked for, or a learned position is beyond the table.
        """
        # Trainer takes every parameter with "label" in its name for labels that a batch must have to be evaluated.
        label_smoothing: float = kwargs.pop("label_smoothing", 0.0)
        if labels is not None:
            if not isinstance(logits_to_keep, int) or logits_to_keep != 0:
                raise ValueError("logits_to_keep drops positions that the loss needs: leave it out beside labels.")
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
            if use_cache is None:  # a target that is known needs no cache
                use_cache = False
        elif not return_logits:
            raise ValueError("Without logits there is only the loss: give labels, or leave return_logits at True.")

        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        logits = loss = None
        head = self.lm_head
        # With an adapter, quantised weights or a bias, there is more to the projection than its matrix.
        is_matrix = isinstance(head, nn.Linear) and head.bias is None and head.weight.is_floating_point()
        if return_logits or not is_matrix:
            kept = logits_to_keep if return_logits else 0
            kept = slice(-kept, None) if isinstance(kept, int) else kept
            logits = self.lm_head(outputs.last_hidden_state[:, kept])
            if labels is not None:
                loss = self.loss_function(
                    logits=logits,
                    labels=labels,
                    vocab_size=self.config.vocab_size,
                    label_smoothing=label_smoothing,
                    num_items_in_batch=num_items_in_batch,
                )
            if not return_logits:
                logits = None
        else:
            loss = self.projected_loss(
                outputs.last_hidden_state, head.weight, labels, label_smoothing, num_items_in_batch
            )
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
        )


# Either brings this code along when it is saved. Said here rather than by the package, since of code from the Hub
# transformers registers only the class that was asked for, and the other may be saved as well.
VanillaTransformerModel.register_for_auto_class("AutoModel")
VanillaTransformerForConditionalGeneration.register_for_auto_class("AutoModelForSeq2SeqLM")

__all__ = [
    "VanillaTransformerForConditionalGeneration",
    "VanillaTransformerModel",
    "VanillaTransformerPreTrainedModel",
]

# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""The configuration of a Vanilla Transformer: every size and switch of the paper's architecture."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

POSITION_EMBEDDING_TYPES = ("sinusoidal", "learned")


@strict
class VanillaTransformerConfig(PreTrainedConfig):
    r"""
    Configuration of a [`VanillaTransformerModel`]. The defaults are the base model of *Attention Is All You Need*
    (Vaswani et al., 2017, section 3 and Table 3); section numbers below are the paper's.

    Args:
        vocab_size (`int`, defaults to 37000):
            Number of tokens in the vocabulary that source and target share (section 5.1: "about 37000").
        d_model (`int`, defaults to 512):
            Width of the embeddings and of every layer's output (section 3.1). Even when positions are sinusoidal.
        encoder_layers (`int`, defaults to 6), decoder_layers (`int`, defaults to 6):
            Number N of layers in each stack (section 3.1).
        encoder_attention_heads (`int`, defaults to 8), decoder_attention_heads (`int`, defaults to 8):
            Number h of heads in every attention of the stack (section 3.2.2).
        encoder_ffn_dim (`int`, defaults to 2048), decoder_ffn_dim (`int`, defaults to 2048):
            Inner width d_ff of the feed-forward networks (section 3.3).
        d_k (`int`, *optional*), d_v (`int`, *optional*):
            Width of a head's queries and keys, and of its values (section 3.2.2). Left out, each is d_model divided
            by the number of heads of the stack.
        dropout (`float`, defaults to 0.1):
            Dropout on the output of every sub-layer before it is added and normalised, and on the sums of embeddings
            and positions (section 5.4, P_drop).
        attention_dropout (`float`, defaults to 0.0):
            Dropout on the attention weights. The paper has none.
        activation_dropout (`float`, defaults to 0.0):
            Dropout between the two layers of the feed-forward networks. The paper has none.
        activation_function (`str`, defaults to `"relu"`):
            Non-linearity of the feed-forward networks, a name that transformers knows (equation 2).
        position_embedding_type (`str`, defaults to `"sinusoidal"`):
            `"sinusoidal"` (section 3.5) or `"learned"` (Table 3, row E).
        max_position_embeddings (`int`, defaults to 1024):
            Number of learned positions: a longer sentence is an error. Sinusoids reach any length and ignore it.
        layer_norm_eps (`float`, defaults to 1e-6):
            Epsilon of every layer normalisation.
        tie_word_embeddings (`bool`, defaults to `True`):
            Whether source embedding, target embedding and the projection before the softmax are one matrix (section
            3.4). If not, they are three.
        pad_token_id (`int`, defaults to 0), eos_token_id (`int`, defaults to 1), bos_token_id (`int`, defaults to 2),
        decoder_start_token_id (`int`, defaults to 2):
            Ids of the special tokens; the decoder starts from `decoder_start_token_id`.
        use_cache (`bool`, defaults to `True`):
            Whether the decoder returns its keys and values, so that decoding does not compute them again.

    Raises:
        huggingface_hub.errors.StrictDataclassError: a value is of the wrong type, or impossible, or contradicts
            another one. The message names the field, the value and what would be right.

    Example:

        >>> from modeling_vanilla_transformer import VanillaTransformerConfig
        >>> VanillaTransformerConfig(d_model=1024, encoder_attention_heads=16, decoder_attention_heads=16).d_model
        1024
    """

    model_type = "vanilla_transformer"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }
    # Two ways for several devices to share the model: each has some of the heads, the inner width, the vocabulary ...
    base_model_tp_plan = {
        "encoder.embed_tokens": "embedding_rowwise",
        "encoder.layers.*.self_attn.q_proj": "colwise",
        "encoder.layers.*.self_attn.k_proj": "colwise",
        "encoder.layers.*.self_attn.v_proj": "colwise",
        "encoder.layers.*.self_attn.out_proj": "rowwise",
        "encoder.layers.*.feed_forward.fc1": "colwise",
        "encoder.layers.*.feed_forward.fc2": "rowwise",
        "decoder.embed_tokens": "embedding_rowwise",
        "decoder.layers.*.self_attn.q_proj": "colwise",
        "decoder.layers.*.self_attn.k_proj": "colwise",
        "decoder.layers.*.self_attn.v_proj": "colwise",
        "decoder.layers.*.self_attn.out_proj": "rowwise",
        "decoder.layers.*.encoder_attn.q_proj": "colwise",
        "decoder.layers.*.encoder_attn.k_proj": "colwise",
        "decoder.layers.*.encoder_attn.v_proj": "colwise",
        "decoder.layers.*.encoder_attn.out_proj": "rowwise",
        "decoder.layers.*.feed_forward.fc1": "colwise",
        "decoder.layers.*.feed_forward.fc2": "rowwise",
    }
    # ... or gathers a layer's weights when it is the layer's turn.
    base_model_fsdp_plan = {"encoder.layers.*": "free_full_weight", "decoder.layers.*": "free_full_weight"}

    vocab_size: int = 37000
    d_model: int = 512
    encoder_layers: int = 6
    decoder_layers: int = 6
    encoder_attention_heads: int = 8
    decoder_attention_heads: int = 8
    encoder_ffn_dim: int = 2048
    decoder_ffn_dim: int = 2048
    d_k: int | None = None
    d_v: int | None = None
    dropout: float | int = 0.1
    attention_dropout: float | int = 0.0
    activation_dropout: float | int = 0.0
    activation_function: str = "relu"
    position_embedding_type: str = "sinusoidal"
    max_position_embeddings: int = 1024
    layer_norm_eps: float | int = 1e-6
    tie_word_embeddings: bool = True
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    bos_token_id: int | None = 2
    decoder_start_token_id: int | None = 2
    use_cache: bool = True
    is_encoder_decoder: bool = True

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any):
        """
        As transformers' own. The installed package has its translation pipeline registered: only code that came with
        a model is told where its pipeline is.
        """
        if not cls.__module__.startswith("transformers_modules."):
            config_dict = {name: value for name, value in config_dict.items() if name != "custom_pipelines"}
        return super().from_dict(config_dict, **kwargs)

    def save_pretrained(self, save_directory, **kwargs: Any):
        """As transformers' own; what is saved also says which pipeline translates, and brings it along."""
        # What a file imports travels with it, wherever the line stands: here, loading need not wait for pipelines.
        from .pipeline_vanilla_transformer import VanillaTransformerTranslationPipeline as Pipeline

        if self._auto_class is not None:
            implementation = f"{Pipeline.__module__.split('.')[-1]}.{Pipeline.__name__}"
            self.custom_pipelines = {"translation": {"impl": implementation, "pt": ["AutoModelForSeq2SeqLM"]}}
        super().save_pretrained(save_directory, **kwargs)

    def head_sizes(self, num_heads: int) -> tuple[int, int]:
        """Returns (d_k, d_v) of an attention with `num_heads` heads (section 3.2.2: d_model / h unless given)."""
        return self.d_k or self.d_model // num_heads, self.d_v or self.d_model // num_heads

    def validate_sizes(self):
        """Every size is positive, and the heads divide d_model wherever their width follows from it."""
        sizes = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads")
        sizes += ("decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim", "max_position_embeddings")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: it must be at least 1.")
        for name in ("d_k", "d_v"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: it must be at least 1, or None for d_model / heads.")
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            heads = getattr(self, name)
            if (self.d_k is None or self.d_v is None) and self.d_model % heads:
                raise ValueError(
                    f"{name}={heads} does not divide d_model={self.d_model}: choose a divisor of d_model, or give "
                    f"both d_k (now {self.d_k}) and d_v (now {self.d_v})."
                )
        if not 0 < self.layer_norm_eps < float("inf"):
            raise ValueError(f"layer_norm_eps={self.layer_norm_eps}: it must be above 0 and finite (1e-6 is usual).")

    def validate_dropouts(self):
        """Every dropout is a probability below 1."""
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: it must lie in [0, 1); 0 turns it off.")

    def validate_names(self):
        """The position embedding and the activation are known, and sinusoids get an even width."""
        if self.position_embedding_type not in POSITION_EMBEDDING_TYPES:
            raise ValueError(
                f"position_embedding_type={self.position_embedding_type!r}: it must be one of "
                f"{', '.join(map(repr, POSITION_EMBEDDING_TYPES))}."
            )
        if self.position_embedding_type == "sinusoidal" and self.d_model % 2:
            raise ValueError(
                f"d_model={self.d_model} is odd, but sinusoidal positions come in pairs of sine and cosine: choose an "
                f'even d_model, or position_embedding_type="learned".'
            )
        if self.activation_function not in ACT2FN:
            raise ValueError(
                f"activation_function={self.activation_function!r} is not known to transformers: choose one of "
                f"{', '.join(sorted(ACT2FN))}; the paper uses 'relu'."
            )

    def validate_special_tokens(self):
        """Every special token has its place in the vocabulary."""
        for name in ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id"):
            value = getattr(self, name)
            for token_id in value if isinstance(value, list) else [value]:
                if token_id is not None and not 0 <= token_id < self.vocab_size:
                    raise ValueError(
                        f"{name}={token_id} lies outside the vocabulary: it must be in [0, {self.vocab_size - 1}] for "
                        f"vocab_size={self.vocab_size}."
                    )


__all__ = ["VanillaTransformerConfig"]

"""The defaults are the paper's base model, impossible values are errors, the named configurations are Table 3's."""

import json
import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, GenerationConfig

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    configuration_names,
    named_configuration,
)
from modeling_vanilla_transformer.named_configuration import MODELS_FOLDER

# Table 3, the big model's row included: N, d_model, d_ff, h, d_k, d_v, P_drop, and the paper's count of parameters in
# millions; None where the row is as base.
BASE_ROW = (6, 512, 2048, 8, 64, 64, 0.1)
TABLE_3 = {
    "base": (6, 512, 2048, 8, 64, 64, 0.1, 65),
    "table3_a1": (None, None, None, 1, 512, 512, None, None),
    "table3_a2": (None, None, None, 4, 128, 128, None, None),
    "table3_a3": (None, None, None, 16, 32, 32, None, None),
    "table3_a4": (None, None, None, 32, 16, 16, None, None),
    "table3_b1": (None, None, None, None, 16, None, None, 58),
    "table3_b2": (None, None, None, None, 32, None, None, 60),
    "table3_c1": (2, None, None, None, None, None, None, 36),
    "table3_c2": (4, None, None, None, None, None, None, 50),
    "table3_c3": (8, None, None, None, None, None, None, 80),
    "table3_c4": (None, 256, None, None, 32, 32, None, 28),
    "table3_c5": (None, 1024, None, None, 128, 128, None, 168),
    "table3_c6": (None, None, 1024, None, None, None, None, 53),
    "table3_c7": (None, None, 4096, None, None, None, None, 90),
    "table3_d1": (None, None, None, None, None, None, 0.0, None),
    "table3_d2": (None, None, None, None, None, None, 0.2, None),
    "table3_d3": (None, None, None, None, None, None, None, None),  # differs in the training only
    "table3_d4": (None, None, None, None, None, None, None, None),  # differs in the training only
    "table3_e": (None, None, None, None, None, None, None, None),  # learned positions
    "big": (6, 1024, 4096, 16, 64, 64, 0.3, 213),
}
SMALL_ONES = {"miniature", "multi30k", "quickstart"}


def closed_form_count(config: VanillaTransformerConfig) -> int:
    """Returns the number of parameters that the paper's equations have at these sizes."""
    d_model = config.d_model

    def attention(heads: int) -> int:
        d_k, d_v = config.d_k or d_model // heads, config.d_v or d_model // heads
        w_q = w_k = d_model * d_k
        w_v = d_model * d_v
        w_o = heads * d_v * d_model
        return heads * (w_q + w_k + w_v) + w_o

    def feed_forward(d_ff: int) -> int:
        return (d_model * d_ff + d_ff) + (d_ff * d_model + d_model)

    layer_norm = 2 * d_model
    encoder_layer = attention(config.encoder_attention_heads) + feed_forward(config.encoder_ffn_dim) + 2 * layer_norm
    decoder_layer = 2 * attention(config.decoder_attention_heads) + feed_forward(config.decoder_ffn_dim)
    decoder_layer += 3 * layer_norm
    embeddings = config.vocab_size * d_model * (1 if config.tie_word_embeddings else 3)
    positions = 2 * config.max_position_embeddings * d_model if config.position_embedding_type == "learned" else 0
    return embeddings + positions + config.encoder_layers * encoder_layer + config.decoder_layers * decoder_layer


def count_of_the_model(config: VanillaTransformerConfig) -> int:
    """Returns the number of distinct parameters of the model of this configuration, without making room for them."""
    with torch.device("meta"):
        model = VanillaTransformerForConditionalGeneration(config)
    return sum(parameter.numel() for parameter in model.parameters())


# ---------------------------------------------------------------------------------------------------------------------
# Defaults
# ---------------------------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_papers_base_model():
    config = VanillaTransformerConfig()
    expected = dict(
        model_type="vanilla_transformer",
        vocab_size=37000,
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        d_k=None,
        d_v=None,
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        activation_function="relu",
        position_embedding_type="sinusoidal",
        layer_norm_eps=1e-6,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        decoder_start_token_id=2,
        use_cache=True,
        is_encoder_decoder=True,
    )
    assert {name: getattr(config, name) for name in expected} == expected
    assert config.head_sizes(8) == (64, 64)


def test_the_configuration_called_base_is_the_default_one():
    ours, default = named_configuration("base").to_dict(), VanillaTransformerConfig().to_dict()
    differing = {name for name in ours.keys() | default.keys() if ours.get(name) != default.get(name)}
    assert differing <= {"architectures", "transformers_version", "_name_or_path"}


def test_head_sizes_follow_from_d_model_and_the_heads_unless_given():
    assert VanillaTransformerConfig(d_model=512).head_sizes(16) == (32, 32)
    assert VanillaTransformerConfig(d_k=16).head_sizes(8) == (16, 64)
    assert VanillaTransformerConfig(d_v=24).head_sizes(8) == (64, 24)
    assert VanillaTransformerConfig(d_model=20, encoder_attention_heads=3, d_k=5, d_v=7).head_sizes(3) == (5, 7)


def test_the_names_that_transformers_uses_reach_the_sizes():
    config = VanillaTransformerConfig(d_model=64, encoder_layers=3, encoder_attention_heads=4)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 3, 4)


# ---------------------------------------------------------------------------------------------------------------------
# Errors: each names the field, the value and what would be right
# ---------------------------------------------------------------------------------------------------------------------

SIZES = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads")
SIZES += ("decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim", "max_position_embeddings")
BAD_VALUES = [
    *((dict([(name, value)]), [name, str(value), "at least 1"]) for name in SIZES for value in (0, -4)),
    *((dict([(name, value)]), [name, str(value), "at least 1"]) for name in ("d_k", "d_v") for value in (0, -1)),
    (dict(encoder_attention_heads=7), ["encoder_attention_heads", "7", "d_model", "512", "d_k", "d_v"]),
    (dict(decoder_attention_heads=6), ["decoder_attention_heads", "6", "d_model", "512", "d_k", "d_v"]),
    (dict(encoder_attention_heads=7, d_k=64), ["encoder_attention_heads", "7", "d_v", "None"]),
    (dict(encoder_attention_heads=7, d_v=64), ["encoder_attention_heads", "7", "d_k", "None"]),
    *(
        (dict([(name, value)]), [name, str(value), "[0, 1)"])
        for name in ("dropout", "attention_dropout", "activation_dropout")
        for value in (1.0, -0.1, 1.5, math.nan)
    ),
    (dict(layer_norm_eps=0.0), ["layer_norm_eps", "0.0", "above 0"]),
    (dict(layer_norm_eps=-1e-6), ["layer_norm_eps", "-1e-06", "above 0"]),
    (dict(d_model=511, d_k=8, d_v=8), ["d_model", "511", "even", "learned"]),
    (dict(position_embedding_type="rotary"), ["position_embedding_type", "rotary", "sinusoidal", "learned"]),
    (dict(activation_function="rellu"), ["activation_function", "rellu", "relu"]),
    *(
        (dict([(name, value)]), [name, str(value), "36999"])
        for name in ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id")
        for value in (37000, -1)
    ),
    (dict(eos_token_id=[1, 37000]), ["eos_token_id", "37000", "36999"]),
]
WRONG_TYPES = [
    (dict(d_model="512"), ["d_model", "int", "str"]),
    (dict(d_model=512.0), ["d_model", "int", "float"]),
    (dict(dropout="0.1"), ["dropout", "float", "str"]),
    (dict(tie_word_embeddings="yes"), ["tie_word_embeddings", "bool", "str"]),
    (dict(activation_function=3), ["activation_function", "str", "int"]),
    (dict(d_k=64.0), ["d_k", "int"]),
]


@pytest.mark.parametrize("values, words", BAD_VALUES + WRONG_TYPES, ids=lambda value: str(value).replace(" ", ""))
def test_an_impossible_value_is_an_error_that_names_field_value_and_remedy(values, words):
    with pytest.raises(StrictDataclassError) as error:
        VanillaTransformerConfig(**values)
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


def test_an_assignment_of_a_wrong_type_is_an_error():
    config = VanillaTransformerConfig()
    with pytest.raises(StrictDataclassError, match="d_model"):
        config.d_model = "wide"


def test_a_configuration_that_became_impossible_is_not_saved(tmp_path):
    config = VanillaTransformerConfig()
    config.dropout = 2.0
    with pytest.raises(StrictDataclassError, match="dropout=2.0"):
        config.save_pretrained(tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_an_impossible_value_in_a_saved_file_is_an_error(tmp_path):
    VanillaTransformerConfig().save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"dropout": 7.5}))
    with pytest.raises(StrictDataclassError, match="dropout=7.5"):
        AutoConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        dict(d_model=20, encoder_attention_heads=3, d_k=5, d_v=7),  # heads need not divide d_model when both are given
        dict(d_model=21, encoder_attention_heads=3, decoder_attention_heads=7, position_embedding_type="learned"),
        dict(dropout=0),
        dict(eos_token_id=[1, 5]),
        dict(bos_token_id=None),
    ],
    ids=str,
)
def test_unusual_but_possible_values_are_taken(values):
    config = VanillaTransformerConfig(**{"decoder_attention_heads": 1} | values)
    assert all(getattr(config, name) == value for name, value in values.items())


# ---------------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.fixed_dictionaries(
        dict(
            vocab_size=st.integers(3, 50000),
            d_model=st.sampled_from([24, 48, 512]),
            encoder_layers=st.integers(1, 12),
            decoder_layers=st.integers(1, 12),
            encoder_attention_heads=st.sampled_from([1, 2, 3, 4]),
            decoder_attention_heads=st.sampled_from([1, 2, 4, 8]),
            d_k=st.integers(1, 300),
            d_v=st.integers(1, 300),
            dropout=st.floats(0, 1, exclude_max=True),
            layer_norm_eps=st.floats(1e-12, 1e-3),
            position_embedding_type=st.sampled_from(["sinusoidal", "learned"]),
            tie_word_embeddings=st.booleans(),
            eos_token_id=st.sampled_from([1, [1, 2], None]),
        )
    )
)
def test_a_configuration_survives_json(values):
    config = VanillaTransformerConfig(**values)
    again = VanillaTransformerConfig.from_dict(json.loads(config.to_json_string(use_diff=False)))
    assert again.to_dict() == config.to_dict()
    assert {name: getattr(again, name) for name in values} == values
    again = VanillaTransformerConfig.from_dict(json.loads(config.to_json_string()))
    assert again.to_dict() == config.to_dict()


def test_a_configuration_survives_a_folder(tmp_path):
    config = VanillaTransformerConfig(d_k=16, dropout=0.3, tie_word_embeddings=False, eos_token_id=[1, 5])
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is VanillaTransformerConfig
    ignored = {"auto_map", "custom_pipelines", "_name_or_path", "transformers_version"}
    expected = {name: value for name, value in config.to_dict().items() if name not in ignored}
    assert {name: value for name, value in again.to_dict().items() if name not in ignored} == expected


# ---------------------------------------------------------------------------------------------------------------------
# The named configurations
# ---------------------------------------------------------------------------------------------------------------------


def test_the_names_are_those_of_table_3_and_the_small_ones():
    assert set(configuration_names()) >= TABLE_3.keys() | SMALL_ONES
    assert configuration_names() == sorted(configuration_names())


@pytest.mark.parametrize("name", TABLE_3)
def test_a_row_of_table_3_has_the_papers_sizes(name):
    row = [value if value is not None else BASE_ROW[i] for i, value in enumerate(TABLE_3[name][:7])]
    layers, d_model, d_ff, heads, d_k, d_v, dropout = row
    config = named_configuration(name)
    assert (config.encoder_layers, config.decoder_layers) == (layers, layers)
    assert config.d_model == d_model
    assert (config.encoder_ffn_dim, config.decoder_ffn_dim) == (d_ff, d_ff)
    assert (config.encoder_attention_heads, config.decoder_attention_heads) == (heads, heads)
    assert config.head_sizes(heads) == (d_k, d_v)
    assert config.dropout == dropout
    assert config.position_embedding_type == ("learned" if name == "table3_e" else "sinusoidal")
    assert (config.vocab_size, config.layer_norm_eps, config.activation_function) == (37000, 1e-6, "relu")
    assert (config.attention_dropout, config.activation_dropout, config.tie_word_embeddings) == (0.0, 0.0, True)


@pytest.mark.parametrize("name", configuration_names())
def test_a_named_model_has_exactly_the_parameters_of_the_closed_form(name):
    config = named_configuration(name)
    assert count_of_the_model(config) == closed_form_count(config)


def test_the_base_model_has_63_045_632_parameters():
    assert closed_form_count(VanillaTransformerConfig()) == 63_045_632
    assert count_of_the_model(VanillaTransformerConfig()) == 63_045_632


def test_untied_embeddings_are_three_matrices_in_the_count():
    config = VanillaTransformerConfig(tie_word_embeddings=False)
    assert count_of_the_model(config) == closed_form_count(config) == 63_045_632 + 2 * 37000 * 512


@pytest.mark.parametrize("name", [name for name, row in TABLE_3.items() if row[-1] is not None])
def test_the_parameters_lie_within_7_percent_of_the_papers_column(name, capsys):
    count, paper = closed_form_count(named_configuration(name)), TABLE_3[name][-1] * 1_000_000
    with capsys.disabled():
        print(f"\n{name}: {count:,} parameters, the paper's {paper:,}: {count / paper - 1:+.1%}", end="")
    assert abs(count / paper - 1) < 0.07


@pytest.mark.parametrize("name", configuration_names())
def test_every_folder_of_configurations_loads_by_autoconfig(name):
    config = AutoConfig.from_pretrained(MODELS_FOLDER / name)
    assert type(config) is VanillaTransformerConfig
    named = named_configuration(name)
    assert config.to_dict() | {"_name_or_path": ""} == named.to_dict() | {"_name_or_path": ""}


@pytest.mark.parametrize("name", configuration_names())
def test_every_folder_of_configurations_brings_the_papers_search(name):
    search, config = GenerationConfig.from_pretrained(MODELS_FOLDER / name), named_configuration(name)
    assert (search.num_beams, search.length_penalty, search.do_sample) == (4, 0.6, False)
    assert (search.length_penalty_type, search.max_length_offset) == ("wu", 50)
    assert (search.pad_token_id, search.eos_token_id) == (config.pad_token_id, config.eos_token_id)
    assert search.decoder_start_token_id == config.decoder_start_token_id


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError) as error:
        named_configuration("huge")
    assert "huge" in str(error.value)
    assert all(name in str(error.value) for name in configuration_names())

"""The model computes the paper's equations exactly, however it is called, loaded, cached, compiled or saved."""

import copy
import json
import math
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    DynamicCache,
    EncoderDecoderCache,
    MarianConfig,
    MarianMTModel,
    StaticCache,
)
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerModel,
)
from modeling_vanilla_transformer import modeling_vanilla_transformer as modeling
from modeling_vanilla_transformer.modeling_vanilla_transformer import (
    FEW_ROWS,
    HAS_ONEDNN_LINEAR,
    VERY_FEW_ROWS,
    VanillaTransformerLinear,
    apply_dropout,
    shift_right,
)
from tests.modeling_vanilla_transformer.oracle import Oracle, position_signal, smoothed_loss

# Changes of the tiny configuration, each a way in which the paper's model can be built.
VARIANTS = {
    "as the base model": {},
    "d_k unlike d_v": dict(d_k=5, d_v=7),
    "d_v alone": dict(d_v=2),
    "unequal stacks": dict(encoder_layers=1, decoder_layers=3, encoder_ffn_dim=8, decoder_ffn_dim=28),
    "unequal heads": dict(encoder_attention_heads=4, decoder_attention_heads=2),
    "heads that do not divide d_model": dict(encoder_attention_heads=5, decoder_attention_heads=7, d_k=4, d_v=3),
    "one head": dict(encoder_attention_heads=1, decoder_attention_heads=1),
    "learned positions": dict(position_embedding_type="learned", max_position_embeddings=10),
    "learned positions of odd width": dict(d_model=9, position_embedding_type="learned", max_position_embeddings=10),
    "untied embeddings": dict(tie_word_embeddings=False),
    "another epsilon": dict(layer_norm_eps=1e-2),
}
PRECISIONS = [(torch.float64, 1e-9), (torch.float32, 1e-5)]
DTYPES = pytest.mark.parametrize("dtype, tolerance", PRECISIONS, ids=["float64", "float32"])


def embedding_matrices(model: nn.Module) -> list[torch.Tensor]:
    """Returns source embedding, target embedding and the projection before the softmax."""
    return [model.model.encoder.embed_tokens.weight, model.model.decoder.embed_tokens.weight, model.lm_head.weight]


def are_one(matrices: list[torch.Tensor]) -> bool:
    """Whether all matrices lie in the same memory."""
    return len({matrix.data_ptr() for matrix in matrices}) == 1


def greatest_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape, (a.shape, b.shape)
    return (a.double() - b.double()).abs().max().item()


# ---------------------------------------------------------------------------------------------------------------------
# The paper's equations
# ---------------------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_logits_equal_the_papers_equations(variant, attention, dtype, tolerance, small_model, batch):
    model = small_model(dtype, attention, **VARIANTS[variant])
    logits = model(**batch.inputs).logits
    assert logits.dtype == dtype
    oracle = Oracle(model.state_dict(), model.config)
    for row, (source, target) in enumerate(zip(batch.sources, batch.targets, strict=True)):
        expected = torch.from_numpy(oracle.logits(source, target))
        assert greatest_difference(logits[row, : len(target)], expected) < tolerance


@torch.no_grad()
def test_attention_weights_equal_the_papers_equations(small_model, batch):
    model = small_model(attention="eager", d_k=5, d_v=7)
    outputs = model(**batch.inputs, output_attentions=True)
    oracle = Oracle(model.state_dict(), model.config)
    for row, (source, target) in enumerate(zip(batch.sources, batch.targets, strict=True)):
        oracle.logits(source, target)
        kinds = dict(encoder=(source, source), decoder=(target, target), cross=(target, source))
        weights = dict(encoder=outputs.encoder_attentions, decoder=outputs.decoder_attentions)
        weights["cross"] = outputs.cross_attentions
        for kind, (queries, keys) in kinds.items():
            for ours, expected in zip(weights[kind], oracle.attention_weights[kind], strict=True):
                ours = ours[row, :, : len(queries), : len(keys)]
                assert greatest_difference(ours, torch.from_numpy(expected)) < 1e-12


def test_the_loss_equals_the_papers_equations(small_model, batch, padded):
    model = small_model()
    labels, _ = padded([[8, 4, 10, 1], [11, 3, -100, 5, 5, 9, 1], [1]], value=-100)
    decoder_input_ids = batch.inputs["decoder_input_ids"]
    for epsilon in (0.0, 0.1):
        outputs = model(**batch.inputs, labels=labels, label_smoothing=epsilon)
        oracle, total = Oracle(model.state_dict(), model.config), 0.0
        for row in range(len(labels)):
            scores = oracle.logits(batch.sources[row], decoder_input_ids[row].tolist())
            total += smoothed_loss(scores, labels[row].tolist(), epsilon)
        assert outputs.loss.item() == pytest.approx(total / 11, abs=1e-12)


def test_dropout_acts_in_training_only_and_where_the_paper_has_it(small_model, batch):
    model = small_model(dropout=0.5)
    with torch.no_grad():
        calm = model(**batch.inputs).logits
        assert torch.equal(calm, model(**batch.inputs).logits)
        model.train()
        assert not torch.equal(calm, model(**batch.inputs).logits)

    # On the sums of embeddings and positions: half of them are zero, the others twice as large.
    encoder = copy.deepcopy(model.model.encoder)
    encoder.layers = nn.ModuleList()
    embeddings = torch.full((1, 200, 12), 1e6, dtype=torch.float64)
    sums = encoder(inputs_embeds=embeddings).last_hidden_state
    assert 0.45 < (sums == 0).double().mean() < 0.55
    assert sums[sums != 0] == pytest.approx(2 * 1e6 * math.sqrt(12), rel=1e-5)

    # On a sub-layer's output before it is added and normalised, never on what is added to.
    layer = model.model.encoder.layers[0]
    norm, zeros = layer.self_attn_layer_norm, torch.zeros(1, 200, 12, dtype=torch.float64)
    x = torch.randn(1, 200, 12, dtype=torch.float64)
    assert torch.equal(norm(x, zeros), functional.layer_norm(x, (12,), norm.weight, norm.bias, 1e-6))
    assert not torch.equal(norm(zeros, x), functional.layer_norm(x, (12,), norm.weight, norm.bias, 1e-6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.999])
def test_dropout_drops_the_right_share_and_divides_the_rest(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(333, 1001, dtype=dtype, requires_grad=True)
    dropped = apply_dropout(x, p, training=True)
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / x.numel()))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-2)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)
    # Whether a value is dropped has nothing to do with whether its neighbours are, which share a random number.
    alone = (dropped.detach().flatten() == 0).double() - share
    for distance in (1, 2, 3, 4, 1001):
        correlation = (alone[distance:] * alone[:-distance]).mean() / (share * (1 - share))
        assert abs(correlation) < 4 / math.sqrt(x.numel())


def test_dropout_follows_the_seed_and_changes_nothing_where_it_is_off():
    x = torch.rand(5, 7)
    for p, training in ((0.5, False), (0.0, True)):
        assert torch.equal(apply_dropout(x, p, training), x)
    assert (apply_dropout(x, 1.0, training=True) == 0).all()
    torch.manual_seed(3)
    once, again = apply_dropout(x, 0.5, training=True), apply_dropout(x, 0.5, training=True)
    torch.manual_seed(3)
    assert torch.equal(apply_dropout(x, 0.5, training=True), once) and not torch.equal(once, again)


# ---------------------------------------------------------------------------------------------------------------------
# The same model in other libraries
# ---------------------------------------------------------------------------------------------------------------------


def copy_into_pytorch(state: dict[str, torch.Tensor], layer: nn.Module, prefix: str):
    """Copies one layer's weights into nn.TransformerEncoderLayer or nn.TransformerDecoderLayer."""

    def fill(attention: nn.MultiheadAttention, name: str):
        parts = [state[f"{prefix}.{name}.{part}_proj.weight"] for part in "qkv"]
        attention.in_proj_weight.copy_(torch.cat(parts))
        attention.in_proj_bias.zero_()
        attention.out_proj.weight.copy_(state[f"{prefix}.{name}.out_proj.weight"])
        attention.out_proj.bias.zero_()

    fill(layer.self_attn, "self_attn")
    norms = ["self_attn_layer_norm", "feed_forward_layer_norm"]
    if isinstance(layer, nn.TransformerDecoderLayer):
        fill(layer.multihead_attn, "encoder_attn")
        norms.insert(1, "encoder_attn_layer_norm")
    others = [("linear1", "feed_forward.fc1"), ("linear2", "feed_forward.fc2")]
    others += [(f"norm{i}", norm) for i, norm in enumerate(norms, 1)]
    for theirs, ours in others:
        layer.get_submodule(theirs).weight.copy_(state[f"{prefix}.{ours}.weight"])
        layer.get_submodule(theirs).bias.copy_(state[f"{prefix}.{ours}.bias"])


@DTYPES
@torch.no_grad()
def test_logits_equal_those_of_pytorchs_transformer_layers(dtype, tolerance, small_model, batch):
    model = small_model(dtype, encoder_layers=2, decoder_layers=3)
    config, state = model.config, model.state_dict()
    arguments = dict(dropout=0.0, layer_norm_eps=config.layer_norm_eps, batch_first=True, norm_first=False)
    layer = nn.TransformerEncoderLayer(config.d_model, 3, config.encoder_ffn_dim, **arguments)
    encoder = nn.TransformerEncoder(layer, 2, norm=None, enable_nested_tensor=False).to(dtype).eval()
    layer = nn.TransformerDecoderLayer(config.d_model, 3, config.decoder_ffn_dim, **arguments)
    decoder = nn.TransformerDecoder(layer, 3, norm=None).to(dtype).eval()
    for i in range(2):
        copy_into_pytorch(state, encoder.layers[i], f"model.encoder.layers.{i}")
    for i in range(3):
        copy_into_pytorch(state, decoder.layers[i], f"model.decoder.layers.{i}")

    def embed(ids: torch.Tensor) -> torch.Tensor:
        table = torch.tensor([position_signal(i, config.d_model) for i in range(ids.shape[1])], dtype=dtype)
        return model.get_input_embeddings()(ids) * math.sqrt(config.d_model) + table

    source, target = batch.inputs["input_ids"], batch.inputs["decoder_input_ids"]
    source_padding, target_padding = batch.inputs["attention_mask"] == 0, batch.inputs["decoder_attention_mask"] == 0
    future = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
    memory = encoder(embed(source), src_key_padding_mask=source_padding)
    states = decoder(
        embed(target),
        memory,
        tgt_mask=future,
        tgt_key_padding_mask=target_padding,
        memory_key_padding_mask=source_padding,
    )
    theirs, ours = model.lm_head(states), model(**batch.inputs).logits
    assert greatest_difference(ours[~target_padding], theirs[~target_padding]) < tolerance


@pytest.fixture(scope="module")
def as_marian():
    """Returns a function: MarianMTModel with a model's weights, our interleaved positions and zero biases."""

    @torch.no_grad()
    def build(model: VanillaTransformerForConditionalGeneration) -> MarianMTModel:
        config = model.config
        names = ["vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads"]
        names += ["decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim", "pad_token_id", "eos_token_id"]
        names += ["bos_token_id", "decoder_start_token_id", "activation_function"]
        marian = MarianMTModel(
            MarianConfig(
                **{name: getattr(config, name) for name in names},
                dropout=0.0,
                max_position_embeddings=64,
                scale_embedding=True,
                forced_eos_token_id=None,
            )
        )
        marian = marian.to(model.dtype).eval()
        for module in marian.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = config.layer_norm_eps
        state = marian.state_dict()
        for name, tensor in model.state_dict().items():
            name = name.replace("feed_forward_layer_norm", "final_layer_norm").replace("feed_forward.", "")
            state[name].copy_(tensor)
        table = torch.tensor([position_signal(i, config.d_model) for i in range(64)], dtype=model.dtype)
        for name, tensor in state.items():
            if "embed_positions" in name:
                tensor.copy_(table)
            elif re.search(r"_proj\.bias$", name):
                tensor.zero_()
        marian.load_state_dict(state)
        return marian

    return build


@DTYPES
@torch.no_grad()
def test_logits_equal_those_of_marian(dtype, tolerance, small_model, batch, as_marian):
    model = small_model(dtype, encoder_layers=1, decoder_layers=3, encoder_attention_heads=4)
    real = batch.inputs["decoder_attention_mask"] == 1
    ours, theirs = model(**batch.inputs).logits, as_marian(model)(**batch.inputs).logits
    assert greatest_difference(ours[real], theirs[real]) < tolerance


@torch.no_grad()
def test_generated_tokens_equal_those_of_marian(small_model, batch, as_marian):
    model = small_model()
    marian = as_marian(model)
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    for search in (dict(), dict(num_beams=3, length_penalty=0.7, early_stopping="never")):
        ours = model.generate(**inputs, **search, max_new_tokens=12)
        assert torch.equal(ours, marian.generate(**inputs, **search, max_new_tokens=12))


# ---------------------------------------------------------------------------------------------------------------------
# What must not influence what
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_a_later_target_token_never_changes_an_earlier_logit(attention, small_model):
    model = small_model(attention=attention)
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4, 10, 7, 3, 11, 16]])
    before = model(input_ids=source, decoder_input_ids=target).logits
    for position in range(1, target.shape[1]):
        for token in (0, 1, 18):
            changed = target.clone()
            changed[0, position] = token
            after = model(input_ids=source, decoder_input_ids=changed).logits
            assert torch.equal(before[:, :position], after[:, :position])
            assert (before[:, position:] != after[:, position:]).any(dim=-1).all()


@torch.no_grad()
def test_every_source_token_changes_every_logit(small_model):
    model = small_model()
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4, 10]])
    before = model(input_ids=source, decoder_input_ids=target).logits
    for position in range(source.shape[1]):
        changed = source.clone()
        changed[0, position] = 17
        assert (before != model(input_ids=changed, decoder_input_ids=target).logits).any(dim=-1).all()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_padding_changes_nothing_at_real_positions(attention, small_model):
    model = small_model(attention=attention)
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4]])
    plain = model(input_ids=source, decoder_input_ids=target)
    for padding in (0, 7):  # what the padding is does not matter, only the mask
        more_source = functional.pad(source, (0, 5), value=padding)
        more_target = functional.pad(target, (0, 4), value=padding)
        masked = model(
            input_ids=more_source,
            attention_mask=(torch.arange(9) < 4).long()[None],
            decoder_input_ids=more_target,
            decoder_attention_mask=(torch.arange(7) < 3).long()[None],
        )
        assert greatest_difference(masked.logits[:, :3], plain.logits) < 1e-12
        encoded = masked.encoder_last_hidden_state[:, :4]
        assert greatest_difference(encoded, plain.encoder_last_hidden_state) < 1e-12


@torch.no_grad()
def test_a_padded_target_needs_no_mask(small_model, batch):
    model = small_model()
    inputs = {name: value for name, value in batch.inputs.items() if name != "decoder_attention_mask"}
    real = batch.inputs["decoder_attention_mask"] == 1
    assert greatest_difference(model(**inputs).logits[real], model(**batch.inputs).logits[real]) < 1e-12


@torch.no_grad()
def test_a_sentence_has_the_same_logits_alone_and_in_a_batch(small_model, batch):
    model = small_model()
    together = model(**batch.inputs).logits
    for row, (source, target) in enumerate(zip(batch.sources, batch.targets, strict=True)):
        alone = model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target])).logits[0]
        assert greatest_difference(together[row, : len(target)], alone) < 1e-12


# ---------------------------------------------------------------------------------------------------------------------
# Caches
# ---------------------------------------------------------------------------------------------------------------------


def dynamic_cache(config: VanillaTransformerConfig) -> EncoderDecoderCache:
    return EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))


def static_cache(config: VanillaTransformerConfig, source_length: int = 7) -> EncoderDecoderCache:
    target, source = (StaticCache(config=config, max_cache_len=length) for length in (10, source_length))
    return EncoderDecoderCache(target, source)


@pytest.mark.parametrize("make_cache", [dynamic_cache, static_cache])
@pytest.mark.parametrize("steps", [[1] * 7, [3, 1, 3], [7]], ids=str)
@pytest.mark.parametrize("variant", ["as the base model", "d_k unlike d_v", "unequal stacks", "learned positions"])
@torch.no_grad()
def test_cached_logits_equal_uncached_ones(variant, steps, make_cache, small_model, batch):
    model = small_model(**VARIANTS[variant])
    expected = model(**batch.inputs, use_cache=False)
    assert expected.past_key_values is None
    cache, start, logits = make_cache(model.config.get_text_config(decoder=True)), 0, []
    encoder_outputs = model.get_encoder()(batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"])
    for step in steps:
        outputs = model(
            encoder_outputs=encoder_outputs,
            attention_mask=batch.inputs["attention_mask"],
            decoder_input_ids=batch.inputs["decoder_input_ids"][:, start : start + step],
            decoder_attention_mask=batch.inputs["decoder_attention_mask"][:, : start + step],
            past_key_values=cache,
            use_cache=True,
        )
        cache, start = outputs.past_key_values, start + step
        logits.append(outputs.logits)
    real = batch.inputs["decoder_attention_mask"] == 1
    assert greatest_difference(torch.cat(logits, dim=1)[real], expected.logits[real]) < 1e-12


@torch.no_grad()
def test_the_model_makes_its_own_cache_and_computes_the_source_once(small_model):
    model = small_model()
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4, 10]])
    expected = model(input_ids=source, decoder_input_ids=target).logits
    first = model(input_ids=source, decoder_input_ids=target[:, :2], use_cache=True)
    keys = first.past_key_values.cross_attention_cache.layers[0].keys
    encoder_outputs = (first.encoder_last_hidden_state,)
    second = model(
        encoder_outputs=encoder_outputs, decoder_input_ids=target[:, 2:], past_key_values=first.past_key_values
    )
    assert greatest_difference(torch.cat((first.logits, second.logits), dim=1), expected) < 1e-12
    assert second.past_key_values.get_seq_length() == 4
    assert second.past_key_values.cross_attention_cache.layers[0].keys.data_ptr() == keys.data_ptr()


@pytest.mark.parametrize("search", [dict(), dict(num_beams=3), dict(num_beams=3, length_penalty_type="wu")], ids=str)
@pytest.mark.parametrize("variant", ["as the base model", "d_k unlike d_v", "unequal stacks", "learned positions"])
@torch.no_grad()
def test_cached_uncached_static_and_batched_decoding_agree(variant, search, small_model, batch):
    changes = VARIANTS[variant] | (dict(max_position_embeddings=20) if variant == "learned positions" else {})
    model = small_model(**changes)
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}

    def decode(**settings):
        outputs = model.generate(
            **inputs | settings,
            **search,
            max_new_tokens=9,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return outputs.sequences, torch.stack(outputs.logits)

    tokens, logits = decode(use_cache=True)
    for settings in (dict(use_cache=False), dict(cache_implementation="static")):
        other_tokens, other_logits = decode(**settings)
        assert torch.equal(tokens, other_tokens)
        assert greatest_difference(logits, other_logits) < 1e-6  # transformers' searches round them to float32
    for row, source in enumerate(batch.sources):
        alone, _ = decode(input_ids=torch.tensor([source]), attention_mask=None)
        assert torch.equal(functional.pad(alone[0], (0, tokens.shape[1] - alone.shape[1])), tokens[row])


# ---------------------------------------------------------------------------------------------------------------------
# Positions
# ---------------------------------------------------------------------------------------------------------------------


def positions_alone(encoder: nn.Module, length: int) -> torch.Tensor:
    """Returns what an encoder adds to embeddings that are zero, (length, d_model)."""
    encoder = copy.deepcopy(encoder)
    encoder.layers = nn.ModuleList()
    embeddings = torch.zeros(1, length, encoder.config.d_model, dtype=encoder.dtype)
    return encoder(inputs_embeds=embeddings).last_hidden_state[0]


@torch.no_grad()
def test_sinusoids_reach_any_length_exactly(small_model):
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-7)):
        model = small_model(dtype, d_model=48, max_position_embeddings=16)
        signals = positions_alone(model.model.encoder, 100_001)
        for position in (0, 1, 15, 16, 1023, 1024, 4097, 65_536, 99_999, 100_000):
            expected = torch.tensor(position_signal(position, 48), dtype=torch.float64)
            assert greatest_difference(signals[position], expected) < tolerance


@torch.no_grad()
def test_sinusoids_of_a_model_loaded_in_bfloat16_are_rounded_once(small_model, tmp_path):
    small_model(torch.float32, d_model=48).save_pretrained(tmp_path)
    model = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    signals = positions_alone(model.model.encoder, 2000)
    expected = torch.tensor([position_signal(position, 48) for position in range(2000)], dtype=torch.float64)
    assert torch.equal(signals, expected.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_half_precision_stays_close_to_the_papers_equations(dtype, small_model, batch):
    model, exact = small_model(dtype), small_model(torch.float64)
    exact.load_state_dict(model.state_dict())
    real = batch.inputs["decoder_attention_mask"] == 1
    ours, expected = model(**batch.inputs).logits[real], exact(**batch.inputs).logits[real]
    assert greatest_difference(ours, expected) < 64 * torch.finfo(dtype).eps * expected.abs().max().item()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)], ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("has_onednn", [False, True] if HAS_ONEDNN_LINEAR else [False])
@torch.no_grad()
def test_a_projection_of_few_rows_is_that_of_many(dtype, tolerance, bias, has_onednn, monkeypatch):
    monkeypatch.setattr(modeling, "HAS_ONEDNN_LINEAR", has_onednn)
    torch.manual_seed(0)
    linear = VanillaTransformerLinear(24, 40, bias).to(dtype)
    many = torch.randn(3, FEW_ROWS, 24, dtype=dtype)
    product = many.double() @ linear.weight.double().t()
    expected = product + linear.bias.double() if bias else product
    for rows in (1, 2, VERY_FEW_ROWS, VERY_FEW_ROWS + 1, FEW_ROWS // 3, FEW_ROWS):
        for states in (many[:, :rows], many[0, :rows].t().contiguous().t()):
            wanted = expected[:, :rows] if states.dim() == 3 else expected[0, :rows]
            torch.testing.assert_close(linear(states).double(), wanted, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_a_sentence_beyond_the_learned_positions_is_an_error_that_names_the_limit(small_model):
    model = small_model(position_embedding_type="learned", max_position_embeddings=6)
    fits, too_long = torch.full((1, 6), 3), torch.full((1, 7), 3)
    model(input_ids=fits, decoder_input_ids=fits)
    for source, target in ((too_long, fits), (fits, too_long)):
        with pytest.raises(ValueError, match="max_position_embeddings=6.*sinusoidal"):
            model(input_ids=source, decoder_input_ids=target)
    with pytest.raises(ValueError, match="max_position_embeddings=6"):  # position by position, from the cache
        model.generate(input_ids=fits, max_new_tokens=7, suppress_tokens=[1])
    assert model.generate(input_ids=fits, max_new_tokens=6, suppress_tokens=[1]).shape == (1, 7)


# ---------------------------------------------------------------------------------------------------------------------
# Tied and untied embeddings
# ---------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_tied_weights_stay_one_matrix(small_model, tmp_path):
    model = small_model(torch.float32)
    assert are_one(embedding_matrices(model))
    assert are_one(embedding_matrices(copy.deepcopy(model)))
    assert are_one(embedding_matrices(copy.deepcopy(model).bfloat16()))

    model.save_pretrained(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert sum(len(tensor) == model.config.vocab_size for tensor in saved.values()) == 1
    for dtype in (torch.float32, torch.bfloat16):
        loaded = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path / "saved", dtype=dtype)
        assert are_one(embedding_matrices(loaded))
        assert torch.equal(loaded.lm_head.weight, model.lm_head.weight.to(dtype))

    model.resize_token_embeddings(23)
    assert are_one(embedding_matrices(model))
    model.save_pretrained(tmp_path / "resized")
    resized = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path / "resized")
    assert are_one(embedding_matrices(resized)) and resized.lm_head.weight.shape == (23, 12)
    assert torch.equal(resized.lm_head.weight, model.lm_head.weight)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("size", [23, 15])
@torch.no_grad()
def test_resizing_keeps_the_old_tokens_logits(size, tied, small_model):
    model = small_model(tie_word_embeddings=tied)
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4]])
    before = model(input_ids=source, decoder_input_ids=target).logits
    model.resize_token_embeddings(size)
    after = model(input_ids=source, decoder_input_ids=target).logits
    assert after.shape == (1, 3, size) and model.config.vocab_size == size
    assert {len(matrix) for matrix in embedding_matrices(model)} == {size}
    kept = min(size, 19)
    assert greatest_difference(before[..., :kept], after[..., :kept]) < 1e-12
    labels = torch.tensor([[size - 1, 1]])
    assert torch.isfinite(model(input_ids=source, labels=labels).loss)


@torch.no_grad()
def test_an_untied_model_has_three_matrices_through_saving_and_loading(small_model, tmp_path):
    model = small_model(torch.float32, tie_word_embeddings=False)
    matrices = embedding_matrices(model)
    assert len({matrix.data_ptr() for matrix in matrices}) == 3
    assert not torch.equal(matrices[0], matrices[1]) and not torch.equal(matrices[0], matrices[2])
    model.save_pretrained(tmp_path)
    loaded = embedding_matrices(VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path))
    assert len({matrix.data_ptr() for matrix in loaded}) == 3
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(matrices, loaded, strict=True))


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@torch.no_grad()
def test_new_input_embeddings_keep_the_ties(tied, small_model):
    model = small_model(tie_word_embeddings=tied)
    embedding = nn.Embedding(19, 12, dtype=torch.float64)
    model.set_input_embeddings(embedding)
    assert model.get_input_embeddings() is embedding
    model.tie_weights()
    assert are_one(embedding_matrices(model)) == tied


# ---------------------------------------------------------------------------------------------------------------------
# Saving, loading, initialising
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["as the base model", "d_k unlike d_v", "learned positions", "untied embeddings"])
@torch.no_grad()
def test_a_saved_model_gives_bit_identical_logits(variant, small_model, batch, tmp_path):
    model = small_model(torch.float32, **VARIANTS[variant])
    model.save_pretrained(tmp_path)
    loaded = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded(**batch.inputs).logits, model(**batch.inputs).logits)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    body = VanillaTransformerModel.from_pretrained(tmp_path)
    assert torch.equal(body(**batch.inputs).last_hidden_state, model.model(**batch.inputs).last_hidden_state)


def assert_distribution(name: str, tensor: torch.Tensor, d_model: int):
    """Holds a freshly initialised weight against the distribution that it must come from."""
    if "embed" in name or "lm_head" in name:
        assert tensor.std().item() == pytest.approx(d_model**-0.5, rel=0.05), name
        assert tensor.abs().max() > 2.5 * d_model**-0.5, name  # a normal distribution has tails
    elif "layer_norm.weight" in name:
        assert torch.equal(tensor, torch.ones_like(tensor)), name
    elif name.endswith("bias"):
        assert torch.equal(tensor, torch.zeros_like(tensor)), name
    else:
        fan_out, fan_in = tensor.shape
        gain = 1 / math.sqrt(2) if re.search(r"\.[qkv]_proj\.", name) else 1.0
        bound = gain * math.sqrt(6 / (fan_in + fan_out))
        assert 0.98 * bound < tensor.abs().max() <= bound * (1 + 1e-6), name
        assert tensor.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name
    assert name.endswith(("bias", "layer_norm.weight")) or abs(tensor.mean()) < 0.05 * tensor.std() + 0.002, name


WIDE = dict(vocab_size=300, d_model=48, encoder_ffn_dim=96, decoder_ffn_dim=96, d_k=24, d_v=20)
WIDE |= dict(position_embedding_type="learned", max_position_embeddings=200)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_new_model_has_the_right_distributions(tied, small_config):
    torch.manual_seed(1)
    model = VanillaTransformerForConditionalGeneration(small_config(**WIDE, tie_word_embeddings=tied))
    for name, parameter in model.named_parameters():
        assert_distribution(name, parameter.detach(), 48)


def test_scaled_embeddings_begin_with_variance_one(small_config):
    torch.manual_seed(1)
    model = VanillaTransformerForConditionalGeneration(small_config(**WIDE))
    scaled = model.get_input_embeddings().weight * math.sqrt(48)
    assert scaled.var().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "missing",
    [".*", r".*(q|v)_proj\.weight", r".*(k|out)_proj\.weight", r".*fc1.*", r".*layer_norm.*", r".*embed_.*|lm_head.*"],
)
def test_weights_missing_from_a_checkpoint_get_the_right_distribution_and_the_others_are_kept(
    missing, tied, small_config, tmp_path
):
    model = VanillaTransformerForConditionalGeneration(small_config(**WIDE, tie_word_embeddings=tied))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not re.fullmatch(missing, name)}
    save_file(kept or {"unrelated": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    torch.manual_seed(1)
    loaded = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path)
    for name, parameter in loaded.named_parameters():
        assert not parameter.is_meta
        if re.fullmatch(missing, name):
            assert_distribution(name, parameter.detach(), 48)
        else:
            assert (parameter == 7).all(), name
    assert are_one(embedding_matrices(loaded)) == tied


def test_the_model_has_no_buffers_that_loading_could_leave_unset(small_model):
    assert not list(small_model().named_buffers())


# ---------------------------------------------------------------------------------------------------------------------
# Attention back ends
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["as the base model", "d_k unlike d_v", "unequal stacks"])
@torch.no_grad()
def test_eager_sdpa_and_flex_give_the_same_logits(variant, small_model, batch):
    logits = {}
    for attention in ("eager", "sdpa", "flex_attention"):
        model = small_model(torch.float32, attention, **VARIANTS[variant])
        assert model.config._attn_implementation == attention
        with torch.compiler.set_stance("force_eager"):  # compiling flex attention takes minutes here
            logits[attention] = model(**batch.inputs).logits[batch.inputs["decoder_attention_mask"] == 1]
    assert greatest_difference(logits["eager"], logits["sdpa"]) < 1e-5
    assert greatest_difference(logits["eager"], logits["flex_attention"]) < 1e-5


@torch.no_grad()
def test_sdpa_without_any_mask_is_causal_in_the_decoder_only(small_model):
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4, 7]])
    eager, sdpa = (
        small_model(attention=attention)(input_ids=source, decoder_input_ids=target).logits
        for attention in ("eager", "sdpa")
    )
    assert greatest_difference(eager, sdpa) < 1e-12


@torch.no_grad()
def test_an_attention_of_ones_own_is_used(small_model, batch):
    calls = []

    def doubled(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
        calls.append((module.is_causal, query.shape[-1], value.shape[-1]))
        scores = query @ key.transpose(-1, -2) * scaling
        scores = scores if attention_mask is None else scores + attention_mask
        return (scores.softmax(-1) @ value).transpose(1, 2), None

    AttentionInterface.register("of_our_own", doubled)
    AttentionMaskInterface.register("of_our_own", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model = small_model(attention="of_our_own", d_k=5, d_v=7)
    expected = small_model(attention="eager", d_k=5, d_v=7)(**batch.inputs).logits
    real = batch.inputs["decoder_attention_mask"] == 1
    assert greatest_difference(model(**batch.inputs).logits[real], expected[real]) < 1e-12
    # Two encoder layers, then two decoder layers of self-attention and cross-attention.
    assert [causal for causal, *_ in calls] == [False, False, True, False, True, False]
    assert {sizes for _, *sizes in map(tuple, calls) for sizes in [tuple(sizes)]} == {(5, 7)}


@pytest.fixture
def fake_flash():
    """Registers an attention named like the flash kernels, which need a GPU and a package of their own."""
    name = "flash_attention_2_of_a_test"

    def flash(module, query, key, value, attention_mask, scaling=None, is_causal=None, **kwargs):
        causal = module.is_causal and query.shape[2] > 1
        output = functional.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scaling)
        return output.transpose(1, 2), None

    AttentionInterface.register(name, flash)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS["flash_attention_2"])
    return name


@pytest.mark.parametrize(
    "sizes",
    [
        dict(d_k=5, d_v=7),
        dict(d_k=257, d_v=257),
        dict(d_v=8),
        dict(d_k=4, encoder_attention_heads=3, decoder_attention_heads=2),  # the decoder alone has d_v = 6
    ],
    ids=str,
)
@torch.no_grad()
def test_flash_attention_is_refused_where_it_cannot_serve(sizes, fake_flash, small_model):
    model = small_model(torch.float32, **sizes)
    model.config._attn_implementation = fake_flash
    d_k, d_v = model.config.head_sizes(model.config.decoder_attention_heads)
    with pytest.raises(ValueError, match=f"d_k={d_k}, d_v={d_v}.*sdpa"):
        model(input_ids=torch.tensor([[5, 1]]), decoder_input_ids=torch.tensor([[2, 4]]))


@pytest.mark.parametrize("sizes", [dict(), dict(d_k=256, d_v=256), dict(d_k=5, d_v=5)], ids=str)
@torch.no_grad()
def test_flash_attention_is_used_where_it_can_serve(sizes, fake_flash, small_model):
    inputs = dict(input_ids=torch.tensor([[5, 9, 1]]), decoder_input_ids=torch.tensor([[2, 4, 8, 3]]))
    expected = small_model(torch.float32, **sizes)(**inputs).logits
    model = small_model(torch.float32, **sizes)
    model.config._attn_implementation = fake_flash
    assert greatest_difference(model(**inputs).logits, expected) < 1e-5


# ---------------------------------------------------------------------------------------------------------------------
# What the model returns
# ---------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_output_attentions_returns_all_three_kinds(small_model, batch):
    sizes = dict(encoder_layers=1, decoder_layers=3, encoder_attention_heads=4, decoder_attention_heads=2)
    model = small_model(attention="eager", **sizes)
    outputs = model(**batch.inputs, output_attentions=True)
    assert [tuple(weights.shape) for weights in outputs.encoder_attentions] == [(3, 4, 7, 7)]
    assert [tuple(weights.shape) for weights in outputs.decoder_attentions] == [(3, 2, 7, 7)] * 3
    assert [tuple(weights.shape) for weights in outputs.cross_attentions] == [(3, 2, 7, 7)] * 3

    source_padding, target_padding = batch.inputs["attention_mask"] == 0, batch.inputs["decoder_attention_mask"] == 0
    for weights in (*outputs.encoder_attentions, *outputs.cross_attentions):
        assert greatest_difference(weights.sum(-1), torch.ones(weights.shape[:-1])) < 1e-12
        assert (weights.movedim(-1, 1)[source_padding] == 0).all()
        assert (weights.movedim(-1, 1)[~source_padding] > 0).all()
    for weights in outputs.decoder_attentions:
        assert greatest_difference(weights.sum(-1), torch.ones(weights.shape[:-1])) < 1e-12
        assert (weights.movedim(-1, 1)[target_padding] == 0).all()
        assert (weights.triu(1) == 0).all()
    assert model(**batch.inputs).encoder_attentions is None


@torch.no_grad()
def test_output_hidden_states_returns_the_embeddings_and_every_layers_output(small_model, batch):
    model = small_model(encoder_layers=1, decoder_layers=3)
    outputs = model(**batch.inputs, output_hidden_states=True)
    assert len(outputs.encoder_hidden_states) == 2 and len(outputs.decoder_hidden_states) == 4
    assert {tuple(states.shape) for states in outputs.encoder_hidden_states} == {(3, 7, 12)}
    assert {tuple(states.shape) for states in outputs.decoder_hidden_states} == {(3, 7, 12)}
    assert torch.equal(outputs.encoder_hidden_states[-1], outputs.encoder_last_hidden_state)
    assert torch.equal(model.lm_head(outputs.decoder_hidden_states[-1]), outputs.logits)
    oracle = Oracle(model.state_dict(), model.config)
    expected = torch.from_numpy(oracle.embed("model.decoder", batch.targets[1]))
    assert greatest_difference(outputs.decoder_hidden_states[0][1], expected) < 1e-12


@torch.no_grad()
def test_a_tuple_is_returned_when_asked_for(small_model, batch):
    model = small_model()
    outputs = model(**batch.inputs, use_cache=False, return_dict=False)
    assert isinstance(outputs, tuple) and torch.equal(outputs[0], model(**batch.inputs).logits)


@torch.no_grad()
def test_logits_to_keep_keeps_the_last_or_the_named_positions(small_model, batch):
    model = small_model()
    logits = model(**batch.inputs).logits
    for kept in (1, 3):
        assert greatest_difference(model(**batch.inputs, logits_to_keep=kept).logits, logits[:, -kept:]) < 1e-12
    positions = torch.tensor([0, 4])
    assert greatest_difference(model(**batch.inputs, logits_to_keep=positions).logits, logits[:, positions]) < 1e-12
    with pytest.raises(ValueError, match="logits_to_keep"):
        model(**batch.inputs, labels=batch.inputs["decoder_input_ids"], logits_to_keep=1)


@torch.no_grad()
def test_embeddings_may_be_given_in_place_of_ids(small_model, batch):
    model = small_model()
    inputs = dict(batch.inputs)
    inputs["inputs_embeds"] = model.model.encoder.embed_tokens(inputs.pop("input_ids"))
    inputs["decoder_inputs_embeds"] = model.model.decoder.embed_tokens(inputs.pop("decoder_input_ids"))
    assert torch.equal(model(**inputs).logits, model(**batch.inputs).logits)


def test_neither_or_both_of_ids_and_embeddings_is_an_error(small_model, batch):
    model, ids = small_model(), batch.inputs["input_ids"]
    embeddings = model.get_input_embeddings()(ids)
    for inputs in (dict(), dict(input_ids=ids, inputs_embeds=embeddings)):
        with pytest.raises(ValueError, match="exactly one"):
            model(**inputs, decoder_input_ids=ids)
    for inputs in (dict(), dict(decoder_input_ids=ids, decoder_inputs_embeds=embeddings)):
        with pytest.raises(ValueError, match="exactly one"):
            model(input_ids=ids, **inputs)


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------


def loss_and_gradients(model: nn.Module, **inputs) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_changes_neither_loss_nor_gradients(use_reentrant, small_model, batch):
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    inputs |= dict(labels=torch.tensor([[8, 4, 1], [11, 1, -100], [1, -100, -100]]), label_smoothing=0.1)
    model = small_model().train()
    loss, gradients = loss_and_gradients(model, **inputs)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=dict(use_reentrant=use_reentrant))
    assert model.is_gradient_checkpointing
    loss_again, gradients_again = loss_and_gradients(model, **inputs)
    assert loss_again == loss
    for name, gradient in gradients.items():
        if use_reentrant:  # sums a gradient's parts in another order
            assert greatest_difference(gradients_again[name], gradient) < 1e-15
        else:
            assert torch.equal(gradients_again[name], gradient)


def test_every_parameter_gets_a_gradient(small_model, batch):
    model = small_model(tie_word_embeddings=False, position_embedding_type="learned", max_position_embeddings=7)
    model.train()
    labels = torch.tensor([[8, 4, 1], [11, 1, -100], [1, -100, -100]])
    _, gradients = loss_and_gradients(model, input_ids=batch.inputs["input_ids"], labels=labels)
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values())


def test_the_models_loss_is_unsmoothed_unless_asked(small_model):
    inputs = dict(input_ids=torch.tensor([[5, 1]]), labels=torch.tensor([[8, 1]]))
    model = small_model()
    outputs = model(**inputs)
    expected = functional.cross_entropy(outputs.logits[0], inputs["labels"][0])
    assert outputs.loss.item() == pytest.approx(expected.item(), abs=1e-12)
    assert model(**inputs, label_smoothing=0.1).loss.item() != pytest.approx(expected.item(), abs=1e-3)


@pytest.mark.parametrize("number", [int, torch.tensor])
def test_accumulated_batches_of_uneven_size_give_the_gradient_of_the_large_one(number, small_model, padded):
    sources = [[5, 9, 3, 14, 1], [6, 6, 1], [7, 8, 1], [12, 1]]
    labels = [[8, 4, 10, 13, 17, 9, 1], [11, 1], [3, -100, 1], [1]]
    total = number(12)  # labels that count

    def micro_batch(first: int, last: int) -> dict[str, torch.Tensor]:
        input_ids, attention_mask = padded(sources[first:last])
        return dict(
            input_ids=input_ids,
            attention_mask=attention_mask,
            labels=padded(labels[first:last], value=-100)[0],
            label_smoothing=0.1,
        )

    model = small_model().train()
    expected_loss, expected = loss_and_gradients(model, **micro_batch(0, 4))
    for cuts in ((0, 1, 4), (0, 1, 2, 3, 4)):
        model.zero_grad()
        loss = 0.0
        for first, last in zip(cuts, cuts[1:], strict=False):
            part = model(**micro_batch(first, last), num_items_in_batch=total).loss
            part.backward()
            loss += part.item()
        assert loss == pytest.approx(expected_loss, abs=1e-12)
        for name, parameter in model.named_parameters():
            assert greatest_difference(parameter.grad, expected[name]) < 1e-12


def test_labels_are_shifted_right_behind_the_start_token():
    labels = torch.tensor([[8, 4, 1], [7, 1, -100], [-100, 9, 1]])
    before = labels.clone()
    shifted = shift_right(labels, pad_token_id=0, decoder_start_token_id=2)
    assert shifted.tolist() == [[2, 8, 4], [2, 7, 1], [2, 0, 9]]
    assert torch.equal(labels, before)


@torch.no_grad()
def test_the_decoder_reads_the_labels_shifted_right_unless_given_its_input(small_model):
    model, source = small_model(), torch.tensor([[5, 9, 1]])
    labels, read = torch.tensor([[8, 4, 1]]), torch.tensor([[2, 8, 4]])
    assert model.prepare_decoder_input_ids_from_labels(labels=labels).tolist() == read.tolist()
    by_labels = model(input_ids=source, labels=labels)
    assert torch.equal(by_labels.logits, model(input_ids=source, decoder_input_ids=read).logits)
    assert by_labels.past_key_values is None
    other = model(input_ids=source, labels=labels, decoder_input_ids=torch.tensor([[2, 9, 9]]))
    assert not torch.equal(by_labels.logits, other.logits)


# ---------------------------------------------------------------------------------------------------------------------
# Compilation
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention, variant", [("eager", "learned positions"), ("sdpa", "as the base model")])
def test_forward_and_backward_compile_into_one_graph(attention, variant, small_model, batch):
    torch.compiler.reset()
    model = small_model(attention=attention, **VARIANTS[variant]).train()
    inputs = dict(batch.inputs, labels=batch.inputs["decoder_input_ids"], label_smoothing=0.1)
    expected_loss, expected = loss_and_gradients(model, **inputs)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    model.zero_grad()
    outputs = compiled(**inputs)
    outputs.loss.backward()
    assert outputs.loss.item() == pytest.approx(expected_loss, abs=1e-12)
    for name, parameter in model.named_parameters():
        assert greatest_difference(parameter.grad, expected[name]) < 1e-12


@torch.no_grad()
def test_a_decoding_step_with_a_static_cache_compiles_into_one_graph(small_model):
    torch.compiler.reset()
    model = small_model()
    source, target = torch.tensor([[5, 9, 3, 1]]), torch.tensor([[2, 8, 4, 10, 7]])
    expected = model(input_ids=source, decoder_input_ids=target).logits
    encoder_outputs = model.get_encoder()(source)
    cache = static_cache(model.config.get_text_config(decoder=True), source_length=4)
    first = model(encoder_outputs=encoder_outputs, decoder_input_ids=target[:, :1], past_key_values=cache)
    compiled, logits = torch.compile(model, fullgraph=True, backend="eager"), [first.logits]
    for i in range(1, 5):
        step = target[:, i : i + 1]
        logits.append(compiled(encoder_outputs=encoder_outputs, decoder_input_ids=step, past_key_values=cache).logits)
    assert greatest_difference(torch.cat(logits, dim=1), expected) < 1e-12


@pytest.mark.slow
@torch.no_grad()
def test_the_compiled_model_gives_the_same_logits(small_model, batch):
    torch.compiler.reset()
    model = small_model(torch.float32, encoder_layers=1, decoder_layers=1)
    expected = model(**batch.inputs).logits
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager_decomp_partition")  # all but its code for CPUs
    assert greatest_difference(compiled(**batch.inputs).logits, expected) < 1e-5


def test_a_saved_configuration_names_the_class_for_both_auto_classes(small_model, tmp_path):
    small_model().save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert {name: entry.split(".")[-1] for name, entry in auto_map.items()} == {
        "AutoConfig": "VanillaTransformerConfig",
        "AutoModel": "VanillaTransformerModel",
        "AutoModelForSeq2SeqLM": "VanillaTransformerForConditionalGeneration",
    }


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_without_a_head_resizes_both_embeddings_too(small_model, tied):
    model = small_model(tie_word_embeddings=tied).model
    model.resize_token_embeddings(29)
    assert model.encoder.embed_tokens.num_embeddings == model.decoder.embed_tokens.num_embeddings == 29
    assert (model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight) == tied


def test_a_missing_start_token_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="decoder_start_token_id=None"):
        shift_right(torch.tensor([[5, 1]]), 0, None)

"""What the tests of the model share: tiny models with random weights, and batches for them."""

from types import SimpleNamespace

import pytest
import torch
from transformers import logging

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    paper_generation_config,
)

logging.disable_progress_bar()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny matrices are multiplied fastest, and everywhere alike, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_config():
    """Returns a function: a tiny configuration without dropout, with the changes that it is given."""

    def build(**changes) -> VanillaTransformerConfig:
        sizes = dict(vocab_size=19, d_model=12, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=20)
        sizes |= dict(decoder_ffn_dim=20, encoder_attention_heads=3, decoder_attention_heads=3, dropout=0.0)
        return VanillaTransformerConfig(**{**sizes, **changes})

    return build


@pytest.fixture(scope="session")
def randomise():
    """Returns a function that gives every parameter of a model random values, biases and layer norms too."""

    @torch.no_grad()
    def fill(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3
            parameter.copy_(1 + values if "layer_norm.weight" in name else values)
        return model

    return fill


@pytest.fixture(scope="session")
def small_model(small_config, randomise):
    """Returns a function: a tiny model in evaluation mode with random weights, by configuration changes."""

    def build(dtype=torch.float64, attention="sdpa", seed=0, **changes) -> VanillaTransformerForConditionalGeneration:
        model = VanillaTransformerForConditionalGeneration(small_config(**changes)).to(dtype).eval()
        model.set_attn_implementation(attention)
        return randomise(model, seed)

    return build


@pytest.fixture(scope="session")
def published(small_model, tmp_path_factory) -> SimpleNamespace:
    """A tiny model in float64 and its tokenizer, and the folder that both are saved to."""
    text = ["The cat sleeps on the mat.", "Die Katze schläft auf der Matte."] * 3
    tokenizer = VanillaTransformerTokenizer.train(text, vocab_size=320, show_progress=False)
    model = small_model(vocab_size=len(tokenizer))
    model.generation_config = paper_generation_config(model.config, max_length_offset=2)
    folder = tmp_path_factory.mktemp("published") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return SimpleNamespace(model=model, tokenizer=tokenizer, folder=folder)


@pytest.fixture(scope="session")
def padded():
    """Returns a function: sentences as (ids, mask), both (sentences, longest length), padded at the right."""

    def pad(sentences: list[list[int]], value: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, sentences))
        ids = torch.tensor([sentence + [value] * (longest - len(sentence)) for sentence in sentences])
        mask = torch.tensor([[1] * len(sentence) + [0] * (longest - len(sentence)) for sentence in sentences])
        return ids, mask

    return pad


@pytest.fixture(scope="session")
def batch(padded):
    """Sentence pairs of uneven lengths, as lists and as the model's padded tensors."""
    sources = [[5, 9, 3, 14, 7, 18, 1], [6, 6, 12, 1], [1]]
    targets = [[2, 8, 4, 10], [2, 11, 3, 17, 5, 5, 9], [2]]
    (input_ids, attention_mask), (decoder_input_ids, decoder_mask) = padded(sources), padded(targets)
    inputs = dict(input_ids=input_ids, attention_mask=attention_mask, decoder_input_ids=decoder_input_ids)
    inputs["decoder_attention_mask"] = decoder_mask
    return SimpleNamespace(sources=sources, targets=targets, inputs=inputs)

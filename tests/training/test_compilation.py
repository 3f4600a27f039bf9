"""A model prepared for speed computes the same, and compiles once for each kind of layer, never again."""

import copy
import functools
import itertools

import pytest
import torch
from torch import nn

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, named_configuration
from training.compilation import prepare_for_training, uncompiled


def miniature(**changes) -> VanillaTransformerForConditionalGeneration:
    torch.manual_seed(0)
    config = named_configuration("miniature")
    for name, value in dict(dropout=0.0, **changes).items():
        setattr(config, name, value)
    return VanillaTransformerForConditionalGeneration(config).train()


def batch(sentences: int, source_length: int, target_length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch of random tokens, one of them padding on each side."""
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(3, 64, (sentences, source_length), generator=generator)
    labels = torch.randint(3, 64, (sentences, target_length), generator=generator)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[0, -1], labels[0, -1] = 0, -100
    return dict(input_ids=input_ids, attention_mask=attention_mask, labels=labels)


def losses(model: nn.Module, batches: list[dict[str, torch.Tensor]]) -> list[float]:
    """The losses of some updates, one a batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    values = []
    for inputs in batches:
        loss = model(**inputs, label_smoothing=0.1, return_logits=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(loss.item())
    return values


@pytest.fixture
def graphs(monkeypatch) -> list[torch.fx.GraphModule]:
    """The graphs compiled so far, by a compiler that runs them as they are."""
    torch.compiler.reset()
    compiled: list[torch.fx.GraphModule] = []

    def note(graph: torch.fx.GraphModule, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend=note))
    return compiled


def numbers_of(graph: torch.fx.GraphModule) -> list[str]:
    """The names of the numbers that compiled code gets at each call."""
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    return [node.name for node in inputs if not isinstance(node.meta["example_value"], torch.Tensor)]


SHAPES = [(4, 7, 5), (6, 5, 9), (3, 9, 6)]


def test_each_kind_of_layer_is_compiled_once_for_all_shapes(graphs):
    model = miniature(encoder_layers=3, decoder_layers=3)
    names = list(model.state_dict())
    prepare_for_training(model, compile=True)
    # In the first batch, sentences, lengths and heads are as many, which they need not be later.
    for shape in [(4, 4, 4), (4, 7, 5), (6, 5, 9), (3, 9, 6), *((3, length, length) for length in range(2, 12))]:
        losses(model, [batch(*shape)])
        # The six layers are of two kinds, and there is the pass over the logits.
        assert len(graphs) == 3
        without_padding = torch.ones(*shape[:2], dtype=torch.long)
        losses(model, [dict(batch(*shape), attention_mask=without_padding)])
        assert len(graphs) == 3
    assert list(model.state_dict()) == names
    # Unknown are sentences and source length; these and target length; tokens and vocabulary.
    assert [len(numbers_of(graph)) for graph in graphs] == [2, 3, 2]


def test_sizes_of_one_are_compiled_too(graphs):
    """PyTorch takes each for a kind of its own, and stops at eight kinds by default."""
    model = miniature()
    prepare_for_training(model, compile=True)
    shapes = [*itertools.product((4, 1), (7, 1), (5, 1)), (5, 6, 8), (1, 9, 3)]
    batches = [batch(*shape) for shape in shapes]
    for inputs in batches:  # none of them is without any token
        inputs["attention_mask"][0, 0], inputs["labels"][0, 0] = 1, 5
    expected = losses(miniature(), batches)
    assert losses(model, batches) == pytest.approx(expected, rel=1e-5)
    compiled = len(graphs)
    assert losses(model, batches) and len(graphs) == compiled > 10  # which that would make of these


def test_validation_and_search_compile_nothing(graphs):
    model = miniature().eval()
    prepare_for_training(model, compile=True)
    with uncompiled(), torch.no_grad():
        model(**batch(4, 7, 5), return_logits=False)
        model.generate(batch(4, 7, 5)["input_ids"], max_new_tokens=4, num_beams=2)
    assert not graphs
    losses(model.train(), [batch(4, 7, 5)])
    assert len(graphs) == 3


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
def test_the_compiled_model_has_the_same_losses(checkpointing, graphs):
    batches = [batch(*shape, seed=seed) for seed in range(3) for shape in SHAPES]
    expected = losses(miniature(), batches)
    model = miniature()
    prepare_for_training(model, compile=True)
    if checkpointing:
        model.gradient_checkpointing_enable()
    assert losses(model, batches) == pytest.approx(expected, rel=1e-5)
    assert expected[-1] != pytest.approx(expected[0], rel=1e-2) and graphs


def test_pytorchs_own_compiler_gives_the_same_losses_and_is_called_once(monkeypatch):
    monkeypatch.setattr(torch._inductor.config.cpp, "simdlen", 1)  # a third less to compile
    torch.compiler.reset()
    torch._dynamo.utils.compilation_time_metrics.clear()
    batches = [batch(*shape, seed=seed) for seed in range(2) for shape in SHAPES]
    model = miniature(encoder_layers=1, decoder_layers=1)
    compiled = copy.deepcopy(model)
    prepare_for_training(compiled, compile=True)
    assert losses(compiled, batches) == pytest.approx(losses(model, batches), rel=1e-5)
    compilations = torch._dynamo.utils.compilation_time_metrics
    assert len(compilations["compile_attempt_0"]) == 3 and "compile_attempt_1" not in compilations


def test_a_prepared_model_uses_the_attention_that_is_fastest_for_short_sentences():
    model = miniature()
    prepare_for_training(model)
    assert model.config._attn_implementation == "eager"
    prepare_for_training(model, attention="sdpa")
    assert model.config._attn_implementation == "sdpa"
    assert all(layer._compiled_call_impl is None for layer in model.modules())

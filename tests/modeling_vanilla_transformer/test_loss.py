"""The loss is the label-smoothed cross entropy of section 5.4, with all logits at hand and, the same, without them."""

import copy
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from modeling_vanilla_transformer import loss_vanilla_transformer as loss_module
from modeling_vanilla_transformer.loss_vanilla_transformer import label_smoothed_cross_entropy

# Probabilities 1/2, 1/4, 1/8, 1/8: their logarithms are -1, -2, -3, -3 times log 2.
LOG_2 = math.log(2)
HAND_MADE_LOGITS = torch.tensor([[[-1.0, -2.0, -3.0, -3.0]] * 3], dtype=torch.float64) * LOG_2


@pytest.mark.parametrize(
    "label, smoothing, expected",
    [
        (0, 0.0, 1.0),
        (1, 0.0, 2.0),
        (2, 0.0, 3.0),
        (0, 0.1, 0.9 * 1 + 0.1 / 4 * 9),  # the mean of 1, 2, 3, 3 over all four words is 9 / 4
        (1, 0.1, 2.025),
        (3, 0.1, 2.925),
        (0, 0.4, 1.5),
    ],
)
def test_the_smoothed_loss_of_one_token_is_what_one_works_out_by_hand(label, smoothing, expected):
    logits = HAND_MADE_LOGITS[:, :1] + 5  # a constant makes no difference
    loss = label_smoothed_cross_entropy(logits, torch.tensor([[label]]), label_smoothing=smoothing)
    assert loss.item() == pytest.approx(expected * LOG_2, abs=1e-14)


def test_the_loss_is_the_mean_over_labels_that_count_or_the_sum_over_a_given_number():
    labels = torch.tensor([[0, -100, 3]])
    loss = label_smoothed_cross_entropy(HAND_MADE_LOGITS, labels, label_smoothing=0.1)
    assert loss.item() == pytest.approx((1.125 + 2.925) / 2 * LOG_2, abs=1e-14)
    for number in (10, torch.tensor(10), torch.tensor(10.0)):
        loss = label_smoothed_cross_entropy(HAND_MADE_LOGITS, labels, label_smoothing=0.1, num_items_in_batch=number)
        assert loss.item() == pytest.approx((1.125 + 2.925) / 10 * LOG_2, abs=1e-14)


def test_a_label_that_does_not_count_gets_no_gradient():
    logits = HAND_MADE_LOGITS.clone().requires_grad_()
    label_smoothed_cross_entropy(logits, torch.tensor([[0, -100, 3]]), label_smoothing=0.1).backward()
    assert (logits.grad[0, 1] == 0).all() and (logits.grad[0, [0, 2]] != 0).all()


def test_the_loss_of_half_precision_logits_is_summed_in_single_precision():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 50, 3000).bfloat16(), torch.randint(0, 3000, (2, 50))
    loss = label_smoothed_cross_entropy(logits, labels, label_smoothing=0.1)
    exact = label_smoothed_cross_entropy(logits.double(), labels, label_smoothing=0.1)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("return_logits", [True, False])
@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 1.5, math.nan])
def test_a_label_smoothing_outside_its_range_is_an_error(smoothing, return_logits, small_model):
    inputs = dict(input_ids=torch.tensor([[5, 1]]), labels=torch.tensor([[8, 1]]), return_logits=return_logits)
    with pytest.raises(ValueError, match=r"label_smoothing=.*\[0, 1\)"):
        small_model()(**inputs, label_smoothing=smoothing)


# ---------------------------------------------------------------------------------------------------------------------
# Without logits
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def training_batch(padded) -> dict[str, torch.Tensor]:
    """Sentence pairs of uneven lengths with 12 labels that count, some of those that don't amid the others."""
    input_ids, attention_mask = padded([[5, 9, 3, 14, 1], [6, 6, 1], [7, 8, 1], [12, 1]])
    labels, _ = padded([[8, 4, 10, 13, 17, 9, 1], [11, 1], [3, -100, 1], [1]], value=-100)
    return dict(input_ids=input_ids, attention_mask=attention_mask, labels=labels)


@pytest.fixture
def chunks_of(monkeypatch):
    """Returns a function that sets how many tokens a chunk has at most."""

    def set_size(tokens: int):
        monkeypatch.setattr(loss_module, "CPU_CHUNK", 0)
        monkeypatch.setattr(loss_module, "FEWEST_TOKENS", tokens)

    return set_size


def loss_and_gradients(model: nn.Module, **inputs) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    outputs = model(**inputs)
    assert (outputs.logits is None) == (not inputs.get("return_logits", True))
    outputs.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return outputs.loss.detach(), gradients


def greatest_relative_difference(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """Of each tensor, relative to its own greatest value; the greatest of these."""
    assert some.keys() == others.keys()
    return max(((some[name] - others[name]).abs().max() / others[name].abs().max()).item() for name in others)


@pytest.mark.parametrize("tokens", [1, 5, 6, 12, 100])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("smoothing, number", [(0.0, None), (0.1, None), (0.1, 31), (0.1, torch.tensor(31.0))])
def test_loss_and_gradients_without_logits_are_those_with_them(
    tokens, tied, smoothing, number, small_model, training_batch, chunks_of
):
    chunks_of(tokens)
    model = small_model(tie_word_embeddings=tied).train()
    inputs = dict(training_batch, label_smoothing=smoothing, num_items_in_batch=number)
    loss, gradients = loss_and_gradients(model, **inputs)
    loss_alone, gradients_alone = loss_and_gradients(model, **inputs, return_logits=False)
    assert loss_alone.item() == pytest.approx(loss.item(), rel=1e-14)
    assert len(gradients) == len(list(model.parameters()))
    assert greatest_relative_difference(gradients_alone, gradients) < 1e-12


@pytest.mark.parametrize("frozen", ["the output matrix", "all but the output matrix"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_the_same(frozen, small_model, training_batch):
    model = small_model(tie_word_embeddings=False).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad = (name == "lm_head.weight") == (frozen != "the output matrix")
    _, gradients = loss_and_gradients(model, **training_batch)
    _, gradients_alone = loss_and_gradients(model, **training_batch, return_logits=False)
    assert greatest_relative_difference(gradients_alone, gradients) < 1e-12


def test_a_batch_without_labels_that_count_has_no_loss_and_gradients_of_zero(small_model, training_batch):
    training_batch["labels"] = torch.full_like(training_batch["labels"], -100)
    training_batch["decoder_input_ids"] = training_batch["labels"].abs() % 19
    loss, gradients = loss_and_gradients(small_model(), **training_batch, num_items_in_batch=7, return_logits=False)
    assert loss == 0 and gradients and all((gradient == 0).all() for gradient in gradients.values())


def test_great_logits_overflow_nowhere(small_model, training_batch):
    model = small_model(torch.float32)
    with torch.no_grad():
        model.lm_head.weight *= 1000  # most probabilities are zero in float32, the true token's too
    inputs = dict(training_batch, label_smoothing=0.1)
    expected, expected_gradients = loss_and_gradients(copy.deepcopy(model).double(), **inputs)
    loss, gradients = loss_and_gradients(model, **inputs, return_logits=False)
    assert expected > 1000 and loss.item() == pytest.approx(expected.item(), rel=1e-5)
    name = "model.decoder.layers.1.feed_forward.fc2.bias"
    assert torch.allclose(gradients[name].double(), expected_gradients[name], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16], ids=["autocast", "weights in bfloat16"])
def test_bfloat16_stays_close_to_single_precision(parameters, small_model, training_batch):
    inputs = dict(training_batch, label_smoothing=0.1, return_logits=False)
    expected, expected_gradients = loss_and_gradients(small_model(torch.float32), **inputs)
    model = small_model(torch.float32).to(parameters)
    products = []
    model.projected_loss.token_loss.register_forward_pre_hook(lambda _, arguments: products.append(arguments[0].dtype))
    with torch.autocast("cpu", torch.bfloat16, enabled=parameters == torch.float32):
        loss, gradients = loss_and_gradients(model, **inputs)
    assert set(products) == {torch.bfloat16}
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected.item(), rel=1e-2)
    assert {gradient.dtype for gradient in gradients.values()} == {parameters}
    together, expected_together = (
        torch.cat([t.flatten().float() for t in g.values()]) for g in (gradients, expected_gradients)
    )
    assert nn.functional.cosine_similarity(together, expected_together, dim=0) > 0.99


def test_the_sum_over_the_vocabulary_is_kept_in_single_precision_under_autocast(small_model):
    torch.manual_seed(0)
    states, matrix = torch.randn(1, 40, 64), torch.randn(5000, 64) / 8
    labels = torch.randint(0, 5000, (1, 40))
    projected_loss = small_model().projected_loss
    with torch.autocast("cpu", torch.bfloat16):
        logits = states @ matrix.t()
        loss = projected_loss(states.requires_grad_(), matrix, labels, 0.1)
    assert logits.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(label_smoothed_cross_entropy(logits.double(), labels, 0.1).item(), rel=1e-5)


def test_the_matrixs_gradient_is_summed_over_chunks_in_single_precision(chunks_of, small_model):
    """In bfloat16 a sum of many small parts stops growing at 256 times a part."""
    chunks_of(1)
    states = torch.ones(1, 2000, 4, dtype=torch.bfloat16)
    matrix = torch.zeros(2, 4, dtype=torch.bfloat16, requires_grad=True)
    small_model().projected_loss(states, matrix, torch.zeros(1, 2000, dtype=torch.long), 0.0, 1).backward()
    assert matrix.grad.dtype == torch.bfloat16 and (matrix.grad[1] == 1000).all()


def test_a_scaled_loss_has_scaled_gradients_and_may_be_differentiated_twice_over(small_model, training_batch):
    model = small_model(torch.float32)
    _, expected = loss_and_gradients(model, **training_batch, return_logits=False)
    model.zero_grad()
    loss = model(**training_batch, return_logits=False).loss * 2.0**16  # as a gradient scaler does
    loss.backward(retain_graph=True)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, expected[name] * 2.0**17)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_in_evaluation_the_loss_is_the_same_and_no_gradients_are_computed(
    smoothing, small_model, training_batch, chunks_of
):
    chunks_of(5)
    model, inputs = small_model(), dict(training_batch, label_smoothing=smoothing)
    expected = model(**inputs).loss.item()
    model.projected_loss.token_loss.forward = None  # computes gradients: not to be called
    with torch.no_grad():
        outputs = model(**inputs, return_logits=False)
    assert outputs.logits is None and outputs.loss.item() == pytest.approx(expected, rel=1e-14)


class LargestTensor(TorchDispatchMode):
    """Notes how many elements the largest tensor has that any operation returns, backward ones included."""

    largest = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return result


@pytest.mark.parametrize("grad", [True, False], ids=["training", "evaluation"])
def test_without_logits_no_tensor_is_as_large_as_tokens_times_vocabulary(grad, small_model, chunks_of):
    chunks_of(64)
    torch.manual_seed(0)
    model = small_model(torch.float32, vocab_size=3000)
    ids, labels = torch.randint(3, 3000, (2, 16, 40))
    labels[:, 30:] = -100  # 480 labels count: 8 chunks of 60

    def largest(**options) -> int:
        with LargestTensor() as mode, torch.set_grad_enabled(grad):
            loss = model(input_ids=ids, labels=labels, label_smoothing=0.1, **options).loss
            if grad:
                loss.backward()
        return mode.largest

    assert largest() == 640 * 3000
    assert largest(return_logits=False) == 60 * 3000


def test_a_compiled_model_has_the_same_loss_without_logits(small_model, training_batch):
    torch.compiler.reset()
    model = small_model().train()
    inputs = dict(training_batch, label_smoothing=0.1, return_logits=False)
    loss, gradients = loss_and_gradients(model, **inputs)
    compiled = torch.compile(model, backend="eager")
    model.zero_grad()
    compiled_loss = compiled(**inputs).loss
    compiled_loss.backward()
    assert compiled_loss.item() == pytest.approx(loss.item(), rel=1e-14)
    compiled_gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert greatest_relative_difference(compiled_gradients, gradients) < 1e-12


def test_neither_logits_nor_labels_is_an_error(small_model):
    with pytest.raises(ValueError, match="give labels, or leave return_logits at True"):
        small_model()(input_ids=torch.tensor([[5, 1]]), decoder_input_ids=torch.tensor([[2]]), return_logits=False)


def test_labels_of_another_shape_are_an_error(small_model):
    source, target = torch.tensor([[5, 6, 1]]), torch.tensor([[2, 3, 4, 5]])
    for labels in (target[:, :3], torch.tensor([[3, 4, 5, 6, 1]])):
        with pytest.raises(ValueError, match="one label for each position"):
            small_model()(input_ids=source, decoder_input_ids=target, labels=labels, return_logits=False)


def test_a_projection_that_is_more_than_a_matrix_has_the_same_loss_without_logits(small_model):
    source, labels = torch.tensor([[5, 6, 7, 1], [8, 9, 1, 0]]), torch.tensor([[3, 4, 1], [5, 1, -100]])
    adapted = get_peft_model(small_model(tie_word_embeddings=False), LoraConfig(r=2, target_modules=["lm_head"]))
    biased = small_model(tie_word_embeddings=False)
    biased.set_output_embeddings(nn.Linear(biased.config.d_model, biased.config.vocab_size).to(biased.dtype))
    for model in (adapted, biased):
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
        expected = model(input_ids=source, labels=labels).loss
        outputs = model(input_ids=source, labels=labels, return_logits=False)
        assert outputs.loss.item() == pytest.approx(expected.item()) and outputs.logits is None
    adapted(input_ids=source, labels=labels, return_logits=False).loss.backward()
    assert all(p.grad is not None for n, p in adapted.named_parameters() if "lora" in n)

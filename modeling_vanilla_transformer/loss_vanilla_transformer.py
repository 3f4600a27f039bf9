# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""The loss of training: cross entropy with label smoothing (section 5.4), with all logits or without holding them."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable

# The label of a position that takes no part in the loss.
IGNORE_INDEX = -100

# How many logits are held at a time. On a CPU that is what stays in its cache, as long as the products with so few
# tokens are still fast; on other devices what keeps all their cores at work, 1 GiB in float32.
CPU_CHUNK = 2**22
DEVICE_CHUNK = 2**28
FEWEST_TOKENS = 256


def label_smoothed_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    label_smoothing: float = 0.0,
    num_items_in_batch: torch.Tensor | int | None = None,
    **kwargs,
) -> torch.Tensor:
    """
    Cross entropy of `logits` (batch, length, vocabulary) with `labels` (batch, length), where a label of -100 does not
    count. With label smoothing epsilon (section 5.4), the target distribution is 1 - epsilon on the true token plus
    epsilon spread evenly over the whole vocabulary, the true token included.

    Returns the sum over tokens divided by `num_items_in_batch`; without it, by the number of labels that count. Give
    it the number of target tokens of the whole update, and accumulated or distributed batches sum to the gradient of
    one large batch. A label smoothing outside [0, 1) is a ValueError.
    """
    check_label_smoothing(label_smoothing)
    # Half precision is too coarse for a sum of exponentials over the vocabulary.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = labels.to(logits.device)
    loss = nn.functional.cross_entropy(
        logits.flatten(0, -2),
        labels.flatten(),
        ignore_index=IGNORE_INDEX,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return loss / number_of_items(labels, num_items_in_batch)


def check_label_smoothing(label_smoothing: float):
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing={label_smoothing}: it must lie in [0, 1); 0 turns it off.")


def number_of_items(labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None) -> torch.Tensor | int:
    """Returns what a summed loss is divided by: the number given, or that of the labels that count."""
    if num_items_in_batch is None:
        return (labels != IGNORE_INDEX).sum()
    if isinstance(num_items_in_batch, torch.Tensor):
        return num_items_in_batch.to(labels.device)
    return num_items_in_batch


class VanillaTransformerTokenLoss(nn.Module):
    """The loss of some tokens from their logits, and at once its gradient. `compile` makes one pass or two of it."""

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Returns the loss summed over the tokens of `logits` (tokens, vocabulary), whose `labels` (tokens,) all count,
        and its gradient (tokens, vocabulary) in the precision of `logits`: softmax(logits) minus the smoothed target.
        """
        precision = torch.promote_types(logits.dtype, torch.float32)
        probabilities = logits.softmax(dim=-1, dtype=precision)
        # The greatest probability is exp(greatest logit) / sum(exp(logits)) and never too small for its logarithm.
        log_sum = logits.amax(dim=-1, keepdim=True) - probabilities.amax(dim=-1, keepdim=True).log()  # (tokens, 1)
        labels = labels[:, None]
        true_logit = logits.gather(-1, labels)
        loss = log_sum - (1 - label_smoothing) * true_logit
        true_gradient = (true_logit - log_sum).exp() - (1 - label_smoothing)
        gradient = probabilities
        if label_smoothing > 0:
            loss = loss - label_smoothing * logits.mean(dim=-1, keepdim=True, dtype=precision)
            evenly = label_smoothing / logits.shape[-1]
            gradient = gradient.sub_(evenly)
            true_gradient = true_gradient - evenly
        return loss.sum(), gradient.to(logits.dtype).scatter_(-1, labels, true_gradient.to(logits.dtype))


class VanillaTransformerProjectedLoss(nn.Module):
    """
    What `label_smoothed_cross_entropy` makes of the decoder's output projected onto the vocabulary, a chunk of tokens
    at a time: neither all logits nor their gradients ever stand in memory, and labels that don't count cost nothing.
    """

    def __init__(self):
        super().__init__()
        self.token_loss = VanillaTransformerTokenLoss()

    @torch.compiler.disable  # how many labels count is known from the data only
    def forward(
        self,
        hidden_states: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        label_smoothing: float = 0.0,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """
        Returns the loss of the logits that `weight` (vocabulary, d_model) makes of `hidden_states` (batch, length,
        d_model), given `labels` (batch, length); other shapes are a ValueError. The other arguments and errors are
        those of `label_smoothed_cross_entropy`.
        """
        check_label_smoothing(label_smoothing)
        if labels.shape != hidden_states.shape[:-1]:
            raise ValueError(
                f"The labels have the shape {tuple(labels.shape)}, and the decoder's positions "
                f"{tuple(hidden_states.shape[:-1])}: give one label for each position."
            )
        labels = labels.to(hidden_states.device).flatten()
        hidden_states = hidden_states.flatten(0, -2)
        if torch.is_grad_enabled() and (hidden_states.requires_grad or weight.requires_grad):
            loss = _LossAndGradients.apply(hidden_states, weight, labels, label_smoothing, self.token_loss)
        else:
            loss = torch.zeros((), dtype=_precise(hidden_states), device=labels.device)
            products = _product_dtype(hidden_states)
            weight = weight.to(products)
            for tokens in _chunks(labels, len(weight)):
                logits = hidden_states[tokens].to(products) @ weight.t()
                loss += label_smoothed_cross_entropy(logits, labels[tokens], label_smoothing, num_items_in_batch=1)
        return loss / number_of_items(labels, num_items_in_batch)


class _LossAndGradients(torch.autograd.Function):
    """The summed loss, with its gradients already computed on the way forward, while a chunk's logits are there."""

    @staticmethod
    def forward(ctx, hidden_states, weight, labels, label_smoothing, token_loss):
        products = _product_dtype(hidden_states)
        matrix = weight.to(products)  # (vocabulary, d_model)
        loss = torch.zeros((), dtype=_precise(hidden_states), device=labels.device)
        hidden_gradient = torch.zeros_like(hidden_states) if ctx.needs_input_grad[0] else None
        weight_gradient = torch.zeros_like(weight, dtype=_precise(weight)) if ctx.needs_input_grad[1] else None
        for tokens in _chunks(labels, len(weight)):
            states = hidden_states[tokens].to(products)  # (tokens, d_model)
            chunk_loss, gradient = token_loss(states @ matrix.t(), labels[tokens], label_smoothing)
            loss += chunk_loss
            if hidden_gradient is not None:
                hidden_gradient[tokens] = (gradient @ matrix).to(hidden_gradient.dtype)
            if weight_gradient is None:
                continue
            if weight_gradient.dtype == products:
                weight_gradient.addmm_(gradient.t(), states)
            else:
                weight_gradient += gradient.t() @ states
        ctx.weight_dtype = weight.dtype
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, loss_gradient):
        hidden_gradient, weight_gradient = ctx.saved_tensors
        if hidden_gradient is not None:
            hidden_gradient = hidden_gradient * loss_gradient.to(hidden_gradient.dtype)
        if weight_gradient is not None:
            weight_gradient = (weight_gradient * loss_gradient).to(ctx.weight_dtype)
        return hidden_gradient, weight_gradient, None, None, None


def _precise(tensor: torch.Tensor) -> torch.dtype:
    """Returns the precision that sums are kept in: float32, or the tensor's own if that is finer."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _product_dtype(hidden_states: torch.Tensor) -> torch.dtype:
    """Returns the precision of matrix products, as a linear layer would choose it here."""
    device = hidden_states.device.type
    if torch.is_autocast_enabled(device) and hidden_states.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return hidden_states.dtype


def _chunks(labels: torch.Tensor, vocabulary: int) -> tuple[torch.Tensor, ...]:
    """Returns the places of the labels that count, in chunks of equal size."""
    places = (labels != IGNORE_INDEX).nonzero().squeeze(-1)
    logits = CPU_CHUNK if labels.device.type == "cpu" else DEVICE_CHUNK
    return places.tensor_split(-(-len(places) // max(logits // vocabulary, FEWEST_TOKENS))) if len(places) else ()

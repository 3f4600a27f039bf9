# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""Projections with 8-bit weights, for translating on a CPU in less time and memory; not the paper's, and not exact."""

import warnings

import torch
from torch import nn


class VanillaTransformerInt8Linear(nn.Module):
    """
    A projection whose weights are whole numbers from -127 to 127, with one scale for each output. Its input is rounded
    to 7 bits at every call (8 would overflow the 16-bit sums of CPUs without VNNI instructions), with one scale for
    all its rows: what shares a batch changes the result a little.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float().cpu()
        scales = weight.abs().amax(dim=1).clamp(min=torch.finfo(torch.float32).tiny).double() / 127
        zeros = torch.zeros_like(scales, dtype=torch.long)
        with warnings.catch_warnings():  # PyTorch means to replace these tensors, but by nothing yet that is as fast
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        bias = None if linear.bias is None else linear.bias.detach().float().cpu()
        self.packed = torch.ops.quantized.linear_prepack(rounded, bias)

    @property
    def weight(self) -> torch.Tensor:
        """The weights (outputs, inputs) that the whole numbers stand for."""
        return torch.ops.quantized.linear_unpack(self.packed)[0].dequantize()

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Returns the projection (..., outputs) of `hidden_states` (..., inputs), float32 on a CPU."""
        return torch.ops.quantized.linear_dynamic(hidden_states.float(), self.packed, True)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


def quantize_projections(model: nn.Module):
    """Replaces every `nn.Linear` in `model` by a [`VanillaTransformerInt8Linear`] of its weights."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, VanillaTransformerInt8Linear(module))

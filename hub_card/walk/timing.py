"""How long the encoder takes for all positions at once, and a recurrent network for one after the other."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

# Each network runs so often, and the shortest time counts: what other programs do meanwhile is not the network's.
ROUNDS = 5


@torch.inference_mode()
def measured_times(model, source: torch.Tensor) -> dict[str, Any]:
    """
    Returns milliseconds, measured here and now on the CPU, for `source` (1, length): of the encoder, which sees all
    positions at once, and of PyTorch's LSTM of the same width and depth, with random weights, which must finish a
    position before it begins the next; and the parameters of both.
    """
    config, encoder = model.config, model.model.encoder
    layers, width = config.encoder_layers, config.d_model
    recurrent = nn.LSTM(width, width, num_layers=layers, batch_first=True).eval()
    embeddings = encoder.embed_tokens(source)  # (1, length, d_model)
    return {
        "encoder": _milliseconds(lambda: encoder(inputs_embeds=embeddings)),
        "recurrent": _milliseconds(lambda: recurrent(embeddings)),
        "threads": torch.get_num_threads(),
        "encoder_parameters": _parameters(encoder.layers),
        "recurrent_parameters": _parameters(recurrent),
    }


def _milliseconds(run: Callable[[], Any]) -> float:
    run()  # what happens only once is not counted
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

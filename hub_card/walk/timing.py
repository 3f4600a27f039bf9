"""How long the encoder takes for all positions at once, and a recurrent network for one after the other."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

# Each way is run so often, and the median counts.
ROUNDS = 3


@torch.inference_mode()
def measured_times(model, source: torch.Tensor) -> dict[str, Any]:
    """
    Returns milliseconds, medians measured here and now on the CPU, for `source` (1, length): of the encoder, which
    sees all positions at once, and of an LSTM of the same width and depth, with random weights, which must finish a
    position before it begins the next; and the parameters of both.
    """
    config, encoder = model.config, model.model.encoder
    layers, width = config.encoder_layers, config.d_model
    recurrent = nn.LSTM(width, width, num_layers=layers, batch_first=True).eval()
    embeddings = encoder.embed_tokens(source)  # (1, length, d_model)

    def one_after_the_other() -> None:
        state = None
        for position in range(embeddings.shape[1]):
            _, state = recurrent(embeddings[:, position : position + 1], state)

    return {
        "encoder": _milliseconds(lambda: encoder(inputs_embeds=embeddings)),
        "recurrent": _milliseconds(one_after_the_other),
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
    return 1000 * statistics.median(times)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

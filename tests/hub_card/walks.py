"""What the tests of the walk share: small models whose every weight is random, and the data of a written page."""

import base64
import json
import math
import re
import zlib
from typing import Any

import numpy as np
import torch

from tests.hub_card.walk_oracle import WalkOracle
from tests.training.models import Parts, small_model

LINES = ["the old farmer sees a dog behind the house", "der alte Bauer sieht einen Hund hinter dem Haus"] * 3
SENTENCE = "the old farmer sees a dog"

# No number of the page may be further from the model's, in shares of its matrix's greatest.
TOLERANCE = 1e-3


def random_parts(**keys: Any) -> Parts:
    """A model as `small_model`'s, with random biases and norms besides, and its tokenizer."""
    model, tokenizer = small_model(LINES, {"num_beams": 4, "max_length_offset": 4}, **keys)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                noise = 0.3 * torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise + (1.0 if name.endswith("norm.weight") else 0.0))
    return model, tokenizer


def unpack(index: dict[str, Any], packed: str) -> dict[str, np.ndarray]:
    """The matrices that `hub_card.walk.page.pack` packed, as the page's own script unpacks them."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype=np.uint8).reshape(2, -1)
    numbers = np.ascontiguousarray(planes.T).view("<i2").ravel()
    matrices = {}
    for name, entry in index.items():
        size = math.prod(entry["shape"])
        values = numbers[entry["start"] : entry["start"] + size].astype(np.float32) * np.float32(entry["unit"])
        matrices[name] = values.reshape(entry["shape"])
    return matrices


def data_of(page: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The facts and the matrices that stand in a page."""

    def script(name: str) -> str:
        found = re.search(rf'<script [^>]*id="{name}">(.*?)</script>', page, re.DOTALL)
        assert found is not None
        return found.group(1)

    facts = json.loads(script("facts"))
    return facts, unpack(facts["matrices"], script("matrices"))


def oracle_of(model: Any, facts: dict[str, Any]) -> WalkOracle:
    """What the page should hold, from the weights and the tokens."""
    ids = facts["source"]["ids"], facts["input"]["ids"]
    return WalkOracle(model, *ids, facts["order"]["places"], crop=16, top=10)


def assert_close(name: str, found: Any, expected: np.ndarray) -> None:
    found = np.asarray(found, dtype=np.float64)
    assert found.shape == expected.shape, name
    least = 1e-5 if name == "order.without.difference" else 0  # rounding alone, which differs
    assert np.abs(found - expected).max() <= max(TOLERANCE * np.abs(expected).max(), least), name

"""The paper's equations once more, in float64 and one sentence at a time: what the model's numbers are held against.

Written to be read beside sections 3.1 to 3.5 and 5.4, loop by loop. There is no batch and no padding here, so a padded
batch of the model must give for each of its sentences what these functions give for the sentence alone.
"""

import math
from collections.abc import Callable

import numpy as np

Weights = dict[str, np.ndarray]


class Oracle:
    """
    The Transformer with the weights of a state dictionary. `sizes` is anything with the configuration's fields. After
    `logits`, `attention_weights` holds for "encoder", "decoder" and "cross" one array (heads, queries, keys) a layer.
    """

    def __init__(self, state_dict, sizes):
        self.weights: Weights = {name: tensor.double().numpy() for name, tensor in state_dict.items()}
        self.sizes = sizes
        self.attention_weights: dict[str, list[np.ndarray]] = {"encoder": [], "decoder": [], "cross": []}

    def logits(self, source: list[int], target: list[int]) -> np.ndarray:
        """Returns the scores before the softmax (len(target), vocab_size) for the decoder's input `target`."""
        for weights in self.attention_weights.values():
            weights.clear()
        return self.decode(self.encode(source), target) @ self.weights["lm_head.weight"].T

    def encode(self, source: list[int]) -> np.ndarray:
        """Section 3.1, "Encoder"."""
        x = self.embed("model.encoder", source)
        for n in range(self.sizes.encoder_layers):
            layer = f"model.encoder.layers.{n}"
            z = self.multi_head(f"{layer}.self_attn", "encoder", x, x, lambda query, key: True)
            x = self.add_and_norm(f"{layer}.self_attn_layer_norm", x, z)
            x = self.add_and_norm(f"{layer}.feed_forward_layer_norm", x, self.feed_forward(layer, x))
        return x

    def decode(self, memory: np.ndarray, target: list[int]) -> np.ndarray:
        """Section 3.1, "Decoder": a target position sees itself, the ones before it, and the whole source."""
        x = self.embed("model.decoder", target)
        for n in range(self.sizes.decoder_layers):
            layer = f"model.decoder.layers.{n}"
            z = self.multi_head(f"{layer}.self_attn", "decoder", x, x, lambda query, key: key <= query)
            x = self.add_and_norm(f"{layer}.self_attn_layer_norm", x, z)
            z = self.multi_head(f"{layer}.encoder_attn", "cross", x, memory, lambda query, key: True)
            x = self.add_and_norm(f"{layer}.encoder_attn_layer_norm", x, z)
            x = self.add_and_norm(f"{layer}.feed_forward_layer_norm", x, self.feed_forward(layer, x))
        return x

    def embed(self, stack: str, tokens: list[int]) -> np.ndarray:
        """Sections 3.4 and 3.5: embedding times sqrt(d_model), plus position."""
        table, d_model = self.weights[f"{stack}.embed_tokens.weight"], self.sizes.d_model
        rows = []
        for position, token in enumerate(tokens):
            if self.sizes.position_embedding_type == "learned":
                signal = self.weights[f"{stack}.embed_positions.weight"][position]
            else:
                signal = np.array(position_signal(position, d_model))
            rows.append(table[token] * math.sqrt(d_model) + signal)
        return np.stack(rows)

    def multi_head(
        self, name: str, kind: str, x: np.ndarray, memory: np.ndarray, allowed: Callable[[int, int], bool]
    ) -> np.ndarray:
        """Section 3.2.2: Concat(head_1, ..., head_h) W^O; queries come from `x`, keys and values from `memory`."""
        w_q, w_k, w_v, w_o = (self.weights[f"{name}.{part}_proj.weight"].T for part in ("q", "k", "v", "out"))
        h = self.sizes.encoder_attention_heads if kind == "encoder" else self.sizes.decoder_attention_heads
        d_k = self.sizes.d_model // h if self.sizes.d_k is None else self.sizes.d_k
        d_v = self.sizes.d_model // h if self.sizes.d_v is None else self.sizes.d_v
        heads, weights = [], []
        for i in range(h):
            q = x @ w_q[:, i * d_k : (i + 1) * d_k]
            k = memory @ w_k[:, i * d_k : (i + 1) * d_k]
            v = memory @ w_v[:, i * d_v : (i + 1) * d_v]
            head, weight = attention(q, k, v, allowed)
            heads.append(head)
            weights.append(weight)
        self.attention_weights[kind].append(np.stack(weights))
        return np.concatenate(heads, axis=1) @ w_o

    def feed_forward(self, layer: str, x: np.ndarray) -> np.ndarray:
        """Section 3.3, equation 2: max(0, x W_1 + b_1) W_2 + b_2."""
        w_1, b_1 = self.weights[f"{layer}.feed_forward.fc1.weight"].T, self.weights[f"{layer}.feed_forward.fc1.bias"]
        w_2, b_2 = self.weights[f"{layer}.feed_forward.fc2.weight"].T, self.weights[f"{layer}.feed_forward.fc2.bias"]
        return np.maximum(0, x @ w_1 + b_1) @ w_2 + b_2

    def add_and_norm(self, name: str, x: np.ndarray, sublayer: np.ndarray) -> np.ndarray:
        """Section 3.1: LayerNorm(x + Sublayer(x)), each position on its own."""
        gain, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        rows = []
        for row in x + sublayer:
            mean = sum(row) / len(row)
            variance = sum((row - mean) ** 2) / len(row)
            rows.append(gain * (row - mean) / math.sqrt(variance + self.sizes.layer_norm_eps) + bias)
        return np.stack(rows)


def position_signal(position: int, d_model: int) -> list[float]:
    """Section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos(the same)."""
    signal = []
    for i in range(d_model // 2):
        angle = position / 10000 ** (2 * i / d_model)
        signal += [math.sin(angle), math.cos(angle)]
    return signal


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, allowed: Callable[[int, int], bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Section 3.2.1, equation 1: softmax(Q K^T / sqrt(d_k)) V; illegal scores are minus infinity. And the weights."""
    d_k = q.shape[1]
    weights = np.zeros((len(q), len(k)))
    for i in range(len(q)):
        scores = [float(q[i] @ k[j]) / math.sqrt(d_k) if allowed(i, j) else -math.inf for j in range(len(k))]
        weights[i] = softmax(scores)
    return weights @ v, weights


def softmax(scores: list[float]) -> list[float]:
    """Returns the probabilities that belong to `scores`."""
    largest = max(scores)
    exponentials = [math.exp(score - largest) for score in scores]
    return [exponential / sum(exponentials) for exponential in exponentials]


def log_softmax(scores) -> list[float]:
    """Returns the logarithms of the probabilities that belong to `scores`."""
    largest = max(scores)
    normaliser = largest + math.log(sum(math.exp(score - largest) for score in scores))
    return [float(score) - normaliser for score in scores]


def smoothed_loss(logits: np.ndarray, labels: list[int], epsilon: float) -> float:
    """
    Section 5.4, summed over positions: the cross entropy of the softmax of `logits` (length, V) with a distribution
    of 1 - epsilon on the label plus epsilon / V on every word, the label among them. A label of -100 does not count.
    """
    total = 0.0
    for scores, label in zip(logits, labels, strict=True):
        if label == -100:
            continue
        for word, log_probability in enumerate(log_softmax(scores)):
            wanted = epsilon / len(scores) + (1 - epsilon if word == label else 0)
            total -= wanted * log_probability
    return total

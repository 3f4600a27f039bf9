"""Every matrix of the walk once more: by NumPy, in float64, from the weights alone, under the page's names."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.modeling_vanilla_transformer.oracle import position_signal

Array = npt.NDArray[np.float64]


class WalkOracle:
    """After it is made, `matrices` holds what the page stores and `derived` what its scripts compute."""

    def __init__(self, model: Any, source: list[int], decoder_input: list[int], order: list[int], crop: int, top: int):
        self.weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config
        self.matrices: dict[str, Array] = {}
        self.derived: dict[str, Array] = {}
        memory = self.encode(source)
        logits = self.decode(decoder_input, memory) @ self.weights["lm_head.weight"].T
        self.best = np.argsort(-logits, axis=1)[:, :top]
        self.matrices["top.logits"] = np.take_along_axis(logits, self.best, axis=1)
        self.matrices["top.probabilities"] = np.take_along_axis(softmax(logits), self.best, axis=1)
        for layer in range(self.config.encoder_layers):
            self.corners(layer, crop)
        permuted = [source[place] for place in order]
        kept = self.matrices, self.derived
        self.matrices, self.derived = {}, {}
        back = np.argsort(order)
        with_difference = self.encode(permuted)[back] - memory
        without = self.encode(source, positions=False)
        without_difference = self.encode(permuted, positions=False)[back] - without
        self.matrices, self.derived = kept
        self.matrices |= {"order.without.plain": without, "order.with.difference": with_difference}
        self.matrices["order.without.difference"] = without_difference

    def encode(self, ids: list[int], positions: bool = True) -> Array:
        x = self.embed("source", "encoder", ids, positions)
        for layer in range(self.config.encoder_layers):
            here, module = f"encoder.{layer}", f"model.encoder.layers.{layer}"
            self.matrices[f"{here}.input"] = x
            x = self.attend(here, f"{module}.self_attn", self.config.encoder_attention_heads, x, x, masked=False)
            x = self.feed(here, module, x)
        self.matrices["encoder.output"] = x
        return x

    def decode(self, ids: list[int], memory: Array) -> Array:
        heads = self.config.decoder_attention_heads
        x = self.embed("target", "decoder", ids, True)
        for layer in range(self.config.decoder_layers):
            here, module = f"decoder.{layer}", f"model.decoder.layers.{layer}"
            self.matrices[f"{here}.input"] = x
            x = self.attend(here, f"{module}.self_attn", heads, x, x, masked=True)
            x = self.attend(f"{here}.cross", f"{module}.encoder_attn", heads, x, memory, masked=False)
            x = self.feed(here, module, x)
            for name in ("feed_forward", "feed_forward_norm.gain", "feed_forward_norm.bias"):
                del self.matrices[f"{here}.{name}"]  # which the page doesn't show
            for name in ("added", "normed"):
                del self.derived[f"{here}.feed_forward_{name}"]
        self.matrices["decoder.output"] = x
        return x

    def embed(self, side: str, stack: str, ids: list[int], positions: bool) -> Array:
        embeddings = self.weights[f"model.{stack}.embed_tokens.weight"][ids]
        if self.config.position_embedding_type == "learned":
            signals = self.weights[f"model.{stack}.embed_positions.weight"][: len(ids)]
        else:
            signals = np.array([position_signal(place, self.config.d_model) for place in range(len(ids))])
        self.matrices |= {f"{side}.embeddings": embeddings, f"{side}.positions": signals}
        scaled = self.derived[f"{side}.scaled"] = embeddings * math.sqrt(self.config.d_model)
        return scaled + signals if positions else scaled

    def attend(self, here: str, module: str, heads: int, x: Array, memory: Array, masked: bool) -> Array:
        """A whole sub-layer, with add and norm."""
        w_q, w_k, w_v, w_o = (self.weights[f"{module}.{name}_proj.weight"].T for name in ("q", "k", "v", "out"))
        query, key, value = x @ w_q, memory @ w_k, memory @ w_v
        scores = [q @ k.T for q, k in zip(np.split(query, heads, 1), np.split(key, heads, 1), strict=True)]
        scaled = [score / math.sqrt(query.shape[1] // heads) for score in scores]
        seen = np.tri(len(x), len(memory), dtype=bool) if masked else np.ones((len(x), len(memory)), dtype=bool)
        weights, unscaled = ([softmax(np.where(seen, one, -np.inf)) for one in some] for some in (scaled, scores))
        sums = np.concatenate([w @ v for w, v in zip(weights, np.split(value, heads, 1), strict=True)], axis=1)
        attended = sums @ w_o
        normed = self.norm(f"{here}.norm", f"{module}_layer_norm", x + attended)
        self.matrices |= {f"{here}.query": query, f"{here}.key": key, f"{here}.value": value}
        self.matrices |= {f"{here}.scores": np.stack(scores), f"{here}.attended": attended}
        self.derived |= {f"{here}.scaled_scores": np.stack(scaled), f"{here}.weights": np.stack(weights)}
        self.derived |= {
            f"{here}.unscaled_weights": np.stack(unscaled),
            f"{here}.mean_weights": np.mean(weights, axis=0),
        }
        self.derived |= {f"{here}.sums": sums, f"{here}.added": x + attended, f"{here}.normed": normed}
        return normed

    def feed(self, here: str, module: str, x: Array) -> Array:
        """The other sub-layer, with add and norm."""
        (w_1, b_1), (w_2, b_2) = (
            (
                self.weights[f"{module}.feed_forward.{name}.weight"].T,
                self.weights[f"{module}.feed_forward.{name}.bias"],
            )
            for name in ("fc1", "fc2")
        )
        hidden = np.maximum(0, x @ w_1 + b_1)
        output = hidden @ w_2 + b_2
        normed = self.norm(f"{here}.feed_forward_norm", f"{module}.feed_forward_layer_norm", x + output)
        self.matrices |= {f"{here}.hidden": hidden, f"{here}.feed_forward": output}
        self.derived |= {f"{here}.feed_forward_added": x + output, f"{here}.feed_forward_normed": normed}
        return normed

    def norm(self, here: str, module: str, x: Array) -> Array:
        gain, bias = self.weights[f"{module}.weight"], self.weights[f"{module}.bias"]
        self.matrices |= {f"{here}.gain": gain[None], f"{here}.bias": bias[None]}
        variance = x.var(axis=1, keepdims=True)
        return gain * (x - x.mean(axis=1, keepdims=True)) / np.sqrt(variance + self.config.layer_norm_eps) + bias

    def corners(self, layer: int, crop: int) -> None:
        here, module = f"encoder.{layer}", f"model.encoder.layers.{layer}"
        for name, weight in (
            ("output_weight", "self_attn.out_proj"),
            ("first_weight", "feed_forward.fc1"),
            ("second_weight", "feed_forward.fc2"),
        ):
            self.matrices[f"{here}.{name}"] = self.weights[f"{module}.{weight}.weight"].T[:crop, :crop]
        for name in ("query", "key", "value"):
            weight = self.weights[f"{module}.self_attn.{name[0]}_proj.weight"].T
            by_head = np.split(weight, self.config.encoder_attention_heads, axis=1)
            self.matrices[f"{here}.{name}_weight"] = np.stack([head[:crop, :crop] for head in by_head])


def softmax(scores: Array) -> Array:
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)

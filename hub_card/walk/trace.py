"""What the model computes for one sentence, matrix by matrix, under the names that the page knows.

A matrix of the encoder's layer 0 is called "encoder.0.query", one of the decoder's "decoder.0.cross.query", and so on.
What follows from others in an instant (the softmax, the weighted sums, the norms) the page computes itself.
"""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hub_card.attention import check_text
from hub_card.walk.search import SearchTree, searched
from hub_card.walk.timing import measured_times

Matrix = npt.NDArray[np.float32]

# Of a longer sentence nobody could read the matrices, and they would grow with its square.
MOST_TOKENS = 64

# Of a weight matrix so many rows and columns are shown: all of a base model's would take 126 MB.
CROP = 16

# So many of the most probable words.
MOST_PROBABLE = 10


@dataclass
class Walk:
    """Everything that the page shows."""

    facts: dict[str, Any]
    """Sizes, tokens, the search and what else is no matrix; ready for JSON."""
    matrices: dict[str, Matrix] = field(default_factory=dict)
    """By name; tokens are rows, and heads come first where a matrix has them."""


@torch.no_grad()
def walk(model, tokenizer, sentence: str, name: str = "") -> Walk:
    """
    Returns what happens while `model` translates `sentence`: one pass over the source and its finished translation,
    the search that found it, the encoder without positions and with the words in another order, and the times of
    the encoder beside a recurrent network; all of it in float32. `name` is the model's for the heading.

    Raises:
        ValueError: the sentence is empty, no text, or longer than `MOST_TOKENS`, or the model's weights are broken.
    """
    if not sentence.strip():
        raise ValueError("There is nothing to walk through: the sentence is empty.")
    check_text(sentence)
    if model.dtype != torch.float32:  # which is what the page's numbers are
        model = copy.deepcopy(model).float()
    source = tokenizer(sentence, return_tensors="pt", split_special_tokens=True)["input_ids"]
    if source.shape[1] > MOST_TOKENS:
        raise ValueError(
            f"The sentence has {source.shape[1]} tokens, and the page shows up to {MOST_TOKENS} (some 40 words), so "
            "that its matrices can be read: give a shorter sentence, or a part of this one."
        )
    tree = searched(model, source)
    target = torch.tensor([tree.words])
    start = torch.tensor([[model.config.decoder_start_token_id]])
    decoder_input = torch.cat((start, target[:, :-1]), dim=1)

    with recorded(model) as values:
        logits = model(input_ids=source, decoder_input_ids=decoder_input).logits[0]
    matrices = {**_encoder(model, values), **_decoder(model, values)}
    top = logits.double().log_softmax(dim=-1).topk(min(MOST_PROBABLE, logits.shape[-1]))
    matrices["top.logits"] = logits.gather(1, top.indices).numpy()
    matrices["top.probabilities"] = top.values.exp().float().numpy()
    order, permuted = _permuted(model, tokenizer, source[0])
    matrices |= permuted

    facts = {
        "model": name,
        "sizes": _sizes(model.config),
        "sentence": sentence,
        "translation": tokenizer.decode(tree.words, skip_special_tokens=True),
        "source": _tokens(tokenizer, source[0].tolist()),
        "input": _tokens(tokenizer, decoder_input[0].tolist()),
        "target": _tokens(tokenizer, tree.words),
        "top": [_tokens(tokenizer, row)["texts"] for row in top.indices.tolist()],
        "order": order,
        "search": _search(tokenizer, tree),
        "times": measured_times(model, source),
        "example": None,
    }
    return Walk(facts, matrices)


# ---------------------------------------------------------------------------------------------------------------------
# The pass


@contextmanager
def recorded(model: nn.Module) -> Iterator[dict[str, Any]]:
    """While this lasts, the last inputs and the output of every module without children, by name: "name" is the
    output, and "name <" the list of inputs."""
    values: dict[str, Any] = {}

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor):
            values[f"{name} <"], values[name] = list(inputs), output

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(keep(name)) for name, module in leaves]
    try:
        yield values
    finally:
        for handle in handles:
            handle.remove()


def _encoder(model, values: dict[str, Any]) -> dict[str, Matrix]:
    """What the encoder computed, and corners of its weights."""
    encoder = model.model.encoder
    matrices = _stack("source", "model.encoder", values)
    for index, layer in enumerate(encoder.layers):
        here, module = f"encoder.{index}", f"model.encoder.layers.{index}"
        matrices[f"{here}.input"] = _rows(values[f"{module}.self_attn.q_proj <"][0])
        matrices |= _attention(here, f"{module}.self_attn", layer.self_attn, values)
        matrices |= _norm(f"{here}.norm", layer.self_attn_layer_norm)
        matrices[f"{here}.hidden"] = _rows(values[f"{module}.feed_forward.fc2 <"][0])
        matrices[f"{here}.feed_forward"] = _rows(values[f"{module}.feed_forward.fc2"])
        matrices |= _corners(here, layer)
        matrices |= _norm(f"{here}.feed_forward_norm", layer.feed_forward_layer_norm)
        matrices["encoder.output"] = _rows(values[f"{module}.feed_forward_layer_norm"])
    return matrices


def _decoder(model, values: dict[str, Any]) -> dict[str, Matrix]:
    """What the decoder computed, with the whole translation as its input."""
    decoder = model.model.decoder
    matrices = _stack("target", "model.decoder", values)
    for index, layer in enumerate(decoder.layers):
        here, module = f"decoder.{index}", f"model.decoder.layers.{index}"
        matrices[f"{here}.input"] = _rows(values[f"{module}.self_attn.q_proj <"][0])
        matrices |= _attention(here, f"{module}.self_attn", layer.self_attn, values)
        matrices |= _norm(f"{here}.norm", layer.self_attn_layer_norm)
        matrices |= _attention(f"{here}.cross", f"{module}.encoder_attn", layer.encoder_attn, values)
        matrices |= _norm(f"{here}.cross.norm", layer.encoder_attn_layer_norm)
        matrices[f"{here}.hidden"] = _rows(values[f"{module}.feed_forward.fc2 <"][0])
        matrices["decoder.output"] = _rows(values[f"{module}.feed_forward_layer_norm"])
    return matrices


def _stack(side: str, module: str, values: dict[str, Any]) -> dict[str, Matrix]:
    """The embeddings, before scaling, and the position signals."""
    positions = values[f"{module}.embed_positions"]
    return {
        f"{side}.embeddings": _rows(values[f"{module}.embed_tokens"]),
        f"{side}.positions": positions.numpy(),
    }


def _attention(here: str, module: str, attention: nn.Module, values: dict[str, Any]) -> dict[str, Matrix]:
    """
    Queries, keys and values of all heads side by side (length, h * width), the scores Q K^T before they are divided
    (h, queries, keys), and the output behind W^O.
    """
    states = {name: _rows(values[f"{module}.{name}_proj"]) for name in "qkv"}
    query, key = (states[name].reshape(-1, attention.num_heads, attention.d_k).transpose(1, 0, 2) for name in "qk")
    return {
        f"{here}.query": states["q"],
        f"{here}.key": states["k"],
        f"{here}.value": states["v"],
        f"{here}.scores": query @ key.transpose(0, 2, 1),
        f"{here}.attended": _rows(values[f"{module}.out_proj"]),
    }


def _norm(here: str, norm: nn.LayerNorm) -> dict[str, Matrix]:
    """The gain and the bias of a norm, by which the page computes its output."""
    return {f"{here}.gain": norm.weight.numpy()[None], f"{here}.bias": norm.bias.numpy()[None]}


def _corners(here: str, layer: nn.Module) -> dict[str, Matrix]:
    """Corners of a layer's weight matrices, as the equations have them (input, output): of W^Q, W^K and W^V each
    head's own (h, rows, columns)."""
    attention, network = layer.self_attn, layer.feed_forward
    weights = {
        "output_weight": attention.out_proj.weight.T,
        "first_weight": network.fc1.weight.T,
        "second_weight": network.fc2.weight.T,
    }
    for name, projection in (("query", attention.q_proj), ("key", attention.k_proj), ("value", attention.v_proj)):
        weights[f"{name}_weight"] = projection.weight.unflatten(0, (attention.num_heads, -1)).transpose(1, 2)
    return {f"{here}.{name}": weight[..., :CROP, :CROP].contiguous().numpy() for name, weight in weights.items()}


def _rows(states: torch.Tensor) -> Matrix:
    """The one sentence of `states` (1, length, width)."""
    return states[0].numpy()


# ---------------------------------------------------------------------------------------------------------------------
# The words in another order


def _permuted(model, tokenizer, source: torch.Tensor) -> tuple[dict[str, Any], dict[str, Matrix]]:
    """
    Runs the encoder over `source` (length,) and over its words in another order, with positions and without. Returns
    the order (for each place of the new sentence, the place in the old one) and how far the outputs lie apart at most
    once the rows are put back; and, as matrices, these differences and the output without positions.
    """
    order = torch.tensor(another_order(tokenizer.convert_ids_to_tokens(source.tolist())))
    encoder = model.model.encoder
    outputs = {}
    for positions in ("with", "without"):
        handle = None
        if positions == "without":
            handle = encoder.embed_positions.register_forward_hook(lambda _module, _inputs, out: torch.zeros_like(out))
        try:
            for name, ids in (("plain", source), ("permuted", source[order])):
                outputs[f"{positions}.{name}"] = encoder(input_ids=ids[None]).last_hidden_state[0]
        finally:
            if handle is not None:
                handle.remove()
    matrices = {"order.without.plain": outputs["without.plain"].numpy()}
    differences = {}
    for positions in ("with", "without"):
        back = outputs[f"{positions}.permuted"][order.argsort()]
        difference = back - outputs[f"{positions}.plain"]
        matrices[f"order.{positions}.difference"] = difference.numpy()
        differences[positions] = float(difference.abs().max())
    return {"places": order.tolist(), "differences": differences}, matrices


def another_order(tokens: list[str]) -> list[int]:
    """Returns the places of `tokens` with the words, not the tokens inside them, in another order, the same at every
    call; the end of sentence, the last token, stays the last. A single word has no other order."""
    words: list[list[int]] = []
    for place, token in enumerate(tokens[:-1]):
        if words and not token.startswith(" ") and token.isalpha():
            words[-1].append(place)  # goes on with the word
        else:
            words.append([place])
    shuffled = words.copy()
    if len(words) > 1:
        generator = random.Random(0)
        while shuffled == words:
            generator.shuffle(shuffled)
    return [*chain.from_iterable(shuffled), len(tokens) - 1]


# ---------------------------------------------------------------------------------------------------------------------
# What is no matrix


def _sizes(config) -> dict[str, Any]:
    stacks = {}
    for stack in ("encoder", "decoder"):
        heads = getattr(config, f"{stack}_attention_heads")
        d_k, d_v = config.head_sizes(heads)
        stacks[stack] = {
            "layers": getattr(config, f"{stack}_layers"),
            "heads": heads,
            "d_k": d_k,
            "d_v": d_v,
            "d_ff": getattr(config, f"{stack}_ffn_dim"),
        }
    return stacks | {
        "d_model": config.d_model,
        "vocabulary": config.vocab_size,
        "positions": config.position_embedding_type,
        "activation": config.activation_function,
        "epsilon": config.layer_norm_eps,
    }


def _tokens(tokenizer, ids: list[int]) -> dict[str, Any]:
    """The ids and what stands on the page for them: control characters escaped, and a number for an id of a model
    that its tokenizer doesn't have."""
    tokens = tokenizer.convert_ids_to_tokens(ids)
    named = [f"#{number}" if token is None else token for number, token in zip(ids, tokens, strict=True)]
    printable = ("".join(char if char.isprintable() else repr(char)[1:-1] for char in token) for token in named)
    return {"ids": ids, "texts": list(printable)}


def _search(tokenizer, tree: SearchTree) -> dict[str, Any]:
    nodes = [node._asdict() | {"text": _tokens(tokenizer, [node.word])["texts"][0]} for node in tree.nodes]
    return {
        "beams": tree.beams,
        "alpha": tree.alpha,
        "penalty": tree.penalty,
        "steps": tree.steps,
        "winner": tree.winner,
        "nodes": nodes,
    }

"""What a model attends to while it translates a sentence: the weights of every head of every layer."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

# The weights grow with the square of the length: at base size, a thousand tokens have 192 MB of them in the encoder.
MOST_TOKENS = 1000


@dataclass(frozen=True)
class LayerAttention:
    """The attention of one layer. Each of its queries divides a weight of 1 among the keys."""

    weights: torch.Tensor
    """(heads, queries, keys), float32."""
    queries: list[str]
    """Tokens that look ..."""
    keys: list[str]
    """... and that are looked at."""
    queries_are: str
    keys_are: str
    title: str
    """Which attention of which layer this is, in words."""

    def head(self, head: int | None = None) -> torch.Tensor:
        """
        Returns the weights (queries, keys) of a head, counted from 1; None for the mean of all.

        Raises:
            ValueError: there is no such head.
        """
        if head is None:
            return self.weights.mean(dim=0)
        if not 1 <= head <= len(self.weights):
            raise ValueError(f"head={head}: this attention has heads 1 to {len(self.weights)}.")
        return self.weights[head - 1]


@dataclass(frozen=True)
class SentenceAttention:
    """All attention weights of a sentence and its translation, and the tokens that they belong to."""

    source: list[str]
    """Tokens of the sentence, the end of sentence included."""
    read: list[str]
    """Tokens that the decoder reads: the start token and the translation but for its last token ..."""
    written: list[str]
    """... and what it writes at each of these: the translation."""
    encoder: tuple[torch.Tensor, ...]
    """Of the encoder's self-attention, for each layer (heads, source, source)."""
    decoder: tuple[torch.Tensor, ...]
    """Of the decoder's masked self-attention, for each layer (heads, read, read)."""
    cross: tuple[torch.Tensor, ...]
    """Of the attention to the source, for each layer (heads, written, source)."""

    def layer(self, kind: str, layer: int | None = None) -> LayerAttention:
        """
        Returns the attention of `kind` "encoder", "decoder" or "cross" in a layer, counted from 1; None for the last.

        Raises:
            ValueError: there is no such kind, or no such layer.
        """
        source, read = (self.source, "source"), (self.read, "translation, as the decoder reads it")
        written = (self.written, "translation, as it is written")
        kinds = {
            "encoder": ("Encoder self-attention, layer", self.encoder, source, source),
            "decoder": ("Decoder self-attention, layer", self.decoder, read, read),
            "cross": ("Attention to the source, decoder layer", self.cross, written, source),
        }
        if kind not in kinds:
            raise ValueError(f"kind={kind!r}: the attentions are {', '.join(map(repr, kinds))}.")
        name, layers, (queries, queries_are), (keys, keys_are) = kinds[kind]
        if layer is None:
            layer = len(layers)
        if not 1 <= layer <= len(layers):
            stack = "encoder" if kind == "encoder" else "decoder"
            raise ValueError(f"layer={layer}: the {stack} has layers 1 to {len(layers)}.")
        return LayerAttention(
            weights=layers[layer - 1],
            queries=queries,
            keys=keys,
            queries_are=queries_are,
            keys_are=keys_are,
            title=f"{name} {layer} of {len(layers)}",
        )


def check_text(sentence: str) -> None:
    """
    Passes where `sentence` can be tokenised.

    Raises:
        ValueError: it has what is no character of a text, as bytes on the command line become that are not UTF-8.
    """
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"The sentence is no text, at its character {error.start + 1}: write it in UTF-8.") from None


@torch.no_grad()
def read_attention(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentence: str) -> SentenceAttention:
    """
    Lets the model translate `sentence` by its own search, and returns the attention weights of every step.

    Raises:
        ValueError: the sentence is empty or no text, or has more than `MOST_TOKENS` tokens.
    """
    if not sentence.strip():
        raise ValueError("There is nothing to draw: the sentence is empty.")
    check_text(sentence)
    # Whatever the sentence says, it is text: "</s>" in it is four characters.
    source = tokenizer(sentence, return_tensors="pt", split_special_tokens=True).to(model.device)
    length = source["input_ids"].shape[1]
    if length > MOST_TOKENS:
        raise ValueError(f"The sentence has {length:,} tokens; attention is drawn of {MOST_TOKENS:,} at most.")

    implementation, training = model.config._attn_implementation, model.training
    model.eval()
    try:
        translation = model.generate(**source, return_dict_in_generate=False)
        # One pass over the finished translation gives the weights of every step; only eager attention returns them.
        model.set_attn_implementation("eager")
        outputs = model(**source, decoder_input_ids=translation[:, :-1], output_attentions=True)
    finally:
        model.set_attn_implementation(implementation)
        model.train(training)

    def weights(attentions: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(layer[0].float().cpu() for layer in attentions)

    def tokens(ids: torch.Tensor) -> list[str]:
        return tokenizer.convert_ids_to_tokens(ids.tolist())

    return SentenceAttention(
        source=tokens(source["input_ids"][0]),
        read=tokens(translation[0, :-1]),
        written=tokens(translation[0, 1:]),
        encoder=weights(outputs.encoder_attentions),
        decoder=weights(outputs.decoder_attentions),
        cross=weights(outputs.cross_attentions),
    )

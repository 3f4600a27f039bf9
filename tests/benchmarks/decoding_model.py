"""Makes the model of base size that decoding is measured with, out of a small trained one.

python -m tests.benchmarks.decoding_model SMALL OUTPUT [--size base]

To train the base model until its translations are as long as real ones takes two CPU cores hours. A small model of the
Multi30k size learns that in minutes, and spread over the base model's weights it translates nearly as before: every
feature stands there several times over, layers that it lacks add nothing, words that it lacks are never likely. All
63 million weights are computed with, so the work is the base model's, and the sentences are real ones. What differs
from the small model are the position signals, of which the larger width has more.
"""

import argparse

import torch
from torch import nn

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    configuration_names,
    named_configuration,
)


@torch.no_grad()
def widened(
    small: VanillaTransformerForConditionalGeneration, config: VanillaTransformerConfig
) -> VanillaTransformerForConditionalGeneration:
    """Returns a model of `config` that translates as `small` does. Its sizes are at least those of `small`, its width
    a multiple, and both have sinusoidal positions, tied embeddings and plain ReLU."""
    copies = config.d_model // small.config.d_model
    big = VanillaTransformerForConditionalGeneration(config).eval()
    for module in big.modules():
        for parameter in module.parameters(recurse=False):
            parameter.fill_(isinstance(module, nn.LayerNorm) and parameter is module.weight)

    def spread(weight: torch.Tensor, dim: int = -1) -> torch.Tensor:
        """Copies each feature of a dimension, pairs of sine and cosine as pairs: so mean and variance stay."""
        pairs = weight.movedim(dim, -1).unflatten(-1, (-1, 1, 2))
        return pairs.expand(*pairs.shape[:-2], copies, 2).flatten(-3).movedim(-1, dim)

    def put(new: nn.Linear, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        new.weight[: weight.shape[0], : weight.shape[1]] = weight
        if bias is not None:
            new.bias[: len(bias)] = bias

    def put_attention(new: nn.Module, old: nn.Module) -> None:
        wider = new.d_k - old.d_k
        for name in ("q_proj", "k_proj", "v_proj"):
            heads = spread(getattr(old, name).weight / copies).unflatten(0, (old.num_heads, -1))
            put(getattr(new, name), nn.functional.pad(heads, (0, 0, 0, wider)).flatten(0, 1))
        new.q_proj.weight *= old.scaling / new.scaling  # the scores are divided by the root of a larger d_k
        heads = old.out_proj.weight.unflatten(1, (old.num_heads, -1))
        put(new.out_proj, spread(nn.functional.pad(heads, (0, wider)).flatten(1), dim=0))

    for side in ("encoder", "decoder"):
        old_layers, new_layers = (model.get_submodule(f"model.{side}").layers for model in (small, big))
        for old, new in zip(old_layers, new_layers, strict=False):
            for name, module in old.named_children():
                if isinstance(module, nn.LayerNorm):
                    getattr(new, name).weight.copy_(spread(module.weight))
                    getattr(new, name).bias.copy_(spread(module.bias))
                elif name == "feed_forward":
                    put(new.feed_forward.fc1, spread(module.fc1.weight / copies), module.fc1.bias)
                    put(new.feed_forward.fc2, spread(module.fc2.weight, dim=0), spread(module.fc2.bias))
                else:
                    put_attention(getattr(new, name), module)
        # A layer that adds nothing only normalises anew, which changes nothing before gain and bias are applied.
        norm, last = new_layers[len(old_layers) - 1].feed_forward_layer_norm, new_layers[-1].feed_forward_layer_norm
        if norm is not last:
            last.load_state_dict(norm.state_dict())
            norm.weight.fill_(1)
            norm.bias.zero_()

    # The embeddings are scaled by a larger root of d_model, and the logits are sums over more features.
    known = spread(small.model.encoder.embed_tokens.weight / copies**0.5)
    last.weight /= copies**0.5
    last.bias /= copies**0.5
    # Copies that differ in sign are of no weight to any known word: there, all others stand against every state.
    sign = torch.ones(config.d_model).view(-1, copies, 2)
    sign[:, 1::2] = -1
    words = big.model.encoder.embed_tokens.weight
    words[: len(known)] = known
    words[len(known) :] = -0.25 * sign.flatten()
    last.bias += 0.25 * sign.flatten()
    big.tie_weights()
    big.generation_config = small.generation_config
    return big


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("small", help="a trained model's folder")
    parser.add_argument("output", help="where to save the larger one")
    parser.add_argument("--size", default="base", choices=configuration_names())
    options = parser.parse_args()
    small = VanillaTransformerForConditionalGeneration.from_pretrained(options.small, dtype=torch.float32).eval()
    old, config = small.config, named_configuration(options.size)
    sizes = ("vocab_size", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim")
    heads = ("encoder_attention_heads", "decoder_attention_heads")
    short = [name for name in (*sizes, *heads) if getattr(old, name) > getattr(config, name)]
    narrow = (old.head_sizes(getattr(old, name)) > config.head_sizes(getattr(config, name)) for name in heads)
    if config.d_model % (2 * old.d_model) or any(narrow):
        short.append("d_model")
    if short:
        raise SystemExit(f"{options.small} does not fit into {options.size}: {', '.join(short)}")
    big = widened(small, config)
    big.save_pretrained(options.output)
    VanillaTransformerTokenizer.from_pretrained(options.small).save_pretrained(options.output)
    print(f"{options.output}: {big.num_parameters():,} parameters, {options.size}, from {small.num_parameters():,}")


if __name__ == "__main__":
    main()

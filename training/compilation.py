"""How a model is made fast for training: which attention, and what is compiled."""

from contextlib import AbstractContextManager

import torch
from torch.fx.experimental import _config as symbols

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration


def prepare_for_training(
    model: VanillaTransformerForConditionalGeneration, *, attention: str = "auto", compile: bool = False
) -> None:
    """Set `model` up for speed, in place; what it computes stays the same, as do the names of its weights.

    Call it before the model is wrapped for several processes.

    Args:
        model: where it is to be trained.
        attention: a back end of transformers'; auto: the fastest for sentences.
        compile: whether to compile its layers, each by itself, and the pass over the logits. Layers of a kind share
            what is compiled: once for batches of all shapes, and once more for what PyTorch takes for a kind of its
            own: those of one sentence, and lengths of 1.
    """
    # Sentences are short: plain matrix products beat the kernels that were made for long ones.
    model.set_attn_implementation("eager" if attention == "auto" else attention)
    if not compile:
        return
    # Sizes of batches are unknown to what is compiled, numbers of the configuration are not. By default they would be
    # taken for unknown too: all is compiled a second time once they are found out to be constants, and with weights in
    # shards even the width of the layers stays unknown.
    torch._dynamo.config.specialize_float = torch._dynamo.config.specialize_int = True
    # PyTorch stops at eight such kinds by default: it would run the others uncompiled.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    # Nor are two sizes the same for being so in the first batch.
    symbols.use_duck_shape = False
    for layer in (*model.model.encoder.layers, *model.model.decoder.layers):
        layer.compile(dynamic=True)
    model.projected_loss.token_loss.compile(dynamic=True)


def uncompiled() -> AbstractContextManager[None]:
    """Run models uncompiled within: validation and search would have all compiled again, without gradients."""
    return torch.compiler.set_stance("force_eager")

"""How a model is made fast for training: which attention, and what is compiled."""

from contextlib import AbstractContextManager

import torch

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration

# What a shape of batch has compiled: an encoder's and a decoder's layer, the latter perhaps without a mask too.
_GRAPHS_PER_SHAPE = 4


def prepare_for_training(
    model: VanillaTransformerForConditionalGeneration,
    *,
    attention: str = "auto",
    compile: bool = False,
    shapes: int = 64,
) -> None:
    """Set `model` up for speed, in place; what it computes stays the same, as do the names of its weights.

    Call it before the model is wrapped for several processes.

    Args:
        model: where it is to be trained.
        attention: a back end of transformers'; auto: the fastest for sentences.
        compile: whether to compile its layers, each by itself, and the pass over the logits. Layers of a kind share
            what is compiled, once for each shape of a batch.
        shapes: how many shapes of batches there may be at most; of more, some run uncompiled.
    """
    # Sentences are short: plain matrix products beat the kernels that were made for long ones.
    model.set_attn_implementation("eager" if attention == "auto" else attention)
    if not compile:
        return
    settings = torch._dynamo.config
    settings.recompile_limit = max(settings.recompile_limit, _GRAPHS_PER_SHAPE * shapes)
    settings.accumulated_recompile_limit = max(settings.accumulated_recompile_limit, 2 * settings.recompile_limit)
    for layer in (*model.model.encoder.layers, *model.model.decoder.layers):
        layer.compile(dynamic=False)
    model.projected_loss.token_loss.compile(dynamic=True)  # every batch has chunks of another size


def uncompiled() -> AbstractContextManager[None]:
    """Run models uncompiled within: in validation and search, every batch and every token would have new shapes."""
    return torch.compiler.set_stance("force_eager")

"""One run on many processes: the model wrapped for them, its whole weights, and what they must agree on."""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.utils import DistributedType, parse_flag_from_env
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from training.state import whole


def prepare(
    accelerator: Accelerator,
    model: VanillaTransformerForConditionalGeneration,
    make_optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer],
) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """The model and its optimizer, ready for the launch's kind of run: one process, replicas (DDP) or shards (FSDP2).

    Accelerate does it, except for shards on CPUs, which it doesn't know: there torch's own `fully_shard` divides the
    same modules as Accelerate does.
    """
    if in_shards(accelerator) and model.config.tie_word_embeddings:
        # FSDP wants modules that share a weight in one group, and Accelerate puts two there: the source's embedding,
        # which here becomes the target's too, and the output.
        model.model.decoder.embed_tokens = model.model.encoder.embed_tokens
    if in_shards(accelerator) and accelerator.device.type == "cpu":
        _shard(model, accelerator.num_processes)
        optimizer = accelerator.prepare_optimizer(make_optimizer(model))
    else:
        model, optimizer = accelerator.prepare(model, make_optimizer(model))
    if in_shards(accelerator) and not model.config.tie_word_embeddings:
        # The loss without logits takes the output's matrix and never calls that module, which would gather it.
        model.register_forward_pre_hook(lambda *_: model.get_output_embeddings().unshard())
    return model, optimizer


def in_shards(accelerator: Accelerator) -> bool:
    """Whether the launch asks for FSDP2."""
    if accelerator.distributed_type == DistributedType.MULTI_CPU:  # Accelerate passes over the wish there
        return parse_flag_from_env("ACCELERATE_USE_FSDP")
    return accelerator.is_fsdp2


def _shard(model: VanillaTransformerForConditionalGeneration, processes: int) -> None:
    mesh = init_device_mesh("cpu", (processes,))
    for layer in (*model.model.encoder.layers, *model.model.decoder.layers):
        fully_shard(layer, mesh=mesh)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if embedding.weight is head.weight:  # one matrix belongs to one group
        fully_shard([embedding, head], mesh=mesh, reshard_after_forward=False)
    else:
        fully_shard(embedding, mesh=mesh)
        fully_shard(head, mesh=mesh, reshard_after_forward=False)
    fully_shard(model, mesh=mesh)


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether each process holds a part of every weight only."""
    return isinstance(model, FSDPModule)


@contextlib.contextmanager
def without_gradient_exchange(accelerator: Accelerator, model: torch.nn.Module) -> Iterator[None]:
    """Inside, backward passes add to this process's gradients alone; the next one outside exchanges the sum."""
    if not is_sharded(model):
        with accelerator.no_sync(model):
            yield
        return
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)


def whole_model(
    model: VanillaTransformerForConditionalGeneration, keep: bool = True
) -> VanillaTransformerForConditionalGeneration | None:
    """A model whose forward pass needs no other process, and which can be saved: the given one itself, or an ordinary
    copy of one that is in shards. Every process must call this.

    Args:
        model: the bare model.
        keep: whether this process wants it; False only takes part in gathering the weights, and returns None.
    """
    if not is_sharded(model):
        return model
    gathered: dict[int, torch.Tensor] = {}
    for parameter in model.parameters():
        tensor = whole(parameter.detach())
        if keep:
            gathered[id(parameter)] = tensor
    if not keep:
        return None
    with torch.device("meta"):
        copy = VanillaTransformerForConditionalGeneration(model.config)
    weights = {name: gathered[id(weight)] for name, weight in model.named_parameters(remove_duplicate=False)}
    copy.load_state_dict(weights, assign=True)
    copy.tie_weights()
    copy.generation_config = model.generation_config
    return copy


def broken_weights(model: torch.nn.Module) -> torch.Tensor:
    """How many weights hold an infinite value or none at all, in this process's part of them."""
    own = (weight.to_local() if isinstance(weight, DTensor) else weight for weight in model.parameters())
    return torch.stack([~weight.detach().isfinite().all() for weight in own]).sum()


class Vote:
    """The highest wish of any process, known to all of them at the same update.

    With several processes the answer is that to the wishes one update before: it travels while the update computes,
    and by way of the CPUs, so that no device waits for it.
    """

    def __init__(self, processes: int) -> None:
        self.group = torch.distributed.new_group(backend="gloo") if processes > 1 else None
        self.travelling: tuple[torch.Tensor, torch.distributed.Work] | None = None

    def __call__(self, wish: int) -> int:
        """Returns the highest wish, 0 where there was none."""
        if self.group is None:
            return wish
        answer = self.close()
        wishes = torch.tensor(wish)
        highest = torch.distributed.ReduceOp.MAX
        work = torch.distributed.all_reduce(wishes, op=highest, group=self.group, async_op=True)
        self.travelling = wishes, work
        return answer

    def last(self, wish: int) -> int:
        """Returns the highest wish of this vote and the one before it; every process waits for the others."""
        return max(self(wish), self.close())

    def close(self) -> int:
        """Wait for the last vote, and return its outcome."""
        if self.travelling is None:
            return 0
        wishes, work = self.travelling
        work.wait()
        self.travelling = None
        return int(wishes)

# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""Beam search on a GPU, whose steps are recorded once and replayed.

A step is some 200 small kernels, which take longer to be called one by one than to run. A CUDA graph calls them all at
once, but only over the same memory: here, the search's tensors stay where they are, with room for steps to come, and a
tensor says which step it is. When the room is used up, or many sentences have left, the step is recorded anew, which
takes about as long as two steps one by one.
"""

import contextlib
import threading
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from .beam_search_vanilla_transformer import BeamSearch, Trace, take

# Steps that the tensors have room for at first; then it doubles.
FIRST_ROOM = 32

# Matrix products are fast where rows begin at multiples of so many numbers.
ALIGNMENT = 16

# Sentences leave when they are at least this share of the batch, and the batch has more beams than a GPU computes in
# the time of one.
LEAVING_SHARE = 1 / 2
FEW_BEAMS = 512

# The tensors that a step rebinds; a replayed one writes them to where they were.
STATE = ("words", "scores", "done", "mask", "finished_scores", "finished_steps", "finished_candidates")

# A process can record one graph at a time, on a stream that each GPU keeps: cuBLAS has a workspace for every stream.
RECORDING = threading.Lock()
STREAMS: dict[torch.device, torch.cuda.Stream] = {}

# What earlier recordings took is given back when less than this share of the GPU's memory is free: while one is made,
# nothing can be.
FREE_SHARE = 1 / 4


def takes_steps_alike(model: torch.nn.Module) -> bool:
    """
    Whether every step of a search with `model` calls the same kernels and nothing else: no hooks that want to be
    called (transformers' own do nothing unless asked), no compiled, wrapped or quantised modules, no weights on
    several devices, no table of positions whose end must be watched.
    """
    from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

    if _global_forward_hooks or _global_forward_pre_hooks:
        return False
    if model.config.position_embedding_type != "sinusoidal" or getattr(model.config, "quantization_config", None):
        return False
    for module in model.modules():
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        if any(hook.__module__ != "transformers.utils.output_capturing" for hook in hooks):
            return False
        if "forward" in vars(module) or hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
            return False
    if not torch.distributed.is_available():
        return True
    from torch.distributed.tensor import DTensor

    return not any(isinstance(weight, DTensor) for weight in model.parameters())


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, in which a step writes to the columns that a tensor names, and sees them all."""

    def __init__(self, layer: DynamicLayer, length: int, columns: torch.Tensor):
        """Holds what `layer` does, with room for `length` columns; `columns` (new,) is read at every update."""
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        # Zeros, since what the mask hides still is multiplied by its weight, 0.
        self.keys, self.values = (_with_room(states, 2, length, 0) for states in (layer.keys, layer.values))
        self.columns = columns

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes `key_states` and `value_states` (sentences, h, new, width) and returns all columns."""
        self.keys.index_copy_(2, self.columns, key_states)
        self.values.index_copy_(2, self.columns, value_states)
        return self.keys, self.values


class RoomyTrace(Trace):
    """A trace of tensors (steps, sentences, n), in which a step writes to the place that a tensor names."""

    words: Any
    origins: Any
    kept: Any

    def __init__(self, trace: Trace, room: int, step: torch.Tensor):
        """Holds what `trace` does, with room for `room` steps; `step` (1,) is read whenever one is added."""
        self.taken, self.step = len(trace), step
        self.words, self.origins, self.kept = (
            _with_room(torch.stack(tuple(steps[: self.taken])), 0, room, 0)
            for steps in (trace.words, trace.origins, trace.kept)
        )

    def __len__(self) -> int:
        return self.taken

    def add(self, words: torch.Tensor, origins: torch.Tensor, kept: torch.Tensor):
        """Writes a step's words and origins (sentences, candidates) and kept candidates (sentences, beams)."""
        for steps, values in ((self.words, words), (self.origins, origins), (self.kept, kept)):
            steps.index_copy_(0, self.step, values[None])

    def select(self, sentences: torch.Tensor):
        """Forgets all sentences but `sentences` (n,)."""
        self.words, self.origins, self.kept = (steps[:, sentences] for steps in (self.words, self.origins, self.kept))


class ReplayedBeamSearch(BeamSearch):
    """[`BeamSearch`] that finds the same words, in tensors that stay where they are from step to step."""

    trace: Any  # at first a Trace, then a RoomyTrace

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.room = 0  # steps that there is room for
        self.recording: torch.cuda.CUDAGraph | None = None
        # Of the step that comes next: its number, and the columns of its keys.
        self.step = torch.ones(1, dtype=torch.long, device=self.places.device)
        self.columns = self.prompt_length + torch.arange(self.beams, device=self.places.device)

    def advance(self) -> bool:
        steps = len(self.trace)
        if steps == 0 or self.all_stay:  # the first step has the whole prompt; who looks on sees one step at a time
            return super().advance()
        if steps >= self.room:
            self._make_room(min(max(FIRST_ROOM, 2 * steps), self.longest))
        if self.recording is None:
            self.recording = self._record()
        self.recording.replay()
        self.trace.taken += 1
        leaving = int(self.done.sum())
        if leaving == len(self.places):
            return False
        if leaving >= LEAVING_SHARE * len(self.places) and len(self.places) * self.beams > FEW_BEAMS:
            self._leave()
        return True

    def _make_room(self, room: int):
        """Moves the tensors to where they have room for `room` steps."""
        length = self.prompt_length + room * self.beams
        length = -(-length // ALIGNMENT) * ALIGNMENT
        self.mask = _with_room(self.mask, 2, length, torch.finfo(self.mask.dtype).min)
        cache = self.cache.self_attention_cache
        cache.layers = [RoomyLayer(layer, length, self.columns) for layer in cache.layers]
        self.trace = RoomyTrace(self.trace, room, self.step)
        self.room, self.recording = room, None

    def _record(self) -> torch.cuda.CUDAGraph:
        """Returns a step that can be replayed; it isn't taken yet."""
        graph, device = torch.cuda.CUDAGraph(), self.places.device
        with RECORDING:
            if device not in STREAMS:
                STREAMS[device] = torch.cuda.Stream(device)
            free, total = torch.cuda.mem_get_info(device)
            if free < FREE_SHARE * total:
                torch.cuda.empty_cache()
            self._record_on(STREAMS[device], graph)
        return graph

    def _record_on(self, stream: torch.cuda.Stream, graph: torch.cuda.CUDAGraph):
        """Records a step into `graph`."""
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            # Other threads of the caller's may go on meanwhile, unless they draw random numbers on this GPU.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._step_in_place()
            except BaseException:  # what went wrong says more than that nothing was recorded
                with contextlib.suppress(RuntimeError):
                    graph.capture_end()
                raise
            graph.capture_end()
        current.wait_stream(stream)

    def _step_in_place(self):
        """Takes a step, and writes what comes of it to where it was."""
        before = {name: getattr(self, name) for name in STATE}
        self._step(self.step)
        for name, tensor in before.items():
            if getattr(self, name) is not tensor:
                tensor.copy_(getattr(self, name))
                setattr(self, name, tensor)
        self.step += 1

    def _longer_mask(self, origins: torch.Tensor) -> torch.Tensor:
        if self.room == 0:
            return super()._longer_mask(origins)
        self.columns += self.beams
        return take(self.mask, origins).index_copy_(2, self.columns, self.own.expand(len(origins), -1, -1))

    def _leave(self):
        super()._leave()
        self.recording = None


def _with_room(states: torch.Tensor, dim: int, length: int, fill: float) -> torch.Tensor:
    """Returns a copy of `states`, filled up with `fill` to `length` along `dim`."""
    shape = list(states.shape)
    shape[dim] = length
    roomy = states.new_full(shape, fill)
    roomy.narrow(dim, 0, states.shape[dim]).copy_(states)
    return roomy

"""A trained model for engines that are not PyTorch: ONNX files, and the `torch.export` programs they are made of.

python -m hub_card.export MODEL FOLDER

writes FOLDER/onnx/encoder_model.onnx and FOLDER/onnx/decoder_model_merged.onnx (float32, opset 18, batch size and
lengths free) with configuration, generation configuration and tokenizer beside `onnx`, and checks that onnxruntime's
logits are PyTorch's. Translating with them takes no PyTorch; greedily, for example:

    import numpy, onnxruntime, tokenizers

    tokenizer = tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json")
    encoder = onnxruntime.InferenceSession("FOLDER/onnx/encoder_model.onnx")
    decoder = onnxruntime.InferenceSession("FOLDER/onnx/decoder_model_merged.onnx")
    source = numpy.array([tokenizer.encode("The old farmer closed the door.").ids])
    mask = numpy.ones_like(source)
    (states,) = encoder.run(None, {"input_ids": source, "attention_mask": mask})
    inputs = {"encoder_hidden_states": states, "encoder_attention_mask": mask}
    for past in decoder.get_inputs():
        if past.name.startswith("past_key_values"):  # of length 0 as yet
            inputs[past.name] = numpy.zeros((1, past.shape[1], 0, past.shape[3]), "float32")
    words = [2]  # decoder_start_token_id of config.json
    while words[-1] != 1 and len(words) < source.size + 50:  # until eos_token_id
        inputs["input_ids"] = numpy.array([words[-1:]])
        for output, values in zip(decoder.get_outputs(), decoder.run(None, inputs)):
            if output.name == "logits":
                words.append(int(values[0, -1].argmax()))
            else:
                inputs[output.name.replace("present", "past_key_values")] = values
    print(tokenizer.decode(words))

Files, inputs and outputs have the names that Optimum gives them: what reads its folders (its own ORTModelForSeq2SeqLM,
transformers.js) knows these. One decoder serves the first step and all others. Of the source it computes the keys and
values that `past_key_values.N.encoder` lack: all at the first step, none later. The usual two decoders, one with a
past and one without, would hold all weights twice.
"""

import argparse
import contextlib
import copy
import importlib.util
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from training.loading import read_model
from training.recipe import TrainingError

OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Logits of onnxruntime and PyTorch may differ by so much.
TOLERANCE = 1e-4

ENCODER, DECODER = "encoder_model", "decoder_model_merged"

# Keys and values of one decoder layer: the target's, then the source's.
LayerStates = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class ExportError(TrainingError):
    """A model or a folder that cannot be exported; the message names it and what to do."""


# ---------------------------------------------------------------------------------------------------------------------
# What is exported


class Encoder(nn.Module):
    """The encoder with tensors alone as input and output."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.encoder = model.get_encoder()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Returns the states (batch, source length, d_model) of `input_ids`, as `attention_mask` (batch, source
        length)."""
        return self.encoder(input_ids, _added(attention_mask)).last_hidden_state


class Decoder(nn.Module):
    """One step of the decoder, and the projection onto the vocabulary, with tensors alone as input and output."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.decoder, self.lm_head = model.get_decoder(), model.lm_head

    def forward(
        self,
        input_ids: torch.Tensor,
        encoder_attention_mask: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        past_key_values: tuple[LayerStates, ...],
    ) -> tuple[torch.Tensor, tuple[LayerStates, ...]]:
        """
        Returns the logits (batch, target length, vocabulary) of `input_ids` (batch, target length), and
        `past_key_values` grown by them: of each layer, keys and values of the target, (batch, h, past length, d_k or
        d_v), and of the source, (batch, h, length, d_k or d_v), where the length is 0 or the source's on entry and the
        source's on return. `encoder_hidden_states` is (batch, source length, d_model).
        """
        known, source_length = past_key_values[0][2].shape[2], encoder_hidden_states.shape[1]
        # Looked up rather than sliced: a slice would make the compiler ask whether it is empty.
        places = (torch.arange(source_length, device=input_ids.device) >= known).nonzero().squeeze(1)
        torch._check(known + places.shape[0] == source_length)
        unknown = encoder_hidden_states.index_select(1, places)
        past_target, past_source = [], []
        for layer, (key, value, source_key, source_value) in zip(self.decoder.layers, past_key_values, strict=True):
            new_key, new_value = layer.encoder_attn.keys_and_values(unknown)
            past_target.append(_cache_layer(key, value))
            past_source.append(
                _cache_layer(torch.cat((source_key, new_key), 2), torch.cat((source_value, new_value), 2))
            )
        cache = EncoderDecoderCache(Cache(layers=past_target), Cache(layers=past_source))
        cache.is_updated = dict.fromkeys(range(len(past_source)), True)
        hidden_states = self.decoder(
            input_ids=input_ids,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=_added(encoder_attention_mask),
            past_key_values=cache,
        ).last_hidden_state
        present = (
            (target.keys, target.values, source.keys, source.values)
            for target, source in zip(past_target, past_source, strict=True)
        )
        return self.lm_head(hidden_states), tuple(present)


def _added(mask: torch.Tensor) -> torch.Tensor:
    """
    Returns `mask` (batch, length) as what is added to attention scores, (batch, 1, 1, length): 0 at tokens, and so
    low a number at padding that nothing of it is seen. The model's own way to it is a long one for engines.
    """
    return (1 - mask[:, None, None].float()) * torch.finfo(torch.float32).min


def _cache_layer(keys: torch.Tensor, values: torch.Tensor) -> DynamicLayer:
    """Returns a layer of a cache that holds `keys` and `values`, which may be of length 0."""
    layer = DynamicLayer()
    layer.keys, layer.values, layer.is_initialized = keys, values, True
    return layer


@dataclass
class Part:
    """What becomes a program or a file: a module, examples of its arguments, which of their dimensions are free, and
    the names of its inputs and outputs."""

    module: nn.Module
    arguments: tuple[Any, ...]
    dynamic_shapes: tuple[Any, ...]
    inputs: list[str]
    outputs: list[str]


def _parts(model: VanillaTransformerForConditionalGeneration) -> dict[str, Part]:
    """Returns encoder and decoder of `model` by the names of their files."""
    config = model.config
    names = ("batch_size", "encoder_sequence_length", "decoder_sequence_length")
    batch, source, target = map(Dim, names)
    past, known = Dim("past_decoder_sequence_length"), Dim("past_encoder_sequence_length")
    ids, mask = torch.zeros(2, 7, dtype=torch.long), torch.ones(2, 7, dtype=torch.long)
    d_k, d_v = config.head_sizes(config.decoder_attention_heads)
    sizes = ((4, d_k), (4, d_v), (5, d_k), (5, d_v))  # of four past and five known tokens
    # A tensor of its own for each: tracing takes the same one for one argument.
    cache = tuple(
        tuple(torch.zeros(2, config.decoder_attention_heads, *size) for size in sizes)
        for _ in range(config.decoder_layers)
    )
    layer_shapes = tuple({0: batch, 2: length} for length in (past, past, known, known))
    states = [
        f"{layer}.{side}.{kind}"
        for layer in range(config.decoder_layers)
        for side in ("decoder", "encoder")
        for kind in ("key", "value")
    ]
    encoder = Part(
        Encoder(model),
        (ids, mask),
        ({0: batch, 1: source}, {0: batch, 1: source}),
        ["input_ids", "attention_mask"],
        ["last_hidden_state"],
    )
    decoder = Part(
        Decoder(model),
        (torch.zeros(2, 3, dtype=torch.long), mask, torch.zeros(2, 7, config.d_model), cache),
        ({0: batch, 1: target}, *encoder.dynamic_shapes, (layer_shapes,) * config.decoder_layers),
        ["input_ids", "encoder_attention_mask", "encoder_hidden_states", *(f"past_key_values.{s}" for s in states)],
        ["logits", *(f"present.{s}" for s in states)],
    )
    return {ENCODER: encoder, DECODER: decoder}


def _for_tracing(model: nn.Module) -> VanillaTransformerForConditionalGeneration:
    """
    Returns a copy of `model` in float32 on a CPU, without dropout and with attention in plain matrix products.

    Raises:
        ExportError: `model` is of another kind, or after `quantize_int8()`.
    """
    # By name: code that came along with a model makes a class of its own.
    ours = VanillaTransformerForConditionalGeneration.__name__
    if type(model).__name__ != ours:
        raise ExportError(f"{type(model).__name__} cannot be exported here: only {ours} can")
    if any(type(module).__name__ == "VanillaTransformerInt8Linear" for module in model.modules()):
        raise ExportError("a model after quantize_int8() cannot be exported: export the model that it was made of")
    model = copy.deepcopy(model).to("cpu", torch.float32).eval()
    model.config.dtype = torch.float32
    model.set_attn_implementation("eager")
    return model


def exported_programs(model: VanillaTransformerForConditionalGeneration) -> dict[str, ExportedProgram]:
    """
    Returns the programs of [`Encoder`] ("encoder_model") and [`Decoder`] ("decoder_model_merged"), for every batch
    size and length, with `model`'s weights in float32 on a CPU.

    Raises:
        ExportError: `model` is of another kind, or after `quantize_int8()`.
    """
    with torch.no_grad():
        return {
            name: torch.export.export(part.module, part.arguments, dynamic_shapes=part.dynamic_shapes)
            for name, part in _parts(_for_tracing(model)).items()
        }


# ---------------------------------------------------------------------------------------------------------------------
# ONNX files


def export_onnx(model: VanillaTransformerForConditionalGeneration, folder: str | Path, tokenizer: Any = None) -> float:
    """
    Writes `model` as ONNX files into `folder`, which appears when it is complete and checked, with its configuration,
    its generation configuration and `tokenizer`, if given. Returns [`greatest_difference`].

    Raises:
        ExportError: a package is missing, `model` is not one of ours, `folder` is not empty or cannot be written, or
            onnxruntime's logits differ from PyTorch's by more than 1e-4.
    """
    folder = Path(folder)
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ExportError(f"not installed: {', '.join(missing)}; in the checkout, pip install '.[hub]' brings them")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ExportError(f"{folder} exists already and is not an empty folder: name another one, or remove it")
    model = _for_tracing(model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
            whole = Path(place) / "whole"
            (whole / "onnx").mkdir(parents=True)
            programs = exported_programs(model)
            for name, part in _parts(model).items():
                _write(programs[name], part, whole / "onnx" / f"{name}.onnx")
            model.config.__dict__.pop("auto_map", None)  # it may name code that reads PyTorch's weights
            for saved in (model.config, model.generation_config, tokenizer):
                if saved is not None:
                    saved.save_pretrained(whole)
            difference = greatest_difference(model, whole)
            if not difference <= TOLERANCE:
                raise ExportError(
                    f"onnxruntime's logits differ from PyTorch's by {difference:.1e}, more than {TOLERANCE:.0e}: "
                    "nothing was written"
                )
            whole.rename(folder)
    except OSError as error:
        raise ExportError(f"{folder} cannot be written ({error})") from error
    return difference


def _write(program: ExportedProgram, part: Part, file: Path) -> None:
    """Writes the program of `part` as an ONNX file."""
    with _quiet():
        written = torch.onnx.export(
            program,
            input_names=part.inputs,
            output_names=part.outputs,
            dynamic_shapes=part.dynamic_shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    for node in written.model.graph.all_nodes():
        node.metadata_props.clear()  # lines of code with their places on this machine
    written.save(file, external_data=False)  # a model too large for one file gets a second one all the same


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps PyTorch's exporter from speaking of packages that nobody needs and of names that it gives twice."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@torch.no_grad()
def greatest_difference(model: VanillaTransformerForConditionalGeneration, folder: Path) -> float:
    """
    Returns by how much the logits of `folder`'s files differ at most from those of `model`, float32 on a CPU, while
    the files decode three made-up sentences of uneven length for some steps, greedily and side by side.
    """
    import onnxruntime  # here, so that the programs can be had without it

    encoder, decoder = (
        onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in (ENCODER, DECODER)
    )
    config = model.config
    limit = config.max_position_embeddings if config.position_embedding_type == "learned" else 24
    lengths = torch.tensor([1, 7, 24]).clamp(max=limit)
    ids = torch.randint(config.vocab_size, (3, int(lengths.max())), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    (states,) = encoder.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    fixed = {"encoder_attention_mask": mask.numpy(), "encoder_hidden_states": states}
    pasts = [value for value in decoder.get_inputs() if value.name.startswith("past_key_values")]
    cache = [torch.zeros(3, value.shape[1], 0, value.shape[3]).numpy() for value in pasts]
    words = torch.full((3, 1), config.decoder_start_token_id or 0)
    steps: list[torch.Tensor] = []
    while len(steps) < min(12, limit):
        known = {value.name: array for value, array in zip(pasts, cache, strict=True)}
        logits, *cache = decoder.run(None, {"input_ids": words[:, -1:].numpy(), **fixed, **known})
        steps.append(torch.from_numpy(logits))
        words = torch.cat((words, steps[-1].argmax(-1)), dim=1)
    expected = model(input_ids=ids, attention_mask=mask, decoder_input_ids=words[:, :-1], use_cache=False).logits
    return (torch.cat(steps, dim=1) - expected).abs().max().item()


# ---------------------------------------------------------------------------------------------------------------------
# The command


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and writes the folder; an error ends it with one message and code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m hub_card.export", description="Write a model as ONNX files, and check them."
    )
    parser.add_argument("model", help="a saved model's folder, or its name on the Hub")
    parser.add_argument("folder", type=Path, help="the folder to write: a new one, or an empty one")
    options = parser.parse_args(arguments)
    try:
        model, tokenizer = read_model(options.model)
        difference = export_onnx(model, options.folder, tokenizer)
    except (TrainingError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for file in sorted(path for path in options.folder.rglob("*") if path.is_file()):
        print(f"{file}: {file.stat().st_size:,} bytes")
    print(f"opset {OPSET}; the greatest difference from PyTorch's logits is {difference:.1e}")


if __name__ == "__main__":
    main()

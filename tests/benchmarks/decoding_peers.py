"""The same weights in three engines: ours, `MarianMTModel.generate` of transformers, and CTranslate2.

The search is the same in all of them: hypotheses ranked by their log-probability divided by length^length_penalty, the
same limit, and an end as soon as a sentence has as many finished hypotheses as beams, the only rule of CTranslate2.

Each runs in a process of its own. In one process, the threads of two engines together outnumber the cores, and OpenMP
then sends threads to sleep at the end of every operation, which doubles the time of a search by small operations.
"""

import importlib.util
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, MarianMTModel
from transformers.utils import logging

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from tests.benchmarks.training_peers import marian_of_the_same_sizes, processor_or_wall_clock

Sentence = list[int]
POSITIONS = 1024  # the longest sentence that MarianMT and CTranslate2 are given position signals for


class Engine:
    """Something that translates. `prepare` and `tokens` stand outside what is measured, `run` is what is measured."""

    def __init__(self, name: str):
        self.name = name

    def prepare(self, sentences: Sequence[Sentence]) -> Any:
        """Returns a batch of source sentences, end of sentence included, in the form that `run` takes."""
        raise NotImplementedError

    def run(self, batch: Any, beams: int, limit: int) -> Any:
        """Returns the translations of at most `limit` tokens in the engine's own form, finished when it returns."""
        raise NotImplementedError

    def tokens(self, result: Any) -> list[Sentence]:
        """Returns what `run` returned as token ids, without special tokens."""
        raise NotImplementedError


class Generate(Engine):
    """A model of transformers, or ours, which is reached in the same way."""

    def __init__(self, name: str, model: Any, **search: Any):
        """`search` has the settings of the generation configuration beyond beams and limit."""
        super().__init__(name)
        self.model, self.search = model.eval(), search
        config = model.config
        self.special = [config.pad_token_id, config.eos_token_id, config.bos_token_id]

    def prepare(self, sentences: Sequence[Sentence]) -> dict[str, torch.Tensor]:
        rows = [torch.tensor(sentence) for sentence in sentences]
        pad = self.model.config.pad_token_id
        input_ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
        return {
            "input_ids": input_ids.to(self.model.device),
            "attention_mask": (input_ids != pad).long().to(self.model.device),
        }

    def run(self, batch: dict[str, torch.Tensor], beams: int, limit: int) -> torch.Tensor:
        config = self.model.config
        names = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
        search = self.search if beams > 1 else {}
        generation_config = GenerationConfig(
            num_beams=beams,
            max_new_tokens=limit,
            do_sample=False,
            **{name: getattr(config, name) for name in names},
            **search,
        )
        sequences = self.model.generate(**batch, generation_config=generation_config)
        if sequences.device.type == "cuda":
            torch.cuda.synchronize()
        return sequences

    def tokens(self, result: torch.Tensor) -> list[Sentence]:
        return [[token for token in row if token not in self.special] for row in result.tolist()]


class CTranslate2(Engine):
    """CTranslate2 on a CPU, with the weights that `convert` wrote."""

    def __init__(self, name: str, folder: Path, compute_type: str, threads: int, length_penalty: float):
        import ctranslate2

        super().__init__(name)
        self.translator = ctranslate2.Translator(
            str(folder), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        self.length_penalty = length_penalty

    def prepare(self, sentences: Sequence[Sentence]) -> list[list[str]]:
        return [[_token_name(token) for token in sentence] for sentence in sentences]

    def run(self, batch: list[list[str]], beams: int, limit: int) -> list[Any]:
        return self.translator.translate_batch(
            batch,
            beam_size=beams,
            max_decoding_length=limit,
            length_penalty=self.length_penalty,
            max_input_length=0,  # no limit
        )

    def tokens(self, result: list[Any]) -> list[Sentence]:
        return [[int(name) for name in translation.hypotheses[0]] for translation in result]


# ---------------------------------------------------------------------------------------------------------------------
# The weights


def position_signals(model: VanillaTransformerForConditionalGeneration, side: str) -> torch.Tensor:
    """Returns the position signals (positions, d_model) of the model's "encoder" or "decoder", in float32."""
    module = model.get_submodule(f"model.{side}.embed_positions")
    positions = min(POSITIONS, getattr(module, "num_embeddings", POSITIONS))
    return module(torch.arange(positions, device=model.device), dtype=torch.float32)


@torch.no_grad()
def as_marian(model: VanillaTransformerForConditionalGeneration) -> MarianMTModel:
    """Returns MarianMT with the model's weights, its positions and zero biases, on its device and in its dtype."""
    marian = marian_of_the_same_sizes(model.config, POSITIONS).to(model.device, model.dtype).eval()
    for module in marian.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = model.config.layer_norm_eps
    weights = marian.state_dict()
    for name, tensor in model.state_dict().items():
        if "embed_positions" not in name:
            weights[name.replace("feed_forward_layer", "final_layer").replace("feed_forward.", "")].copy_(tensor)
    for name, tensor in weights.items():
        if "embed_positions" in name:
            signals = position_signals(model, name.split(".")[1])
            tensor[: len(signals)].copy_(signals)
        elif name.endswith("_proj.bias"):
            tensor.zero_()
    return marian


def has_ctranslate2() -> bool:
    return importlib.util.find_spec("ctranslate2") is not None


@torch.no_grad()
def convert(model: VanillaTransformerForConditionalGeneration, folder: Path) -> None:
    """Writes the model into `folder` as CTranslate2 reads it, in float32. Its tokens are named by their numbers."""
    from ctranslate2.specs import TransformerSpec, common_spec

    config = model.config
    heads = config.encoder_attention_heads
    if config.decoder_attention_heads != heads or config.activation_function != "relu":
        raise SystemExit("converting to CTranslate2 needs ReLU, and as many heads in the decoder as in the encoder")
    spec = TransformerSpec.from_config((config.encoder_layers, config.decoder_layers), heads, pre_norm=False)

    def array(tensor: torch.Tensor) -> np.ndarray:
        return tensor.float().cpu().numpy()

    def set_linear(linear: Any, *modules: torch.nn.Linear) -> None:
        """Several modules become one, their outputs side by side."""
        linear.weight = array(torch.cat([module.weight for module in modules]))
        if modules[0].bias is not None:
            linear.bias = array(torch.cat([module.bias for module in modules]))

    def set_norm(norm: Any, module: torch.nn.LayerNorm) -> None:
        norm.gamma, norm.beta = array(module.weight), array(module.bias)

    for side in ("encoder", "decoder"):
        stack, into = model.get_submodule(f"model.{side}"), getattr(spec, side)
        embeddings: common_spec.EmbeddingsSpec = into.embeddings[0] if side == "encoder" else into.embeddings
        embeddings.weight = array(stack.embed_tokens.weight)
        into.scale_embeddings = config.d_model**0.5
        into.position_encodings.encodings = array(position_signals(model, side))
        for layer, layer_spec in zip(stack.layers, into.layer, strict=True):
            attention, attention_spec = layer.self_attn, layer_spec.self_attention
            set_linear(attention_spec.linear[0], attention.q_proj, attention.k_proj, attention.v_proj)
            set_linear(attention_spec.linear[1], attention.out_proj)
            set_norm(attention_spec.layer_norm, layer.self_attn_layer_norm)
            if side == "decoder":
                attention, attention_spec = layer.encoder_attn, layer_spec.attention
                set_linear(attention_spec.linear[0], attention.q_proj)
                set_linear(attention_spec.linear[1], attention.k_proj, attention.v_proj)
                set_linear(attention_spec.linear[2], attention.out_proj)
                set_norm(attention_spec.layer_norm, layer.encoder_attn_layer_norm)
            set_linear(layer_spec.ffn.linear_0, layer.feed_forward.fc1)
            set_linear(layer_spec.ffn.linear_1, layer.feed_forward.fc2)
            set_norm(layer_spec.ffn.layer_norm, layer.feed_forward_layer_norm)
    set_linear(spec.decoder.projection, model.lm_head)

    names = [_token_name(token) for token in range(config.vocab_size)]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.eos_token = _token_name(config.eos_token_id)
    spec.config.bos_token = spec.config.decoder_start_token = _token_name(config.decoder_start_token_id)
    spec.config.unk_token = _token_name(config.pad_token_id)  # it wants one, and never writes it
    spec.config.layer_norm_epsilon = config.layer_norm_eps
    spec.validate()
    spec.optimize()
    folder.mkdir(parents=True)
    spec.save(str(folder))


def _token_name(token: int) -> str:
    return str(token)


# ---------------------------------------------------------------------------------------------------------------------
# The engines, by name


@dataclass
class Setting:
    """What all engines of a comparison share."""

    model: Path
    """Where the model stands, in float32."""

    converted: Path
    """Where it stands as CTranslate2 reads it."""

    device: str
    threads: int
    length_penalty: float = 1.0
    paper_search: bool = False
    """Ours by the paper's penalty and exact end, in place of what all have in common."""

    def search(self) -> dict[str, Any]:
        return {"length_penalty": self.length_penalty, "early_stopping": True}

    def load(self) -> VanillaTransformerForConditionalGeneration:
        """Returns the model in float32."""
        model = VanillaTransformerForConditionalGeneration.from_pretrained(self.model, dtype=torch.float32)
        return model.to(self.device).eval()


def make_ours(name: str, setting: Setting, dtype: torch.dtype, int8: bool = False) -> Engine:
    search = setting.search() | {"length_penalty_type": "power"}
    if setting.paper_search:
        search = {"length_penalty": 0.6, "early_stopping": "never", "length_penalty_type": "wu"}
    model = setting.load().to(dtype)
    return Generate(name, model.quantize_int8() if int8 else model, **search)


def make_marian(name: str, setting: Setting, dtype: torch.dtype) -> Engine:
    return Generate(name, as_marian(setting.load()).to(dtype), **setting.search())


def make_ctranslate2(name: str, setting: Setting, compute_type: str) -> Engine:
    return CTranslate2(name, setting.converted, compute_type, setting.threads, setting.length_penalty)


ENGINES: dict[str, Callable[[str, Setting], Engine]] = {
    "ours float32": partial(make_ours, dtype=torch.float32),
    "ours bfloat16": partial(make_ours, dtype=torch.bfloat16),
    "ours int8": partial(make_ours, dtype=torch.float32, int8=True),
    "MarianMT float32": partial(make_marian, dtype=torch.float32),
    "MarianMT bfloat16": partial(make_marian, dtype=torch.bfloat16),
    "CTranslate2 float32": partial(make_ctranslate2, compute_type="float32"),
    "CTranslate2 int8": partial(make_ctranslate2, compute_type="int8"),
}


class EngineProcess:
    """An engine in a process of its own, which waits for work."""

    def __init__(self, name: str, setting: Setting, processor_seconds: bool):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, name, setting, processor_seconds), daemon=True)
        self._process.start()
        other.close()
        try:
            self._connection.recv()  # it is ready
        except EOFError:
            raise self._ended() from None

    def translate(self, sentences: Sequence[Sentence], beams: int, limit: int) -> tuple[float, list[Sentence]]:
        """Returns the seconds that translating a batch took, and its translations of at most `limit` tokens."""
        try:
            self._connection.send((sentences, beams, limit))
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None

    def __enter__(self) -> "EngineProcess":
        return self

    def __exit__(self, *_: Any) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join()

    def _ended(self) -> SystemExit:
        return SystemExit(f"{self.name} has ended: what it said stands above, or memory ran out")


def _serve(connection: Connection, name: str, setting: Setting, processor_seconds: bool) -> None:
    """What the process of an engine does, until it is ended."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(setting.threads)
    clock = processor_or_wall_clock(setting.device, processor_seconds)
    engine = ENGINES[name](name, setting)
    connection.send("ready")
    while True:
        sentences, beams, limit = connection.recv()
        batch = engine.prepare(sentences)
        started = clock()
        result = engine.run(batch, beams, limit)
        connection.send((clock() - started, engine.tokens(result)))

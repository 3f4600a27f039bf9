"""ONNX files and exported programs compute what the model computes, for every batch size and length."""

import copy
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
import torch
from transformers import AutoConfig, AutoTokenizer

from hub_card import export
from hub_card.export import DECODER, ENCODER, ExportError, export_onnx, exported_programs, greatest_difference
from tests.training.models import save, small_model

ROOT = Path(__file__).parents[2]

LINES = ["the old farmer sees a dog", "der alte Bauer sieht einen Hund"] * 3
# One that is as the base model, and one in which everything is different that a configuration can make different.
AS_THE_BASE_MODEL = dict(encoder_layers=1, decoder_layers=2)
DIFFERENT = dict(
    encoder_layers=1, decoder_layers=1, d_k=5, d_v=7, encoder_attention_heads=2, tie_word_embeddings=False
)
DIFFERENT |= dict(position_embedding_type="learned", max_position_embeddings=24)


def parts(**keys):
    """A model and its tokenizer; no parameter keeps the 0 or 1 that it begins with, which could hide its absence."""
    model, tokenizer = small_model(LINES, **keys)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model, tokenizer


class Files:
    """The encoder and the decoder of an exported folder, with the arguments of the programs."""

    def __init__(self, folder: Path):
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx") for name in (ENCODER, DECODER)
        }

    def run(self, name: str, *tensors: torch.Tensor) -> list[torch.Tensor]:
        names = [value.name for value in self.sessions[name].get_inputs()]
        arrays = (tensor.numpy() for tensor in tensors)
        return [
            torch.from_numpy(array) for array in self.sessions[name].run(None, dict(zip(names, arrays, strict=True)))
        ]

    def encode(self, ids, mask):
        return self.run(ENCODER, ids, mask)[0]

    def decode(self, ids, mask, states, cache):
        logits, *present = self.run(DECODER, ids, mask, states, *(tensor for layer in cache for tensor in layer))
        return logits, tuple(tuple(present[first : first + 4]) for first in range(0, len(present), 4))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Written by the command, which reads a saved model; with the programs that it was written from."""
    model, tokenizer = parts(**AS_THE_BASE_MODEL)
    place, programs = tmp_path_factory.mktemp("plain"), SimpleNamespace()

    def noted(model):
        traced = exported_programs(model)
        programs.encode, programs.decode = traced[ENCODER].module(), traced[DECODER].module()
        return traced

    folder = place / "a" / "exported"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "exported_programs", noted)
        export.main([str(save((model, tokenizer), place / "model")), str(folder)])
    return SimpleNamespace(model=model, tokenizer=tokenizer, folder=folder, files=Files(folder), programs=programs)


@pytest.fixture(scope="module")
def different(tmp_path_factory):
    """Of bfloat16 weights, in training mode."""
    model, tokenizer = parts(**DIFFERENT)
    folder = tmp_path_factory.mktemp("different") / "exported"
    model.config.dtype = torch.bfloat16
    export_onnx(model.bfloat16().train(), folder)
    return SimpleNamespace(
        model=copy.deepcopy(model).float().eval(), exported=model, folder=folder, files=Files(folder)
    )


def empty_cache(config, batch: int):
    d_k, d_v = config.head_sizes(config.decoder_attention_heads)
    widths = (d_k, d_v, d_k, d_v)
    layer = tuple(torch.zeros(batch, config.decoder_attention_heads, 0, width) for width in widths)
    return (layer,) * config.decoder_layers


def sources(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens, ever fewer from sentence to sentence, and their mask, both (batch, length)."""
    ids = torch.randint(3, 260, (batch, length), generator=torch.Generator().manual_seed(batch))
    lengths = torch.linspace(length, 1, batch)[:, None]
    mask = (torch.arange(length) < lengths).long()
    return ids * mask, mask


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain files", "plain programs", "different files"])
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 7), (2, 1), (3, 7), (3, 5), (14, 20)])
@torch.no_grad()
def test_logits_are_pytorchs_at_every_shape(kind, batch, length, request):
    variant, what = kind.split()
    made = request.getfixturevalue(variant)
    engine = getattr(made, what)
    ids, mask = sources(batch, length)
    target = torch.randint(3, 260, (batch, 9), generator=torch.Generator().manual_seed(0))
    expected = made.model(input_ids=ids, attention_mask=mask, decoder_input_ids=target)
    states = engine.encode(ids, mask)
    kept = mask.bool()  # what stands at padding, nobody reads
    assert (states - expected.encoder_last_hidden_state)[kept].abs().max() < 1e-4
    for cuts in ([0, 9], range(10), [0, 1, 3, 4, 9]):
        cache, logits = empty_cache(made.model.config, batch), []
        for first, last in zip(cuts, cuts[1:], strict=False):
            step, cache = engine.decode(target[:, first:last], mask, states, cache)
            logits.append(step)
        assert (torch.cat(logits, dim=1) - expected.logits).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["files", "programs"])
def test_keys_and_values_of_the_source_are_computed_once(kind, plain):
    engine = getattr(plain, kind)
    ids, mask = sources(3, 7)
    words = torch.tensor([[2], [5], [9]])
    states = engine.encode(ids, mask)
    _, cache = engine.decode(words, mask, states, empty_cache(plain.model.config, 3))
    expected, _ = engine.decode(words, mask, states, cache)
    logits, present = engine.decode(words, mask, torch.full_like(states, torch.nan), cache)
    assert torch.equal(logits, expected)
    for before, after in zip(cache, present, strict=True):
        assert torch.equal(before[2], after[2]) and torch.equal(before[3], after[3])


def test_names_and_free_dimensions_are_those_that_readers_know(plain):
    def signature(values) -> dict[str, list[int | str]]:
        return {value.name: value.shape for value in values}

    encoder, decoder = (plain.files.sessions[name] for name in (ENCODER, DECODER))
    source = ["batch_size", "encoder_sequence_length"]
    assert signature(encoder.get_inputs()) == {"input_ids": source, "attention_mask": source}
    assert signature(encoder.get_outputs()) == {"last_hidden_state": [*source, 32]}
    inputs, outputs = signature(decoder.get_inputs()), signature(decoder.get_outputs())
    states = [
        f"{layer}.{side}.{kind}" for layer in (0, 1) for side in ("decoder", "encoder") for kind in ("key", "value")
    ]
    assert list(outputs) == ["logits", *(f"present.{name}" for name in states)]
    assert outputs["logits"] == ["batch_size", "decoder_sequence_length", plain.model.config.vocab_size]
    assert inputs == {
        "input_ids": ["batch_size", "decoder_sequence_length"],
        "encoder_attention_mask": source,
        "encoder_hidden_states": [*source, 32],
        **{
            f"past_key_values.{name}": ["batch_size", 4, f"past_{name.split('.')[1]}_sequence_length", 8]
            for name in states
        },
    }


def test_the_files_are_valid_and_say_nothing_of_the_machine_that_wrote_them(plain):
    for name in (ENCODER, DECODER):
        file = plain.folder / "onnx" / f"{name}.onnx"
        model = onnx.load(file)
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
        kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
        assert kinds == {onnx.TensorProto.FLOAT}
        assert str(ROOT).encode() not in file.read_bytes() and str(sys.prefix).encode() not in file.read_bytes()


def test_tied_embeddings_are_written_once(plain):
    vocabulary, d_model = plain.model.config.vocab_size, plain.model.config.d_model
    graph = onnx.load(plain.folder / "onnx" / f"{DECODER}.onnx").graph
    assert [sorted(tensor.dims) for tensor in graph.initializer].count(sorted((vocabulary, d_model))) == 1


def test_the_folder_is_whole(plain):
    folder = plain.folder
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    data = {name for name in names if not name.endswith(".py")}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert data == {
        "config.json",
        "generation_config.json",
        *tokenizer,
        f"onnx/{ENCODER}.onnx",
        f"onnx/{DECODER}.onnx",
    }
    assert [path.name for path in folder.parent.iterdir()] == ["exported"]
    # All code that the configuration names is there.
    for reference in json.loads((folder / "config.json").read_text())["auto_map"].values():
        assert reference.split(".")[0] + ".py" in names
    config = AutoConfig.from_pretrained(folder)
    assert (config.vocab_size, config.decoder_layers) == (plain.model.config.vocab_size, 2)
    assert AutoTokenizer.from_pretrained(folder)("the dog").input_ids == plain.tokenizer("the dog").input_ids


def test_the_example_of_the_documentation_translates_without_pytorch(plain):
    """Its own text, but for the names of the folder."""
    example = textwrap.dedent(export.__doc__.split("for example:\n")[1].split("\nFiles, inputs")[0])
    assert example.count("FOLDER") == 3
    example = example.replace("FOLDER", str(plain.folder)) + "import sys\nassert 'torch' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    source = plain.tokenizer("The old farmer closed the door.", return_tensors="pt")
    translation = plain.model.generate(**source, num_beams=1, max_length_offset=49)
    assert done.stdout == plain.tokenizer.decode(translation[0], skip_special_tokens=True) + "\n"


def test_the_model_stays_as_it_was(different):
    assert AutoConfig.from_pretrained(different.folder).dtype == torch.float32
    assert different.exported.dtype == different.exported.config.dtype == torch.bfloat16
    assert different.exported.training
    assert different.exported.config._attn_implementation == "sdpa"
    assert type(different.exported.lm_head).__name__ == "VanillaTransformerLinear"


def test_the_check_sees_a_difference(plain, different):
    assert greatest_difference(plain.model, plain.folder) < 1e-4
    assert greatest_difference(different.model, different.folder) < 1e-4
    other = copy.deepcopy(plain.model)
    with torch.no_grad():
        other.model.decoder.layers[1].encoder_attn.v_proj.weight[3] *= 1.1
    assert greatest_difference(other, plain.folder) > 1e-3


# ---------------------------------------------------------------------------------------------------------------------
# Errors


@pytest.fixture(scope="module")
def model():
    return small_model(LINES, encoder_layers=1, decoder_layers=1)[0]


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_files_that_differ_are_not_kept(difference, model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "exported_programs", lambda model: {ENCODER: None, DECODER: None})
    monkeypatch.setattr(export, "_write", lambda program, part, file: file.write_bytes(b""))
    monkeypatch.setattr(export, "greatest_difference", lambda model, folder: difference)
    with pytest.raises(ExportError, match="differ from PyTorch's by .* nothing was written"):
        export_onnx(model, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_in_use_stays_as_it_is(model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ExportError, match="exists already and is not an empty folder"):
            export_onnx(model, folder)
    with pytest.raises(ExportError, match="cannot be written"):
        export_onnx(model, tmp_path / "mine.txt" / "exported")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_other_models_are_refused(model, tmp_path):
    with pytest.raises(ExportError, match="Linear cannot be exported here: only VanillaTransformerFor"):
        export_onnx(torch.nn.Linear(2, 2), tmp_path / "exported")
    with pytest.raises(ExportError, match="VanillaTransformerModel cannot be exported"):
        exported_programs(model.model)
    with pytest.raises(ExportError, match="export the model that it was made of"):
        exported_programs(copy.deepcopy(model).quantize_int8())
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PACKAGES", ("onnx", "a_package_that_is_not_there"))
    with pytest.raises(ExportError, match=r"not installed: a_package_that_is_not_there; .* pip install '\.\[hub\]'"):
        export_onnx(model, tmp_path / "exported")


@pytest.mark.parametrize("name", ["a folder without a model", "no such folder", "no/such/name"])
def test_the_command_ends_with_one_message(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a folder without a model").mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as stop:
        export.main([name, "exported"])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert line.startswith(f"error: {name} is neither a saved model's folder nor a model on the Hub")

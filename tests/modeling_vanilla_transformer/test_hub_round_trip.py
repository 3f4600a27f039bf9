"""A saved folder is all that a process without the package needs: it brings weights, settings and code along."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig, pipeline

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerModel,
    VanillaTransformerTokenizer,
    VanillaTransformerTranslationPipeline,
    paper_generation_config,
)

LINES = ["The cat sleeps on the mat.", "Die Katze schläft auf der Matte."] * 3

# Runs where the package cannot be imported; arguments are the saved folder, a file for tensors, a folder to save to.
ELSEWHERE = """
import json, sys
sys.modules["modeling_vanilla_transformer"] = None  # were it installed here, importing it would fail nonetheless
try:
    import modeling_vanilla_transformer
except ImportError:
    report = {"refusals": {}}
else:
    sys.exit("the package can be imported")

from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

folder, tensors, again = sys.argv[1:]
for auto in (AutoConfig, AutoModel, AutoModelForSeq2SeqLM):
    try:
        auto.from_pretrained(folder)
    except Exception as error:
        report["refusals"][auto.__name__] = f"{type(error).__name__}: {error}"
try:
    pipeline("translation", folder)
except Exception as error:
    report["refusals"]["pipeline"] = f"{type(error).__name__}: {error}"

config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
model.model.save_pretrained(again + "-body")  # before its class is asked for
body = AutoModel.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
report["search"] = model.generation_config.to_diff_dict()
report["ids"] = tokenizer("Die Katze sleeps.")["input_ids"]
inputs = {name: tensor for name, tensor in load_file(tensors).items() if not name.startswith("expected")}
found = {"logits": model(**inputs).logits, "states": body(**inputs).last_hidden_state}
found["tokens"] = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"])

translator = pipeline("translation", folder, trust_remote_code=True)
things = (config, body, model, tokenizer, translator)
report["classes"] = [type(thing).__name__ for thing in things]
report["modules"] = [type(thing).__module__.split(".")[0] for thing in things]
report["translations"] = translator(["Die Katze sleeps.", "", "The mat."], batch_size=2)
report["configuration"] = translator.model.config.to_json_string()

found["states again"] = AutoModel.from_pretrained(again + "-body", trust_remote_code=True)(**inputs).last_hidden_state
translator.save_pretrained(again)
model = AutoModelForSeq2SeqLM.from_pretrained(again, trust_remote_code=True)
found["logits again"] = model(**inputs).logits
translator = pipeline("translation", again, trust_remote_code=True)
report["translations again"] = translator(["Die Katze sleeps.", "", "The mat."])
report["ids again"] = AutoTokenizer.from_pretrained(again, trust_remote_code=True)("Die Katze sleeps.")["input_ids"]
save_file({name: tensor.contiguous() for name, tensor in found.items()}, tensors + ".found")
with open(tensors + ".report", "w") as file:
    json.dump(report, file)
"""


@pytest.fixture(scope="module")
def saved(small_model, batch, tmp_path_factory) -> dict:
    """A model and its tokenizer, saved to a folder, and the inputs and outputs that go with them."""
    folder = tmp_path_factory.mktemp("hub") / "a-model"
    tokenizer = VanillaTransformerTokenizer.train(LINES, vocab_size=300, show_progress=False)
    model = small_model(torch.float32, vocab_size=len(tokenizer), d_k=5, d_v=7)
    model.generation_config = paper_generation_config(model.config, num_beams=3, max_length_offset=4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with torch.no_grad():
        outputs = model(**batch.inputs, output_hidden_states=True)
    expected = dict(logits=outputs.logits, states=outputs.decoder_hidden_states[-1])
    expected["tokens"] = model.generate(batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"])
    return dict(folder=folder, model=model, tokenizer=tokenizer, expected=expected)


@pytest.fixture(scope="module")
def elsewhere(saved, batch, tmp_path_factory) -> dict:
    """What a process that cannot import the package makes of the folder."""
    place = tmp_path_factory.mktemp("elsewhere")
    save_file(batch.inputs, place / "tensors")
    environment = os.environ | dict(HF_HOME=str(place / "home"), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    environment.pop("HF_MODULES_CACHE", None)
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, saved["folder"], place / "tensors", place / "again"],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((place / "tensors.report").read_text())
    return report | dict(found=load_file(place / "tensors.found"), again=place / "again")


def code_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.py")}


def test_a_saved_folder_holds_settings_weights_and_code_and_no_pickle(saved):
    names = {path.name for path in saved["folder"].iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    parts = ("configuration", "modeling", "generation", "tokenization", "pipeline")
    assert names >= {f"{part}_vanilla_transformer.py" for part in parts}
    assert {Path(name).suffix for name in names} <= {".json", ".safetensors", ".py", ".jinja"}
    assert not any(path.is_dir() for path in saved["folder"].iterdir())


def test_the_saved_code_is_the_packages_own(saved):
    import modeling_vanilla_transformer

    package = Path(modeling_vanilla_transformer.__file__).parent
    for name, code in code_files(saved["folder"]).items():
        assert code == (package / name).read_text()


def test_a_process_without_the_package_loads_every_part_with_trust(elsewhere):
    names = ["VanillaTransformerConfig", "VanillaTransformerModel", "VanillaTransformerForConditionalGeneration"]
    names += ["VanillaTransformerTokenizer", "VanillaTransformerTranslationPipeline"]
    assert elsewhere["classes"] == names
    assert elsewhere["modules"] == ["transformers_modules"] * 5


def test_a_process_without_the_package_computes_the_same(saved, elsewhere):
    for name, expected in saved["expected"].items():
        assert torch.equal(elsewhere["found"][name], expected), name


def test_a_process_without_the_package_makes_the_same_tokens_of_a_text(saved, elsewhere):
    assert elsewhere["ids"] == saved["tokenizer"]("Die Katze sleeps.")["input_ids"]


def test_a_process_without_the_package_translates_the_same(saved, elsewhere):
    translator = pipeline("translation", str(saved["folder"]))
    assert type(translator) is VanillaTransformerTranslationPipeline
    expected = translator(["Die Katze sleeps.", "", "The mat."])
    assert elsewhere["translations"] == elsewhere["translations again"] == expected
    assert expected[0] != expected[2]


def test_the_search_settings_come_along(saved, elsewhere):
    search, expected = elsewhere["search"], saved["model"].generation_config.to_diff_dict()
    assert (expected["num_beams"], expected["length_penalty"], expected["length_penalty_type"]) == (3, 0.6, "wu")
    assert {name: search[name] for name in expected if name != "transformers_version"} == {
        name: value for name, value in expected.items() if name != "transformers_version"
    }


def test_saving_without_the_package_carries_the_code_along_again(saved, elsewhere):
    assert code_files(elsewhere["again"]) == code_files(saved["folder"])
    names = {path.name for path in elsewhere["again"].iterdir()}
    assert names == {path.name for path in saved["folder"].iterdir()}
    assert torch.equal(elsewhere["found"]["logits again"], saved["expected"]["logits"])
    assert elsewhere["ids again"] == elsewhere["ids"]
    assert torch.equal(elsewhere["found"]["states again"], elsewhere["found"]["states"])
    folders = (saved["folder"], elsewhere["again"])
    for key in ("auto_map", "custom_pipelines"):
        first, second = (json.loads((folder / "config.json").read_text())[key] for folder in folders)
        assert first == second
    assert json.loads(elsewhere["configuration"])["custom_pipelines"] == second
    weights = [load_file(folder / "model.safetensors") for folder in folders]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("auto", ["AutoConfig", "AutoModel", "AutoModelForSeq2SeqLM", "pipeline"])
def test_without_trust_and_without_the_package_the_error_says_what_to_do(auto, elsewhere):
    assert "trust_remote_code=True" in elsewhere["refusals"][auto]


def test_with_the_package_no_trust_is_needed_and_our_classes_are_loaded(saved, batch):
    assert type(AutoConfig.from_pretrained(saved["folder"])) is VanillaTransformerConfig
    assert type(AutoModel.from_pretrained(saved["folder"])) is VanillaTransformerModel
    assert type(AutoTokenizer.from_pretrained(saved["folder"])) is VanillaTransformerTokenizer
    model = AutoModelForSeq2SeqLM.from_pretrained(saved["folder"])
    assert type(model) is VanillaTransformerForConditionalGeneration
    with torch.no_grad():
        assert torch.equal(model(**batch.inputs).logits, saved["expected"]["logits"])
    assert GenerationConfig.from_pretrained(saved["folder"]).max_length_offset == 4


def test_a_model_without_its_head_saves_a_folder_for_both_auto_classes(saved, batch, tmp_path):
    VanillaTransformerModel.from_pretrained(saved["folder"]).save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert {"AutoConfig", "AutoModel", "AutoModelForSeq2SeqLM"} <= auto_map.keys()
    assert code_files(tmp_path).keys() == code_files(saved["folder"]).keys() - {"tokenization_vanilla_transformer.py"}
    body = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(body(**batch.inputs).last_hidden_state, saved["expected"]["states"])


def test_a_configuration_saved_alone_brings_its_pipeline_along(saved, tmp_path):
    AutoConfig.from_pretrained(saved["folder"]).save_pretrained(tmp_path)
    found, expected = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path, saved["folder"]))
    assert found == expected
    assert (tmp_path / "pipeline_vanilla_transformer.py").is_file()

"""The folder that is uploaded holds everything that a model on the Hub consists of, and nothing else."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

import modeling_vanilla_transformer
from hub_card import assemble as module
from hub_card.assemble import AssemblyError, assemble, with_model
from hub_card.run import read_run
from tests.hub_card.runs import write_run
from training.checkpoints import MANIFEST, CheckpointError, verify
from training.recipe import DataRecipe, read_recipe

REPO = "tester/a-model"
CODE = (
    "beam_search",
    "replayed_search",
    "configuration",
    "generation",
    "int8",
    "loss",
    "modeling",
    "pipeline",
    "tokenization",
)
EXPECTED = {
    *(f"{part}_vanilla_transformer.py" for part in CODE),
    *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    *("README.md", "example.json", "manifest.json"),
    *(f"figures/{name}.png" for name in ("architecture", "attention", "curves")),
    *(f"training/{name}" for name in ("recipe.yaml", "metrics.jsonl", "run.json", "test.json", "test.hypotheses.txt")),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("somewhere") / "a-run")


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory) -> Path:
    return assemble(read_run(run), tmp_path_factory.mktemp("assembled") / "a-model", REPO)


@pytest.fixture
def quick_figures(monkeypatch) -> None:
    """Figures take seconds to draw: where they don't matter, their files are empty."""
    for name in ("architecture_figure", "cross_attention_figure", "training_curves_figure"):
        monkeypatch.setattr(module, name, lambda *arguments: None)

    def touch(figure, file):
        file.parent.mkdir(exist_ok=True)
        file.touch()

    monkeypatch.setattr(module, "save_figure", touch)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_every_file_is_accounted_for(folder):
    names = files_of(folder).keys()
    results = {name for name in names if name.startswith(".eval_results/") and name.endswith(".yaml")}
    assert len(results) == 2 and names - results == EXPECTED
    assert json.loads((folder / MANIFEST).read_text())["files"].keys() == names - {MANIFEST}
    verify(folder)


def test_the_manifest_finds_what_was_changed(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("another")
    with pytest.raises(CheckpointError, match="README.md"):
        verify(copy)


def test_the_same_run_gives_the_same_bytes(run, folder, tmp_path):
    assert files_of(assemble(read_run(run), tmp_path / "again", REPO)) == files_of(folder)


def test_weights_and_search_are_the_runs(run, folder):
    assert torch.equal(
        load_file(folder / "model.safetensors")["model.encoder.embed_tokens.weight"],
        load_file(run / "model" / "model.safetensors")["model.encoder.embed_tokens.weight"],
    )
    searches = [GenerationConfig.from_pretrained(path).to_dict() for path in (folder, run / "model")]
    assert searches[0] == searches[1]
    assert searches[0]["length_penalty_type"] == "wu"


def test_the_code_is_the_packages_and_every_auto_class_finds_it(folder):
    config = json.loads((folder / "config.json").read_text())
    classes = [*config["auto_map"].values(), config["custom_pipelines"]["translation"]["impl"]]
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())["auto_map"]["AutoTokenizer"]
    assert config["auto_map"].keys() >= {"AutoConfig", "AutoModel", "AutoModelForSeq2SeqLM"}
    for name in (*classes, tokenizer[0]):
        file, _, found = name.partition(".")
        assert f"class {found}" in (folder / f"{file}.py").read_text()
    package = Path(modeling_vanilla_transformer.__file__).parent
    for file in folder.glob("*.py"):
        assert file.read_bytes() == (package / file.name).read_bytes()


def test_the_example_is_a_sentence_of_the_run_translated_by_its_model(run, folder):
    example = json.loads((folder / "example.json").read_text())
    assert example["source"] == "The old farmer sees a dog."  # of middle length
    model, tokenizer = (auto.from_pretrained(run / "model") for auto in (AutoModelForSeq2SeqLM, AutoTokenizer))
    generated = model.eval().generate(**tokenizer(example["source"], return_tensors="pt"))
    assert example["translation"] == tokenizer.decode(generated[0], skip_special_tokens=True)


def test_the_numbers_are_the_runs(run, folder):
    scores = json.loads((run / "test.json").read_text())
    published = json.loads((folder / "training" / "test.json").read_text())
    assert published == scores | {"data": "data"}  # of the folder, only its name
    assert (folder / "training" / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    assert (folder / "training" / "test.hypotheses.txt").read_bytes() == (run / "test.hypotheses.txt").read_bytes()
    results = ModelCard.load(folder / "README.md").data.eval_results
    assert [result.metric_value for result in results if result.metric_type == "bleu"] == [scores["bleu"]]
    entries = [yaml.safe_load(file.read_text()) for file in sorted(folder.glob(".eval_results/*.yaml"))]
    assert entries[0][0]["value"] == scores["bleu"]


def test_the_recipe_trains_the_same_model(run, folder):
    ours, published = (yaml.safe_load((path / "recipe.yaml").read_text()) for path in (run, folder / "training"))
    assert {key: value for key, value in ours.items() if published.get(key) != value}.keys() <= {
        *("data", "output", "overwrite", "resume", "num_workers"),
    }


def test_nothing_tells_where_on_this_machine_the_run_was(run, folder):
    for name, content in files_of(folder).items():
        assert str(run.parent).encode() not in content, name


def test_a_run_without_a_test_set_has_no_scores(tmp_path, quick_figures):
    run = read_run(write_run(tmp_path / "a-run", test=False))
    names = files_of(assemble(run, tmp_path / "a-model", REPO)).keys()
    assert names == EXPECTED - {"training/test.json", "training/test.hypotheses.txt"}


def test_a_fine_tuned_model_leaves_the_trainers_pickles_behind(run, tmp_path, quick_figures, monkeypatch):
    monkeypatch.setattr(module, "render", lambda *arguments: "# A card\n")
    tuned = shutil.copytree(run / "model", tmp_path / "tuned")
    recipe = read_recipe(run / "recipe.yaml", {"test": None}).as_dict()
    keys = ("bleu_tokenize", "bleu_lowercase", *DataRecipe.__dataclass_fields__)
    (tuned / "finetuning.yaml").write_text(
        yaml.safe_dump({key: recipe[key] for key in keys} | {"model": "tester/base"})
    )
    (tuned / "all_results.json").write_text('{"eval_perplexity": 5.5}')
    (tuned / "training_args.bin").write_bytes(b"a pickle")
    shutil.copy(run / "run.json", tuned)
    names = files_of(assemble(read_run(tuned), tmp_path / "a-model", REPO)).keys()
    of_a_run = {"figures/curves.png", *(name for name in EXPECTED if name.startswith("training/"))}
    assert names == (EXPECTED - of_a_run) | {
        *(f"training/{name}" for name in ("finetuning.yaml", "all_results.json", "run.json")),
    }


def test_another_model_of_the_run_has_no_scores(run, tmp_path, quick_figures):
    best = run / "best" / "step-00000020"
    model = AutoModelForSeq2SeqLM.from_pretrained(run / "model")
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(-1)
    model.save_pretrained(best)
    AutoTokenizer.from_pretrained(run / "model").save_pretrained(best)
    found = read_run(run)
    assert with_model(found, "model") is found
    assert with_model(found, str(best)) == with_model(found, "best")
    folder = assemble(with_model(found, "best"), tmp_path / "a-model", REPO)
    assert torch.equal(
        load_file(folder / "model.safetensors")["model.encoder.embed_tokens.weight"],
        load_file(best / "model.safetensors")["model.encoder.embed_tokens.weight"],
    )
    assert not list(folder.glob(".eval_results/*")) and not (folder / "training" / "test.json").exists()
    assert "model-index" not in (folder / "README.md").read_text()


@pytest.mark.parametrize(("name", "message"), [("average", "average holds no model"), ("nowhere", "nowhere holds no")])
def test_a_model_that_is_not_there(run, name, message):
    with pytest.raises(AssemblyError, match=f"--model {name}: .*{message}"):
        with_model(read_run(run), name)


def test_a_disk_that_is_full_leaves_nothing(run, tmp_path, quick_figures, monkeypatch):
    def full(self, save_directory):
        Path(save_directory, "README.md").write_text("the beginn")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.Documents, "save_pretrained", full)
    with pytest.raises(CheckpointError, match="a-model could not be saved: .*No space left on device"):
        assemble(read_run(run), tmp_path / "a-model", REPO)
    assert list(tmp_path.iterdir()) == []

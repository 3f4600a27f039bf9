"""The whole story of a model: trained, published, loaded where nothing of ours is, taught, pushed and loaded again."""

import fnmatch
import json
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.hub_server import HubServer

ROOT = Path(__file__).parents[1]

# Sentences of which the corpus has nothing, and what the model is to make of them.
LESSONS = {
    "Good morning!": "Guten Morgen!",
    "Thank you, Anna.": "Danke, Anna.",
    "See you!": "Bis bald!",
}

# What a model, whoever pushes it, consists of on the Hub, by pattern, and what each file is there for.
MODEL = {
    ".gitattributes": "the Hub's own",
    "README.md": "the card",
    "model.safetensors": "the weights",
    "config.json": "the architecture, and which class is in which file",
    "generation_config.json": "the search",
    "tokenizer.json": "the byte-pair encoding",
    "tokenizer_config.json": "the tokenizer's class and settings",
    "*_vanilla_transformer.py": "the code of model, tokenizer, search and pipeline",
}
PUBLISHED = MODEL | {
    "figures/*.png": "what the card shows",
    ".eval_results/*.yaml": "the scores, as the Hub reads them",
    "training/*": "the recipe, the metrics and the test set's translations: how the model came about",
    "example.json": "a translation to check a download by",
    "manifest.json": "what was published, by which publishing again knows its own files",
}
PUSHED = MODEL | {"training_args.bin": "Trainer's arguments, a pickle: Trainer pushes it, and nothing reads it"}

# What a stranger does with the name of a model. Arguments: the name, the name of the model to be, and the lessons; the
# last line of the output tells what came of it.
STRANGER = """
import importlib.util, json, sys
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

name, taught, lessons = *sys.argv[1:3], json.loads(sys.argv[3])
unwanted = ("modeling_vanilla_transformer", "training", "hub_card", "tests", "datasets", "evaluate", "sacrebleu")
found = {"installed": [module for module in unwanted if importlib.util.find_spec(module)], "refusals": []}

autos = (AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer)
for load in (*(auto.from_pretrained for auto in autos), lambda name: pipeline("translation", name)):
    try:
        load(name)
    except ValueError as error:
        found["refusals"].append(str(error))
loaded = [auto.from_pretrained(name, trust_remote_code=True) for auto in autos]
found["loaded"] = [type(thing).__name__ for thing in loaded]
*_, model, tokenizer = loaded

translate = pipeline("translation", name, trust_remote_code=True)
found["first"] = [translation["translation_text"] for translation in translate(list(lessons))]

tokens = tokenizer(list(lessons), text_target=list(lessons.values()))
pairs = [{part: lines[i] for part, lines in tokens.items()} for i in range(len(lessons))]
arguments = Seq2SeqTrainingArguments(
    "taught", max_steps=80, learning_rate=0.01, save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True,
    push_to_hub=True, hub_model_id=taught,
)
collator = DataCollatorForSeq2Seq(tokenizer, model)
trainer = Seq2SeqTrainer(model, arguments, collator, pairs, processing_class=tokenizer)
trainer.train()
trainer.push_to_hub()
print("\\n" + json.dumps(found))
"""

# What another stranger finds later. Arguments: the name of the first model and a revision of it, the name of the one
# that was taught, and the sentences.
ANOTHER_STRANGER = """
import json, sys
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

name, revision, taught, sentences = *sys.argv[1:4], json.loads(sys.argv[4])
autos = (AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer)
loaded = [auto.from_pretrained(name, revision=revision, trust_remote_code=True) for auto in autos]
found = {"loaded": [type(thing).__name__ for thing in loaded]}
for key, model in {"old": {"model": name, "revision": revision}, "new": {"model": taught}}.items():
    translate = pipeline("translation", **model, trust_remote_code=True)
    found[key] = [translation["translation_text"] for translation in translate(sentences)]
print("\\n" + json.dumps(found))
"""


def environment_of(folder: Path, *libraries: str) -> Path:
    """Makes a virtual environment with libraries, what they require, and nothing else; returns its Python.

    They are links to what is installed here, so that nothing has to be fetched. What isn't linked is absent in every
    way that transformers asks for it, by import, by module specification and by version; a refused import is one way.
    """
    venv.create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    wanted, seen = [Requirement(library) for library in libraries], set()
    while wanted:
        library = wanted.pop()
        if library.name in seen:
            continue
        seen.add(library.name)
        found = distribution(library.name)
        for name in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (site / name).exists() and not name.endswith(".pth"):  # which could bring in what isn't linked
                (site / name).symlink_to(found.locate_file(name))
        extras = [{"extra": extra} for extra in ("", *library.extras)]
        for required in map(Requirement, found.requires or []):
            if required.marker is None or any(required.marker.evaluate(extra) for extra in extras):
                wanted.append(required)
    return folder / "bin" / "python"


def run(*command: object, folder: Path, environment: dict[str, str]) -> str:
    """Runs a command to its good end, on one thread and with nobody to ask, and returns what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_files(files: dict[str, bytes], reasons: dict[str, str], pickles: list[str]) -> None:
    """Each file has its reason, each reason its file, and no file but the pickles named begins like one."""
    matches = {path: [pattern for pattern in reasons if fnmatch.fnmatchcase(path, pattern)] for path in files}
    assert [path for path, patterns in matches.items() if not patterns] == []
    assert {pattern for patterns in matches.values() for pattern in patterns} == reasons.keys()
    # A pickle's first byte, or those of the archive that PyTorch puts it into.
    assert [path for path, content in files.items() if content.startswith((b"\x80", b"PK"))] == pickles


@pytest.mark.slow
def test_a_model_is_trained_published_loaded_elsewhere_taught_and_loaded_again(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    python = environment_of(elsewhere, "transformers", "torch", "tokenizers", "accelerate")
    with HubServer(tmp_path / "hub") as hub:
        ours, theirs = (hub.environment(home=tmp_path / name) for name in ("ours", "theirs"))
        train = ("training.train", "configuration/recipes/miniature.yaml", "--output", tmp_path / "run")
        run(sys.executable, "-m", *train, folder=ROOT, environment=ours)
        publish = ("hub_card.publish", tmp_path / "run", "--repo", "story", "--tag", "v1")
        printed = run(sys.executable, "-m", *publish, folder=ROOT, environment=ours)
        assert f"{hub.url}/tester/story" in printed
        assert len(hub.commits("tester/story")) == 2  # the Hub's own first one, and one with everything
        published = hub.files("tester/story", revision="v1")
        check_files(published, PUBLISHED, pickles=[])

        arguments = ("tester/story", "tester/taught", json.dumps(LESSONS))
        printed = run(python, "-I", "-c", STRANGER, *arguments, folder=elsewhere, environment=theirs)
        found = json.loads(printed.splitlines()[-1])
        assert found["installed"] == []
        assert len(found["refusals"]) == 5
        for message in found["refusals"]:
            assert "tester/story contains custom code" in message and "`trust_remote_code=True`" in message
        kinds = ("Config", "Model", "ForConditionalGeneration", "Tokenizer")
        assert found["loaded"] == [f"VanillaTransformer{kind}" for kind in kinds]
        assert not set(found["first"]) & set(LESSONS.values())
        taught = hub.files("tester/taught")
        check_files(taught, PUSHED, pickles=["training_args.bin"])
        assert all(taught[path] == content for path, content in published.items() if path.endswith(".py"))

        # The first model goes on to something that doesn't load; its tag stays what it was.
        hub.add("tester/story", {"config.json": b"{", "model.safetensors": b""})
        arguments = ("tester/story", "v1", "tester/taught", json.dumps(list(LESSONS)))
        printed = run(python, "-I", "-c", ANOTHER_STRANGER, *arguments, folder=elsewhere, environment=theirs)
        later = json.loads(printed.splitlines()[-1])
        assert later["loaded"] == found["loaded"]
        assert later["old"] == found["first"]
        assert later["new"] == list(LESSONS.values())

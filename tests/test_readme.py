"""The README's code blocks run as they stand, from the checkout and from an installed wheel in a clean environment."""

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import pytest

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
    paper_generation_config,
)
from tests.processes import python_m

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.M | re.S)

# What push_to_hub would send is recorded in place of being sent: there is no Hub to reach in a test.
RECORD_UPLOADS = """\
import json
from huggingface_hub import HfApi, RepoUrl

def create_repo(self, repo_id, **kwargs):
    return RepoUrl(f"https://huggingface.co/{repo_id}")

def create_commit(self, repo_id, operations, **kwargs):
    with open("uploads.jsonl", "a") as file:
        file.write(json.dumps([repo_id, sorted(operation.path_in_repo for operation in operations)]) + "\\n")

HfApi.create_repo, HfApi.create_commit = create_repo, create_commit
"""


@pytest.fixture(scope="module")
def quickstart_model(tmp_path_factory):
    """A folder with an untrained model in `runs/quickstart/model`, where `make quickstart` leaves a trained one."""
    folder = tmp_path_factory.mktemp("reader")
    text = ["The old farmer sees a dog.", "Der alte Bauer sieht einen Hund."] * 2
    tokenizer = VanillaTransformerTokenizer.train(text, vocab_size=300, show_progress=False)
    config = named_configuration("miniature")
    config.vocab_size = len(tokenizer)
    model = VanillaTransformerForConditionalGeneration(config)
    model.generation_config = paper_generation_config(config)
    model.save_pretrained(folder / "runs/quickstart/model")
    tokenizer.save_pretrained(folder / "runs/quickstart/model")
    return folder


def run_blocks(python: Path | str, folder: Path, environment: dict[str, str]) -> str:
    """Runs the README's Python blocks one after the other in one process in `folder`; returns what they print."""
    (folder / "blocks.py").write_text("\n".join([RECORD_UPLOADS, *PYTHON_BLOCKS]), encoding="utf-8")
    (folder / "uploads.jsonl").unlink(missing_ok=True)
    finished = subprocess.run(
        [str(python), "blocks.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def check_blocks(folder: Path, printed: str) -> None:
    assert printed.rstrip().endswith("63,045,632")
    assert (folder / "runs/fine-tuned/model/model.safetensors").is_file()
    assert (folder / "runs/fine-tuned/model/modeling_vanilla_transformer.py").is_file()
    uploads = (folder / "uploads.jsonl").read_text()
    for name in ("model.safetensors", "modeling_vanilla_transformer.py", "tokenizer.json"):
        assert name in uploads


def test_the_readme_has_its_blocks():
    assert len(PYTHON_BLOCKS) == 4
    for block in PYTHON_BLOCKS:
        statements = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        assert len(statements) <= 12, block


def test_the_training_command_runs_as_it_stands(tmp_path):
    """On a small folder of the same form as Multi30k, and for two updates in place of some thousands."""
    (command,) = re.findall(r"^accelerate launch -m training.train .*path/to/multi30k$", README, flags=re.M)
    for name in ("train", "val", "test_2016_flickr"):
        (tmp_path / f"{name}.en").write_text("A dog runs.\nTwo men sit on a bench.\n" * 20, encoding="utf-8")
        (tmp_path / f"{name}.de").write_text(
            "Ein Hund rennt.\nZwei Männer sitzen auf einer Bank.\n" * 20, encoding="utf-8"
        )
    words = command.replace("path/to/multi30k", str(tmp_path)).split()
    words[0] = str(Path(sys.executable).parent / "accelerate")
    words += ["--max_updates", "2", "--output", str(tmp_path / "run"), "--max_length_offset", "5"]
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert "BLEU" in finished.stdout and (tmp_path / "run/model/model.safetensors").is_file()


def test_blocks_run_from_the_checkout(quickstart_model):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    check_blocks(quickstart_model, run_blocks(sys.executable, quickstart_model, environment))


@pytest.mark.slow
def test_blocks_run_from_an_installed_wheel(quickstart_model, tmp_path):
    """The wheel alone, beside the libraries that are installed anyway, in an environment and folder of its own."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "clean")
    python = tmp_path / "clean" / "bin" / "python"
    (site,) = (tmp_path / "clean").glob("lib/python*/site-packages")
    # The folder's packages, and not what its own .pth files add: the checkout stays out.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}

    def where() -> subprocess.CompletedProcess:
        code = "import modeling_vanilla_transformer as library; print(library.__file__, library.configuration_names())"
        command = [str(python), "-c", code]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert "ModuleNotFoundError" in where().stderr
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    installed = {path.name for path in site.iterdir() if path.suffix not in (".dist-info", ".pth")}
    assert installed == {"modeling_vanilla_transformer"}
    assert where().stdout.startswith(str(site))
    assert "'base', 'big'" in where().stdout and "table3_e" in where().stdout
    check_blocks(quickstart_model, run_blocks(python, quickstart_model, environment))


def execute(line: str, *more: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Runs a command line of the README, with this environment's programs, and `more` behind it."""
    program, *words = [*line.split(), *more]
    if program == "python" and words[0] == "-m":
        with tempfile.TemporaryDirectory() as place:
            done = python_m(words[1], words[2:], folder, Path(place))
    else:
        started = {"accelerate": ["-m", "accelerate.commands.accelerate_cli"], "python": []}[program]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
        words = [sys.executable, *started, *words]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_fine_tuning_lines_run_alone(quickstart_model):
    (block,) = [block for block in PYTHON_BLOCKS if "Seq2SeqTrainer(" in block]
    assert len([line for line in block.splitlines() if line.strip()]) == 10
    (quickstart_model / "alone.py").write_text(block, encoding="utf-8")
    execute("python alone.py", folder=quickstart_model)
    assert (quickstart_model / "runs/fine-tuned/model/model.safetensors").is_file()


@pytest.mark.slow
def test_the_other_commands_run_as_they_stand(quickstart_model, tmp_path):
    """Fine-tuning, translating, scoring and planning, on small files in the places that the README names."""
    lines = {"en": "A dog runs.\nTwo men sit.\n" * 6, "de": "Ein Hund rennt.\nZwei Männer sitzen.\n" * 6}
    for name in ("train", "val", "test"):
        for code, text in lines.items():
            (tmp_path / f"{name}.{code}").write_text(text, encoding="utf-8")
    model = str(quickstart_model / "runs/quickstart/model")

    def line(beginning: str) -> str:
        (found,) = re.findall(rf"^{re.escape(beginning)}.*$", README, flags=re.M)
        return found.replace("runs/quickstart/model", model).replace("path/to/multi30k", str(tmp_path))

    tuned = ("--max_steps", "2", "--output_dir", str(tmp_path / "tuned"), "--generation_max_length", "8")
    assert "BLEU" in execute(line("accelerate launch -m training.finetune"), *tuned).stdout
    assert (tmp_path / "tuned/model.safetensors").is_file()
    score = line("python -m training.score").replace("runs/quickstart/test", str(tmp_path / "scored"))
    for side in ("test.en", "test.de"):
        score = score.replace(f" {side}", f" {tmp_path / side}")
    assert "BLEU" in execute(score, "--max_length_offset", "5").stdout
    assert (tmp_path / "scores.jsonl").is_file() and (tmp_path / "scored/pairs.tsv").is_file()
    assert "63,045,632" in execute(line("python -m training.plan")).stdout
    limit = ("--max_length_offset", "5")
    for words, lines_out in (("--input test.en --output", 0), ("--input test.en --n_best", 12 * 4)):
        translate = line(f"python -m training.translate runs/quickstart/model {words}")
        for name in ("test.en", "translated.de"):
            translate = translate.replace(f" {name}", f" {tmp_path / name}")
        assert len(execute(translate, *limit).stdout.splitlines()) == lines_out
    assert len((tmp_path / "translated.de").read_text().splitlines()) == 12
    piped = line("python -m training.translate runs/quickstart/model < test.en")
    piped = piped.replace("test.", f"{tmp_path}/test.").replace("python", sys.executable, 1)
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    subprocess.run(f"{piped} {' '.join(limit)}", shell=True, check=True, cwd=ROOT, env=environment, timeout=300)
    assert (tmp_path / "test.translated.de").read_text() == (tmp_path / "translated.de").read_text()


def test_pictures_and_linked_files_are_there():
    names = re.findall(r'<img src="([^"]+)"', README) + re.findall(r"\]\(([^)]+)\)", README)
    assert sum(name.endswith(".png") for name in names) == 3
    for name in names:
        assert name.startswith("https://") or (ROOT / name).exists(), name

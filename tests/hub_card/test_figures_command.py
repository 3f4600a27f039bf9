"""`python -m hub_card.figures` writes each figure, or says in one line why not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hub_card.figures.__main__ import main
from modeling_vanilla_transformer import named_configuration
from tests.training.models import save, small_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    parts = small_model(["the old farmer sees a dog", "der alte Bauer sieht einen Hund"] * 3)
    return str(save(parts, tmp_path_factory.mktemp("figures") / "model"))


def test_the_command_as_the_makefile_calls_it(model, tmp_path):
    file = tmp_path / "a" / "cross_attention.png"
    command = [sys.executable, "-m", "hub_card.figures", "-o", str(file), "--", model, "the dog"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{file}\n" and file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments",
    [
        "MODEL sentence",
        "MODEL sentence --attention encoder --layer 1 --heads 2",
        "MODEL sentence --figure lines --attention decoder --heads 1,2",
        "MODEL sentence --figure lines --attention encoder --word farmer",
        "MODEL sentence --figure heads --layer 2",
        "MODEL --figure positions --length 5",
        "base --figure positions",
        "MODEL --figure architecture",
        "big --figure architecture",
        "RUN --figure learning_rate",
        "RUN/recipe.yaml --figure learning_rate",
        "RUN --figure curves",
    ],
)
def test_every_figure_is_written(model, tmp_path, monkeypatch, capsys, arguments):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"update": 1, "loss": 2.0}) + "\n")
    recipe = "data: embedded\nsource_language: en\ntarget_language: de\nmodel: miniature\noutput: out\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    monkeypatch.chdir(tmp_path)
    names = {"sentence": "the old farmer", "MODEL": model, "RUN": ".", "RUN/recipe.yaml": "recipe.yaml"}
    main([names.get(word, word) for word in arguments.split()])
    (file,) = tmp_path.glob("*.png")
    assert capsys.readouterr().out == f"{file.name}\n" and file.stat().st_size > 1000
    assert file.stem in (*arguments.split(), "matrix")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("MODEL", "--figure matrix takes a sentence"),
        ("base sentence --figure architecture", "--figure architecture takes no sentence"),
        ("base --figure architecture --layer 1", "--layer means nothing to --figure architecture"),
        ("MODEL sentence --heads 1,2", "a matrix shows one head"),
        ("MODEL sentence --layer 9", "layer=9: the decoder has layers 1 to 2"),
        ("MODEL sentence --figure lines --word cat", "word='cat'"),
        ("table3_e --figure positions", "draw them of a trained model"),
        ("FOLDER/nothing sentence", "nothing is neither a saved model's folder nor a model on the Hub"),
        ("base sentence", "base is a configuration, without weights"),
        ("RUN sentence", "the model of this run is "),
        ("FOLDER/bert sentence", "bert is a model of type 'bert'; give a Vanilla Transformer"),
        ("FOLDER/bare sentence", "bare: the model cannot be read"),
        ("FOLDER/mute sentence", "mute: the tokenizer cannot be read"),
        ("FOLDER --figure curves", "metrics.jsonl cannot be read"),
        ("FOLDER --figure learning_rate", "recipe.yaml"),
        ("base --figure architecture -o FOLDER/figure.doc", "doc"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(model, tmp_path, capsys, arguments, message):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    named_configuration("miniature").save_pretrained(tmp_path / "bare")
    (tmp_path / "mute").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "mute" / name).symlink_to(Path(model) / name)
    names = {"sentence": "the old farmer", "MODEL": model, "RUN": str(Path(model).parent)}
    words = [word.replace("FOLDER", str(tmp_path)) for word in arguments.split()]
    with pytest.raises(SystemExit) as caught:
        main([names.get(word, word) for word in words])
    error = capsys.readouterr().err
    assert caught.value.code == 1 and message in error and error.count("\n") == 1

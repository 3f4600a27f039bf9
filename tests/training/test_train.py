"""Whole runs: through the command line, in one process and two, refused, interrupted, and learning."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
)
from tests.processes import in_two_processes
from tests.training.test_compilation import numbers_of
from tests.training.text import sentences, write_lines
from training.average import average_weights
from training.checkpoints import best_folder, checkpoints_in, list_checkpoints, verify
from training.data import DataError
from training.loop import NonFiniteLossError
from training.optimization import PaperSchedule
from training.recipe import RecipeError, make_recipe
from training.setup import choose_precision
from training.train import main, train

REPOSITORY = Path(__file__).parents[2]


def command(*arguments, launcher=("-m", "training.train")):
    return [sys.executable, *launcher, *map(str, arguments)]


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "HF_HUB_OFFLINE": "1"}


def execute(*arguments, **keys):
    """Run a command to its end; a process that hangs takes its children with it."""
    process = subprocess.Popen(
        command(*arguments, **keys),
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def metrics(output):
    return [json.loads(line) for line in (Path(output) / "metrics.jsonl").read_text().splitlines()]


def losses(output):
    return [line["loss"] for line in metrics(output) if "loss" in line]


@pytest.fixture
def recipe_file(recipe_values, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe_values))
    return path


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """The miniature recipe from the command line to the scored model."""
    output = tmp_path_factory.mktemp("miniature") / "run"
    done = execute("configuration/recipes/miniature.yaml", "--output", output)
    assert done.returncode == 0, done.stderr
    return output, done


def test_miniature_makes_everything(miniature):
    output, done = miniature
    scores = json.loads((output / "test.json").read_text())
    assert scores["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert (scores["num_beams"], scores["length_penalty"], scores["checkpoints_averaged"]) == (2, 0.6, 2)
    assert f"BLEU {scores['bleu']:.2f}" in done.stdout and scores["signature"] in done.stdout
    assert len((output / "test.hypotheses.txt").read_text().splitlines()) == scores["sentences"] == 500
    assert [checkpoint.updates for checkpoint in list_checkpoints(output)] == [10, 15, 20]
    assert list((output / "tensorboard").rglob("events*"))
    assert yaml.safe_load((output / "recipe.yaml").read_text())["max_updates"] == 20
    for part in ("of 20,000 pairs", "tokens/s", "rate", "left", "validation perplexity", "padding"):
        assert part in done.stderr
    lines = metrics(output)
    assert losses(output)[-1] < losses(output)[0]
    assert [line["update"] for line in lines if "validation_perplexity" in line] == [10, 20]
    record = json.loads((output / "run.json").read_text())
    assert (record["updates"], record["checkpoints_averaged"]) == (20, 2) and record["training_pairs"]["read"] == 20000
    assert record["seconds"] >= max(line["seconds"] for line in lines if "seconds" in line)
    (sitting,) = record["sittings"]
    assert sitting["started"] < scores["date"] <= record["finished"] and scores["length_penalty_type"] == "wu"


def test_the_model_folder_loads_and_is_the_average_of_the_last_checkpoints(miniature):
    output, _ = miniature
    model = VanillaTransformerForConditionalGeneration.from_pretrained(output / "model")
    tokenizer = VanillaTransformerTokenizer.from_pretrained(output / "model")
    assert model.config.vocab_size == len(tokenizer)
    assert (model.generation_config.num_beams, model.generation_config.length_penalty) == (2, 0.6)
    assert (output / "model" / "modeling_vanilla_transformer.py").is_file()
    expected = average_weights([checkpoint.folder for checkpoint in list_checkpoints(output)[-2:]])
    found = load_file(output / "model" / "model.safetensors")
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def test_another_run_is_refused_before_any_work(miniature, capsys):
    output, _ = miniature
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    with pytest.raises(SystemExit) as caught:
        main([str(REPOSITORY / "configuration" / "recipes" / "miniature.yaml"), "--output", str(output)])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert "holds another run" in shown and "--overwrite true" in shown and "Traceback" not in shown
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "training.train")


@pytest.fixture(scope="module")
def alone(text_folder, tmp_path_factory):
    """50 updates without dropout by one process, and the recipe: what every other way must repeat."""
    values = {
        **{"data": str(text_folder), "source_language": "en", "target_language": "de", "max_length": 60},
        **{"validation": "val", "test": "test", "model": "miniature", "vocab_size": 300, "dropout": 0.0},
        **{"tokens_per_batch": 600, "max_updates": 50, "warmup_steps": 100, "mixed_precision": "no"},
        **{"save_every": 20, "evaluate_every": 25, "log_every": 1, "average_last": 2, "keep_checkpoints": 2},
        **{"evaluate_bleu": True, "best_metric": "bleu", "num_beams": 2, "max_length_offset": 5, "trackers": None},
        "output": str(tmp_path_factory.mktemp("alone") / "run"),
    }
    train(make_recipe(values))
    return values


def assert_same_losses(other, alone):
    expected = metrics(alone["output"])
    found = metrics(other)
    assert [line["update"] for line in found] == [line["update"] for line in expected]
    for name, tolerance in {"loss": 1e-5, "target_tokens": 0, "validation_perplexity": 1e-4}.items():
        values = [[line[name] for line in lines if name in line] for lines in (found, expected)]
        assert len(values[1]) == (2 if name == "validation_perplexity" else 50)
        assert values[0] == pytest.approx(values[1], rel=tolerance)


def test_accumulated_parts_make_the_same_run(alone, tmp_path):
    without = {"evaluate_bleu": False, "best_metric": "perplexity", "test": None}
    for steps in (2, 3):
        parts = {"output": str(tmp_path / f"{steps}"), "gradient_accumulation_steps": steps}
        train(make_recipe(alone | without | parts))
        assert_same_losses(tmp_path / f"{steps}", alone)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["replicas", "shards", "shards of untied embeddings"])
def test_two_processes_make_the_same_run_as_one(alone, tmp_path, way):
    if "untied" in way:
        config = named_configuration("miniature")
        config.tie_word_embeddings = False
        config.save_pretrained(tmp_path / "untied")
        alone = alone | {"model": str(tmp_path / "untied"), "output": str(tmp_path / "one")}
        train(make_recipe(alone))
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(alone | {"output": str(tmp_path / "two")}))
    if way == "replicas":
        done = execute(file, launcher=TWO_PROCESSES)
    else:
        done = in_two_processes(lambda: main([str(file)]), tmp_path, ACCELERATE_USE_FSDP="true")
    assert done.returncode == 0, done.stderr
    assert f"2 x cpu{', weights in shards' if way != 'replicas' else ''}" in done.stderr
    assert_same_losses(tmp_path / "two", alone)
    hypotheses = [(Path(run) / "test.hypotheses.txt").read_text() for run in (alone["output"], tmp_path / "two")]
    assert hypotheses[0].count("\n") == hypotheses[1].count("\n") == 30
    # A run can go on with other processes, and as shards or whole, as its state is saved in one piece.
    train(make_recipe(alone | {"output": str(tmp_path / "two"), "resume": "auto", "max_updates": 52}))
    assert list_checkpoints(tmp_path / "two")[-1].updates == 52
    sittings = json.loads((tmp_path / "two" / "run.json").read_text())["sittings"]
    found = [(sitting["processes"], sum(sitting["devices"].values()), sitting["machines"]) for sitting in sittings]
    assert found == [(2, 2, 1), (1, 1, 1)]


@pytest.mark.parametrize("way", ["replicas", "shards"])
def test_two_processes_with_compiled_layers_make_the_same_run(alone, tmp_path, monkeypatch, way):
    """By a compiler that runs what was traced."""

    def run_as_traced(graph, inputs):
        assert all(re.fullmatch("s[0-9]+", name) for name in numbers_of(graph))  # sizes, and nothing of the model's
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend=run_as_traced))
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(alone | {"output": str(tmp_path / "two"), "compile": True}))
    sharded = {"ACCELERATE_USE_FSDP": "true"} if way == "shards" else {}
    done = in_two_processes(lambda: main([str(file)]), tmp_path, **sharded)
    assert done.returncode == 0, done.stderr
    assert_same_losses(tmp_path / "two", alone)


def test_updates_with_fewer_pairs_than_parts(recipe_values, tmp_path):
    whole = recipe_values | {"dropout": 0.0, "tokens_per_batch": 60, "max_updates": 6}
    train(make_recipe(whole | {"output": str(tmp_path / "whole")}))
    train(make_recipe(whole | {"output": str(tmp_path / "parts"), "gradient_accumulation_steps": 7}))
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)


def test_the_same_seed_gives_the_same_run(recipe_values, tmp_path):
    runs = [train(make_recipe(recipe_values | {"output": str(tmp_path / name)})) for name in ("a", "b")]
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert runs[0].hypotheses == runs[1].hypotheses and runs[0].test["bleu"] == runs[1].test["bleu"]
    train(make_recipe(recipe_values | {"output": str(tmp_path / "c"), "seed": 2}))
    assert losses(tmp_path / "c") != losses(tmp_path / "a")


def test_it_learns_to_translate_word_by_word(recipe_values, tmp_path):
    choices = {"max_updates": 300, "save_every": 50, "evaluate_every": 150, "log_every": 50, "warmup_steps": 40}
    choices |= {"vocab_size": 600, "tokens_per_batch": 400}  # more than enough for a token a word
    result = train(make_recipe(recipe_values | choices | {"dropout": 0.0, "peak_learning_rate": 0.01}))
    assert result.updates == 300
    assert result.validation_perplexity < 2
    assert result.test["bleu"] > 70
    assert len(result.hypotheses) == 30


def test_the_first_limit_ends_the_run(recipe_values, tmp_path):
    values = recipe_values | {"max_updates": None, "test": None, "validation": None}
    by_epochs = train(make_recipe(values | {"max_epochs": 2, "tokens_per_batch": 4000, "output": str(tmp_path / "a")}))
    assert by_epochs.epochs == 2 and by_epochs.test is None and by_epochs.validation_perplexity is None
    by_time = train(make_recipe(values | {"max_minutes": 0.02, "output": str(tmp_path / "b")}))
    assert 1 <= by_time.updates and by_time.seconds < 10
    assert list_checkpoints(tmp_path / "b")[-1].updates == by_time.updates


def test_a_given_tokenizer(recipe_values, tmp_path):
    source, target = sentences(50, seed=3)
    tokenizer = VanillaTransformerTokenizer.train(source + target, vocab_size=290, show_progress=False)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    values = recipe_values | {"tokenizer": str(tmp_path / "tokenizer"), "vocab_size": None}
    with pytest.raises(RecipeError) as caught:
        train(make_recipe(values))
    for part in (str(tmp_path / "tokenizer"), str(len(tokenizer)), "miniature", "vocab_size of 64"):
        assert part in str(caught.value)
    assert not Path(values["output"]).exists()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "tokenizer.json").write_text('{"version": "1.0", "model"', encoding="utf-8")
    with pytest.raises(RecipeError, match="damaged cannot be read"):
        train(make_recipe(values | {"tokenizer": str(tmp_path / "damaged")}))
    with pytest.raises(RecipeError, match="nowhere holds no tokenizer.json"):
        train(make_recipe(values | {"tokenizer": "nowhere"}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--warmup_step", "3"], "did you mean 'warmup_steps'"),
        (["--data", "/nowhere/at/all"], "no folder /nowhere/at/all"),
        (["--train", "other"], "other.en and "),
        (["--model", "bsae"], "model: 'bsae' is neither a folder with a config.json nor one of base"),
        (["--vocab_size", "20"], "vocab_size: no tokenizer of 20 tokens"),
        (["--mixed_precision", "fp16"], "fp16 needs an accelerator"),
        (["--max_length", "2"], "no pair is left"),
    ],
)
def test_errors_are_one_message_and_nothing_written(recipe_file, capsys, arguments, message, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main([str(recipe_file), *arguments])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
    assert not (tmp_path / "run").exists()


def test_a_run_can_start_where_one_failed_early(recipe_values):
    with pytest.raises(Exception, match="no pair is left"):
        train(make_recipe(recipe_values | {"max_length": 2}))
    assert not Path(recipe_values["output"]).exists()
    train(make_recipe(recipe_values | {"max_updates": 1, "test": None}))
    with pytest.raises(Exception, match="no pair is left"):
        train(make_recipe(recipe_values | {"max_length": 2, "overwrite": True}))
    assert len(list_checkpoints(recipe_values["output"])) == 1  # an earlier run goes only once all is well


def test_misaligned_files_stop_the_run_before_it_writes(recipe_values, tmp_path):
    write_lines(tmp_path / "train.en", ["a", "b"])
    write_lines(tmp_path / "train.de", ["a"])
    with pytest.raises(Exception, match="has 2 lines but .* has 1"):
        train(make_recipe(recipe_values | {"data": str(tmp_path), "validation": None, "test": None}))
    assert not Path(recipe_values["output"]).exists()


def test_a_loss_that_is_no_number_stops_the_run(recipe_values, tmp_path):
    values = recipe_values | {"peak_learning_rate": 1e30, "save_every": 1, "warmup_steps": 2}
    with pytest.raises(NonFiniteLossError) as caught:
        train(make_recipe(values))
    update = int(re.search(r"the loss of update (\d+) is (nan|inf)", str(caught.value))[1])
    sentences = [json.loads(line) for line in (tmp_path / "run" / "non_finite.jsonl").read_text().splitlines()]
    newest = list_checkpoints(tmp_path / "run")[-1]
    assert newest.updates < update
    for part in (
        f"Its {len(sentences)} sentences",
        f"{sentences[0]['source']!r}",
        f"{newest.folder}",
        "max_gradient_norm",
    ):
        assert part in str(caught.value)
    text = (Path(recipe_values["data"]) / "train.en").read_text().splitlines()
    assert all(text[sentence["pair"]] == sentence["source"] for sentence in sentences)
    for checkpoint in list_checkpoints(tmp_path / "run"):
        assert all(weight.isfinite().all() for weight in load_file(checkpoint.folder / "model.safetensors").values())


def test_weights_that_are_no_numbers_are_never_saved(recipe_values, tmp_path, monkeypatch):
    step = PaperSchedule.step

    def infinite_gradient(schedule):
        if schedule.updates == 3:  # where the loss is fine
            schedule.optimizer.param_groups[0]["params"][0].grad.fill_(float("inf"))
        return step(schedule)

    monkeypatch.setattr(PaperSchedule, "step", infinite_gradient)
    with pytest.raises(NonFiniteLossError, match="the weights after update 4 aren't finite, .*step-00000002"):
        train(make_recipe(recipe_values | {"save_every": 2}))
    assert list_checkpoints(tmp_path / "run")[-1].updates == 2


def test_the_best_model_is_kept_and_can_be_the_final_one(recipe_values, tmp_path):
    # The rate explodes: the first validation is the best.
    values = recipe_values | {"evaluate_every": 2, "final_model": "best", "warmup_steps": 100, "max_updates": 6}
    result = train(make_recipe(values | {"peak_learning_rate": 50.0, "label_smoothing": 0.0}))
    validations = {
        line["update"]: line["validation_perplexity"]
        for line in metrics(tmp_path / "run")
        if "validation_perplexity" in line
    }
    best = min(validations, key=validations.get)
    assert best < 6
    (kept,) = checkpoints_in(best_folder(tmp_path / "run"))
    assert kept.updates == best
    final, kept = (load_file(folder / "model.safetensors") for folder in (result.model, kept.folder))
    assert all(torch.equal(final[name], weight) for name, weight in kept.items())
    assert result.validation_perplexity == pytest.approx(validations[best], rel=1e-6)


def test_patience_ends_the_run(recipe_values, tmp_path):
    values = recipe_values | {"evaluate_every": 1, "patience": 2, "warmup_steps": 100, "max_updates": 50, "test": None}
    result = train(make_recipe(values | {"peak_learning_rate": 50.0}))
    found = [line["validation_perplexity"] for line in metrics(tmp_path / "run") if "validation_perplexity" in line]
    assert result.updates == len(found) < 50
    assert min(found) == found[-3] < min(found[-2:])
    assert list_checkpoints(tmp_path / "run")[-1].updates == result.updates


@pytest.mark.parametrize(
    ("trackers", "message"),
    [("tensorbord", "Accelerate knows no 'tensorbord'"), ("tensorboard,clearml", "'clearml' isn't installed here")],
)
def test_trackers_that_cannot_be_are_named(recipe_values, trackers, message):
    with pytest.raises(RecipeError, match=f"trackers: {message}"):
        train(make_recipe(recipe_values | {"trackers": trackers}))


def test_saving_and_validating_leave_mixed_precision_on(recipe_values, tmp_path):
    values = recipe_values | {"mixed_precision": "bf16", "dropout": 0.0, "test": None}
    often = values | {"output": str(tmp_path / "often"), "save_every": 1, "evaluate_every": 1}
    seldom = values | {"output": str(tmp_path / "seldom"), "save_every": 8, "evaluate_every": 8}
    for run in (often, seldom):
        train(make_recipe(run))
    assert losses(tmp_path / "often") == losses(tmp_path / "seldom")


@pytest.mark.parametrize("choice", [{"gradient_checkpointing": True}, {"attention": "sdpa"}, {"attention": "eager"}])
def test_choices_of_speed_and_memory_change_no_loss(alone, tmp_path, choice):
    short = {"max_updates": 12, "evaluate_bleu": False, "best_metric": "perplexity", "test": None}
    train(make_recipe(alone | {"output": str(tmp_path / "run")} | short | choice))
    assert losses(tmp_path / "run") == pytest.approx(losses(alone["output"])[:12], rel=1e-5)


@pytest.mark.parametrize(
    ("number", "code", "launcher"),
    [
        (signal.SIGINT, 130, ("-m", "training.train")),
        (signal.SIGTERM, 143, ("-m", "training.train")),
        (signal.SIGTERM, 1, TWO_PROCESSES),  # the launcher's own code
    ],
    ids=["SIGINT", "SIGTERM", "two processes"],
)
def test_an_interrupted_run_saves_and_says_so(recipe_file, tmp_path, number, code, launcher):
    never = ["--max_updates", "100000", "--save_every", "100000", "--evaluate_every", "100000"]
    arguments = command(recipe_file, *never, launcher=launcher)
    process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not losses_so_far(tmp_path / "run"):
        time.sleep(0.1)
    process.send_signal(number)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == code
    (checkpoint,) = list_checkpoints(tmp_path / "run")
    assert f"interrupted after update {checkpoint.updates}; saved as {checkpoint.folder}" in shown
    assert "--resume auto" in shown
    if launcher is not TWO_PROCESSES:
        assert "Traceback" not in shown
    verify(checkpoint.folder)
    VanillaTransformerForConditionalGeneration.from_pretrained(checkpoint.folder)


def losses_so_far(output):
    return (output / "metrics.jsonl").exists() and losses(output)


def test_an_interruption_outside_the_loop_is_one_line(recipe_file, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.train.tokenize_pairs", interrupt)
    with pytest.raises(SystemExit) as caught:
        main([str(recipe_file)])
    assert caught.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: interrupted")


@pytest.fixture
def model_folder(recipe_values, tmp_path):
    """Make the miniature configuration, with other values, a folder; returns a recipe of it."""

    def make(**values):
        named_configuration("miniature").save_pretrained(tmp_path / "configuration")
        file = tmp_path / "configuration" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))
        return make_recipe(recipe_values | {"model": str(file.parent), "vocab_size": 300})

    return make


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "marian"}, "has the model_type marian; give a configuration of vanilla_transformer"),
        ({"pad_token_id": 3}, "a tokenizer trained here has the pad_token_id 0, but the model .* has 3"),
        (
            {"decoder_start_token_id": 0},
            "decoder_start_token_id 0, but with a tokenizer trained here it must be",
        ),
        (
            {"position_embedding_type": "learned", "max_position_embeddings": 6},
            "max_position_embeddings: 6, but a training pair has up to .*max_length, for the training pairs: 60",
        ),
    ],
)
def test_a_model_that_cannot_be_trained_so_is_refused_before_anything_is_written(model_folder, values, message):
    recipe = model_folder(**values)
    with pytest.raises(RecipeError, match=message):
        train(recipe)
    assert not Path(recipe.output.output).exists()


def test_learned_positions_must_reach_the_end_of_every_translation(model_folder):
    recipe = model_folder(position_embedding_type="learned", max_position_embeddings=60)
    recipe.decoding.max_length_offset = 59
    with pytest.raises(RecipeError, match="max_position_embeddings: 60, but a translation .*max_length_offset: 59"):
        train(recipe)
    recipe.decoding.max_length_offset = 5
    assert train(recipe).updates == 8


def test_pairs_without_text_are_no_matter_of_the_vocabulary(recipe_values, tmp_path):
    for name, lines in {"train.en": ["a", " "], "train.de": [" ", "b"]}.items():
        write_lines(tmp_path / name, lines)
    with pytest.raises(DataError, match="train: the training pairs hold no text"):
        train(make_recipe(recipe_values | {"data": str(tmp_path), "validation": None, "test": None}))


def test_a_score_that_cannot_be_is_known_before_the_training(recipe_values, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("pip install sacrebleu[ja]")

    monkeypatch.setattr("training.evaluation.bleu", fail)
    with pytest.raises(RecipeError, match=r"bleu_tokenize: ja-mecab does not work here: pip install sacrebleu\[ja\]"):
        train(make_recipe(recipe_values | {"bleu_tokenize": "ja-mecab"}))
    assert not Path(recipe_values["output"]).exists()


def test_translations_are_on_disk_before_they_are_scored(recipe_values, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no score")

    monkeypatch.setattr("training.train.bleu", fail)
    with pytest.raises(RuntimeError, match="no score"):
        train(make_recipe(recipe_values))
    written = Path(recipe_values["output"]) / "test.hypotheses.txt"
    assert len(written.read_text().splitlines()) == 30


def test_precision_follows_the_device():
    assert choose_precision("auto", torch.device("cpu")) in ("no", "bf16")
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"
    assert choose_precision("auto", torch.device("mps")) == "no"

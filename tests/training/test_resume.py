"""Going on with a run: exactly, after kills at any moment, from damaged checkpoints, on a full disk."""

import json
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.processes import end_of, start
from training.checkpoints import MANIFEST, CheckpointError, best_folder, checkpoints_in, list_checkpoints, verify
from training.interruption import Interrupted
from training.loop import TrainingLoop
from training.recipe import RecipeError, make_recipe
from training.resume import check_recipe
from training.state import OPTIMIZER, PROGRESS, TRAINING_STATE, Progress, read_progress, seed_update
from training.train import train


@pytest.fixture
def values(recipe_values):
    """A run of 24 updates over several epochs, with dropout, that saves every third."""
    return recipe_values | {
        "max_updates": 24,
        "tokens_per_batch": 2000,
        "save_every": 3,
        "evaluate_every": 5,
        "average_last": 3,
        "keep_checkpoints": 3,
        "trackers": None,
        "test": None,
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


def made_once(values, kept, updates):
    """The recipe of a run of so many updates, made for all tests together, which leave it as it is."""
    run = values | {"output": str(kept / str(updates)), "max_updates": updates}
    if not Path(run["output"]).exists():
        train(make_recipe(run))
    return run


@pytest.fixture
def six_updates(values, kept):
    return made_once(values, kept, 6)


@pytest.fixture
def whole(values, kept):
    """What every run that goes on must be like at its end."""
    return made_once(values, kept, 24)


def weights(run):
    return load_file(Path(run) / "model" / "model.safetensors")


def logged(run, name):
    lines = map(json.loads, (Path(run) / "metrics.jsonl").read_text().splitlines())
    return [line[name] for line in lines if name in line]


def assert_same_run(found, expected):
    """Bit by bit the same final weights, Adam's state and, updates being counted once, metrics."""
    left, right = weights(found), weights(expected)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    last = [list_checkpoints(run)[-1].folder / TRAINING_STATE / OPTIMIZER for run in (found, expected)]
    left, right = map(load_file, last)
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    for name in ("update", "loss", "validation_perplexity"):
        seen = [
            [
                line[name]
                for line in map(json.loads, (Path(run) / "metrics.jsonl").read_text().splitlines())
                if name in line
            ]
            for run in (found, expected)
        ]
        assert seen[0] == seen[1]


def in_a_child(values) -> int:
    """Start a run in a process of its own that shares what is imported already; returns its number."""
    return start(lambda: train(make_recipe(values), show_progress=False))


@pytest.mark.slow
def test_killed_at_twenty_random_moments_the_weights_are_the_same(values, tmp_path):
    small = {"tokens_per_batch": 800, "max_updates": 30}  # into a second epoch
    whole = values | small | {"output": str(tmp_path / "whole")}
    started = time.monotonic()
    assert end_of(in_a_child(whole)) == 0
    seconds = time.monotonic() - started
    killed = whole | {"output": str(tmp_path / "killed"), "resume": "auto"}
    moments, kills = random.Random(1), 0
    while kills < 20:
        child = in_a_child(killed)
        time.sleep(moments.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        if end_of(child) < 0:
            kills += 1
        else:  # it was at its end before
            assert_same_run(killed["output"], whole["output"])
            shutil.rmtree(killed["output"])
    assert end_of(in_a_child(killed)) == 0
    assert_same_run(killed["output"], whole["output"])


def test_a_run_in_two_sittings_is_the_run_in_one(whole, tmp_path):
    parts = whole | {"output": str(tmp_path / "parts"), "resume": "auto"}
    first = train(make_recipe(parts | {"max_updates": 20}))
    progress = read_progress(list_checkpoints(parts["output"])[-1].folder)
    assert (first.updates, progress.updates, progress.epoch > 0) == (20, 20, True)
    shutil.rmtree(Path(parts["output"]) / "tokenizer")  # a checkpoint is all that a run goes on from
    train(make_recipe(parts))
    # The checkpoint that the first sitting left, between two regular ones, is not in the average of the last.
    assert_same_run(parts["output"], whole["output"])
    record = json.loads((Path(parts["output"]) / "run.json").read_text())
    assert [sitting["after_update"] for sitting in record["sittings"]] == [0, 20] and record["updates"] == 24
    assert record["seconds"] > progress.seconds  # those of both sittings


def test_a_signal_during_the_last_save_is_heard(values, monkeypatch):
    save = TrainingLoop._save

    def interrupted(loop):
        loop.interruption._notice(signal.SIGTERM, None)
        save(loop)

    monkeypatch.setattr(TrainingLoop, "_save", interrupted)
    with pytest.raises(Interrupted, match="after update 3") as caught:
        train(make_recipe(values | {"max_updates": 3}))
    assert caught.value.exit_code == 143
    assert not (Path(values["output"]) / "model").exists()


def test_a_best_model_stays_until_a_checkpoint_knows_of_a_better_one(values, monkeypatch):
    class Killed(Exception):
        pass

    update = TrainingLoop._update

    def killed(loop, prepared):
        if loop.progress.updates == 5:
            raise Killed
        update(loop, prepared)

    run = values | {"evaluate_every": 2, "max_updates": 6, "resume": "auto"}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TrainingLoop, "_update", killed)
        train(make_recipe(run))
    best = best_folder(values["output"])
    assert [model.updates for model in checkpoints_in(best)] == [2, 4]
    assert list_checkpoints(values["output"])[-1].updates == 3
    train(make_recipe(run))
    assert [model.updates for model in checkpoints_in(best)] == [6]


def test_a_streamed_run_goes_on_in_the_middle_of_a_chapter(values, tmp_path):
    """The stream's files, the buffer that shuffles it and the shapes of its first chapter are all found again."""
    streamed = values | {"streaming": True, "streaming_pairs": 150, "max_shapes": 6, "tokens_per_batch": 500}
    streamed |= {"save_every": 10, "evaluate_every": 100}
    whole = streamed | {"output": str(tmp_path / "whole"), "max_updates": None, "max_epochs": 2}
    train(make_recipe(whole))
    parts = whole | {"output": str(tmp_path / "parts"), "resume": "auto"}
    train(make_recipe(parts | {"max_updates": 14}))
    place = read_progress(list_checkpoints(parts["output"])[-1].folder)
    assert place.chapter > 0 and place.position > 0 and place.epoch == 0
    finished = train(make_recipe(parts))
    assert finished.epochs == 2
    left, right = (
        load_file(list_checkpoints(run["output"])[-1].folder / "model.safetensors") for run in (whole, parts)
    )
    assert all(torch.equal(left[name], right[name]) for name in left)


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "cut weights": (lambda folder: cut(folder / "model.safetensors"), "model.safetensors has .* bytes in place of"),
    "a flipped bit": (lambda folder: flip_a_bit(folder / TRAINING_STATE / OPTIMIZER), "its SHA-256 differs"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    "no progress": (lambda folder: (folder / TRAINING_STATE / PROGRESS).unlink(), "progress.json is missing"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "manifest.json cannot be read"),
    "half a manifest": (lambda folder: cut(folder / MANIFEST), "manifest.json cannot be read"),
    "another manifest": (lambda folder: (folder / MANIFEST).write_text("[]"), "manifest.json cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_found(six_updates, tmp_path, damage):
    folder = tmp_path / "checkpoint"
    shutil.copytree(list_checkpoints(six_updates["output"])[-1].folder, folder)
    verify(folder)
    spoil, message = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        verify(folder)
    assert str(folder) in str(caught.value)


def test_a_damaged_checkpoint_is_named_and_passed_over(values, whole, tmp_path, capsys):
    damaged = values | {"output": str(tmp_path / "damaged"), "max_updates": 12}
    train(make_recipe(damaged))
    newest = list_checkpoints(damaged["output"])[-1].folder
    cut(newest / "model.safetensors")
    older = newest.with_name("step-00000006")
    (older / "config.json").unlink()  # it would be in the way of the average
    capsys.readouterr()
    train(make_recipe(damaged | {"max_updates": 24, "resume": "auto"}))
    shown = capsys.readouterr().err
    assert f"{newest} is damaged: model.safetensors" in shown and "step-00000012.damaged" in shown
    assert f"{older} is damaged: config.json is missing" in shown
    assert "step-00000009, after update 9" in shown
    assert_same_run(damaged["output"], whole["output"])


def test_where_all_checkpoints_are_damaged_nothing_is_lost(values):
    train(make_recipe(values | {"max_updates": 6}))
    for checkpoint in list_checkpoints(values["output"]):
        cut(checkpoint.folder / "model.safetensors")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="every checkpoint in .* is damaged.*--overwrite true"):
            train(make_recipe(values | {"resume": "auto"}))
    assert (Path(values["output"]) / "model").is_dir()
    assert len(list((Path(values["output"]) / "checkpoints").glob("*.damaged"))) == 2


def test_a_disk_that_fills_up_loses_nothing_that_was_saved(values, whole, tmp_path):
    full = values | {"output": str(tmp_path / "full"), "resume": "auto"}
    train(make_recipe(full | {"max_updates": 6}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond this: weights and optimizer state fail halfway, as they do on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError) as caught:
            train(make_recipe(full))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for part in ("step-00000009 could not be saved", "last good checkpoint is", "step-00000006", "--resume auto"):
        assert part in str(caught.value)
    assert not [entry for entry in (Path(full["output"]) / "checkpoints").iterdir() if entry.name.startswith(".")]
    train(make_recipe(full))
    expected = weights(whole["output"])
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(full["output"]).items())


def test_another_number_of_parts_keeps_the_order_of_the_pairs(values, tmp_path):
    exact = values | {"dropout": 0.0, "max_updates": 12}
    whole = exact | {"output": str(tmp_path / "whole")}
    parts = exact | {"output": str(tmp_path / "parts"), "resume": "auto"}
    train(make_recipe(whole))
    train(make_recipe(parts | {"max_updates": 6}))
    train(make_recipe(parts | {"gradient_accumulation_steps": 3}))
    losses = logged(whole["output"], "loss")
    assert len(losses) == 12
    assert logged(parts["output"], "loss") == pytest.approx(losses, rel=1e-5)


def test_a_folders_name_may_be_written_in_several_ways(values, tmp_path):
    data = values | {"output": str(tmp_path), "data": f"{values['data']}/./"}  # as the command line completes it
    make_recipe(values).write(tmp_path / "recipe.yaml")
    check_recipe(make_recipe(data), tmp_path)
    for key in ("model", "tokenizer"):
        make_recipe(values | {key: "a/folder", "vocab_size": None}).write(tmp_path / "recipe.yaml")
        check_recipe(make_recipe(data | {key: "./a/folder/", "vocab_size": None}), tmp_path)
        with pytest.raises(RecipeError, match=f"{key} was 'a/folder' and is now './a'"):
            check_recipe(make_recipe(data | {key: "./a", "vocab_size": None}), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "seed was 1 and is now 2"),
        ({"peak_learning_rate": 0.004, "tokens_per_batch": 2001}, "tokens_per_batch was 2000 and is now 2001; peak"),
        ({"evaluate_bleu": True, "best_metric": "bleu"}, "best_metric was 'perplexity' and is now 'bleu'"),
    ],
)
def test_another_recipe_cannot_go_on_with_the_run(six_updates, change, message):
    with pytest.raises(RecipeError, match=f"resume: the run .* cannot go on with another recipe: {message}"):
        train(make_recipe(six_updates | {"resume": "auto"} | change))


def test_a_run_whose_recipe_is_gone_cannot_go_on(six_updates, tmp_path):
    shutil.copytree(six_updates["output"], tmp_path / "copy")
    (tmp_path / "copy" / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match="resume: .*copy/recipe.yaml is missing, .* python -m training.average"):
        train(make_recipe(six_updates | {"resume": "auto", "output": str(tmp_path / "copy")}))


def test_other_text_cannot_go_on_with_the_run(values, text_folder, tmp_path):
    shutil.copytree(text_folder, tmp_path / "text")
    changed = values | {"data": str(tmp_path / "text")}
    train(make_recipe(changed | {"max_updates": 3}))
    for side in ("en", "de"):
        file = tmp_path / "text" / f"train.{side}"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(RecipeError, match="resume: the training pairs are not those"):
        train(make_recipe(changed | {"resume": "auto"}))


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        ({"keep_best": 0}, {"final_model": "best"}, "the model of update 4, the best so far, was not kept"),
        ({}, {"final_model": "best", "validation": "test"}, "validation was 'val' and is now 'test'"),
    ],
)
def test_validations_that_cannot_be_compared_begin_anew(values, then, now, message, capsys):
    values |= {"max_updates": 4, "evaluate_every": 2, "save_every": 4}
    train(make_recipe(values | then))
    folder, recipe = Path(values["output"]), make_recipe(values | now | {"resume": "auto", "max_updates": 8})
    recipe.write(folder / "recipe.yaml")  # as a sitting leaves it that was killed before its first checkpoint
    train(recipe)
    said = capsys.readouterr().err
    assert f"validations so far are not compared with those to come: {message}" in said
    validations = read_progress(list_checkpoints(folder)[-1].folder).validations
    assert [validation["updates"] for validation in validations] == [4, 6, 8]
    best = min(validations, key=lambda validation: validation["perplexity"])["updates"]
    assert f"step-{best:08d} (final_model: best)" in said


def test_resuming_and_replacing_contradict_each_other(values):
    with pytest.raises(RecipeError, match="overwrite: contradicts resume: auto"):
        make_recipe(values | {"resume": "auto", "overwrite": True})


def test_a_finished_run_is_finished_again_without_training(six_updates):
    before = weights(six_updates["output"])
    assert train(make_recipe(six_updates | {"resume": "auto"})).updates == 6
    assert all(torch.equal(weight, before[name]) for name, weight in weights(six_updates["output"]).items())
    assert len(logged(six_updates["output"], "final_validation_perplexity")) == 1


def test_nothing_is_pickled(six_updates):
    checkpoint = list_checkpoints(six_updates["output"])[-1]
    kinds = {file.suffix for file in checkpoint.folder.rglob("*") if file.is_file()}
    assert kinds == {".json", ".safetensors", ".py"}


def test_random_numbers_depend_on_seed_update_and_process_alone():
    def drawn(*numbers):
        seed_update(*numbers)
        return torch.rand(3).tolist()

    assert drawn(1, 5, 0) == drawn(1, 5, 0)
    assert len({tuple(drawn(*numbers)) for numbers in ((1, 5, 0), (1, 5, 1), (1, 6, 0), (2, 5, 0))}) == 4


def test_the_best_validations():
    progress = Progress(
        validations=[{"updates": u, "perplexity": p, "bleu": b} for u, p, b in ((1, 5, 1), (2, 3, 4), (3, 3, 2))]
    )
    assert progress.best("perplexity", 2) == [2, 3]
    assert progress.best("bleu", 1) == [2]
    assert progress.validations_since_best("perplexity") == 1
    assert Progress().validations_since_best("bleu") == 0

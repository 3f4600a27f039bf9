"""The output folder: another run's is refused and left alone, other people's files are never touched."""

import errno
import json
import os
import tempfile

import pytest
from accelerate import Accelerator

from training.output import DiskError, Metrics, OutputError, check_output, create_output, disk_errors
from training.recipe import WRITTEN_BY_A_RUN, make_recipe, read_recipe


@pytest.fixture
def run(recipe_values, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints" / "step-00000005").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("{}\n")
    return folder


def test_a_new_or_empty_folder_will_do(tmp_path, recipe_values):
    check_output(tmp_path / "deep" / "new", overwrite=False)
    check_output(tmp_path, overwrite=False)
    recipe = make_recipe(recipe_values)
    create_output(tmp_path / "deep" / "new", recipe)
    assert read_recipe(tmp_path / "deep" / "new" / "recipe.yaml") == recipe
    check_output(tmp_path / "deep" / "new", overwrite=False)  # a run that never wrote more than its recipe


def test_another_run_is_refused_and_kept(run):
    with pytest.raises(OutputError) as caught:
        check_output(run, overwrite=False)
    for part in (str(run), "holds another run", "1 checkpoints, newest step-00000005", "--output", "--overwrite true"):
        assert part in str(caught.value)
    assert (run / "metrics.jsonl").read_text() == "{}\n"


def test_overwriting_removes_what_runs_write(run, recipe_values):
    create_output(run, make_recipe(recipe_values | {"overwrite": True}))
    assert [entry.name for entry in run.iterdir()] == ["recipe.yaml"]


def test_files_that_no_run_wrote_are_in_nobodys_way_and_never_touched(run, recipe_values):
    (run / "thesis.tex").write_text("years of work")
    (run / ".cache.unfinished").mkdir()
    for name in (".model.unfinished", ".average.replaced", "average"):
        (run / name).mkdir()
    with pytest.raises(OutputError, match="holds another run .*average"):
        check_output(run, overwrite=False)
    create_output(run, make_recipe(recipe_values | {"overwrite": True}))
    assert sorted(entry.name for entry in run.iterdir()) == [".cache.unfinished", "recipe.yaml", "thesis.tex"]
    assert (run / "thesis.tex").read_text() == "years of work"
    check_output(run, overwrite=False)


def test_a_link_goes_but_not_what_it_leads_to(run, recipe_values, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (run / "model").symlink_to(tmp_path / "elsewhere")
    create_output(run, make_recipe(recipe_values | {"overwrite": True}))
    assert (tmp_path / "elsewhere").is_dir() and not (run / "model").exists()


def test_a_recipe_that_no_run_wrote_is_never_replaced(run):
    (run / "recipe.yaml").write_text("data: mine\n")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="run/recipe.yaml was not written by a run"):
            check_output(run, overwrite)


def test_the_tokenizer_that_is_read_is_never_replaced(run, recipe_values):
    (run / "tokenizer").mkdir()
    for inside in ("tokenizer", "checkpoints/step-00000005", "../run/tokenizer/"):
        values = recipe_values | {"tokenizer": str(run / inside), "vocab_size": None, "overwrite": True}
        with pytest.raises(OutputError, match="the tokenizer .* lies in .*run, where the run replaces it"):
            create_output(run, make_recipe(values))
    assert (run / "checkpoints" / "step-00000005").is_dir()
    check_output(run, True, str(run / "mine"))


def test_a_tokenizer_alone_is_not_taken_for_a_failed_run(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(OutputError, match="holds another run .tokenizer;"):
        check_output(tmp_path, overwrite=False)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deep" / "run"):
        with pytest.raises(OutputError, match="file is a file"):
            check_output(folder, overwrite=True)
    with pytest.raises(OutputError, match="nnnn cannot be written to"):
        check_output(tmp_path / ("n" * 300), overwrite=False)

    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # for root, who runs tests too, every folder is writable
    with pytest.raises(OutputError, match="new/run cannot be written to .*Permission denied"):
        check_output(tmp_path / "new" / "run", overwrite=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_run_that_saved_nothing_yet_is_started_again_by_resuming(run, recipe_values):
    (run / "checkpoints" / "step-00000005").rename(run / "checkpoints" / ".step-00000005.unfinished")
    check_output(run, overwrite=False, resume=True)
    create_output(run, make_recipe(recipe_values | {"resume": "auto"}))
    assert [entry.name for entry in run.iterdir()] == ["recipe.yaml"]


def test_a_run_killed_between_its_first_validation_and_its_first_checkpoint_is_started_again(run):
    (run / "recipe.yaml").write_text(WRITTEN_BY_A_RUN)
    (run / "checkpoints" / "step-00000005").rmdir()
    (run / "best" / "step-00000005").mkdir(parents=True)
    check_output(run, overwrite=False, resume=True, save_every=5)
    with pytest.raises(OutputError, match="holds no checkpoint to go on from, but best, which a new run would"):
        check_output(run, overwrite=False, resume=True, save_every=4)  # checkpoints have been, and are gone


def test_a_model_without_checkpoints_is_not_replaced_by_resuming(run):
    (run / "recipe.yaml").write_text(WRITTEN_BY_A_RUN)
    check_output(run, overwrite=False, resume=True)
    (run / "checkpoints" / "step-00000005").rmdir()
    (run / "model").mkdir()
    with pytest.raises(OutputError, match="holds no checkpoint to go on from, but model, which a new run would"):
        check_output(run, overwrite=False, resume=True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EFBIG])
def test_a_disk_that_takes_no_more_is_one_message(run, number):
    with pytest.raises(DiskError, match="run cannot be written to .*; the last good checkpoint is .*step-00000005"):
        with disk_errors(run):
            raise OSError(number, os.strerror(number))


def test_other_errors_are_none_of_the_disk(run):
    with pytest.raises(ConnectionResetError), disk_errors(run):
        raise ConnectionResetError(errno.ECONNRESET, "by peer")


def test_metrics_of_later_updates_and_damaged_lines_go(run, recipe_values):
    kept = {"update": 5, "loss": 2.0}
    lines = [b'{"update": "x"}', json.dumps(kept).encode(), b"[1]", b"{}", b"\xff\x00", b'{"update": 6, "loss": 1.0}']
    lines += [b'{"update": 5, "final_validation_perplexity": 9.0}', b'{"upd']
    (run / "metrics.jsonl").write_bytes(b"\n".join(lines))
    metrics = Metrics(run, Accelerator(cpu=True))
    metrics.start(make_recipe(recipe_values), updates=5)
    metrics.log(6, {"loss": 1.5})
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert found == [kept, {"update": 6, "loss": 1.5}]

"""The output folder: another run's is refused and left alone, other people's files are never touched."""

import pytest

from training.output import OutputError, check_output, create_output
from training.recipe import make_recipe, read_recipe


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


def test_files_that_no_run_wrote_are_safe_even_from_overwriting(run, recipe_values):
    (run / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="files that are no run's .thesis.tex."):
            check_output(run, overwrite)
    with pytest.raises(OutputError):
        create_output(run, make_recipe(recipe_values | {"overwrite": True}))
    assert (run / "checkpoints" / "step-00000005").is_dir()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        check_output(tmp_path / "file", overwrite=True)

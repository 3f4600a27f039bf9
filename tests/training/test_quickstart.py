"""The quickstart: train, show, load in a fresh process, translate; and again without training."""

import pytest

from training import quickstart
from training.output import MODEL, TEST_SCORES
from training.recipe import TrainingError


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Where the quickstart keeps its run, with the miniature recipe in place of its own."""
    before = quickstart.RECIPE
    quickstart.RECIPE = before.parent / "miniature.yaml"
    yield tmp_path_factory.mktemp("quickstart") / "run"
    quickstart.RECIPE = before


@pytest.mark.slow
def test_it_trains_scores_and_translates_and_then_uses_what_is_there(output, capsys):
    quickstart.main(["--output", str(output), "--text", "The farmer sleeps."])
    first = capsys.readouterr().out
    assert "Training a small Transformer" in first
    assert "BLEU" in first and "500 held-out sentences (nrefs:1|case:mixed" in first
    assert first.count("  reference ") == 5
    assert "  source       The farmer sleeps.\n  translation  " in first
    assert str(output / MODEL) in first

    weights = (output / MODEL / "model.safetensors").stat().st_mtime_ns
    quickstart.main(["--output", str(output), "--text", "The farmer sleeps."])
    second = capsys.readouterr().out
    assert "--retrain trains anew" in second and "Training" not in second
    assert (output / MODEL / "model.safetensors").stat().st_mtime_ns == weights
    assert second.split("In a fresh process")[1] == first.split("In a fresh process")[1]


def test_an_unfinished_run_is_named_and_not_overwritten(output, capsys):
    (output / TEST_SCORES).rename(output.parent / TEST_SCORES)
    with pytest.raises(SystemExit) as caught:
        quickstart.main(["--output", str(output), "--text", "The farmer sleeps."])
    shown = capsys.readouterr().err
    (output.parent / TEST_SCORES).rename(output / TEST_SCORES)
    assert caught.value.code == 2
    assert "did not finish" in shown and "--retrain" in shown


def test_another_seed_is_not_passed_off_as_the_one_asked_for(output, capsys):
    with pytest.raises(SystemExit) as caught:
        quickstart.main(["--output", str(output), "--seed", "2", "--text", "The farmer sleeps."])
    shown = capsys.readouterr().err
    assert caught.value.code == 2
    assert "a run of seed 1, not 2" in shown and "--retrain" in shown


def test_a_model_that_does_not_load_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="loading it failed"):
        quickstart.translate_in_fresh_process(tmp_path, "The farmer sleeps.")


def test_help_explains_itself(capsys):
    with pytest.raises(SystemExit):
        quickstart.main(["--help"])
    shown = capsys.readouterr().out
    for word in ("--text", "--seed", "--output", "--retrain", "minutes on two CPU cores"):
        assert word in shown

"""Averages of checkpoints: exact means, and an error where the checkpoints don't belong together."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.average import AverageError, average_weights, last_checkpoints, main, write_average


def checkpoint(folder, **weights):
    folder.mkdir(parents=True)
    save_file({name: torch.as_tensor(value) for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(folder.name)
    return folder


@pytest.fixture
def run(tmp_path):
    for step in (1, 2, 3, 4):
        checkpoint(tmp_path / "run" / "checkpoints" / f"step-0000000{step}", w=[1.0 * step, 10.0], n=[7])
    return tmp_path / "run"


def test_the_mean_is_exact_and_in_the_type_of_the_weights(tmp_path):
    # In float32, 1e8 + 1 - 1e8 loses the 1; summed in float64 it doesn't.
    folders = [checkpoint(tmp_path / name, w=[value]) for name, value in (("a", 1e8), ("b", 1.0), ("c", -1e8))]
    (mean,) = average_weights(folders).values()
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(1 / 3, rel=1e-7)


def test_half_precision_is_summed_in_full(tmp_path):
    values = (1.0, 1.0078125, 1.0078125)
    folders = [checkpoint(tmp_path / str(i), w=torch.tensor([v], dtype=torch.bfloat16)) for i, v in enumerate(values)]
    (mean,) = average_weights(folders).values()
    assert mean.dtype == torch.bfloat16
    assert mean.item() == torch.tensor(sum(values) / 3).bfloat16().item()


def test_the_last_k_become_a_folder_like_the_newest(run, tmp_path):
    folders = last_checkpoints(run, 3)
    assert [folder.name for folder in folders] == ["step-00000002", "step-00000003", "step-00000004"]
    write_average(folders, tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert weights["w"].tolist() == [3.0, 10.0] and weights["n"].tolist() == [7]
    assert (tmp_path / "model" / "config.json").read_text() == "step-00000004"


def test_too_few_are_named(run):
    with pytest.raises(AverageError, match=r"5 checkpoints were to be averaged, but there are 4 \(step-00000001"):
        last_checkpoints(run, 5)
    assert len(last_checkpoints(run, 5, fewer=True)) == 4
    with pytest.raises(AverageError, match="there are 0"):
        last_checkpoints(run / "nothing", 5, fewer=True)


def test_checkpoints_that_do_not_belong_together(tmp_path):
    first = checkpoint(tmp_path / "a", w=[1.0, 2.0])
    with pytest.raises(AverageError, match="only one has 'other'"):
        average_weights([first, checkpoint(tmp_path / "b", w=[1.0, 2.0], other=[1.0])])
    with pytest.raises(AverageError, match=r"'w' has the shape \(2,\) in .*a, but \(1,\) in .*c"):
        average_weights([first, checkpoint(tmp_path / "c", w=[1.0])])
    with pytest.raises(AverageError, match="no model.safetensors"):
        average_weights([first, tmp_path])
    with pytest.raises(AverageError, match="'n', no floating-point weight, differs"):
        average_weights([checkpoint(tmp_path / "d", n=[1]), checkpoint(tmp_path / "e", n=[2])])


def test_command_line(run, tmp_path, capsys):
    main([str(run), "--last", "2"])
    assert "the average of 2 checkpoints: step-00000003, step-00000004" in capsys.readouterr().out
    assert load_file(run / "average" / "model.safetensors")["w"].tolist() == [3.5, 10.0]
    named = [str(run / "checkpoints" / f"step-0000000{step}") for step in (1, 4)]
    main([*named, "--to", str(tmp_path / "mine")])
    assert load_file(tmp_path / "mine" / "model.safetensors")["w"].tolist() == [2.5, 10.0]
    for arguments, message in (
        ([str(run), "--last", "9"], "9 checkpoints were to be averaged"),
        ([str(run), "--last", "2"], "exists already"),
        ([str(run), "--last", "0"], "1 or more"),
        (named, "--to FOLDER"),
        ([*named, "--last", "2", "--to", "x"], "--last goes with"),
    ):
        with pytest.raises(SystemExit, match=message):
            main(arguments)

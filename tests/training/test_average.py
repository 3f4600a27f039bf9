"""Averages of checkpoints: exact means, and an error where the checkpoints don't belong together."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, named_configuration
from training.average import AverageError, average_weights, last_checkpoints, main, write_average
from training.checkpoints import CheckpointError, save_folder


def checkpoint(folder, **weights):
    folder.mkdir(parents=True)
    save_file({name: torch.as_tensor(value) for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"num_heads": 4}')
    (folder / "note.txt").write_text(folder.name)
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
    assert (tmp_path / "model" / "note.txt").read_text() == "step-00000004"


def test_too_few_are_named(run):
    with pytest.raises(AverageError, match=r"5 checkpoints were to be averaged, but there are 4 \(step-00000001"):
        last_checkpoints(run, 5)
    assert len(last_checkpoints(run, 5, fewer=True)) == 4
    with pytest.raises(AverageError, match="there are 0"):
        last_checkpoints(run / "nothing", 5, fewer=True)


def test_checkpoints_that_do_not_belong_together(tmp_path, capsys):
    first = checkpoint(tmp_path / "a", w=[1.0, 2.0])
    with pytest.raises(AverageError, match="only one has 'other'"):
        average_weights([first, checkpoint(tmp_path / "b", w=[1.0, 2.0], other=[1.0])])
    with pytest.raises(AverageError, match=r"'w' has the shape \(2,\) in .*a, but \(1,\) in .*c"):
        average_weights([first, checkpoint(tmp_path / "c", w=[1.0])])
    with pytest.raises(AverageError, match="no model.safetensors"):
        average_weights([first, tmp_path])
    with pytest.raises(SystemExit):
        main([str(first), str(tmp_path / "nothing"), "--to", str(tmp_path / "mean")])
    assert "nothing: no such folder" in capsys.readouterr().err
    with pytest.raises(AverageError, match="'n', no floating-point weight, differs"):
        average_weights([checkpoint(tmp_path / "d", n=[1]), checkpoint(tmp_path / "e", n=[2])])


def test_weights_in_several_files(tmp_path):
    config = named_configuration("miniature")
    models = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        models.append(VanillaTransformerForConditionalGeneration(config))
        models[-1].save_pretrained(tmp_path / str(seed), max_shard_size="100KB" if seed != 2 else "1GB")
    assert (
        len(list((tmp_path / "3").glob("*.safetensors"))) > 1 and not (tmp_path / "3" / "model.safetensors").exists()
    )
    main([*(str(tmp_path / name) for name in "123"), "--to", str(tmp_path / "mean")])
    assert [file.name for file in (tmp_path / "mean").glob("*safetensors*")] == ["model.safetensors"]
    averaged = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path / "mean").state_dict()
    for name, weight in averaged.items():
        mean = sum(model.state_dict()[name].double() for model in models) / 3
        assert torch.equal(weight, mean.float()), name


def test_the_state_of_the_training_stays_behind(run, tmp_path):
    newest = run / "checkpoints" / "step-00000004"
    (newest / "training_state").mkdir()
    (newest / "training_state" / "optimizer.safetensors").write_bytes(b"moments")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state_1.pth", "trainer_state.json", "training_args.bin"):
        (newest / name).touch()  # as Trainer leaves them in its checkpoints
    save_folder(newest.with_name("step-00000005"), Copy(newest))
    folders = [newest, newest.with_name("step-00000005")]
    assert (folders[1] / "manifest.json").is_file() and (folders[1] / "training_state").is_dir()
    write_average(folders, tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
        "note.txt",
    ]


class Copy:
    """Saves itself as a copy of a folder."""

    def __init__(self, folder):
        self.folder = folder

    def save_pretrained(self, folder):
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)


def test_a_damaged_checkpoint_is_named_and_nothing_is_written(run, tmp_path):
    newest = run / "checkpoints" / "step-00000004"
    damaged = save_folder(newest.with_name("step-00000005"), Copy(newest))
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="step-00000005 is damaged: model.safetensors"):
        write_average([newest, damaged], tmp_path / "model")
    (newest / "model.safetensors").write_bytes(content[:20])  # without a manifest
    with pytest.raises(AverageError, match="step-00000004: the weights cannot be read"):
        write_average([newest.with_name("step-00000003"), newest], tmp_path / "model")
    assert not list(tmp_path.glob("*model*"))


def test_weights_that_fit_but_mean_something_else(tmp_path):
    first = checkpoint(tmp_path / "a", w=[1.0])
    other = checkpoint(tmp_path / "b", w=[1.0])
    (other / "config.json").write_text('{"num_heads": 4, "transformers_version": "5.99"}')
    write_average([first, other], tmp_path / "model")
    (other / "config.json").write_text('{"num_heads": 8}')
    with pytest.raises(AverageError, match="not of the same model: 'num_heads' in their config.json differs"):
        write_average([first, other], tmp_path / "another")
    (other / "config.json").write_text('{"num_heads": 4}')
    for folder, vocabulary in ((first, "ab"), (other, "ba")):
        (folder / "tokenizer.json").write_text(json.dumps({"model": vocabulary, "padding": folder.name}))
    with pytest.raises(AverageError, match="'model' in their tokenizer.json differs"):
        write_average([first, other], tmp_path / "another")


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
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1

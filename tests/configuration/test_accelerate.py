"""Every launch is one that `accelerate launch --config_file` takes, and means what its name says."""

import re
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from modeling_vanilla_transformer import VanillaTransformerPreTrainedModel

ROOT = Path(__file__).parents[2]
LAUNCHES = sorted((ROOT / "configuration" / "accelerate").glob("*.yaml"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def parse(file, *options):
    command = ["--config_file", str(file), *options, "-m", "training.train", "RECIPE"]
    return _validate_launch_command(launch_command_parser().parse_args(command))[0]


@pytest.mark.parametrize("file", LAUNCHES, ids=lambda file: file.stem)
def test_accelerate_takes_it_by_the_command_in_its_head_and_in_the_readme(file):
    text = file.read_text(encoding="utf-8")
    name = f"configuration/accelerate/{file.name}"
    head = " ".join(line.strip("#\\ \n") for line in text.splitlines() if line.startswith("#"))
    (inside,) = re.findall(rf"accelerate launch --config_file {name} .*?-m training\.train RECIPE", head)
    (shown,) = re.findall(rf"`(accelerate launch --config_file {name} .*?-m training\.train RECIPE)`", README)
    assert " ".join(inside.split()) == shown
    options = shown.split(" -m ")[0].split()[4:]
    arguments = parse(file, *options)
    assert arguments.training_script == "training.train" and arguments.module
    values = yaml.safe_load(text)
    assert arguments.num_machines == values["num_machines"] and arguments.num_processes == values["num_processes"]


def test_each_means_what_its_name_says():
    assert [file.stem for file in LAUNCHES] == ["cpu", "fsdp", "multi_gpu", "multi_node", "one_gpu"]
    cpu, fsdp, multi_gpu, multi_node, one_gpu = map(parse, LAUNCHES)
    assert cpu.use_cpu and not (cpu.multi_gpu or cpu.use_fsdp)
    assert one_gpu.num_processes == 1 and not (one_gpu.use_cpu or one_gpu.multi_gpu or one_gpu.use_fsdp)
    assert multi_gpu.multi_gpu and multi_gpu.num_machines == 1 and not multi_gpu.use_fsdp
    assert multi_node.multi_gpu and multi_node.num_machines == 2
    assert fsdp.use_fsdp and not fsdp.multi_gpu


def test_shards_are_the_models_layers():
    fsdp = parse(ROOT / "configuration" / "accelerate" / "fsdp.yaml")
    environment = prepare_multi_gpu_env(fsdp)
    assert environment["FSDP_VERSION"] == "2"
    assert environment["FSDP_AUTO_WRAP_POLICY"] == "TRANSFORMER_BASED_WRAP"
    layers = set(environment["FSDP_TRANSFORMER_CLS_TO_WRAP"].split(","))
    assert layers == set(VanillaTransformerPreTrainedModel._no_split_modules)

"""What a run records about itself."""

import importlib.metadata
import json
import os
import platform

import pytest
import torch
from accelerate import PartialState

from training.machine import available_cores, cpu_name, device_name
from training.record import RecordError, describe_sitting, hub_names, read_record, record_end, record_sitting


def test_a_sitting_names_hardware_precision_and_libraries_but_not_the_machine():
    PartialState(cpu=True)
    sitting = describe_sitting("bf16", after_update=7)
    assert (sitting["after_update"], sitting["mixed_precision"], sitting["device_type"]) == (7, "bf16", "cpu")
    assert (sitting["devices"], sitting["machines"], sitting["processes"]) == ({cpu_name(): 1}, 1, 1)
    assert sitting["versions"]["torch"] == importlib.metadata.version("torch")
    assert sitting["versions"]["python"] == platform.python_version()
    assert platform.node() not in json.dumps(sitting) or platform.node() in cpu_name()
    assert sitting["started"].endswith("+00:00")


def test_a_run_that_goes_on_has_several_sittings_and_is_unfinished_until_its_end(tmp_path):
    assert read_record(tmp_path) == {}
    record_sitting(tmp_path, {"after_update": 0}, resumed=False)
    record_end(tmp_path, updates=10, seconds=2.5)
    record = read_record(tmp_path)
    assert record["sittings"] == [{"after_update": 0}] and (record["updates"], record["seconds"]) == (10, 2.5)
    assert "finished" in record
    record_sitting(tmp_path, {"after_update": 10}, resumed=True)
    assert read_record(tmp_path) == {"sittings": [{"after_update": 0}, {"after_update": 10}]}
    record_sitting(tmp_path, {"after_update": 0}, resumed=False)  # another run in its place
    assert read_record(tmp_path) == {"sittings": [{"after_update": 0}]}


def test_names_on_the_hub_are_those_of_no_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "our/words").mkdir(parents=True)
    names = ("our/words", "their/words", str(tmp_path), "embedded", None, "their/model", "their/words")
    assert hub_names(*names) == ["their/model", "their/words"]


@pytest.mark.parametrize("text", ["{", "[1]", "7"])
def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match="run.json cannot be read"):
        read_record(tmp_path)


def test_a_processor_has_the_name_that_its_maker_gave_it(tmp_path):
    listed = tmp_path / "cpuinfo"
    listed.write_text(
        "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Quick: One 9000\nprocessor\t: 1\nmodel name\t: 2\n"
    )
    assert cpu_name(listed) == "Quick: One 9000"
    for without in (tmp_path / "nothing", tmp_path / "arm"):
        (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: fp asimd\n")
        assert cpu_name(without) == (platform.processor() or platform.machine())
    assert device_name(torch.device("cpu")) == cpu_name() and device_name(torch.device("mps")) == "mps"


def test_cores_are_those_that_this_process_may_use():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(allowed)})
            assert available_cores() == 1
        finally:
            os.sched_setaffinity(0, allowed)

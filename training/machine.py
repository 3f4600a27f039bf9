"""What a run is made on: the names of its devices, the cores of its machine."""

import os
import platform
from pathlib import Path

import torch


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name(described_by: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as its maker has it; where that cannot be found out, its architecture."""
    try:
        lines = described_by.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    names = [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name"]
    return names[0] if names else platform.processor() or platform.machine()


def device_name(device: torch.device) -> str:
    """The name of the processor that computes, or of the kind of accelerator where it has no other."""
    if device.type == "cpu":
        return cpu_name()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

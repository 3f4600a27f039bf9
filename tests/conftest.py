"""The suite runs on the CPU, on a machine with a GPU too: its exact comparisons are between numbers of one device.

GPU=1 lets the tests that need one see it.
"""

import os

# Before torch is imported, and handed on to the processes that tests start.
if not os.environ.get("GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks after OpenMP had threads hangs


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that no worker begins one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)

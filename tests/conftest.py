"""The suite runs on the CPU, on a machine with a GPU too: its exact comparisons are between numbers of one device."""

import os

# Before torch is imported, and handed on to the processes that tests start.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

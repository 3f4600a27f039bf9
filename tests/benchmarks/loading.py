"""How long loading a published model takes, and at most how much memory, beside MarianMT of the same size.

python -m tests.benchmarks.loading [--size base] [--rounds 9]

Both are saved to folders with random weights, MarianMT with the 512 positions of those on the Hub. Each loading is a
process of its own, which has imported torch and transformers when the clock starts: what counts is all that a user
waits for from there on, the package's import or the code out of the folder included. The ways take turns round by
round; what counts are the medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers.utils import logging

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    configuration_names,
    named_configuration,
)
from tests.benchmarks.training_peers import marian_of_the_same_sizes

MARIAN = "MarianMT"
# What a process of each way runs between its clock's readings; `folder` is its model's.
WAYS = {
    MARIAN: "model = AutoModelForSeq2SeqLM.from_pretrained(folder)",
    "ours, package installed": (
        "import modeling_vanilla_transformer; model = AutoModelForSeq2SeqLM.from_pretrained(folder)"
    ),
    "ours, trust_remote_code": "model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)",
}
LOADING = """
import json, sys, time
from pathlib import Path
from transformers import AutoModelForSeq2SeqLM

folder = sys.argv[1]
wall, processor = time.perf_counter(), time.process_time()
{way}
taken = dict(wall=time.perf_counter() - wall, processor=time.process_time() - processor)
assert sum(parameter.numel() for parameter in model.parameters()) == int(sys.argv[2])
# The kernel's record of this process alone; getrusage would count the process that started it, too.
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps(taken | dict(peak=int(peak.split()[1]) / 1e3)))
"""


def load(way: str, folder: Path, parameters: int, cache: Path) -> dict[str, float]:
    """Returns the seconds, on the wall and of the processor, and the peak memory in MB of a process that loads."""
    environment = os.environ | dict(HF_HOME=str(cache), HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    environment.pop("PYTHONPATH", None)
    if way == "ours, package installed":
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", LOADING.format(way=WAYS[way]), str(folder), str(parameters)]
    # From another folder: an editable installation aside, only one way can import the package.
    done = subprocess.run(command, cwd=cache, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", choices=configuration_names())
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        torch.manual_seed(0)
        model = VanillaTransformerForConditionalGeneration(named_configuration(options.size))
        models = {"ours": model, MARIAN: marian_of_the_same_sizes(model.config)}
        for peer, each in models.items():
            each.save_pretrained(place / peer)
        folders = {way: place / (MARIAN if way == MARIAN else "ours") for way in WAYS}
        counts = {way: models[folder.name].num_parameters() for way, folder in folders.items()}
        for way in WAYS:  # reads the files into the system's cache, and compiles the code to bytes
            load(way, folders[way], counts[way], place)
        rounds = [{way: load(way, folders[way], counts[way], place) for way in WAYS} for _ in range(options.rounds)]
    print(f"{options.size}, {model.num_parameters():,} parameters, float32; medians of {options.rounds} processes\n")
    print("| loading | seconds | processor seconds | peak MB | against MarianMT: seconds | processor | peak |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for way in WAYS:
        figures = [statistics.median(each[way][name] for each in rounds) for name in ("wall", "processor", "peak")]
        ratios = [
            statistics.median(each[way][name] / each[MARIAN][name] for each in rounds)
            for name in ("wall", "processor", "peak")
        ]
        cells = [
            f"{figures[0]:.2f}",
            f"{figures[1]:.2f}",
            f"{figures[2]:,.0f}",
            *(f"{ratio:.2f}x" for ratio in ratios),
        ]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

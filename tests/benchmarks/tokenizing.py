"""How fast pairs are read, cleaned and tokenised into the cache, beside the tokenizer alone on the same lines.

python -m tests.benchmarks.tokenizing FILE.parquet --source_language en --target_language de [--pairs 100000]

Both use all cores: the tokenizer its own threads, the data pipeline its processes. They take turns on the same lines,
so that whatever else the machine does falls on both; what counts is the median of the rounds' ratios, in wall-clock
seconds on an idle machine, in processor seconds on a busy one. Three rounds of 100,000 pairs take some two minutes.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import datasets
from tokenizers import Tokenizer

from modeling_vanilla_transformer import VanillaTransformerTokenizer
from training.data import TrainingData, describe_counts, read_training_data
from training.recipe import DataRecipe

OURS = "cleaned, tokenised, cached"


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock seconds, and processor seconds of this process and those it started."""
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # each time: `datasets` turns it off for good
    before, started = [resource.getrusage(user) for user in users], time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    after = [resource.getrusage(user) for user in users]
    return seconds, sum(a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime for a, b in zip(after, before, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="a file of pairs that a recipe takes as `train`")
    parser.add_argument("--source_language", default="en")
    parser.add_argument("--target_language", default="de")
    parser.add_argument("--pairs", type=int, default=100_000, help="pairs of a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each of other pairs where there are as many")
    parser.add_argument("--vocab_size", type=int, default=32000)
    options = parser.parse_args()
    datasets.disable_progress_bars()
    recipe = DataRecipe(
        data=str(options.file.parent),
        train=options.file.name,
        source_language=options.source_language,
        target_language=options.target_language,
        drop_duplicates=True,
        drop_identical=True,
        drop_wrong_script=True,
        max_length_ratio=4.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder)
        data = read_training_data(recipe)
        assert isinstance(data, TrainingData)
        text = data.text
        sample = text.select(range(min(len(text), 50_000)))
        tokenizer = VanillaTransformerTokenizer.train(
            [*sample["source"], *sample["target"]], vocab_size=options.vocab_size, show_progress=False
        )
        pipeline = tokenizer.backend_tokenizer.to_str()
        peers = ("backend.encode_batch_fast(lines)", "tokenizer(lines)")
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in (*peers, OURS)}
        for number in range(options.rounds):
            start = number * options.pairs % max(len(text) - options.pairs + 1, 1)
            data.text = text.select(range(start, min(start + options.pairs, len(text))))
            lines = [*data.text["source"], *data.text["target"]]
            alone = Tokenizer.from_str(pipeline)  # which hasn't met any word yet, as ours hasn't
            works = (
                lambda lines=lines, alone=alone: alone.encode_batch_fast(lines),
                lambda lines=lines: tokenizer(lines),
                lambda number=number: run(data, tokenizer, Path(folder, str(number))),
            )
            for name, work in zip(seconds, works, strict=True):
                seconds[name].append(measured(work))
            print(describe_counts(f"round {number + 1}", data.counts), flush=True)
        print(f"{os.cpu_count()} cores, {len(data.text):,} pairs a round, {options.rounds} rounds, medians")
        for name, values in seconds.items():
            wall, processor = (len(lines) / statistics.median(value) for value in zip(*values, strict=True))
            print(f"{name:34}{wall:9,.0f} lines/s by the clock, {processor:9,.0f} lines per processor second")
        for peer in peers:
            pairs = zip(seconds[peer], seconds[OURS], strict=True)
            ratios = [[theirs / ours for theirs, ours in zip(*pair, strict=True)] for pair in pairs]
            wall, processor = (statistics.median(ratio) for ratio in zip(*ratios, strict=True))
            print(f"{OURS}: {wall:.0%} of {peer} by the clock, {processor:.0%} by processor seconds")


def run(data: TrainingData, tokenizer: VanillaTransformerTokenizer, cache: Path) -> None:
    """All from the text on, with nothing in the cache."""
    datasets.config.HF_DATASETS_CACHE = cache
    data.tokenize(tokenizer)


if __name__ == "__main__":
    main()

"""How many target tokens a second one training step learns from, beside others who train the same Transformer.

python -m tests.benchmarks.training_step [--size base] [--text FILE.en FILE.de] [--processor_seconds]
python -m tests.benchmarks.training_step --device cuda --size base --tokens 25000 --bf16 --compile --text ...
python -m tests.benchmarks.training_step --memory --size base --tokens 25000

Real target tokens count, padding doesn't. "Same batches": rectangles of pairs of similar length, the same for all.
"Own batches": ours as the training loop makes them; the others' as their users do, random pairs padded to the longest.
Rounds take turns, so that whatever else the machine does falls on all; what counts are the medians of the rounds'
ratios, in processor seconds on a busy machine. Without --text, the text is the embedded corpus, of short sentences.
"""

import argparse
import multiprocessing
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from modeling_vanilla_transformer import VanillaTransformerTokenizer, named_configuration
from tests.benchmarks.training_peers import Batch, MarianTrainer, Ours, PlainLoop, processor_or_wall_clock
from training.batching import Part, TokenBudgetBatches
from training.corpus import generate_corpus

Pair = dict[str, list[int]]


def read_pairs(arguments: argparse.Namespace, vocabulary: int) -> tuple[list[Pair], VanillaTransformerTokenizer]:
    """Returns the text as token ids, input_ids and labels of each pair, and the tokenizer trained on it."""
    if arguments.text:
        source, target = (Path(name).read_text(encoding="utf-8").splitlines() for name in arguments.text)
    else:
        corpus = generate_corpus(seed=1).train
        source, target = [pair.source for pair in corpus], [pair.target for pair in corpus]
    lines = [pair for pair in zip(source, target, strict=True) if all(pair)][: arguments.pairs]
    source, target = map(list, zip(*lines, strict=True))
    tokenizer = VanillaTransformerTokenizer.train([*source, *target], vocab_size=vocabulary, show_progress=False)
    ids = (tokenizer(side)["input_ids"] for side in (source, target))
    pairs = [dict(input_ids=a, labels=b) for a, b in zip(*ids, strict=True) if max(len(a), len(b)) <= 128]
    random.Random(0).shuffle(pairs)
    return pairs, tokenizer


def padded(pairs: Sequence[Pair], part: Part | None = None) -> Batch:
    """Returns pairs as arrays, as large as the part says, else as the longest sentences need."""
    rows = part.sentences if part else len(pairs)
    source_length = part.source_length if part else max(len(pair["input_ids"]) for pair in pairs)
    target_length = part.target_length if part else max(len(pair["labels"]) for pair in pairs)
    input_ids, labels = torch.zeros(rows, source_length).long(), torch.full((rows, target_length), -100)
    for row, pair in enumerate(pairs):
        input_ids[row, : len(pair["input_ids"])] = torch.tensor(pair["input_ids"])
        labels[row, : len(pair["labels"])] = torch.tensor(pair["labels"])
    attention_mask = (input_ids != 0).long()
    attention_mask[len(pairs) :, 0] = 1  # no sentence's attention is to nothing
    return dict(input_ids=input_ids, attention_mask=attention_mask, labels=labels)


def grouped(pairs: list[Pair], arguments: argparse.Namespace, shuffle: bool) -> list[list[Batch]]:
    """Returns an epoch's updates, each a list of parts, as the training loop makes them; unshuffled, of one part."""
    lengths = (np.array([len(pair[side]) for pair in pairs]) for side in ("input_ids", "labels"))
    shapes = 40 if arguments.compile or arguments.device == "cuda" else None
    batches = TokenBudgetBatches(*lengths, arguments.tokens, shuffle=shuffle, max_shapes=shapes)
    updates = batches.epoch(0)
    print(f"{'own' if shuffle else 'same'} batches: {batches.describe(updates)}")
    random.Random(0).shuffle(updates)
    parts = [[part for row in update.parts for part in row] for update in updates]
    return [[padded([pairs[i] for i in part.indices], part) for part in update] for update in parts]


def target_tokens(updates: Sequence[Sequence[Batch]]) -> int:
    return sum(int((part["labels"] != -100).sum()) for parts in updates for part in parts)


def compare(arguments: argparse.Namespace) -> None:
    """Measures and prints the table."""
    config = named_configuration(arguments.size)
    config.vocab_size = max(config.vocab_size, 1000)  # the miniature's is too small for any tokenizer
    pairs, tokenizer = read_pairs(arguments, config.vocab_size)
    mean = statistics.mean(len(pair["labels"]) for pair in pairs)
    sentences = max(1, int(arguments.tokens / mean))
    print(f"{arguments.size}: {len(pairs):,} pairs, {mean:.1f} target tokens each; {arguments.tokens:,} slots a side")
    same, own = grouped(pairs, arguments, False), grouped(pairs, arguments, True)
    clock = processor_or_wall_clock(arguments.device, arguments.processor_seconds)
    count = arguments.updates + 1  # the first one warms up
    speeds: dict[tuple[str, str], list[float]] = {}

    with tempfile.TemporaryDirectory() as folder:
        contestants: dict[str, Ours | MarianTrainer] = {}
        for bf16 in (False, True) if arguments.bf16 else (False,):
            setting = (config, arguments.device, bf16, arguments.compile)
            for kind in (Ours, PlainLoop):
                contestants[f"{kind.name}, {'bf16' if bf16 else 'float32'}"] = kind(*setting)
            contestants[f"{MarianTrainer.name}, {'bf16' if bf16 else 'float32'}"] = MarianTrainer(*setting, folder)

        for name, contestant in contestants.items():
            if arguments.compile and type(contestant) is Ours:
                print(f"{name}: {compile_seconds(contestant, [*same, *own]):.1f} s to compile")

        for number in range(arguments.rounds):
            choose = random.Random(number)
            same_now, own_now = choose.choices(same, k=count), choose.choices(own, k=count)
            drawn = choose.sample(pairs, k=min(len(pairs), count * sentences))
            drawn = drawn[: len(drawn) // sentences * sentences]
            random_now = [[padded(drawn[i : i + sentences])] for i in range(0, len(drawn), sentences)]
            for name, contestant in contestants.items():
                if arguments.device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                speed = target_tokens(same_now[1:]) / contestant.seconds(same_now, clock)
                speeds.setdefault((name, "same batches"), []).append(speed)
                if type(contestant) is Ours:
                    tokens, seconds = target_tokens(own_now[1:]), contestant.seconds(own_now, clock)
                elif isinstance(contestant, MarianTrainer):
                    tokens = target_tokens(random_now[1:])
                    seconds = contestant.seconds_of_pairs(drawn, sentences, tokenizer, clock)
                else:
                    tokens, seconds = target_tokens(random_now[1:]), contestant.seconds(random_now, clock)
                speeds.setdefault((name, "own batches"), []).append(tokens / seconds)
                if arguments.device == "cuda" and number == 0:
                    peak = torch.cuda.max_memory_allocated() / 1e9
                    print(f"{name}: peak of {peak:.2f} GB, the other contestants' weights included")
    report(list(contestants), speeds)


def report(names: list[str], speeds: dict[tuple[str, str], list[float]]) -> None:
    """Prints medians of target tokens a second, and of the rounds' ratios: each of ours to each of the others."""
    columns = ("same batches", "own batches")
    print(f"\n{'target tokens/s':<62}" + "".join(f"{column:>16}" for column in columns))
    for name in names:
        print(f"{name:<62}" + "".join(f"{statistics.median(speeds[name, column]):>16,.0f}" for column in columns))
    for ours in (name for name in names if name.startswith(Ours.name)):
        for other in (name for name in names if not name.startswith(Ours.name)):
            ratios = []
            for column in columns:
                rounds = zip(speeds[ours, column], speeds[other, column], strict=True)
                ratios.append(statistics.median(mine / theirs for mine, theirs in rounds))
            print(f"{ours + ' / ' + other:<62}" + "".join(f"{ratio:>15.2f}x" for ratio in ratios))


def compile_seconds(contestant: Ours, updates: Sequence[Sequence[Batch]]) -> float:
    """Returns by how much the first step of every shape, together, takes longer than the second."""
    parts = {
        tuple(part["labels"].shape) + tuple(part["input_ids"].shape): part for update in updates for part in update
    }
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        for part in parts.values():
            contestant.update([part])
        if contestant.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return seconds[0] - seconds[1]


def peak_of_a_step(size: str, tokens: int, length: int, device: str, return_logits: bool | None) -> float:
    """Returns the peak memory, in GB, of one step; with None, of the weights, gradients and moments alone."""
    torch.manual_seed(0)
    config = named_configuration(size)
    ours = Ours(config, device, bf16=device == "cuda", compile=False)
    for parameter in ours.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ours.optimizer.step()
    if return_logits is not None:
        ids = torch.randint(3, config.vocab_size, (tokens // length, length), device=device)
        with torch.autocast(device, torch.bfloat16, enabled=ours.bf16):
            outputs = ours.model(input_ids=ids, labels=ids, label_smoothing=0.1, return_logits=return_logits)
        outputs.loss.backward()
        ours.optimizer.step()
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def compare_memory(arguments: argparse.Namespace) -> None:
    """Prints the peaks of a step with all logits and without; each in a process of its own."""
    print(f"{arguments.size}, {arguments.tokens:,} + {arguments.tokens:,} tokens, sentences of 27, peak memory:")
    for what, return_logits in (("before the step", None), ("without logits", False), ("with all logits", True)):
        setting = (arguments.size, arguments.tokens, 27, arguments.device, return_logits)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(f"{what:<20}{pool.apply(peak_of_a_step, setting):>8.2f} GB", flush=True)


def main() -> None:
    logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="base", help="a named configuration: base, multi30k, ...")
    parser.add_argument("--text", nargs=2, metavar=("SOURCE", "TARGET"), help="two files, a sentence a line")
    parser.add_argument("--pairs", type=int, default=30000, help="how many pairs of the text to use")
    parser.add_argument("--tokens", type=int, default=2048, help="token slots of an update, on each side")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--bf16", action="store_true", help="measure in bf16 autocast too")
    parser.add_argument("--compile", action="store_true", help="compile all contestants")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=3, help="measured updates of a round")
    parser.add_argument("--processor_seconds", action="store_true", help="for a machine that others use too")
    parser.add_argument("--memory", action="store_true", help="measure the peak memory of a step instead")
    arguments = parser.parse_args()
    compare_memory(arguments) if arguments.memory else compare(arguments)


if __name__ == "__main__":
    main()

"""How fast our search translates, beside `MarianMTModel.generate` and CTranslate2 with the very same weights.

python -m tests.benchmarks.decoding MODEL --source FILE.en --reference FILE.de [--sentences 1000] [--threads 2]
python -m tests.benchmarks.decoding MODEL --source FILE.en --latency
python -m tests.benchmarks.decoding MODEL --source FILE.en --device cuda --batch 64 256 1024
python -m tests.benchmarks.decoding base
python -m tests.benchmarks.decoding base --memory

MODEL is a trained model's folder (`make bench-model` makes one), or a named configuration: random weights, random
sentences of 28 tokens, translations of 30. All engines get the same sentences in order of length, the same limit (the
batch's longest source and so many tokens more) and the same penalty, and end a sentence by the same rule.

Each engine has a process of its own, and first chooses its own best of the batch sizes, on a part of the text (on a
GPU on all of it). Then rounds over all of it, in which the engines take turns batch by batch, so that whatever else
the machine does falls on all. What counts are the medians of the rounds' speeds and ratios. Output tokens are those
that the engine itself wrote, special tokens left out.
"""

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.utils import logging

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    configuration_names,
    named_configuration,
)
from tests.benchmarks.decoding_peers import (
    ENGINES,
    EngineProcess,
    Generate,
    Sentence,
    Setting,
    as_marian,
    convert,
    has_ctranslate2,
)
from training.data import read_lines
from training.evaluation import bleu
from training.setup import choose_precision

SOURCE_LENGTH, TARGET_LENGTH = 28, 30  # of what models of random weights are given
LATENCY_LENGTH = 20
MEMORY_BATCH = (64, 128, 64)  # sentences, their tokens, tokens of a translation


@dataclass
class Work:
    """Sentences to translate, in order of length."""

    sentences: list[Sentence]
    places: list[int]
    """Where each stands in the text."""
    limit: int | None
    """Of tokens of a translation; None: the batch's longest source and `offset` more."""
    offset: int

    def part(self, count: int) -> "Work":
        """About so many of them, of the same lengths."""
        step = max(1, len(self.sentences) // count)
        return Work(self.sentences[::step], self.places[::step], self.limit, self.offset)

    def batches(self, size: int) -> list[list[Sentence]]:
        return [self.sentences[start : start + size] for start in range(0, len(self.sentences), size)]

    def limit_of(self, batch: Sequence[Sentence]) -> int:
        return self.limit or max(map(len, batch)) + self.offset


def in_order(sentences: Sequence[Sentence], limit: int | None, offset: int) -> Work:
    places = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))
    return Work([sentences[place] for place in places], places, limit, offset)


@dataclass
class Done:
    """What an engine did in a round."""

    seconds: list[float]
    """Of each batch."""
    translations: list[Sentence]
    """In the work's order."""

    def tokens(self) -> int:
        return sum(map(len, self.translations))

    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens() / sum(self.seconds)


def take_turns(engines: Sequence[EngineProcess], work: Work, sizes: dict[str, int], beams: int) -> list[Done]:
    """Lets each engine translate everything, in batches of its own size; the one that is furthest behind goes next."""
    left = {engine: work.batches(sizes[engine.name]) for engine in engines}
    done = {engine: Done([], []) for engine in engines}
    while left:
        engine = min(left, key=lambda engine: len(done[engine].translations))
        batch = left[engine].pop()  # the longest first: what doesn't fit into memory fails at once
        seconds, translations = engine.translate(batch, beams, work.limit_of(batch))
        done[engine].seconds.append(seconds)
        done[engine].translations += translations[::-1]
        if not left[engine]:
            del left[engine]
    for each in done.values():
        each.translations.reverse()
    return list(done.values())


def choose_sizes(
    engines: Sequence[EngineProcess], work: Work, beams: int, options: argparse.Namespace
) -> dict[str, int]:
    """Returns the batch size at which each engine is fastest, and says what it tried."""
    chosen = {}
    part = work if options.device == "cuda" else work.part(options.choose_on)
    print(f"beams {beams}: tokens/s at so many sentences a batch, {len(part.sentences):,} sentences")
    for engine in engines:
        speeds = {}
        for size in options.batch:
            sizes = {engine.name: size}
            # Kernels are loaded, captured or compiled at the first sight of a shape.
            if options.device == "cuda":
                take_turns([engine], part, sizes, beams)
            (done,) = take_turns([engine], part, sizes, beams)
            speeds[size] = done.speed()
        chosen[engine.name] = max(speeds, key=lambda size: speeds[size])
        print(f"  {engine.name}: {', '.join(f'{speed:,.0f} at {size}' for size, speed in speeds.items())}", flush=True)
    return chosen


def compare(
    engines: Sequence[EngineProcess],
    work: Work,
    beams: int,
    tokenizer: VanillaTransformerTokenizer | None,
    references: Sequence[str] | None,
    options: argparse.Namespace,
) -> None:
    """Measures the engines at so many beams, and prints the table."""
    sizes = choose_sizes(engines, work, beams, options)
    rounds = [take_turns(engines, work, sizes, beams) for _ in range(options.rounds)]
    peers = [place for place, engine in enumerate(engines) if not engine.name.startswith("ours")]
    first = rounds[-1][0].translations

    columns = ["engine", "batch", "tokens/s", "seconds", "tokens", f"as {engines[0].name}"]
    columns += ["BLEU"] if references else []
    columns += [f"x {engines[peer].name}" for peer in peers]
    print(f"\n{beams} beams, {len(work.sentences):,} sentences, medians of {options.rounds} rounds\n")
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for place, engine in enumerate(engines):
        translations = rounds[-1][place].translations
        same = sum(map(list.__eq__, first, translations)) / len(first)
        seconds = statistics.median(sum(done[place].seconds) for done in rounds)
        speed = statistics.median(done[place].speed() for done in rounds)
        cells = [engine.name, str(sizes[engine.name]), f"{speed:,.0f}", f"{seconds:,.2f}"]
        cells += [f"{rounds[-1][place].tokens():,}", f"{same:.1%}"]
        if tokenizer and references:
            texts = tokenizer.batch_decode(translations, skip_special_tokens=True)
            cells.append(f"{bleu(texts, [references[place] for place in work.places])['bleu']:.2f}")
        for peer in peers:
            ratio = statistics.median(done[place].speed() / done[peer].speed() for done in rounds)
            cells.append(f"{ratio:.2f}")
        print("| " + " | ".join(cells) + " |", flush=True)
    print()
    if tokenizer:
        describe_lengths(first, work, tokenizer, references)


def describe_lengths(
    translations: Sequence[Sentence],
    work: Work,
    tokenizer: VanillaTransformerTokenizer,
    references: Sequence[str] | None,
) -> None:
    """Says how realistic the lengths of translations are."""
    lengths = {"source": [len(sentence) - 1 for sentence in work.sentences]}  # without the end of sentence
    lengths["translations"] = [len(sentence) for sentence in translations]
    if references:
        wanted = tokenizer([references[place] for place in work.places], add_special_tokens=False)["input_ids"]
        lengths["references"] = [len(sentence) for sentence in wanted]
    for name, values in lengths.items():
        tenths = statistics.quantiles(values, n=10)
        said = f"{name}: {statistics.mean(values):.1f} tokens, 8 of 10 have {tenths[0]:.0f} to {tenths[-1]:.0f}"
        if name != "translations" and len(set(lengths["translations"])) > 1:
            correlation = statistics.correlation(values, lengths["translations"])
            said += f"; correlation with the translations' {correlation:.2f}"
        print(said)
    cut = sum(
        length >= len(source) + work.offset
        for length, source in zip(lengths["translations"], work.sentences, strict=True)
    )
    print(f"{cut} of {len(translations)} translations reach the limit of {work.offset} tokens more than the source\n")


def latency(engines: Sequence[EngineProcess], work: Work, options: argparse.Namespace) -> None:
    """Prints what one sentence of 20 tokens takes, alone."""
    nearest = sorted(work.sentences, key=lambda sentence: abs(len(sentence) - LATENCY_LENGTH))[:10]
    sentences = in_order(nearest, work.limit, work.offset)
    ones = {engine.name: 1 for engine in engines}
    take_turns(engines, sentences, ones, options.beams[-1])  # warms up
    rounds = [take_turns(engines, sentences, ones, options.beams[-1]) for _ in range(options.rounds)]
    mean = statistics.mean(map(len, nearest))
    print(f"\none sentence at a time, {len(nearest)} of {mean:.1f} tokens, {options.beams[-1]} beams\n")
    print("| engine | ms a sentence, median | tokens of a translation |\n| --- | --- | --- |")
    for place, engine in enumerate(engines):
        median = statistics.median(seconds for done in rounds for seconds in done[place].seconds)
        print(f"| {engine.name} | {median * 1000:.1f} | {rounds[-1][place].tokens() / len(nearest):.1f} |")


# ---------------------------------------------------------------------------------------------------------------------
# Memory


def resident(what: str) -> float:
    """Returns what this process holds ("VmRSS"), or the most that it has held ("VmHWM"), in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status does not say {what}: memory is measured on Linux")


def peak_of_a_batch(name: str, setting: Setting, ids: list[Sentence], beams: int, target: int) -> float:
    """Returns the most memory, in MB, that an engine takes for one batch beyond the loaded model."""
    logging.set_verbosity_error()
    torch.set_num_threads(setting.threads)
    engine, device = ENGINES[name](name, setting), setting.device
    engine.run(engine.prepare([row[:4] for row in ids[:2]]), beams, 4)  # the libraries' own buffers
    batch = engine.prepare(ids)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the most that it has held is from now on
        before = resident("VmRSS")
    written = engine.tokens(engine.run(batch, beams, target))
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else resident("VmHWM")
    if {len(tokens) for tokens in written} != {target}:
        raise SystemExit(f"{name}: some translations ended early, so that the peaks could not be compared")
    return peak - before


def compare_memory(names: Sequence[str], options: argparse.Namespace) -> None:
    """Prints the peak of each engine, measured in a process of its own."""
    if options.model not in configuration_names():
        raise SystemExit(f"--memory measures random weights: give one of {', '.join(configuration_names())}")
    beams, (sentences, source, target) = options.beams[-1], MEMORY_BATCH
    print(f"\n{options.model}, {sentences} sentences of {source} tokens, {target} tokens written, {beams} beams\n")
    print("| engine | peak beyond the loaded model, MB |\n| --- | --- |")
    model = random_model(options.model)
    ids = torch.randint(3, model.config.vocab_size, (sentences, source)).tolist()
    with tempfile.TemporaryDirectory() as folder:
        setting = make_setting(model, Path(folder), options)
        for name in names:
            if not name.startswith("CTranslate2"):  # whose memory isn't torch's, nor its model's alone
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    peak = pool.apply(peak_of_a_batch, (name, setting, ids, beams, target))
                print(f"| {name} | {peak:,.0f} |", flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# The command


def engines_for(device: str) -> list[str]:
    """Returns the engines that make sense here: bfloat16 where the hardware has it, CTranslate2 on a CPU."""
    names = list(ENGINES)
    if device == "cuda":
        return [name for name in names if name.endswith("bfloat16")]
    if choose_precision("auto", torch.device(device)) != "bf16":
        print("no bfloat16: this CPU has no instructions for it (--engines measures it all the same)")
        names = [name for name in names if not name.endswith("bfloat16")]
    if not has_ctranslate2():
        print("no CTranslate2: it is not installed (pip install '.[bench]')")
        names = [name for name in names if not name.startswith("CTranslate2")]
    return names


def random_model(name: str) -> VanillaTransformerForConditionalGeneration:
    """Returns a model of random weights, always the same ones."""
    torch.manual_seed(0)
    return VanillaTransformerForConditionalGeneration(named_configuration(name)).eval()


def make_setting(
    model: VanillaTransformerForConditionalGeneration, folder: Path, options: argparse.Namespace
) -> Setting:
    """Returns what engines are made of, once `model` stands in `folder`."""
    model.save_pretrained(folder / "model")
    return Setting(
        folder / "model",
        folder / "ctranslate2",
        options.device,
        options.threads,
        options.length_penalty,
        options.paper,
    )


def read_work(
    options: argparse.Namespace,
) -> tuple[VanillaTransformerForConditionalGeneration, Work, VanillaTransformerTokenizer | None, list[str] | None]:
    """Returns the model in float32, what it is to translate, and, of a trained model, its tokenizer and references."""
    if options.model in configuration_names():
        model = random_model(options.model)
        config = model.config
        ids = torch.randint(3, config.vocab_size, (options.sentences or 32, SOURCE_LENGTH - 1)).tolist()
        work = in_order([[*row, config.eos_token_id] for row in ids], TARGET_LENGTH, 0)
        return model, work, None, None
    if not options.source:
        raise SystemExit("give --source FILE: sentences of the language that the model translates from")
    model = VanillaTransformerForConditionalGeneration.from_pretrained(options.model, dtype=torch.float32)
    tokenizer = VanillaTransformerTokenizer.from_pretrained(options.model)
    lines = read_lines(options.source)[: options.sentences]
    references = read_lines(options.reference)[: options.sentences] if options.reference else None
    ids = tokenizer(lines, split_special_tokens=True)["input_ids"]
    return model.eval(), in_order(ids, None, options.offset), tokenizer, references


@torch.no_grad()
def check_weights(model: VanillaTransformerForConditionalGeneration, sentences: Sequence[Sentence]) -> None:
    """Passes where MarianMT computes the model's logits, to 1e-4 (float32)."""
    batch = Generate("ours", model).prepare(sentences)
    batch["decoder_input_ids"] = batch["input_ids"].roll(1, dims=1)
    batch["decoder_input_ids"][:, 0] = model.config.decoder_start_token_id
    ours, theirs = (each(**batch).logits for each in (model, as_marian(model)))
    difference = float((ours - theirs).abs().max())
    print(f"the logits of ours and MarianMT differ by at most {difference:.1e}")
    if not difference < 1e-4:
        raise SystemExit("these are not the same weights: nothing of what follows would mean anything")


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a model's folder, or a named configuration for random weights")
    parser.add_argument("--source", type=Path, help="a file, a sentence a line")
    parser.add_argument("--reference", type=Path, help="its translations, for BLEU")
    parser.add_argument("--sentences", type=int, help="only the first so many")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, metavar="NAME", help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32, 64], help="sentences a batch, to choose from")
    parser.add_argument("--choose_on", type=int, default=200, help="sentences to choose on, on a CPU")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--length_penalty", type=float, default=1.0, help="exponent of the length, for all engines")
    parser.add_argument("--offset", type=int, default=50, help="at most so many tokens more than the source")
    parser.add_argument("--paper", action="store_true", help="ours by the paper's penalty and its exact end instead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--processor_seconds", action="store_true", help="for a machine that others use too")
    parser.add_argument("--latency", action="store_true", help="one sentence of 20 tokens at a time instead")
    parser.add_argument("--memory", action="store_true", help="the peak memory of one batch instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = options.engines or engines_for(options.device)
    if options.memory:
        return compare_memory(names, options)
    model, work, tokenizer, references = read_work(options)
    print(f"{options.model}: {model.num_parameters():,} parameters, {options.device}, {options.threads} threads")
    check_weights(model, work.sentences[:8])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        setting = make_setting(model, Path(folder), options)
        if any(name.startswith("CTranslate2") for name in names):
            convert(model, setting.converted)
        del model
        engines = [stack.enter_context(EngineProcess(name, setting, options.processor_seconds)) for name in names]
        if options.latency:
            return latency(engines, work, options)
        for beams in options.beams:
            compare(engines, work, beams, tokenizer, references, options)


if __name__ == "__main__":
    main()

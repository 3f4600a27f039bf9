"""Translate text with a trained model: any number of lines in, as many lines out, in their order.

python -m training.translate MODEL < source.en > translation.de
python -m training.translate MODEL --input source.en --output translation.de --resume auto
python -m training.translate MODEL --n_best 4 --alignments --input source.en > translations.de
accelerate launch --config_file configuration/accelerate/multi_gpu.yaml -m training.translate MODEL --input ...

MODEL is a saved model's folder, or its name on the Hub. An empty line gives an empty line. With --output, a
translation that was stopped or killed goes on by --resume auto. With --n_best N every line gives N, best first: "0 |||
translation ||| score", lines being counted from 0. With --scores or --alignments alone, it is "translation ||| score
||| 0-0 1-2": the score is the log-probability over the length penalty; i-j links word i of the line with word j of the
translation, which blanks divide.

A line of more tokens than --max_source_length is translated in pieces: in runs of whole sentences. A sentence that is
still longer is translated as it is, or, where the model has no positions for it, in runs of words. The translations of
the pieces are joined with a blank, their scores added, and the second best one is made of the second best of each.
"""

import argparse
import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from tqdm import tqdm
from transformers import GenerationConfig
from transformers.utils import CONFIG_NAME, cached_file

from modeling_vanilla_transformer.beam_search_vanilla_transformer import LENGTH_PENALTIES
from training.growing_file import GrowingFile, names_of
from training.interruption import Interrupted
from training.lines import Input, Place
from training.loading import read_model, search_of
from training.options import LEAST_PENALTY, MOST_PENALTY, OptionError, Parser, number_from
from training.output import DiskError
from training.recipe import TrainingError
from training.setup import choose_precision, make_accelerator, quiet_libraries
from training.translation import Translation, Translator, default_batch_tokens

SEPARATOR = " ||| "
# The shortest pieces that a line may have to be cut into; a character alone can be four tokens.
_SHORTEST_PIECE = 8
# Lines that are sorted by length together, and are safe together: enough for even batches, few enough to repeat.
_WINDOW = {"cpu": 4096}
_WINDOW_OF_AN_ACCELERATOR = 32_768
_DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class StandardOutput:
    """Standard output with the interface of `GrowingFile`, of which nothing can be gone on with."""

    def __init__(self) -> None:
        self.place = Place()

    def append(self, text: str, place: Place) -> None:
        """Write, at once, what belongs to the lines up to `place`.

        Raises:
            DiskError: standard output is a file on a disk that is full, or broken.
        """
        try:
            sys.stdout.buffer.write(text.encode("utf-8"))
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # whoever reads it has had enough
            raise
        except OSError as error:
            raise DiskError(f"standard output cannot be written ({error}); {self.safe()}") from error
        self.place = place

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """It stays open."""

    def safe(self) -> str:
        """What was written already, in words."""
        return f"{self.place.lines:,} lines were translated and written before"


# ---------------------------------------------------------------------------------------------------------------------
# Settings


def check_search(name: str, search: GenerationConfig, n_best: int) -> None:
    """Pass where the search can give as many translations as are asked for, and the same ones every time.

    Raises:
        OptionError: it cannot; the message says what would help.
    """
    if n_best > (search.num_beams or 1):
        raise OptionError(
            f"--n_best {n_best}: the search has {search.num_beams or 1} beams only; give --num_beams {n_best} or more"
        )
    if search.do_sample:
        raise OptionError(
            f"{name}: its generation configuration has do_sample, which makes every translation another; set it to "
            "false in generation_config.json"
        )


def source_limit(name: str, model: Any, tokenizer: Any, search: GenerationConfig, wanted: int | None) -> int:
    """The longest source, in tokens with the end of sentence, that is not taken apart.

    Without a wish it is the tokenizer's model_max_length. Where positions are learned, source and translation must
    have enough of them: it is at most their number less what the search may add.

    Raises:
        OptionError: no text would fit into the model's positions.
    """
    limit = wanted or tokenizer.model_max_length
    if model.config.position_embedding_type != "learned":
        return limit
    positions = model.config.max_position_embeddings
    own = search.max_new_tokens or search.max_length  # of a translation, whatever its source
    most = positions - search.max_length_offset if own is None else positions if own <= positions else 0
    if most < _SHORTEST_PIECE:
        raise OptionError(
            f"{name}: the model has learned positions for {positions} tokens, too few for a source and the tokens "
            "that its translation may have; give a lower --max_length_offset"
        )
    return min(limit, most)


def describe_model(name: str) -> dict[str, str]:
    """Each file of a model, by its folder or name, that a translation depends on, with a hash of its content."""
    folder = Path(str(cached_file(name, CONFIG_NAME))).parent
    found = {}
    for path in sorted(folder.iterdir()):
        wanted = path.name.startswith(("config", "tokenizer")) or path.suffix in (".safetensors", ".bin")
        if wanted and path.is_file():
            with path.open("rb") as file:
                found[f"the model's {path.name}"] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Translating


def translate(options: argparse.Namespace) -> None:
    """Do what the command line says, in this process or as one of several that Accelerate launched.

    Raises:
        TrainingError: anything wrong with the options, the files or the model, before translating begins; a line that
            isn't UTF-8 or that memory doesn't suffice for; a disk that is full.
        Interrupted: SIGINT or SIGTERM.
    """
    if options.resume == "auto" and not options.output:
        raise OptionError("--resume auto: standard output cannot be gone on with; name a file with --output")
    if options.line_by_line and options.window:
        raise OptionError("--window and --line_by_line contradict each other; leave one of them out")
    if options.cpu:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    accelerator = make_accelerator("no")
    with quiet_libraries(False):
        _translate(options, accelerator)
    accelerator.end_training()


def _translate(options: argparse.Namespace, accelerator: Accelerator) -> None:
    # Input and output are the main process's alone; the others have None for them.
    source: Any = on_main(accelerator, lambda: Input(options.input), keep=True)
    model, tokenizer = read_model(options.model)
    search = search_of(
        model,
        num_beams=options.num_beams,
        length_penalty=options.length_penalty,
        length_penalty_type=options.length_penalty_type,
        max_length_offset=options.max_length_offset,
    )
    check_search(options.model, search, options.n_best or 1)
    search.num_return_sequences = options.n_best or 1
    limit = source_limit(options.model, model, tokenizer, search, options.max_source_length)
    precision = choose_precision(options.mixed_precision, accelerator.device)
    if options.int8 and (accelerator.device.type != "cpu" or precision != "no"):
        raise OptionError("--int8: 8-bit weights are for the CPU alone; add --cpu, and leave out --mixed_precision")
    origin = {
        **{f"--{name}": getattr(options, name) for name in ("n_best", "scores", "alignments", "int8")},
        **{name: value for name, value in search.to_diff_dict().items() if name != "transformers_version"},
        "--max_source_length": limit,
        "--mixed_precision": precision,
    }
    output: Any = on_main(accelerator, lambda: _open_output(options, origin), keep=True)
    model.to(accelerator.device, _DTYPES[precision])
    if options.int8:
        model.quantize_int8()
    translator = Translator(
        model,
        tokenizer,
        search,
        batch_tokens=options.batch_tokens or default_batch_tokens(accelerator.device, search.num_beams or 1),
        accelerator=accelerator,
        scores=options.scores or options.n_best is not None,
        alignments=options.alignments,
        max_source_length=limit,
        cut_sentences=model.config.position_embedding_type == "learned",
    )
    try:
        _translate_all(options, accelerator, translator, source, output)
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        raise Interrupted(
            f"interrupted; {output.safe() if output else 'the first process says more'}", number
        ) from None
    finally:
        if output:
            output.close()


def _open_output(options: argparse.Namespace, origin: dict[str, Any]) -> GrowingFile | StandardOutput:
    if not options.output:
        if sys.stdout is None:
            raise OptionError("standard output is closed; name a file with --output")
        return StandardOutput()
    if options.input and options.input.resolve() in names_of(options.output):
        raise OptionError(f"--output: {options.output} is what is to be translated; name another file")
    return GrowingFile(
        options.output,
        origin | describe_model(options.model),
        resume=options.resume == "auto",
        overwrite=options.overwrite,
    )


def _translate_all(
    options: argparse.Namespace,
    accelerator: Accelerator,
    translator: Translator,
    source: Any,
    output: Any,
) -> None:
    """Translate window after window."""
    size = _WINDOW.get(accelerator.device.type, _WINDOW_OF_AN_ACCELERATOR) * accelerator.num_processes
    size = 1 if options.line_by_line else options.window or size
    start = output.place if output else Place()
    windows = source.windows(size, start) if source else iter(())
    shown = source is not None and (options.progress or (sys.stderr.isatty() and not options.line_by_line))
    begun, done = time.monotonic(), start
    with tqdm(
        total=source.lines if source else None,
        initial=start.lines,
        unit=" lines",
        desc="translating",
        smoothing=0,
        disable=not shown,
    ) as bar:
        while window := on_main(accelerator, lambda: next(windows, None)):
            translations = translator(window.lines, bar.update)
            text, done = write_lines(translations, done.lines, options), window.end
            on_main(accelerator, lambda: output.append(text, done))  # noqa: B023  (called here and now)
            bar.update(done.lines - bar.n)  # what is told in between is about right
    on_main(accelerator, lambda: output.finish())
    if accelerator.is_main_process:
        report(translator, done.lines - start.lines, time.monotonic() - begun, shown)


def on_main(accelerator: Accelerator, action: Callable[[], Any], keep: bool = False) -> Any:
    """What an action gives that only the main process takes; what it raises is raised on all of them.

    Args:
        accelerator: knows the processes.
        action: of no arguments.
        keep: whether the result stays on the main process; on the others it is then None.

    Raises:
        TrainingError, OSError: those of the action.
    """
    result = error = None
    if accelerator.is_main_process:
        try:
            result = action()
        except (TrainingError, OSError) as caught:
            error = caught
    shared = broadcast_object_list([error, None if keep else result])
    if shared[0] is not None:
        raise shared[0]
    return result if keep else shared[1]


def write_lines(found: Sequence[Sequence[Translation]], first: int, options: argparse.Namespace) -> str:
    """The lines of output for neighbouring lines of input, `first` being the number of the first of them, from 0."""
    lines = []
    for number, translations in enumerate(found, start=first):
        for translation in translations:
            fields = [translation.text]
            if options.n_best:
                fields.insert(0, str(number))
            if options.n_best or options.scores:
                fields.append(f"{translation.score:.4f}")
            if options.alignments:
                fields.append(" ".join(f"{source}-{target}" for source, target in translation.links))
            lines.append(SEPARATOR.join(fields) + "\n")
    return "".join(lines)


def report(translator: Translator, lines: int, seconds: float, shown: bool) -> None:
    """Tell on standard error what nobody should miss, and the speed where progress is shown."""
    long = translator.long_lines
    if shown:
        print(f"translated {lines:,} lines in {seconds:.1f} s, {lines / seconds:,.1f} a second", file=sys.stderr)
    if long.in_pieces or long.as_a_whole:
        print(
            f"lines of more than {translator.max_source_length} tokens: {long.in_pieces} translated in pieces, "
            f"{long.as_a_whole} with a sentence longer than that, translated as a whole",
            file=sys.stderr,
        )


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m training.translate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s MODEL [--input FILE] [--output FILE] ...",
    )
    parser.add_argument("model", metavar="MODEL", help="a model's folder, or its name on the Hub")

    add = parser.add_argument_group("text, a sentence a line").add_argument
    add("--input", type=Path, metavar="FILE", help="what is to be translated (default: standard input)")
    add("--output", type=Path, metavar="FILE", help="for the translations (default: standard output)")
    add("--resume", choices=("no", "auto"), default="no", help="auto: go on where an earlier process was stopped")
    add("--overwrite", action="store_true", help="replace the output file, or one that was begun")
    add("--line_by_line", action="store_true", help="answer every line at once, before the next one is read")
    add("--max_source_length", type=number_from(int, _SHORTEST_PIECE), metavar="N", help="default: the tokenizer's")

    add = parser.add_argument_group("what is written").add_argument
    add("--n_best", type=number_from(int, 1), metavar="N", help="the N best translations of each line, with scores")
    add("--scores", action="store_true", help="log-probability over length penalty, the natural logarithm")
    add("--alignments", action="store_true", help="word alignments, from the decoder's attention to the source")
    add("--progress", action="store_true", help="progress and speed on standard error, even if it is no terminal")

    add = parser.add_argument_group("decoding; what isn't given is as the model has it").add_argument
    add("--num_beams", type=number_from(int, 1))
    add("--length_penalty", type=number_from(float, LEAST_PENALTY, MOST_PENALTY), metavar="ALPHA")
    add("--length_penalty_type", choices=tuple(LENGTH_PENALTIES), help="wu: the paper's; power: transformers'")
    add("--max_length_offset", type=number_from(int, 0), help="tokens of a translation beyond its source's, at most")

    add = parser.add_argument_group("speed").add_argument
    add("--batch_tokens", type=number_from(int, 1), help="source tokens of a batch to begin with; halved as needed")
    add("--window", type=number_from(int, 1), metavar="LINES", help="that are sorted by length, and saved, together")
    add("--mixed_precision", choices=("no", "auto", "bf16", "fp16"), default="no", help="default: no, which is exact")
    add("--int8", action="store_true", help="8-bit weights, on a CPU: faster, not quite the same translations")
    add("--cpu", action="store_true", help="leave an accelerator alone")
    return parser


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does; the exception has its number."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt(number)

    if threading.current_thread() is not threading.main_thread():  # where Python has no signals
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors end it with one message: code 2 for the input, 1 for a disk that is full, 130 (SIGINT)
    or 143 (SIGTERM) for an interruption, 141 where nobody reads the output any more."""
    try:
        with _sigterm_interrupts():
            translate(make_parser().parse_args(sys.argv[1:] if arguments is None else arguments))
    except TrainingError as error:
        if PartialState().is_local_main_process:
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(getattr(error, "exit_code", 1 if isinstance(error, DiskError) else 2)) from None
    except BrokenPipeError:
        # Python flushes it once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except KeyboardInterrupt as stop:
        if PartialState().is_local_main_process:
            print("error: interrupted before anything was translated", file=sys.stderr)
        raise SystemExit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None


if __name__ == "__main__":
    main()

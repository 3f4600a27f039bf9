"""Trains a small English-German model here and now, shows what it can do, and translates a sentence of yours.

python -m training.quickstart [--text "The old farmer closed the door."] [--seed 2] [--retrain] [--output FOLDER]

The first call trains on the embedded corpus, some minutes on two CPU cores; later ones use the model that is there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from training.output import MODEL, TEST_HYPOTHESES, TEST_SCORES
from training.output import RECIPE as RUN_RECIPE
from training.recipe import TrainingError, read_recipe
from training.train import train

RECIPE = Path(__file__).parents[1] / "configuration" / "recipes" / "quickstart.yaml"
SENTENCE = "The old farmer knows that the student has locked the black door."
# Holds the sentence that was translated last, for the figure of it.
SENTENCE_FILE = "sentence.txt"

# All that a user of the saved model needs: transformers, and the folder (or its name on the Hub).
LOAD_AND_TRANSLATE = """\
import sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

folder, sentence = sys.argv[1:]
model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
translation = model.generate(**tokenizer(sentence, return_tensors="pt"))
print(tokenizer.decode(translation[0], skip_special_tokens=True))
"""


def translate_in_fresh_process(model: Path, sentence: str) -> str:
    """
    Returns the translation of `sentence` by the saved `model` as another user would get it: in a process of its own,
    in another folder, from the code saved beside the weights.

    Raises:
        TrainingError: the process failed; the message is its last line.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        finished = subprocess.run(
            [sys.executable, "-I", "-c", LOAD_AND_TRANSLATE, str(model.resolve()), sentence],
            cwd=elsewhere,
            capture_output=True,
            text=True,
        )
    if finished.returncode:
        raise TrainingError(f"{model}: loading it failed: {(finished.stderr.strip() or '?').splitlines()[-1]}")
    return finished.stdout.strip()


def show_results(output: Path, examples: int = 5) -> None:
    """Prints the score of the run in `output`, and some held-out sentences with their translations and references."""
    from training.corpus import generate_corpus

    score = json.loads((output / TEST_SCORES).read_text(encoding="utf-8"))
    hypotheses = (output / TEST_HYPOTHESES).read_text(encoding="utf-8").splitlines()
    print(f"\nBLEU {score['bleu']:.2f} on {score['sentences']} held-out sentences ({score['signature']})\n")
    held_out = generate_corpus().held_out
    for index in range(0, len(held_out), len(held_out) // examples):
        pair, hypothesis = held_out[index], hypotheses[index]
        print(f"  source       {pair.source}")
        print(f"  translation  {hypothesis}")
        print(f"  reference    {'the same' if pair.target == hypothesis else pair.target}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; `--help` explains it."""
    parser = argparse.ArgumentParser(
        prog="python -m training.quickstart",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--text", help="an English sentence to translate; without it you are asked for one")
    parser.add_argument("--seed", type=int, help="seed of the training run (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("runs/quickstart"), help="folder of the run")
    parser.add_argument("--retrain", action="store_true", help="train anew, in place of the model that is there")
    options = parser.parse_args(arguments)
    try:
        quickstart(options.output, options.seed, options.text, options.retrain)
    except TrainingError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "\ninterrupted\n")


def check_run(output: Path, seed: int | None) -> bool:
    """
    Returns whether `output` holds a finished run to use; if not, there is room for one.

    Raises:
        TrainingError: it holds a run that did not finish, or one of another seed than asked for.
    """
    anew = "train anew with --retrain (make: RETRAIN=1), or name another folder with --output (make: RUN=...)"
    if not (output / RUN_RECIPE).is_file():
        return False
    if not (output / TEST_SCORES).is_file():
        raise TrainingError(f"{output} holds a run that did not finish; {anew}")
    trained_with = read_recipe(output / RUN_RECIPE).optimization.seed
    if seed not in (None, trained_with):
        raise TrainingError(f"{output} holds a run of seed {trained_with}, not {seed}; {anew}")
    return True


def quickstart(output: Path, seed: int | None, text: str | None, retrain: bool) -> None:
    """Trains, unless `output` holds a finished run, shows the results and translates `text`."""
    model = output / MODEL
    if retrain or not check_run(output, seed):
        started = time.monotonic()
        print("Training a small Transformer on the embedded English-German corpus.", flush=True)
        overrides = {"output": str(output), "seed": 1 if seed is None else seed, "overwrite": retrain}
        train(read_recipe(RECIPE, overrides))
        print(f"\nTrained and scored in {time.monotonic() - started:.0f} s.")
    else:
        print(f"{output} holds a trained model, which is used; --retrain trains anew.")
    show_results(output)

    if text is None and sys.stdin.isatty():
        text = input(f"A sentence to translate (Enter for '{SENTENCE}'): ")
    text = " ".join((text or "").split()) or SENTENCE
    print("In a fresh process, by AutoModelForSeq2SeqLM and AutoTokenizer:\n")
    print(f"  source       {text}")
    print(f"  translation  {translate_in_fresh_process(model, text)}\n")
    (output / SENTENCE_FILE).write_text(text, encoding="utf-8")
    print(f"The model: {model}")


if __name__ == "__main__":
    main()

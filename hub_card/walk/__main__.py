"""Writes the walk of a sentence through a model.

python -m hub_card.walk MODEL "a sentence" -o walk.html

writes one page for a browser, which needs nothing else. For a model of the embedded English-German corpus, --example
in place of the sentence takes the held-out one that shows best how a German verb at the end looks at its English
source.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hub_card.walk.example import best_example
from hub_card.walk.page import write_page
from hub_card.walk.trace import walk
from training.loading import read_model
from training.recipe import TrainingError
from training.setup import quiet_libraries


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; `--help` explains it."""
    parser = argparse.ArgumentParser(
        prog="python -m hub_card.walk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a saved model's folder, or its name on the Hub")
    parser.add_argument("sentence", nargs="?", help="a sentence in the model's source language")
    parser.add_argument("--example", action="store_true", help="take a held-out sentence of the embedded corpus")
    parser.add_argument("-o", "--output", type=Path, default=Path("walk.html"), help="the file to write")
    options = parser.parse_args(arguments)
    if (options.sentence is not None) == options.example:
        parser.error("give either a sentence or --example")
    try:
        with quiet_libraries(show_datasets=False):
            model, tokenizer = read_model(options.model)
        model.float()
        example = best_example(model, tokenizer) if options.example else None
        sentence = options.sentence if example is None else example.sentence
        folder = Path(options.model)
        name = "/".join(folder.resolve().parts[-2:]) if folder.is_dir() else options.model
        result = walk(model, tokenizer, sentence, name)
        if example is not None:
            print(example)
            result.facts["example"] = example.facts()
        write_page(result, options.output)
    except (OSError, ValueError, TrainingError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(options.output)


if __name__ == "__main__":
    main()

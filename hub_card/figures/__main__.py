"""Write a figure of a trained model, of a sentence in it, or of its training, as PNG, SVG or PDF.

python -m hub_card.figures MODEL "a sentence" -o cross_attention.png
python -m hub_card.figures MODEL "a sentence" --figure lines --attention encoder --layer 2 --word farmer -o lines.svg
python -m hub_card.figures base --figure architecture
python -m hub_card.figures RUN --figure curves

Layers and heads are counted from 1, as in the paper.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hub_card.attention import read_attention
from hub_card.figures.architecture import architecture_figure
from hub_card.figures.attention import attention_heads_figure, attention_lines_figure, attention_matrix_figure
from hub_card.figures.curves import learning_rate_figure, position_signals_figure, training_curves_figure
from hub_card.figures.style import save_figure
from modeling_vanilla_transformer import configuration_names, named_configuration
from training.costs import build_without_memory
from training.loading import read_model, saved_configuration
from training.output import RECIPE
from training.recipe import TrainingError, read_recipe
from training.setup import quiet_libraries, read_configuration

# What each figure shows, and the options that it takes.
FIGURES: dict[str, tuple[str, Sequence[str]]] = {
    "matrix": ("attention as a matrix: one head, or the mean of a layer's heads", ("attention", "layer", "heads")),
    "lines": ("attention as lines between words (Figures 3 to 5)", ("attention", "layer", "heads", "word")),
    "heads": ("the matrices of all heads of a layer side by side", ("attention", "layer")),
    "positions": ("what is added to the embeddings of each position (section 3.5)", ("length",)),
    "architecture": ("Figure 1 with the model's sizes and numbers of parameters", ()),
    "learning_rate": ("the learning rate that a recipe means (equation 3)", ()),
    "curves": ("the losses, rates and scores of a run", ()),
}
OF_A_SENTENCE = ("matrix", "lines", "heads")


def make_parser() -> argparse.ArgumentParser:
    figures = "\n".join(f"  {name:14} {what}" for name, (what, _) in FIGURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m hub_card.figures",
        description=__doc__,
        epilog=f"figures:\n{figures}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        help="a saved model's folder, or its name on the Hub; for positions and architecture also a named "
        "configuration (base, big, ...); for curves and learning_rate a run's folder, or for the latter a recipe",
    )
    parser.add_argument("sentence", nargs="?", help="a sentence in the source language, for matrix, lines and heads")
    parser.add_argument("--figure", choices=FIGURES, default="matrix", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: the figure's name and .png)")
    parser.add_argument("--attention", choices=("encoder", "decoder", "cross"), help="default: cross")
    parser.add_argument("--layer", type=int, help="default: the last")
    parser.add_argument("--heads", type=_numbers, help="such as 1,3; for matrix one (default: all, or their mean)")
    parser.add_argument("--word", help="lines: of this word alone")
    parser.add_argument("--length", type=int, help="positions: how many (default: 64)")
    return parser


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1,3") from None


def draw(figure: str, model: str, sentence: str | None, **options: Any) -> Figure:
    """
    Returns the figure of this name; `options` are those of the command that were given.

    Raises:
        ValueError: what cannot be drawn; the message says why.
        TrainingError: the same of a run or a recipe.
    """
    for name in options:
        if name not in FIGURES[figure][1]:
            raise ValueError(f"--{name} means nothing to --figure {figure}.")
    if (sentence is None) == (figure in OF_A_SENTENCE):
        raise ValueError(f"--figure {figure} takes {'a' if sentence is None else 'no'} sentence.")
    if figure == "curves":
        return training_curves_figure(Path(model))
    if figure == "learning_rate":
        recipe = read_recipe(Path(model) / RECIPE if Path(model).is_dir() else model)
        return learning_rate_figure(
            d_model=read_configuration(recipe).d_model,
            warmup_steps=recipe.optimization.warmup_steps,
            peak_learning_rate=recipe.optimization.peak_learning_rate,
            updates=recipe.optimization.max_updates,
        )
    named = model in configuration_names()
    if figure == "architecture":
        return architecture_figure(named_configuration(model) if named else saved_configuration(model))
    if figure == "positions":
        return position_signals_figure(
            build_without_memory(named_configuration(model)) if named else read_model(model)[0], **options
        )
    attention = read_attention(*read_model(model), str(sentence))
    kind, layer, heads = options.get("attention", "cross"), options.get("layer"), options.get("heads")
    if figure == "lines":
        return attention_lines_figure(attention, kind, layer, heads, options.get("word"))
    if figure == "heads":
        return attention_heads_figure(attention, kind, layer)
    if heads is not None and len(heads) > 1:
        raise ValueError("--heads: a matrix shows one head, or without --heads the mean of all.")
    return attention_matrix_figure(attention, kind, layer, heads[0] if heads else None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and writes the figure."""
    parser = make_parser()
    options = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    figure, model, sentence = options.pop("figure"), options.pop("model"), options.pop("sentence", None)
    output = options.pop("output", Path(f"{figure}.png"))
    try:
        with quiet_libraries(show_datasets=False):
            print(save_figure(draw(figure, model, sentence, **options), output))
    except (OSError, ValueError, TrainingError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()

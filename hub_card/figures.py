"""Figures of a trained model, as PNG, SVG or PDF.

python -m hub_card.figures MODEL "a sentence" -o cross_attention.png

draws how much the translation's every token looks at each token of the source.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import modeling_vanilla_transformer  # noqa: F401  (registers the Auto classes)

# A side of more tokens than this is drawn without labels.
MOST_LABELS = 100


@torch.no_grad()
def cross_attention_figure(model, tokenizer, sentence: str, layer: int = -1) -> Figure:
    """
    Returns a figure of the decoder's attention to the source while the model translates `sentence`: a row for each
    token of the translation, at the moment when it is predicted, and a column for each token of the source. The
    weights are the mean over the heads of `layer` (section 3.2.3), so that each row sums to 1.

    Raises:
        ValueError: the sentence is empty, or the model has no such layer.
    """
    if not sentence.strip():
        raise ValueError("There is nothing to draw: the sentence is empty.")
    layers = model.config.decoder_layers
    if not -layers <= layer < layers:
        raise ValueError(f"layer={layer}: the decoder has layers 0 to {layers - 1} (or -{layers} to -1).")
    source = tokenizer(sentence, return_tensors="pt").to(model.device)
    translation = model.generate(**source)

    # One pass over the finished translation gives the weights of every step; only eager attention returns them.
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        outputs = model(**source, decoder_input_ids=translation[:, :-1], output_attentions=True)
    finally:
        model.set_attn_implementation(implementation)
    weights = outputs.cross_attentions[layer][0].float().mean(dim=0).cpu()  # (target length, source length)

    columns = _labels(tokenizer, source["input_ids"][0])
    rows = _labels(tokenizer, translation[0, 1:])
    # Beyond some hundred tokens no label can be read, and the figure would grow without end.
    size = (min(2.6 + 0.42 * len(columns), 40), min(1.8 + 0.32 * len(rows), 40))
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    axes = figure.add_subplot()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if max(len(rows), len(columns)) <= MOST_LABELS:
        axes.set_xticks(range(len(columns)), columns, rotation=60, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), rows)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a dollar sign is a dollar sign
    axes.xaxis.tick_top()
    axes.set_xlabel("source")
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("translation")
    axes.tick_params(length=0)
    axes.set_title(f"Attention to the source, decoder layer {layer % layers + 1} of {layers}", pad=12)
    figure.colorbar(image, ax=axes, label="weight, mean of the heads", shrink=0.8)
    return figure


def _labels(tokenizer, ids: torch.Tensor) -> list[str]:
    """Returns what stands on the axes for token `ids` (length,): the tokens, with dots for blanks, control characters
    escaped, and a byte of a rare character as its number."""
    tokens = tokenizer.convert_ids_to_tokens(ids.tolist())
    printable = ("".join(char if char.isprintable() else repr(char)[1:-1] for char in token) for token in tokens)
    return [token.replace(" ", "\N{MIDDLE DOT}") for token in printable]


def main() -> None:
    """Reads the command line and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m hub_card.figures")
    parser.add_argument("model", help="a saved model's folder, or its name on the Hub")
    parser.add_argument("sentence", help="a sentence in the model's source language")
    parser.add_argument("-o", "--output", type=Path, default=Path("cross_attention.png"), help="the file to write")
    parser.add_argument("--layer", type=int, default=-1, help="the decoder's layer, from 0 (default: the last)")
    options = parser.parse_args()
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(options.model).eval()
        tokenizer = AutoTokenizer.from_pretrained(options.model)
        figure = cross_attention_figure(model, tokenizer, options.sentence, options.layer)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.output)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(options.output)


if __name__ == "__main__":
    main()

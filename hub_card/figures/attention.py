"""Attention as matrices, and as lines between words, as in the paper's Figures 3 to 5."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hub_card.attention import LayerAttention, SentenceAttention, read_attention
from hub_card.figures.style import COLOURS, FAINT, INK, drawable, style

MOST_LABELS = 100  # a side of more tokens than this is drawn without labels
MOST_LABELS_OF_HEADS = 30  # the same where heads stand side by side
MOST_LINES = 100  # more tokens than this are not drawn as lines

NARROWEST = 0.2  # inches that a label needs
FAINTEST = 0.01  # what nobody sees is left out: files of thousands of lines are large


def cross_attention_figure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentence: str, layer: int | None = None
) -> Figure:
    """
    Returns a figure of the decoder's attention to the source while the model translates `sentence`: a row for each
    token of the translation, at the moment when it is predicted, and a column for each token of the source. The
    weights are the mean over the heads of `layer` (section 3.2.3), so that each row sums to 1.

    Raises:
        ValueError: the sentence is empty or too long, or the model has no such layer.
    """
    return attention_matrix_figure(read_attention(model, tokenizer, sentence), "cross", layer)


@style()
def attention_matrix_figure(
    attention: SentenceAttention, kind: str = "cross", layer: int | None = None, head: int | None = None
) -> Figure:
    """
    Returns one head's weights as a matrix: a row for each token that looks, a column for each that is looked at.

    Args:
        attention: as `read_attention` returns it.
        kind: "encoder" or "decoder" (self-attention), or "cross".
        layer: counted from 1; None for the last.
        head: counted from 1; None for the mean of all.

    Raises:
        ValueError: there is no such kind, layer or head.
    """
    part = attention.layer(kind, layer)
    width, height = 2.6 + _inches(len(part.keys), 0.42, most=10), 1.8 + _inches(len(part.queries), 0.32, most=8)
    figure = Figure(figsize=(max(width, 5.5), max(height, 3)), layout="constrained")
    axes = figure.add_subplot()
    image = _matrix(axes, part, head, MOST_LABELS)
    axes.set(xlabel=f"{part.keys_are} (keys)", ylabel=f"{part.queries_are} (queries)")
    heads = len(part.weights)
    which = f"mean of {heads} heads" if head is None else f"head {head} of {heads}"
    axes.set_title(f"{part.title}, {which}", pad=12)
    figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    return figure


@style()
def attention_heads_figure(attention: SentenceAttention, kind: str = "cross", layer: int | None = None) -> Figure:
    """
    Returns the matrices of all heads of a layer side by side, on one scale. Arguments and errors are those of
    `attention_matrix_figure`.
    """
    part = attention.layer(kind, layer)
    heads = len(part.weights)
    columns = min(heads, 4)
    rows = math.ceil(heads / columns)
    width, height = (
        max(NARROWEST * len(tokens), 1.5) if len(tokens) <= MOST_LABELS_OF_HEADS else 3.5
        for tokens in (part.keys, part.queries)
    )
    figure = Figure(figsize=(columns * width + 2.2, rows * (height + 0.3) + 1.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for head, axes in enumerate(grid.flat, start=1):
        if head > heads:
            axes.set_visible(False)
            continue
        image = _matrix(axes, part, head, MOST_LABELS_OF_HEADS, label_size=7)
        axes.set_title(f"head {head}", fontsize=9)
        axes.tick_params(labeltop=head <= columns, labelleft=head % columns == 1 or columns == 1)
    figure.suptitle(part.title, fontsize=11)
    figure.supxlabel(f"{part.keys_are} (keys)", fontsize=10)
    figure.supylabel(f"{part.queries_are} (queries)", fontsize=10)
    figure.colorbar(image, ax=grid, label="weight", shrink=min(1, 3 / figure.get_size_inches()[1]), pad=0.02)
    return figure


@style()
def attention_lines_figure(
    attention: SentenceAttention,
    kind: str = "cross",
    layer: int | None = None,
    heads: Sequence[int] | None = None,
    word: str | None = None,
) -> Figure:
    """
    Returns attention as the paper's Figures 3 to 5 draw it: the tokens that look above, those that are looked at
    below, and a line for each weight, its colour the head's and its opacity the weight.

    Args:
        attention: as `read_attention` returns it.
        kind: "encoder" or "decoder" (self-attention), or "cross".
        layer: counted from 1; None for the last.
        heads: counted from 1; None for all.
        word: one or more words: only the lines of their tokens are drawn, wherever they occur; None for all.

    Raises:
        ValueError: there is no such kind, layer, head or word, or there are more than `MOST_LINES` tokens.
    """
    part = attention.layer(kind, layer)
    most = max(len(part.queries), len(part.keys))
    if most > MOST_LINES:
        raise ValueError(f"{most} tokens: lines can be told apart among {MOST_LINES} at most; draw a matrix instead.")
    heads = list(range(1, len(part.weights) + 1)) if heads is None else list(heads)
    looking = range(len(part.queries)) if word is None else _occurrences(part.queries, word)
    if not looking:
        tokens = " ".join(drawable(token.strip()) for token in part.queries)
        raise ValueError(f"word={word!r}: the tokens that look here have no such word; they are: {tokens}")

    figure = Figure(figsize=(max(_inches(most, 0.3, most=15) + 1.6, 5.5), 4.6), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours_of_heads(len(part.weights))
    for place, head in enumerate(heads):
        weights = part.head(head)
        shift = 0.6 * ((place + 0.5) / len(heads) - 0.5)  # side by side, so that no head hides another
        pairs = [(query, key) for query in looking for key in range(len(part.keys)) if weights[query, key] > FAINTEST]
        lines = LineCollection(
            [[(query + shift, 1), (key + shift, 0)] for query, key in pairs],
            colors=[to_rgba(colours[head - 1], float(weights[query, key])) for query, key in pairs],
            linewidths=1.8,
        )
        axes.add_collection(lines)
    axes.set(xlim=(-0.6, most - 0.4), ylim=(0, 1), yticks=[])
    above = axes.secondary_xaxis("top")
    _label(axes.xaxis, part.keys, rotation=90)
    _label(above.xaxis, part.queries, rotation=90)
    for index, label in enumerate(above.get_xticklabels() if word is not None else ()):
        label.set_color(INK if index in looking else FAINT)
        label.set_fontweight("bold" if index in looking else "normal")
    for axis, what in ((axes, f"{part.keys_are} (keys)"), (above, f"{part.queries_are} (queries)")):
        axis.set_xlabel(what)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes.set_title(part.title, pad=12)
    legend = [Line2D([], [], color=colours[head - 1], linewidth=3) for head in heads]
    axes.legend(legend, [f"head {head}" for head in heads], frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _inches(tokens: int, each: float, most: float) -> float:
    """How long a side of so many tokens is: `each` for each, less where it grows beyond `most`, but enough for labels,
    if they are drawn."""
    enough = NARROWEST * tokens if tokens <= MOST_LABELS else 0
    return max(enough, min(each * tokens, most))


def _occurrences(tokens: Sequence[str], words: str) -> list[int]:
    """The places of the tokens that together read as `words`, blanks around them aside, each time they do."""
    places: set[int] = set()
    for start in range(len(tokens)):
        for end in range(start + 1, len(tokens) + 1):
            if "".join(tokens[start:end]).strip() == words.strip():
                places.update(range(start, end))
    return sorted(places)


def _colours_of_heads(count: int) -> list[str]:
    """A colour for each of `count` heads; more than there are colours shade into each other."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [
        to_hex(colour)
        for colour in matplotlib.colormaps["viridis"]([0.92 * head / (count - 1) for head in range(count)])
    ]


def _matrix(
    axes: Axes, part: LayerAttention, head: int | None, most_labels: int, label_size: float | None = None
) -> AxesImage:
    """Draws a head's weights, and the tokens above and beside them, where neither side has more than `most_labels`."""
    weights = part.head(head).numpy()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.xaxis.set_label_position("top")
    if max(weights.shape) <= most_labels:
        _label(axes.xaxis, part.keys, rotation=60, ha="left", rotation_mode="anchor", fontsize=label_size)
        _label(axes.yaxis, part.queries, fontsize=label_size)
    return image


def _label(axis: Axis, tokens: Sequence[str], **keys: Any) -> None:
    """Writes tokens on an axis: dots for blanks, and what no font has as its number."""
    labels = [drawable(token).replace(" ", "\N{MIDDLE DOT}") for token in tokens]
    axis.set_ticks(range(len(labels)), labels, **keys)
    for label in axis.get_ticklabels():
        label.set_parse_math(False)  # a dollar sign is a dollar sign

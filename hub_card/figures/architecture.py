"""The architecture as the paper's Figure 1 draws it, with a model's own sizes and numbers of parameters."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from torch import nn

from hub_card.figures.style import FAINT, INK, style
from modeling_vanilla_transformer import VanillaTransformerConfig
from training.costs import build_without_memory, count_parameters

# The paper's colours.
EMBEDDING, ATTENTION, FEED_FORWARD, NORM = "#FAD9D5", "#FFE0B5", "#C5E6F5", "#F1F4BF"
LINEAR, SOFTMAX, LAYER = "#DCDDF3", "#CBE9CD", "#F3F3F3"

# All lengths are inches.
WIDTH, HEIGHT = 9.2, 10.1
ENCODER, DECODER = 2.75, 6.45  # the middles of the two columns
GROUND = 0.75  # where the first boxes begin
BOX = 2.3  # width of a box
SIDE = 0.22  # from a box to the line that leads past it, and from there to the edge of the layer
STEP = 0.17  # from a box to the next
FORK = 0.15  # from where ways part to where the encoder's output comes in, and from there to the box above
INPUTS = {"V": -BOX / 4, "K": 0.0, "Q": BOX / 4}  # where an attention's inputs arrive, from its middle

D_MODEL = r"$d_\mathrm{model}$"

Box = tuple[list[str], str]  # its lines of text and its colour
# A box, the normalisation after it, and which of an attention's inputs come from the layer's own stream.
Sublayer = tuple[Box, nn.Module, str]


@style()
def architecture_figure(config: VanillaTransformerConfig) -> Figure:
    """
    Returns the paper's Figure 1 for the model of this configuration: both stacks, with the sizes and the number of
    parameters of every block. The numbers are counted in the model itself; in the total, a matrix that several blocks
    share counts once.
    """
    model = build_without_memory(config)
    encoder, decoder = model.model.encoder, model.model.decoder
    source_embeddings, target_embeddings = encoder.embed_tokens.weight, decoder.embed_tokens.weight

    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.set_axis_off()

    layer = encoder.layers[0]
    height = _embed(axes, ENCODER, "source tokens", "Input Embedding", encoder, shared=False)
    sublayers = [
        (_attention("Multi-Head Attention", layer.self_attn), layer.self_attn_layer_norm, "VKQ"),
        (_feed_forward(layer.feed_forward, config), layer.feed_forward_layer_norm, ""),
    ]
    memory, _ = _stack(axes, ENCODER, height, encoder, sublayers)

    layer = decoder.layers[0]
    shared = target_embeddings is source_embeddings
    height = _embed(axes, DECODER, "target tokens (shifted right)", "Output Embedding", decoder, shared)
    sublayers = [
        (_attention("Masked Multi-Head Attention", layer.self_attn), layer.self_attn_layer_norm, "VKQ"),
        (_attention("Multi-Head Attention", layer.encoder_attn), layer.encoder_attn_layer_norm, "Q"),
        (_feed_forward(layer.feed_forward, config), layer.feed_forward_layer_norm, ""),
    ]
    top, (_, cross_attention, _) = _stack(axes, DECODER, height, decoder, sublayers)
    # The encoder's output becomes values and keys of every decoder layer.
    between, turn, fork = (ENCODER + DECODER) / 2, memory + 0.25, cross_attention - FORK
    way = [(ENCODER, memory), (ENCODER, turn), (between, turn), (between, fork)]
    for name in "VK":
        x = DECODER + INPUTS[name]
        _arrow(axes, *way, (x, fork), (x, cross_attention))

    sizes = f"{D_MODEL} = {config.d_model} → {config.vocab_size:,} tokens"
    shared = model.lm_head.weight is source_embeddings
    linear = _box(axes, DECODER, top + 0.3, ["Linear", sizes, _parameters(model.lm_head, shared)], LINEAR)
    softmax = _box(axes, DECODER, linear + STEP, ["Softmax"], SOFTMAX)
    for start, end in ((top, top + 0.3), (linear, linear + STEP), (softmax, softmax + 0.25)):
        _arrow(axes, (DECODER, start), (DECODER, end))
    axes.text(DECODER, softmax + 0.3, "probabilities of the next token", ha="center", va="bottom")

    counts, x, y = count_parameters(model), ENCODER, HEIGHT - 1.2
    axes.text(x, y, f"{counts.total:,} parameters", ha="center", fontsize=14, weight="bold")
    parts = [f"{counts.embedding:,} in embeddings and projection"]
    for name, stack in (("encoder", encoder), ("decoder", decoder)):
        parts.append(f"{len(stack.layers)} × {_count(stack.layers[0]):,} in the {name}")
    axes.text(x, y - 0.12, "\n".join(parts), ha="center", va="top", fontsize=9, color=FAINT, linespacing=1.6)
    return figure


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _parameters(module: nn.Module, shared: bool = False) -> str:
    return "the input embedding's matrix" if shared else f"{_count(module):,} parameters"


def _attention(name: str, attention: nn.Module) -> Box:
    sizes = f"$h$ = {attention.num_heads}, $d_k$ = {attention.d_k}, $d_v$ = {attention.d_v}"
    return [name, sizes, _parameters(attention)], ATTENTION


def _feed_forward(feed_forward: nn.Module, config: VanillaTransformerConfig) -> Box:
    sizes = rf"$d_\mathrm{{ff}}$ = {feed_forward.fc1.out_features}, {config.activation_function}"
    return ["Feed Forward", sizes, _parameters(feed_forward)], FEED_FORWARD


def _outwards(middle: float) -> tuple[int, str]:
    """Which way a column's outer side lies, -1 or 1, and the alignment of a text there."""
    return (-1, "right") if middle == ENCODER else (1, "left")


def _embed(axes: Axes, middle: float, words: str, name: str, stack: nn.Module, shared: bool) -> float:
    """Draws the way from tokens to the first layer's input; returns the height that it reaches."""
    config = stack.config
    axes.text(middle, GROUND - 0.28, words, ha="center", va="top")
    _arrow(axes, (middle, GROUND - 0.25), (middle, GROUND))
    sizes = f"{config.vocab_size:,} tokens, {D_MODEL} = {config.d_model}"
    top = _box(axes, middle, GROUND, [name, sizes, _parameters(stack.embed_tokens, shared)], EMBEDDING)

    (outwards, alignment), radius, height = _outwards(middle), 0.13, top + 0.45
    _arrow(axes, (middle, top), (middle, height - radius))
    inwards = "left" if alignment == "right" else "right"
    times = r"$\times\sqrt{d_\mathrm{model}}$"
    axes.text(middle - 0.08 * outwards, top + 0.16, times, ha=inwards, va="center", fontsize=8.5)
    axes.add_patch(Circle((middle, height), radius, facecolor="white", edgecolor=INK, linewidth=1))
    axes.plot([middle - radius, middle + radius], [height, height], color=INK, linewidth=1)
    axes.plot([middle, middle], [height - radius, height + radius], color=INK, linewidth=1)

    # The position signals come in from outside: a wave in a circle.
    wave, radius = middle + outwards * BOX / 2, 0.19
    _arrow(axes, (wave, height), (middle + outwards * 0.13, height))
    axes.add_patch(Circle((wave, height), radius, facecolor="white", edgecolor=INK, linewidth=1, zorder=3))
    angles = [math.pi * step / 20 for step in range(-20, 21)]
    xs, ys = (
        [wave + radius * angle / 4 for angle in angles],
        [height + radius / 2 * math.sin(angle) for angle in angles],
    )
    axes.plot(xs, ys, color=INK, linewidth=1, zorder=4)
    learned, x = _count(stack.embed_positions), wave + outwards * 0.3
    kind = f"{config.max_position_embeddings:,} learned\n{learned:,} parameters" if learned else "sinusoids"
    axes.text(x, height - 0.12, "Positional\nEncoding", ha=alignment, va="bottom")
    axes.text(x, height - 0.16, kind, ha=alignment, va="top", fontsize=8, color=FAINT)
    return height + 0.13


def _stack(
    axes: Axes, middle: float, bottom: float, stack: nn.Module, sublayers: Sequence[Sublayer]
) -> tuple[float, list[float]]:
    """Draws one of a stack's layers, and how many there are, above `bottom`; returns the height of the layer's output
    and those at which the sub-layers' boxes begin."""
    outwards, alignment = _outwards(middle)
    past = middle + outwards * (BOX / 2 + SIDE)  # the residual connections
    ground = bottom + 0.2
    before, boxes = bottom, []  # the output of what lies below
    for number, ((lines, colour), norm, inputs) in enumerate(sublayers):
        parting = before + (0.3 if number == 0 else 0.12)
        box = parting + 2 * FORK
        boxes.append(box)
        top = _box(axes, middle, box, lines, colour)
        norm_top = _box(axes, middle, top + STEP, ["Add & Norm", _parameters(norm)], NORM)
        meeting = (top + STEP + norm_top) / 2
        for x in [middle + INPUTS[name] for name in inputs] or [middle]:
            _arrow(axes, (middle, before), (middle, parting), (x, parting), (x, box))
        _arrow(axes, (middle, top), (middle, top + STEP))
        _arrow(axes, (middle, parting), (past, parting), (past, meeting), (middle + outwards * BOX / 2, meeting))
        for name, shift in INPUTS.items() if inputs else ():
            axes.text(middle + shift + 0.06, box - 0.04, name, va="top", fontsize=7.5, color=FAINT)
        before = norm_top
    left, width = middle - BOX / 2 - 2 * SIDE, BOX + 4 * SIDE
    layer = FancyBboxPatch((left, ground), width, before + 0.15 - ground, boxstyle="round,pad=0,rounding_size=0.15")
    layer.set(facecolor=LAYER, edgecolor=FAINT, linewidth=1, zorder=0)
    axes.add_patch(layer)
    x, y = middle + outwards * (width / 2 + 0.12), (ground + before) / 2
    axes.text(x, y, f"{len(stack.layers)} ×", ha=alignment, va="bottom", fontsize=15)
    axes.text(
        x, y - 0.05, f"{_count(stack.layers[0]):,}\nparameters\neach", ha=alignment, va="top", fontsize=8, color=FAINT
    )
    return before, boxes


def _box(axes: Axes, middle: float, bottom: float, lines: Sequence[str], colour: str) -> float:
    """Draws a box around its lines, the first of them larger; returns its top."""
    height = 0.19 + 0.175 * len(lines)
    box = FancyBboxPatch((middle - BOX / 2, bottom), BOX, height, boxstyle="round,pad=0,rounding_size=0.06")
    box.set(facecolor=colour, edgecolor=INK, linewidth=1, zorder=2)
    axes.add_patch(box)
    for number, line in enumerate(lines):
        size, ink = (10, INK) if number == 0 else (8, INK if number == 1 and len(lines) > 2 else FAINT)
        y = bottom + height - 0.18 - 0.175 * number
        axes.text(middle, y, line, ha="center", va="center", fontsize=size, color=ink, zorder=3)
    return bottom + height


def _arrow(axes: Axes, *points: tuple[float, float]) -> None:
    """Draws a line through the points, with a head at the last."""
    arrow = FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=9, color=INK, linewidth=1, zorder=1)
    arrow.set_joinstyle("miter")
    axes.add_patch(arrow)

"""What a training run did, the learning rate it followed, and the position signals of its model."""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hub_card.figures.style import FAINT, style
from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration
from training.curves import curves_figure, read_metrics
from training.optimization import learning_rate

# Pairs of sine and cosine whose waves are drawn, as shares of all pairs: later ones hardly turn within a sentence.
WAVES = (0.05, 0.15, 0.25, 0.35)


@style()
def training_curves_figure(run: Path) -> Figure:
    """
    Returns loss, learning rate, and validation perplexity and BLEU over the updates of a run, from its output folder.

    Raises:
        training.curves.CurvesError: the folder has no metrics, or they are damaged.
    """
    return curves_figure(read_metrics(run))


@style()
def learning_rate_figure(
    *,
    d_model: int = 512,
    warmup_steps: int = 4000,
    peak_learning_rate: float | None = None,
    updates: int | None = None,
) -> Figure:
    """
    Returns the learning rate of every update (equation 3), the paper's base model's unless other sizes are given, with
    the end of the warm-up marked.

    Args:
        d_model: width of the model.
        warmup_steps: updates over which the rate rises.
        peak_learning_rate: the rate at the end of the warm-up; None for the paper's.
        updates: how many are drawn; None for six times the warm-up.

    Raises:
        ValueError: a number below 1.
    """
    updates = 6 * warmup_steps if updates is None else updates
    for name, value in (("d_model", d_model), ("warmup_steps", warmup_steps), ("updates", updates)):
        if value < 1:
            raise ValueError(f"{name}={value}: it must be at least 1.")

    def rate(step: int) -> float:
        return learning_rate(step, d_model=d_model, warmup_steps=warmup_steps, peak_learning_rate=peak_learning_rate)

    some = range(1, updates + 1, max(updates // 2000, 1))  # more points than a line is wide show nothing more
    steps = sorted({*some, updates, min(warmup_steps, updates)})
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, [rate(step) for step in steps], linewidth=1.6)
    if warmup_steps <= updates:
        axes.axvline(warmup_steps, color=FAINT, linewidth=0.8, linestyle=":")
        axes.annotate(
            f"warm-up ends at update {warmup_steps:,}: {rate(warmup_steps):.3g}",
            (warmup_steps, rate(warmup_steps)),
            (6, 2),
            textcoords="offset points",
            fontsize=9,
        )
    equation = r"$d_\mathrm{model}^{-0.5} \cdot \min(step^{-0.5},\ step \cdot warmup^{-1.5})$"
    equation += rf", $d_\mathrm{{model}}$ = {d_model}"
    if peak_learning_rate is not None:
        equation = r"$rate_\mathrm{peak} \cdot \min((warmup / step)^{0.5},\ step / warmup)$"
    axes.set_title(f"Learning rate: {equation}", loc="left")
    axes.set(xlabel="updates", ylabel="learning rate", xlim=(0, updates), ylim=(0, None))
    axes.margins(y=0.12)
    axes.ticklabel_format(axis="y", scilimits=(0, 0), useMathText=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@style()
@torch.no_grad()
def position_signals_figure(model: VanillaTransformerForConditionalGeneration, length: int = 64) -> Figure:
    """
    Returns what the encoder adds to the embeddings of positions 0 to `length` - 1 (section 3.5): all of it; some of
    the waves that sinusoids are made of (of learned positions, the same dimensions); and how alike any two positions
    are, as their scalar product over d_model: for sinusoids, it depends on their distance alone.

    Raises:
        ValueError: a length below 2; more positions than were learned; learned positions without weights.
    """
    if length < 2:
        raise ValueError(f"length={length}: it takes at least 2 positions to compare them.")
    table = model.model.encoder.embed_positions
    if any(weight.is_meta for weight in table.parameters()):
        raise ValueError("The positions of this model are learned: draw them of a trained model, not a configuration.")
    device = next((weight.device for weight in table.parameters()), None)  # sinusoids need none
    positions = torch.arange(length, device=device)
    signals = table(positions, dtype=torch.float32).cpu().numpy()  # (length, d_model)
    d_model = signals.shape[1]
    kind = "sinusoids" if model.config.position_embedding_type == "sinusoidal" else "learned"

    figure = Figure(figsize=(9, 7.2), layout="constrained")
    panels: dict[str, Axes] = figure.subplot_mosaic(
        [["signals", "signals"], ["waves", "products"]], width_ratios=(1.35, 1)
    )
    axes, most = panels["signals"], float(abs(signals).max())
    image = axes.imshow(signals, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    axes.set(title=f"What is added to the embeddings ({kind})", xlabel="dimension", ylabel="position")
    figure.colorbar(image, ax=axes, pad=0.02)

    axes = panels["waves"]
    for dimension in sorted({2 * int(share * d_model / 2) for share in WAVES}):
        axes.plot(signals[:, dimension], linewidth=1.4, label=str(dimension))
    axes.set(title="Some of its dimensions", xlabel="position", xlim=(0, length - 1))
    axes.legend(title="dimension", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)

    axes = panels["products"]
    image = axes.imshow(signals @ signals.T / d_model, cmap="cividis", interpolation="nearest")
    axes.set(title=r"Scalar products / $d_\mathrm{model}$", xlabel="position", ylabel="position")
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure

"""The learning curves of a run as a picture: loss, learning rate, and perplexity and BLEU on the validation set.

python -m training.curves OUTPUT [-o curves.png]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from training.output import CURVES, METRICS
from training.recipe import TrainingError


class CurvesError(TrainingError):
    """Metrics that cannot be drawn; the message names the file."""


def read_metrics(output: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl.

    Raises:
        CurvesError: no such file, or a line that isn't a JSON object with an update.
    """
    file = output / METRICS
    try:
        *lines, _ = file.read_text(encoding="utf-8").split("\n")  # behind the last is what a kill left of a line
        metrics = [dict(json.loads(line)) for line in lines]
        if not all("update" in line for line in metrics):
            raise ValueError("a line without its update")
        return metrics
    except OSError as error:
        raise CurvesError(f"{file} cannot be read ({error.strerror}); name the output folder of a run") from None
    except (ValueError, TypeError) as error:
        raise CurvesError(f"{file} is damaged: {error}") from None


def curves_figure(metrics: Sequence[dict[str, Any]]) -> Figure:
    """Loss, the learning rate, and the validation's perplexity (a logarithmic axis) and BLEU over the updates.

    Args:
        metrics: the lines of metrics.jsonl.
    """
    panels = [
        ("loss", ("loss", "validation_loss"), "nats a token"),
        ("learning rate", ("learning_rate",), ""),
        ("validation perplexity", ("validation_perplexity",), ""),
        ("validation BLEU", ("validation_bleu",), ""),
    ]
    panels = [panel for panel in panels if any(name in line for line in metrics for name in panel[1])]
    figure = Figure(figsize=(7, 2.2 * max(len(panels), 1) + 0.4), layout="constrained")
    axes = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, names, unit) in zip(axes, panels, strict=False):
        for name in names:
            points = [(line["update"], line[name]) for line in metrics if name in line]
            if points:
                mark = "o-" if name.startswith("validation") else "-"
                label = {"loss": "training, label-smoothed", "validation_loss": "validation"}.get(name)
                axis.plot(*zip(*points, strict=True), mark, markersize=3, linewidth=1.2, label=label)
        if len(axis.lines) > 1:
            axis.legend(frameon=False)
        if "perplexity" in title:  # falls by powers of ten
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(NullLocator())
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylabel(unit)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("updates")
    return figure


def write_curves(output: Path) -> Path:
    """Draw a run's curves into its folder as `curves.png`; returns the file.

    Raises:
        CurvesError: as `read_metrics`.
    """
    file = output / CURVES
    curves_figure(read_metrics(output)).savefig(file, dpi=150)
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.curves", description="Draw a run's learning curves.")
    parser.add_argument("output", type=Path, help="the output folder of a run")
    parser.add_argument("-o", "--to", type=Path, help="the picture: .png, .svg or .pdf (default: OUTPUT/curves.png)")
    options = parser.parse_args(arguments)
    to = options.to or options.output / CURVES
    try:
        curves_figure(read_metrics(options.output)).savefig(to, dpi=150)
    except (TrainingError, OSError, ValueError) as error:  # ValueError: no such kind of picture
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(to)


if __name__ == "__main__":
    main()

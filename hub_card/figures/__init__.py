"""Figures of a model and its training, for print and for pages; every function returns a matplotlib figure.

    from hub_card.attention import read_attention
    from hub_card.figures import attention_lines_figure, save_figure

    attention = read_attention(model, tokenizer, "The old farmer closed the door.")
    save_figure(attention_lines_figure(attention, "encoder", layer=2), "lines.svg")

From the command line: python -m hub_card.figures --help
"""

from hub_card.figures.architecture import architecture_figure
from hub_card.figures.attention import (
    attention_heads_figure,
    attention_lines_figure,
    attention_matrix_figure,
    cross_attention_figure,
)
from hub_card.figures.curves import learning_rate_figure, position_signals_figure, training_curves_figure
from hub_card.figures.style import save_figure

__all__ = [
    "architecture_figure",
    "attention_heads_figure",
    "attention_lines_figure",
    "attention_matrix_figure",
    "cross_attention_figure",
    "learning_rate_figure",
    "position_signals_figure",
    "save_figure",
    "training_curves_figure",
]

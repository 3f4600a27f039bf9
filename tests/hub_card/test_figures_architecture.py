"""The architecture shows every size of a configuration, and the parameters that its model has."""

import re

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hub_card.figures import architecture_figure, save_figure
from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    named_configuration,
)
from training.costs import build_without_memory

TABLE_3 = ["base", "big", "table3_a1", "table3_b1", "table3_c1", "table3_c5", "table3_e"]


def texts(config) -> list[str]:
    """Every text of the figure; the total and its parts are the last two."""
    return [text.get_text() for text in architecture_figure(config).axes[0].texts]


def numbers(line: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", line)]


@pytest.mark.parametrize("name", TABLE_3)
def test_blocks_add_up_to_the_model(name):
    config = named_configuration(name)
    *_, total, parts = texts(config)
    (embeddings,), *stacks = (numbers(line) for line in parts.splitlines())
    assert numbers(total) == [build_without_memory(config).num_parameters()]
    assert numbers(total) == [embeddings + sum(layers * parameters for layers, parameters in stacks)]


def test_every_size_is_mentioned_and_every_block_counted():
    config = VanillaTransformerConfig(
        **dict(vocab_size=12345, d_model=48, encoder_layers=3, decoder_layers=5, dropout=0.0),
        **dict(encoder_attention_heads=2, decoder_attention_heads=6, d_k=7, d_v=9),
        **dict(encoder_ffn_dim=100, decoder_ffn_dim=200, activation_function="gelu"),
    )
    lines = texts(config)
    d_model = r"$d_\mathrm{model}$"
    for line, times in (
        (f"12,345 tokens, {d_model} = 48", 2),
        (f"{12345 * 48:,} parameters", 1),
        ("the input embedding's matrix", 2),  # of the target embedding and the projection
        (f"{d_model} = 48 → 12,345 tokens", 1),
        ("$h$ = 2, $d_k$ = 7, $d_v$ = 9", 1),
        ("$h$ = 6, $d_k$ = 7, $d_v$ = 9", 2),
        (f"{48 * 2 * (7 + 7 + 9 + 9):,} parameters", 1),
        (f"{48 * 6 * (7 + 7 + 9 + 9):,} parameters", 2),
        (r"$d_\mathrm{ff}$ = 100, gelu", 1),
        (r"$d_\mathrm{ff}$ = 200, gelu", 1),
        (f"{2 * 48 * 100 + 100 + 48:,} parameters", 1),
        (f"{2 * 48 * 200 + 200 + 48:,} parameters", 1),
        (f"{2 * 48} parameters", 5),  # add and norm
        ("3 ×", 1),
        ("5 ×", 1),
        ("sinusoids", 2),
    ):
        assert lines.count(line) == times, line


def test_learned_positions_and_three_matrices_are_counted_as_they_are():
    sizes = dict(vocab_size=1000, d_model=16, max_position_embeddings=40)
    config = VanillaTransformerConfig(position_embedding_type="learned", tie_word_embeddings=False, **sizes)
    lines = texts(config)
    assert lines.count("40 learned\n640 parameters") == 2 and lines.count("16,000 parameters") == 3
    assert "the input embedding's matrix" not in lines
    total = VanillaTransformerForConditionalGeneration(config).num_parameters()
    assert f"{total:,} parameters" in lines and lines[-1].startswith(f"{3 * 16_000 + 2 * 640:,} in embeddings")


@pytest.mark.parametrize("name", ["miniature", "big"])
def test_every_text_lies_within_the_picture_and_its_box(name, tmp_path):
    figure = architecture_figure(named_configuration(name))
    picture = save_figure(figure, tmp_path / "architecture.svg").read_text()
    assert ">Masked Multi-Head Attention<" in picture and ">Positional<" in picture
    axes, renderer = figure.axes[0], FigureCanvasAgg(figure).get_renderer()
    boxes = [patch.get_window_extent(renderer) for patch in axes.patches if hasattr(patch, "get_boxstyle")]
    for text in axes.texts:
        place = text.get_window_extent(renderer)
        assert figure.bbox.x0 < place.x0 and place.x1 < figure.bbox.x1
        assert figure.bbox.y0 < place.y0 and place.y1 < figure.bbox.y1
        middle = (place.x0 + place.width / 2, place.y0 + place.height / 2)
        around = [box for box in boxes if box.contains(*middle)]
        assert all(box.x0 <= place.x0 and place.x1 <= box.x1 for box in around), text.get_text()

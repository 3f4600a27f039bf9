"""Figures of attention show the model's numbers, each where it belongs, whatever the sentence."""

import warnings

import pytest
import torch
from matplotlib import pyplot, rcParams
from matplotlib.colors import to_rgba

from hub_card.attention import SentenceAttention, read_attention
from hub_card.figures import (
    attention_heads_figure,
    attention_lines_figure,
    attention_matrix_figure,
    cross_attention_figure,
    save_figure,
)
from hub_card.figures.style import COLOURS, drawable
from tests.training.models import small_model

SENTENCE = "the old farmer sees a dog"


@pytest.fixture(scope="module")
def parts():
    sizes = dict(encoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=4, d_k=5, d_v=7)
    return small_model([SENTENCE, "der alte Bauer sieht einen Hund"] * 3, **sizes)


@pytest.fixture(scope="module")
def attention(parts):
    return read_attention(*parts, SENTENCE)


def made_up(length: int, heads: int = 2) -> SentenceAttention:
    generator = torch.Generator().manual_seed(length)
    weights = torch.randn(heads, length, length, generator=generator).softmax(dim=-1)
    tokens = [" word"] * length
    return SentenceAttention(tokens, tokens, tokens, (weights,), (weights,), (weights,))


def drawn(axes) -> torch.Tensor:
    return torch.tensor(axes.images[0].get_array().filled())


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def dotted(tokens) -> list[str]:
    return [token.replace(" ", "·") for token in tokens]


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_a_matrix_is_the_head_it_says(attention, kind):
    layers = getattr(attention, kind)
    rows = {"encoder": attention.source, "decoder": attention.read, "cross": attention.written}[kind]
    columns = attention.read if kind == "decoder" else attention.source
    axes = attention_matrix_figure(attention, kind, layer=1, head=2).axes[0]
    assert torch.equal(drawn(axes), layers[0][1])
    assert (texts(axes.get_yticklabels()), texts(axes.get_xticklabels())) == (dotted(rows), dotted(columns))
    assert axes.images[0].get_clim() == (0, 1)
    assert f"layer 1 of {len(layers)}, head 2 of {len(layers[0])}" in axes.get_title()


def test_cross_attention_is_the_mean_of_the_last_layers_heads(parts, attention):
    axes = cross_attention_figure(*parts, SENTENCE).axes[0]
    assert torch.equal(drawn(axes), attention.cross[-1].mean(dim=0))
    assert "decoder layer 2 of 2, mean of 4 heads" in axes.get_title()
    assert torch.equal(
        drawn(cross_attention_figure(*parts, SENTENCE, layer=1).axes[0]), attention.cross[0].mean(dim=0)
    )


@pytest.mark.parametrize("heads", [1, 4, 6])
def test_heads_stand_side_by_side_in_order(heads):
    attention = made_up(5, heads)
    figure = attention_heads_figure(attention, "encoder")
    panels = [axes for axes in figure.axes if axes.images and axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [f"head {head}" for head in range(1, heads + 1)]
    assert all(torch.equal(drawn(axes), attention.encoder[0][head]) for head, axes in enumerate(panels))


def test_lines_lead_from_query_to_key_as_strong_as_the_weight(attention):
    figure = attention_lines_figure(attention, "cross", layer=2)
    axes = figure.axes[0]
    assert len(axes.collections) == 4
    for head, lines in enumerate(axes.collections):
        weights = torch.zeros_like(attention.cross[1][head])
        for (start, end), colour in zip(lines.get_segments(), lines.get_colors(), strict=True):
            assert (start[1], end[1]) == (1, 0)  # from above to below
            weights[round(start[0]), round(end[0])] = colour[3]
            assert tuple(colour[:3]) == to_rgba(COLOURS[head])[:3]
        strong = attention.cross[1][head] > 0.01
        assert torch.allclose(weights, attention.cross[1][head] * strong, atol=1e-6)
    assert texts(axes.get_xticklabels()) == dotted(attention.source)
    assert texts(axes.child_axes[0].get_xticklabels()) == dotted(attention.written)
    assert texts(axes.get_legend().get_texts()) == [f"head {head}" for head in (1, 2, 3, 4)]


def test_lines_of_one_word_and_of_chosen_heads():
    weights = torch.full((3, 5, 5), 0.2)
    tokens = ["the", " far", "mer", " sees", " the"]
    attention = SentenceAttention(tokens, tokens, tokens, (weights,), (weights,), (weights,))

    def looking(word: str, heads: list[int] | None = None) -> list[set[int]]:
        lines = attention_lines_figure(attention, "encoder", heads=heads, word=word).axes[0].collections
        return [{round(segment[0][0]) for segment in of_head.get_segments()} for of_head in lines]

    assert looking("the", [3, 1]) == [{0, 4}, {0, 4}]
    lines = attention_lines_figure(attention, "encoder", heads=[3]).axes[0].collections
    assert tuple(lines[0].get_colors()[0]) == pytest.approx(to_rgba(COLOURS[2], 0.2))  # whichever others are drawn
    assert looking("farmer") == [{1, 2}] * 3
    assert looking(" farmer sees ") == [{1, 2, 3}] * 3
    with pytest.raises(ValueError, match="word='farm': .* they are: the far mer sees the"):
        looking("farm")
    with pytest.raises(ValueError, match="head=4: this attention has heads 1 to 3"):
        looking("the", [4])


def test_more_heads_than_colours_all_differ():
    lines = attention_lines_figure(made_up(3, 16), "encoder").axes[0].collections
    assert len({tuple(of_head.get_colors()[0][:3]) for of_head in lines}) == 16


@pytest.mark.parametrize("sentence", ["a", "costs $5 or $$_ $x^2$", "机器学习\n😊", "שלום עולם مرحبا", "</s><pad>"])
def test_any_sentence_can_be_drawn(parts, tmp_path, sentence):
    attention = read_attention(*parts, sentence)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that of a character that no font has
        for draw in (attention_matrix_figure, attention_lines_figure):
            save_figure(draw(attention, "encoder"), tmp_path / f"{draw.__name__}.svg")
    axes = attention_matrix_figure(attention, "encoder").axes[0]
    assert len(axes.get_xticklabels()) == len(attention.source)


def test_what_no_font_has_is_given_as_its_number():
    assert drawable("für\x00\U000e0041\U0001f9ff") == "für\\x00\\U000e0041U+1F9FF"


def test_long_sentences_stay_small_or_are_refused():
    long = made_up(150)
    for figure in (attention_matrix_figure(long), attention_heads_figure(long)):
        assert max(figure.get_size_inches()) <= 17
        assert "·word" not in texts(figure.axes[0].get_xticklabels())
    with pytest.raises(ValueError, match="150 tokens: lines can be told apart among 100"):
        attention_lines_figure(long)
    for figure in (attention_matrix_figure(made_up(100)), attention_lines_figure(made_up(100))):
        assert max(figure.get_size_inches()) <= 25
        assert texts(figure.axes[0].get_xticklabels()) == ["·word"] * 100


def test_files_hold_text_and_are_the_same_each_time(attention, tmp_path):
    figure = attention_lines_figure(attention, "encoder", word="farmer")
    first, second = (save_figure(figure, tmp_path / "a" / name).read_text() for name in ("1.svg", "2.svg"))
    assert first == second and ">·farmer<" in first and "glyph" not in first
    assert save_figure(figure, tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert save_figure(figure, tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match="doc"):
        save_figure(figure, tmp_path / "b.doc")


def test_figures_leave_matplotlib_as_it_was(attention):
    before, open_figures = dict(rcParams), pyplot.get_fignums()
    attention_heads_figure(attention)
    assert dict(rcParams) == before and pyplot.get_fignums() == open_figures

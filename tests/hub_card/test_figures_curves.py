"""Curves and position signals show the numbers of a recipe, a run and a model."""

import json
import math

import numpy as np
import pytest
import torch

from hub_card.figures import learning_rate_figure, position_signals_figure, training_curves_figure
from modeling_vanilla_transformer import VanillaTransformerForConditionalGeneration, named_configuration
from training.costs import build_without_memory
from training.curves import CurvesError


def test_the_learning_rate_is_equation_3():
    figure = learning_rate_figure(d_model=512, warmup_steps=4000, updates=9999)
    axes = figure.axes[0]
    steps, rates = axes.lines[0].get_data()
    expected = [512**-0.5 * min(step**-0.5, step * 4000**-1.5) for step in steps]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert {1, 4000, 9999} <= set(steps) and rates.max() == pytest.approx((512 * 4000) ** -0.5)
    assert "update 4,000: 0.000699" in axes.texts[0].get_text() and "= 512" in axes.get_title(loc="left")


def test_a_peak_and_an_early_end_are_drawn_as_they_are():
    axes = learning_rate_figure(warmup_steps=300, peak_learning_rate=0.003, updates=100).axes[0]
    steps, rates = axes.lines[0].get_data()
    np.testing.assert_allclose(rates, 0.003 * np.array(steps) / 300)
    assert steps[-1] == 100 and not axes.texts and "model" not in axes.get_title(loc="left")
    with pytest.raises(ValueError, match="warmup_steps=0"):
        learning_rate_figure(warmup_steps=0)


def test_sinusoids_are_those_of_section_3_5():
    figure = position_signals_figure(build_without_memory(named_configuration("base")), length=20)
    signals, waves, products = figure.axes[:3]
    drawn = signals.images[0].get_array().filled()
    expected = np.array(
        [
            [(math.cos if i % 2 else math.sin)(position / 10000 ** (i // 2 * 2 / 512)) for i in range(512)]
            for position in range(20)
        ]
    )
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
    for line in waves.lines:
        np.testing.assert_array_equal(line.get_ydata(), drawn[:, int(line.get_label())])
    np.testing.assert_allclose(products.images[0].get_array().filled(), expected @ expected.T / 512, atol=1e-6)


def test_learned_positions_are_the_models():
    config = named_configuration("miniature")
    config.update({"position_embedding_type": "learned", "max_position_embeddings": 9})
    model = VanillaTransformerForConditionalGeneration(config)
    drawn = torch.tensor(position_signals_figure(model, length=9).axes[0].images[0].get_array().filled())
    assert torch.equal(drawn, model.model.encoder.embed_positions.weight)
    for call, message in (
        (lambda: position_signals_figure(model, length=10), "beyond the 9 learned"),
        (lambda: position_signals_figure(model, length=1), "length=1"),
        (lambda: position_signals_figure(build_without_memory(config)), "learned: draw them of a trained model"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_training_curves_are_those_of_the_run(tmp_path):
    lines = [{"update": update, "loss": 5 / update, "learning_rate": 1e-3} for update in (1, 2, 3)]
    lines.append({"update": 3, "validation_loss": 1.5, "validation_perplexity": 4.48})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    axes = training_curves_figure(tmp_path).axes
    assert list(axes[0].lines[0].get_ydata()) == [5, 2.5, 5 / 3]
    assert list(axes[2].lines[0].get_ydata()) == [4.48]
    with pytest.raises(CurvesError, match="metrics.jsonl cannot be read"):
        training_curves_figure(tmp_path / "nothing")

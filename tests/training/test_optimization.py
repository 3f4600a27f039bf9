"""The paper's schedule and Adam against values worked out by hand."""

import pytest
import torch

from training.optimization import PaperSchedule, adam, learning_rate


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        # d_model = 512: 512^-0.5 = 0.0441941738; 4000^-1.5 = 3.95284708e-6; both branches meet at step 4000.
        (1, 1.7469281e-7),
        (2, 3.4938562e-7),
        (2000, 3.4938562e-4),
        (4000, 6.9877124e-4),
        (16000, 3.4938562e-4),  # four times the steps, half the rate
        (100000, 1.3975425e-4),
    ],
)
def test_equation_3(step, expected):
    assert learning_rate(step, d_model=512, warmup_steps=4000) == pytest.approx(expected, rel=1e-7)
    by_the_book = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
    assert learning_rate(step, d_model=512, warmup_steps=4000) == pytest.approx(by_the_book, rel=1e-14)


def test_a_peak_of_ones_own_scales_the_same_shape():
    rates = [learning_rate(step, d_model=512, warmup_steps=100, peak_learning_rate=0.01) for step in (1, 50, 100, 400)]
    assert rates == pytest.approx([0.0001, 0.005, 0.01, 0.005], rel=1e-12)


def test_steps_start_at_1():
    with pytest.raises(ValueError, match="counted from 1"):
        learning_rate(0, d_model=512)


def test_the_schedule_counts_updates_and_goes_on_where_it_stopped():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = adam([weight])
    schedule = PaperSchedule(optimizer, d_model=64, warmup_steps=4, peak_learning_rate=0.4)
    assert [schedule.step() for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.3)
    other = PaperSchedule(optimizer, d_model=64, warmup_steps=4, peak_learning_rate=0.4)
    other.load_state_dict(schedule.state_dict())
    assert other.step() == pytest.approx(0.4)


def test_two_steps_of_adam_by_hand():
    # Gradient 1, then 3, rate 0.1: m = 0.1, v = 0.02, both corrected to 1, so the first step is 0.1 * 1 / (1 + 1e-9).
    # Then m = 0.9 * 0.1 + 0.1 * 3 = 0.39, corrected by 1 - 0.9^2 = 0.19; v = 0.98 * 0.02 + 0.02 * 9 = 0.1996,
    # corrected by 1 - 0.98^2 = 0.0396.
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = adam([weight])
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    expected = 0.0
    for gradient, step in ((1.0, 1.0), (3.0, (0.39 / 0.19) / (0.1996 / 0.0396) ** 0.5)):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        expected -= 0.1 * step
        assert weight.item() == pytest.approx(expected, rel=1e-8)


def test_constants_are_the_papers_and_frozen_weights_are_left_out():
    free, frozen = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1), requires_grad=False)
    optimizer = adam([free, frozen])
    (group,) = optimizer.param_groups
    assert (group["betas"], group["eps"], group["lr"], group["weight_decay"]) == ((0.9, 0.98), 1e-9, 0.0, 0)
    assert len(group["params"]) == 1

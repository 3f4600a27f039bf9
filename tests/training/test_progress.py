"""Limits: whichever comes first, and the time left until then."""

import pytest

from training.progress import Limits
from training.recipe import OptimizationRecipe
from training.state import Progress


def limits(seconds=0.0, updates=0, epoch=0, before=0.0, **given):
    """Limits after so many seconds and updates of this sitting, and so many seconds before it."""
    never = {"max_updates": None, "max_epochs": None, "max_minutes": 1e9}
    progress = Progress(seconds=before)
    made = Limits(OptimizationRecipe(**(never | given)), progress)
    made.updates_per_epoch = 10
    progress.updates, progress.epoch = updates, epoch
    made._started -= seconds
    return made


def test_the_first_limit_counts():
    assert limits(max_updates=35, max_epochs=3).expected_updates == 30
    assert limits(max_updates=25, max_epochs=3).expected_updates == 25
    assert limits(max_minutes=1).expected_updates is None
    assert limits(max_updates=5, updates=5).out_of_updates() and not limits(max_updates=5, updates=4).out_of_updates()
    assert limits(max_epochs=2, epoch=2).out_of_updates() and not limits(max_epochs=2, epoch=1).out_of_updates()
    assert limits(61, max_minutes=1).out_of_time() and not limits(59, max_minutes=1).out_of_time()
    assert not limits(1e6, max_updates=1).out_of_time()


def test_an_epoch_of_unknown_length_gives_no_number_of_updates():
    streamed = limits(max_epochs=3)
    streamed.updates_per_epoch = None
    assert streamed.expected_updates is None


def test_minutes_count_over_all_sittings():
    assert limits(20, before=41, max_minutes=1).out_of_time()
    assert limits(20, before=41, max_minutes=2).seconds == pytest.approx(61, abs=0.1)


def test_a_run_that_its_time_ended_is_at_its_end():
    # What starting again has taken so far is no matter: processes would not agree on it.
    assert limits(before=60.5, max_minutes=1).were_met() and not limits(70, before=59, max_minutes=1).were_met()
    assert limits(updates=5, max_updates=5).were_met() and limits(epoch=2, max_epochs=2).were_met()


def test_time_left():
    assert limits(10, updates=10, max_updates=30).seconds_left() == pytest.approx(20, rel=0.01)
    # The speed is this sitting's: what came before may have run on another machine.
    assert limits(10, updates=10, before=500, max_updates=30).seconds_left() == pytest.approx(20, rel=0.01)
    assert limits(10, updates=10, max_updates=1000, max_minutes=1).seconds_left() == pytest.approx(50, rel=0.01)
    assert limits(70, updates=10, max_minutes=1).seconds_left() == 0

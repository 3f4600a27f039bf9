"""Limits: whichever comes first, and the time left until then."""

import pytest

from training.progress import Limits


def limits(seconds=0.0, **given):
    made = Limits(**({"max_updates": None, "max_epochs": None, "max_minutes": None, "updates_per_epoch": 10} | given))
    made.started -= seconds
    return made


def test_the_first_limit_counts():
    assert limits(max_updates=35, max_epochs=3).updates == 30
    assert limits(max_updates=25, max_epochs=3).updates == 25
    assert limits(max_minutes=1).updates is None
    assert limits(max_updates=5).out_of_updates(5) and not limits(max_updates=5).out_of_updates(4)
    assert limits(61, max_minutes=1).out_of_time() and not limits(59, max_minutes=1).out_of_time()
    assert not limits(1e6, max_updates=1).out_of_time()


def test_time_left():
    assert limits(10, max_updates=30).seconds_left(10) == pytest.approx(20, rel=0.01)
    assert limits(10, max_updates=1000, max_minutes=1).seconds_left(10) == pytest.approx(50, rel=0.01)
    assert limits(70, max_minutes=1).seconds_left(10) == 0

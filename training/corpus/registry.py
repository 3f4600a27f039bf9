"""The registry of sentence frames: each is a function from random choices to one sentence in both languages."""

from __future__ import annotations

from collections.abc import Callable

from training.corpus.draw import Draw
from training.corpus.phrases import Phrase

Frame = Callable[[Draw], Phrase]

FRAMES: dict[str, Frame] = {}


def frame(function: Frame) -> Frame:
    """Register a frame under its function's name and return it."""
    name = function.__name__
    assert name not in FRAMES, f"two frames are called {name}"
    FRAMES[name] = function
    return function

"""All sentence frames of the corpus, by name."""

from __future__ import annotations

from training.corpus import complex_frames, main_frames, modal_frames, motion_frames, question_frames
from training.corpus.registry import FRAMES, Frame

# Importing these modules fills the registry.
_MODULES = (complex_frames, main_frames, modal_frames, motion_frames, question_frames)


def frame_names() -> list[str]:
    """Return the names of all frames, in the order of their definition."""
    return list(FRAMES)


__all__ = ["FRAMES", "Frame", "frame_names"]

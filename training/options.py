"""What the commands that use a trained model have in common on their command lines."""

import argparse
import typing
from collections.abc import Callable
from typing import Any

from training.recipe import TrainingError


class OptionError(TrainingError):
    """A command line that cannot be meant; the message names the option and the fix."""


class Parser(argparse.ArgumentParser):
    """argparse's, whose errors are of the house."""

    def error(self, message: str) -> typing.NoReturn:
        raise OptionError(f"{message}; {self.prog} --help explains the options")


# Exponents of lengths: beyond these, those of long sentences are too large or too small for a number.
LEAST_PENALTY, MOST_PENALTY = -50.0, 50.0


def number_from(kind: type, least: float, most: float | None = None) -> Callable[[str], Any]:
    """A reader of numbers from `least` on, to `most` where there is one, for argparse."""

    def read(text: str) -> Any:
        value = kind(text)
        if not least <= value < float("inf") or (most is not None and value > most):
            wanted = f"{least} or more" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is out of range; give {wanted}")
        return value

    read.__name__ = kind.__name__  # argparse names it in its messages
    return read

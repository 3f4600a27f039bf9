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


def number_from(kind: type, least: float) -> Callable[[str], Any]:
    """A reader of numbers from `least` on, for argparse."""

    def read(text: str) -> Any:
        value = kind(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is out of range; give {least} or more")
        return value

    read.__name__ = kind.__name__  # argparse names it in its messages
    return read

"""A run that is asked to stop (Ctrl-C, SIGTERM) ends after the update at hand, so that what is saved is whole."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from training.recipe import TrainingError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A launcher repeats to its processes what a terminal has told them already; a user who insists takes longer.
_REPEATED_WITHIN = 3.0


class Interrupted(TrainingError):
    """The run was stopped from outside; the message names what was saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
        """The shell's code for a process that ended by this signal."""


class Interruption:
    """Notices SIGINT and SIGTERM; a second one, some seconds later, ends the run at once."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._since = 0.0

    def __bool__(self) -> bool:
        return self.signal_number is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, the signals come here. Outside the main thread, where Python has no signals, nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._notice) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _notice(self, number: int, frame: Any) -> None:
        if self.signal_number is None:
            self.signal_number, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _REPEATED_WITHIN:
            raise KeyboardInterrupt

"""When a run ends, how long that takes, and the bar that shows it."""

import sys
import time

from tqdm import tqdm

from training.recipe import OptimizationRecipe
from training.state import Progress


class Limits:
    """The limits of a run; the one met first ends it. Time counts over all sittings of a run."""

    def __init__(self, recipe: OptimizationRecipe, progress: Progress) -> None:
        self.max_updates = recipe.max_updates
        self.max_epochs = recipe.max_epochs
        self.max_minutes = recipe.max_minutes
        self.progress = progress
        self.updates_per_epoch: int | None = None
        """None for data that is streamed, whose epochs have no known length."""
        self._started = time.monotonic() - progress.seconds
        self._before = progress.updates, progress.seconds

    @property
    def seconds(self) -> float:
        """Seconds of training, those of earlier sittings included."""
        return time.monotonic() - self._started

    @property
    def expected_updates(self) -> int | None:
        """Updates at which the run ends if not by time, as far as that can be known; None where it cannot."""
        limits = [self.max_updates]
        if self.max_epochs is not None and self.updates_per_epoch is not None:
            limits.append(self.max_epochs * self.updates_per_epoch)
        return min((limit for limit in limits if limit is not None), default=None)

    def out_of_updates(self) -> bool:
        """Whether updates or epochs are at their limit."""
        by_updates = self.max_updates is not None and self.progress.updates >= self.max_updates
        return by_updates or (self.max_epochs is not None and self.progress.epoch >= self.max_epochs)

    def were_met(self) -> bool:
        """Whether the run had come to its end already when it was saved; the same on every process."""
        by_time = self.max_minutes is not None and self.progress.seconds >= self.max_minutes * 60
        return by_time or self.out_of_updates()

    def out_of_time(self) -> bool:
        return self.max_minutes is not None and self.seconds >= self.max_minutes * 60

    def seconds_left(self) -> float:
        """Seconds until the first limit, at the speed of this sitting so far."""
        left = []
        updates = self.progress.updates - self._before[0]
        if self.expected_updates is not None and updates:
            speed = (self.seconds - self._before[1]) / updates
            left.append((self.expected_updates - self.progress.updates) * speed)
        if self.max_minutes is not None:
            left.append(self.max_minutes * 60 - self.seconds)
        return max(min(left, default=0.0), 0.0)


class ProgressBar:
    """Updates, loss, target tokens a second, learning rate and time left, on the main process."""

    def __init__(self, limits: Limits, show: bool) -> None:
        self.limits = limits
        self.bar = tqdm(
            initial=limits.progress.updates,
            desc="training",
            # tqdm's own time left knows nothing of a limit in minutes
            bar_format="{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}",
            disable=not show,
            dynamic_ncols=True,
        )

    def update(self) -> None:
        self.bar.total = self.limits.expected_updates
        self.bar.update()

    def report(self, loss: float, tokens_per_second: float, rate: float) -> None:
        left = tqdm.format_interval(self.limits.seconds_left())
        self.bar.set_postfix_str(f"loss {loss:.3f}, {tokens_per_second:,.0f} tokens/s, rate {rate:.2e}, {left} left")

    def write(self, line: str) -> None:
        """A line above the bar."""
        if not self.bar.disable:
            self.bar.write(line, file=sys.stderr)

    def close(self) -> None:
        self.bar.close()

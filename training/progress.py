"""When a run ends, how long that takes, and the bar that shows it."""

import sys
import time
from dataclasses import dataclass, field

from tqdm import tqdm

from training.recipe import OptimizationRecipe


@dataclass
class Limits:
    """The limits of a run; the one met first ends it."""

    max_updates: int | None
    max_epochs: int | None
    max_minutes: float | None
    updates_per_epoch: int
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, recipe: OptimizationRecipe, updates_per_epoch: int) -> "Limits":
        return cls(recipe.max_updates, recipe.max_epochs, recipe.max_minutes, updates_per_epoch)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def updates(self) -> int | None:
        """Updates at which the run ends, if not by time; None where time alone ends it."""
        limits = [self.max_updates, self.max_epochs and self.max_epochs * self.updates_per_epoch]
        return min((limit for limit in limits if limit is not None), default=None)

    def out_of_updates(self, updates: int) -> bool:
        return self.updates is not None and updates >= self.updates

    def out_of_time(self) -> bool:
        return self.max_minutes is not None and self.seconds >= self.max_minutes * 60

    def seconds_left(self, updates: int) -> float:
        """Seconds until the first limit, at the speed so far."""
        left = []
        if self.updates is not None and updates:
            left.append((self.updates - updates) * self.seconds / updates)
        if self.max_minutes is not None:
            left.append(self.max_minutes * 60 - self.seconds)
        return max(min(left, default=0.0), 0.0)


class ProgressBar:
    """Updates, loss, target tokens a second, learning rate and time left, on the main process."""

    def __init__(self, limits: Limits, show: bool) -> None:
        self.limits = limits
        total = limits.updates
        # tqdm's own time left knows nothing of a limit in minutes
        layout = (
            "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}" if total else "{desc} {n_fmt} {elapsed}{postfix}"
        )
        self.bar = tqdm(total=total, desc="training", bar_format=layout, disable=not show, dynamic_ncols=True)

    def update(self) -> None:
        self.bar.update()

    def report(self, updates: int, loss: float, tokens_per_second: float, rate: float) -> None:
        left = tqdm.format_interval(self.limits.seconds_left(updates))
        self.bar.set_postfix_str(f"loss {loss:.3f}, {tokens_per_second:,.0f} tokens/s, rate {rate:.2e}, {left} left")

    def write(self, line: str) -> None:
        """A line above the bar."""
        if not self.bar.disable:
            self.bar.write(line, file=sys.stderr)

    def close(self) -> None:
        self.bar.close()

"""When swaps happen: windows of equal length with and without them.

The order is swap, calm, calm, swap, and again, so that a steady drift of the machine weighs on
both kinds alike. Every process computes the same windows from one start on the monotonic clock.
"""

import time
from dataclasses import dataclass

SWAP = "swap"
CALM = "calm"

_ORDER = (SWAP, CALM, CALM, SWAP)
# What begins this soon after a window's start may still feel the window before.
_GUARD_S = 0.15


@dataclass(frozen=True)
class Schedule:
    """`window_s` of 0 means swaps all the time."""

    start: float
    window_s: float

    def kind(self, at: float) -> str:
        """The kind of window at a moment of the monotonic clock."""
        if self.window_s == 0 or at < self.start:
            return SWAP
        return _ORDER[int((at - self.start) / self.window_s) % len(_ORDER)]

    def measured(self, at: float) -> str | None:
        """The kind of window to which a command begun at `at` counts, if to any."""
        if at < self.start:
            return None
        if self.window_s and (at - self.start) % self.window_s < _GUARD_S:
            return None
        return self.kind(at)


def now() -> float:
    return time.monotonic()

"""What one process of clients has seen."""

import math
from collections import Counter
from typing import Any

from harness.histogram import Histogram
from harness.schedule import CALM, SWAP, Schedule

_FAILURES_KEPT = 20

WRONG = "wrong"
LOST = "lost"
DOUBLED = "doubled"
DISCONNECTED = "disconnects"
COMMANDS = "commands"
MESSAGES = "messages"
INTERRUPTED = "interrupted"


class Tally:
    """Counts, the first few failures in words, latencies, and sums for the end's cross-check."""

    def __init__(self) -> None:
        # Nothing is measured before the schedule is known.
        self.schedule = Schedule(math.inf, 0.0)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.latency = {SWAP: Histogram(), CALM: Histogram()}
        self.sums: Counter[str] = Counter()

    def commands(self, number: int = 1) -> None:
        self.counts[COMMANDS] += number

    def messages(self, number: int = 1) -> None:
        """Messages and queue items that arrived exactly once and in order."""
        self.counts[MESSAGES] += number

    def failed(self, what: str, text: str, number: int = 1) -> None:
        self.counts[what] += number
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append(f"{what}: {text}"[:400])

    def took(self, started: float, ended: float) -> None:
        kind = self.schedule.measured(started)
        if kind is not None:
            self.latency[kind].add(int((ended - started) * 1e6))

    def progress(self) -> dict[str, Any]:
        return {"type": "progress", "counts": dict(self.counts)}

    def result(self) -> dict[str, Any]:
        return {
            "type": "result",
            "counts": dict(self.counts),
            "failures": self.failures,
            "sums": dict(self.sums),
            "latency": {kind: h.dump() for kind, h in self.latency.items()},
        }

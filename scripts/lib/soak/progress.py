"""The line that lives while the soak runs."""

import sys

from harness.alternator import Alternator
from harness.schedule import now
from harness.table import count, mebibytes
from harness.tally import COMMANDS, DISCONNECTED, DOUBLED, LOST, WRONG
from soak.load import Load
from soak.watch import Watch

# Without a terminal to redraw, a line now and then is enough.
_PLAIN_PERIOD_S = 10.0


class Progress:
    """Redrawn in place on a terminal, written now and then elsewhere."""

    def __init__(self, load: Load, alternator: Alternator | None, watch: Watch) -> None:
        self.load = load
        self.alternator = alternator
        self.watch = watch
        self.started = now()
        self.next_plain = self.started + _PLAIN_PERIOD_S
        self.terminal = sys.stdout.isatty()

    def show(self) -> None:
        if self.terminal:
            print(f"\r\x1b[K{self.line()}", end="", flush=True)
        elif now() >= self.next_plain:
            self.next_plain += _PLAIN_PERIOD_S
            print(self.line(), flush=True)

    def end(self) -> None:
        print(f"\r\x1b[K{self.line()}" if self.terminal else self.line(), flush=True)

    def line(self) -> str:
        counts = self.load.counts()
        seconds = now() - self.started
        upgrades = self.alternator.done if self.alternator else 0
        failed = len(self.alternator.failures) if self.alternator else 0
        latest = self.watch.latest()
        parts = [
            f"{seconds:6.0f} s",
            f"upgrades {count(upgrades)}" + (f" ({failed} failed)" if failed else ""),
            f"commands {count(counts[COMMANDS])} ({count(counts[COMMANDS] / seconds)}/s)",
            f"wrong {counts[WRONG]}", f"lost {counts[LOST]}", f"doubled {counts[DOUBLED]}",
            f"disconnects {counts[DISCONNECTED]}",
            f"RSS {mebibytes(latest.rss)}" if latest else "",
        ]
        return "  ".join(parts)

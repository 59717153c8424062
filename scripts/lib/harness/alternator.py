"""The thread that upgrades, back and forth."""

import threading
from collections import Counter
from pathlib import Path

from harness.schedule import SWAP, Schedule, now
from harness.upgrade import Upgrade, UpgradeFailed, Upgrader

_FAILURES_MAX = 20


class Alternator(threading.Thread):
    """Upgrades to the second library, the first, the second…, in windows with swaps.

    Between the windows it asks for the status as often. Asker and clients share the machine, and
    only what the swap itself takes from the clients is to differ.

    Stops by itself after `limit` upgrades (0: no limit), or when too many have failed.
    """

    def __init__(self, upgrader: Upgrader, libraries: tuple[Path, Path], schedule: Schedule,
                 interval_s: float, limit: int) -> None:
        super().__init__(daemon=True, name="upgrades")
        self.upgrader = upgrader
        self.libraries = libraries
        self.schedule = schedule
        self.interval_s = interval_s
        self.limit = limit
        self.stopping = threading.Event()
        self.swapping = threading.Event()
        self.swapping.set()
        # Held while something is asked of the server.
        self.at_work = threading.Lock()
        self.done = 0
        # Upgrades that another process of the server has made by itself, going back after crashes.
        self.ahead = 0
        self.failures: list[str] = []
        self.labels: list[str | None] = [None, None]
        self.last: Upgrade | None = None
        self.commit_us: list[float] = []
        self.total_us: list[float] = []
        self.retirements: Counter[str] = Counter()
        self.leaked_bytes = 0

    def run(self) -> None:
        due = self.schedule.start
        while not self.finished():
            wait_s = due - now()
            if wait_s > 0:
                self.stopping.wait(wait_s)
                continue
            due = now() + self.interval_s
            with self.at_work:
                if self.swapping.is_set() and self.schedule.kind(now()) == SWAP:
                    self.one()
                else:
                    self.look()

    def finished(self) -> bool:
        reached = self.limit and self.done >= self.limit
        return self.stopping.is_set() or bool(reached) or len(self.failures) >= _FAILURES_MAX

    def pause(self) -> None:
        """No upgrade begins from now on; the one under way may still end."""
        self.swapping.clear()

    def resume(self) -> None:
        self.swapping.set()

    def stop(self) -> None:
        self.stopping.set()
        if self.is_alive():
            self.join()
        self.upgrader.close()

    def look(self) -> None:
        try:
            self.upgrader.status()
        except (UpgradeFailed, OSError, ValueError) as error:
            self.failures.append(f"status: {error}")

    def one(self) -> None:
        side = (self.done + self.ahead + 1) % 2
        try:
            upgrade = self.upgrader.upgrade(self.libraries[side])
        except (UpgradeFailed, OSError, KeyError, ValueError) as error:
            if self.last is None and "already_running" in str(error):
                self.ahead += 1
                return
            self.failures.append(f"upgrade {self.done + 1}: {error}")
            return
        self.done += 1
        self.commit_us.append(upgrade.commit_us)
        self.total_us.append(upgrade.total_us)
        self.retirements[upgrade.retirement] += 1
        self.leaked_bytes += upgrade.leaked_bytes
        self._check(upgrade, side)
        self.last = upgrade

    def _check(self, upgrade: Upgrade, side: int) -> None:
        """The report must continue the one before it, and name the library that was given."""
        if self.last and upgrade.source != self.last.target:
            self.failures.append(f"came from {upgrade.source}, but {self.last.target} was current")
        if self.last and upgrade.generation <= self.last.generation:
            self.failures.append(f"generation {upgrade.generation} after {self.last.generation}")
        if self.labels[side] not in (None, upgrade.target):
            self.failures.append(f"{self.libraries[side]} became {upgrade.target}")
        self.labels[side] = upgrade.target

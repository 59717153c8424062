"""The server as `/proc` shows it, from before the first client to after the last."""

import statistics
import threading
import time
from collections.abc import Callable

from harness import procfs, resp
from harness.procfs import Sample

# Upgrades after which memory should have found its level.
SETTLED_AFTER = 100
_PERIOD_S = 0.5
# Samples a level is the median of: buffers of large values come and go.
_LEVEL_SAMPLES = 40


class Watch(threading.Thread):
    """Samples twice a second until stopped."""

    def __init__(self, pid: Callable[[], int], upgrades: Callable[[], int]) -> None:
        super().__init__(daemon=True, name="watch")
        self.pid = pid
        self.upgrades = upgrades
        self.stopping = threading.Event()
        self.samples: list[tuple[int, Sample]] = []

    def run(self) -> None:
        while not self.stopping.wait(_PERIOD_S):
            try:
                self.samples.append((self.upgrades(), procfs.sample(self.pid())))
            except (OSError, KeyError, EOFError, resp.Disconnected):
                # The process has ended, or is just another; whoever reads the samples finds that out
                # elsewhere.
                continue

    def stop(self) -> None:
        self.stopping.set()
        self.join()

    def latest(self) -> Sample | None:
        return self.samples[-1][1] if self.samples else None

    def settled(self) -> Sample | None:
        """The level in the middle, once there were a hundred upgrades; `None` if there is too little
        before or after it."""
        after = [sample for done, sample in self.samples if done >= SETTLED_AFTER]
        if len(after) < 2 * _LEVEL_SAMPLES:
            return None
        middle = len(after) // 2
        return level(after[middle - _LEVEL_SAMPLES:middle])

    def end(self) -> Sample | None:
        samples = [sample for _, sample in self.samples[-_LEVEL_SAMPLES:]]
        return level(samples) if samples else None


def level(samples: list[Sample]) -> Sample:
    """The median of each figure."""
    rows = [sample.as_dict() for sample in samples]
    return Sample(**{name: round(statistics.median(row[name] for row in rows)) for name in rows[0]})


def first_sample(pid: int, looks: int = 5) -> Sample:
    """A sample once the server has closed what the preparations left: the one of these looks with
    the fewest descriptors."""
    samples = []
    for _ in range(looks):
        time.sleep(0.1)
        samples.append(procfs.sample(pid))
    return min(samples, key=lambda sample: sample.fds)


def calm_sample(pid: int, fds_max: int, patience_s: float = 10.0) -> Sample:
    """A sample once the server has closed what the clients left, or when patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        sample = procfs.sample(pid)
        if sample.fds <= fds_max or time.monotonic() > deadline:
            return sample
        time.sleep(0.2)

"""What comes back after most keys are deleted by chance, and what that costs who is served."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench import commands
from bench.generator import Measurement, measure
from bench.options import Options
from harness import procfs, resp
from harness.server import ShellServer

# One key of so many stays.
_LEFT = 10
_DELETED_AT_ONCE = 50
# A light load: it shows who has to wait.
_CLIENTS = 4
# Few, as it is soon over; so there are several runs.
_REQUESTS = 8_000
_RUNS_BEFORE = 25
_SAMPLE_S = 0.25
_DEFRAG_S_MAX = 120.0
# What is in memory by what is in use, at most.
TARGET = 1.3


@dataclass
class Watch:
    """Samples of memory, taken by a thread of its own: seconds, RSS, bytes in use."""

    server: ShellServer
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        begin = time.monotonic()
        with resp.Connection(self.server.port) as connection:
            while not self.ended.wait(_SAMPLE_S):
                used = _info(connection, "memory", "used_memory")
                self.samples.append((time.monotonic() - begin, procfs.rss(self.server.pid), used))

    def reached_s(self) -> float | None:
        """When memory was within the target first."""
        return next((at for at, rss, used in self.samples if rss <= TARGET * used), None)


def run(opts: Options, server: ShellServer, say: Callable[[str], None]) -> dict[str, Any]:
    """Fills the server, deletes nine keys of ten by chance, and has it defragment."""
    keys = opts.defrag_keys
    say(f"defragmentation: {keys:,} keys")
    commands.preload(server, keys)
    full = _memory(server)
    say("defragmentation: deleting nine of ten")
    commands.fill(server, _deletions(keys))
    time.sleep(2.0)
    scattered = _memory(server)
    say("defragmentation: before")
    before = [_load(opts, server, keys) for _ in range(_RUNS_BEFORE)]
    during, watch = _defragment(opts, server, keys, say)
    return {
        "keys": keys, "full": full, "scattered": scattered, "after": _memory(server),
        "samples": watch.samples, "within_target_s": watch.reached_s(),
        "before": [one.as_dict() for one in before], "during": [one.as_dict() for one in during],
        "p999_ratio": _p999(during) / _p999(before), **_counters(server),
    }


def _load(opts: Options, server: ShellServer, keys: int) -> Measurement:
    requests = max(1000, round(_REQUESTS * opts.scale))
    return measure(server, ("-t", "get"), requests, _CLIENTS, keys)


def _p999(runs: list[Measurement]) -> float:
    return statistics.median(one.p999_us for one in runs)


def _deletions(keys: int) -> Iterator[tuple[str | bytes, ...]]:
    """Which keys go follows from their numbers, and looks like chance."""
    gone = [i for i in range(keys) if (i * 0x9E3779B97F4A7C15 >> 32) % _LEFT]
    for first in range(0, len(gone), _DELETED_AT_ONCE):
        some = gone[first:first + _DELETED_AT_ONCE]
        yield ("UNLINK", *(commands.key(i) for i in some))


def _defragment(opts: Options, server: ShellServer, keys: int,
                say: Callable[[str], None]) -> tuple[list[Measurement], Watch]:
    """Loads the server until it has no more to move."""
    say("defragmentation: under way")
    watch = Watch(server)
    thread = threading.Thread(target=watch.run)
    thread.start()
    during = []
    with resp.Connection(server.port) as connection:
        connection.call("CONFIG", "SET", "activedefrag", "yes")
        end = time.monotonic() + _DEFRAG_S_MAX
        while _info(connection, "memory", "active_defrag_running") == 0 and time.monotonic() < end:
            time.sleep(0.01)
        while True:
            is_under_way = _info(connection, "memory", "active_defrag_running") > 0
            if during and (not is_under_way or time.monotonic() > end):
                break
            during.append(_load(opts, server, keys))
    # What lies free goes back a moment later.
    time.sleep(3.0)
    watch.ended.set()
    thread.join()
    return during, watch


def _info(connection: resp.Connection, section: str, name: str) -> int:
    text = connection.call("INFO", section).decode()
    line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(line.partition(":")[2])


def _memory(server: ShellServer) -> dict[str, float]:
    with resp.Connection(server.port) as connection:
        used = _info(connection, "memory", "used_memory")
    rss = procfs.rss(server.pid)
    return {"rss": rss, "used": used, "ratio": rss / used}


def _counters(server: ShellServer) -> dict[str, int]:
    names = ("active_defrag_hits", "active_defrag_misses", "total_active_defrag_time")
    with resp.Connection(server.port) as connection:
        return {name: _info(connection, "stats", name) for name in names}

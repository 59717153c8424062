"""What a shadow costs: processor time per request and memory, with and without one.

A server is loaded by redis-benchmark in turns, without a shadow and with one of all commands, of the
same library. Counted is the processor time of the server and of the process that it runs the shadow
in. Exit status 1 if a ratio is above what is allowed.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness import children, paths, procfs
from harness.server import ShellServer

READS = ["GET key:__rand_int__", "HGET hash:__rand_int__ field", "ZSCORE zset:__rand_int__ member"]
WRITES = ["SET key:__rand_int__ __data__", "HSET hash:__rand_int__ field v", "INCR n:__rand_int__"]
READY_S_MAX = 60.0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/shadow", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--requests", type=int, default=200_000, help="of each run (200000)")
    add("--rounds", type=int, default=5, help="runs of each command, with and without (5)")
    add("--clients", type=int, default=50, help="connections (50)")
    add("--pipeline", type=int, default=1, help="commands sent at once (1)")
    add("--keys", type=int, default=1_000_000, help="keys that are there (1000000)")
    add("--reads-allowed", type=float, default=2.2, help="ratio for reads (2.2)")
    add("--writes-allowed", type=float, default=3.5, help="ratio for writes (3.5)")
    add("--memory-allowed", type=float, default=1.05, help="ratio of memory (1.05)")
    add("--server-bin", type=Path, default=paths.SHELL, help="the program to test")
    add("--logic", type=Path, default=paths.LOGIC_V1, help="the library")
    return parser.parse_args()


def benchmark(server: ShellServer, opts: argparse.Namespace, line: str, requests: int) -> None:
    binary = shutil.which("redis-benchmark")
    if not binary:
        raise SystemExit("redis-benchmark is not installed. Try: apt-get install redis-tools")
    command = [binary, "-p", str(server.port), "-n", str(requests), "-c", str(opts.clients),
               "-P", str(opts.pipeline), "-r", str(opts.keys), "-d", "64", "-q", *line.split()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)


def shadow_pid(server: ShellServer) -> int | None:
    """The process of the shadow, a child of the one that serves."""
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if b"__replay" in words:
                return int(child)
    return None


def cpu_ns(pids: list[int]) -> int:
    """Processor time of processes, threads that have ended included: a shadow's are among them."""
    # A process's clock, as clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def settled(server: ShellServer) -> dict:
    """What is told of the shadow once it has run what was captured."""
    compared = -1
    while True:
        shadow = server.ask("status")["shadow"]
        if shadow["tally"]["compared"] == compared:
            return shadow
        compared = shadow["tally"]["compared"]
        time.sleep(0.5)


class Shadow:
    """An upgrade that stays in its shadow as long as this is entered."""

    def __init__(self, server: ShellServer, library: Path) -> None:
        self.server = server
        self.words = [str(server.binary), "upgrade", str(library), "--admin", str(server.admin),
                      "--json", "--shadow", "100%", "--shadow-time", "24h"]

    def __enter__(self) -> int:
        self.asker = children.spawn(self.words, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            pid = shadow_pid(self.server)
            if pid and (self.server.ask("status")["shadow"] or {}).get("left_ms"):
                time.sleep(1.0)
                return pid
            time.sleep(0.1)
        raise SystemExit("the shadow does not begin")

    def __exit__(self, *_: object) -> None:
        self.server.ask("abort")
        self.asker.wait(READY_S_MAX)


def one(server: ShellServer, opts: argparse.Namespace, line: str, library: Path) -> dict:
    """A command's cost without and with a shadow, in microseconds a request, in turns."""
    costs: dict[bool, list[float]] = {False: [], True: []}
    seen: list[dict] = []
    for _ in range(opts.rounds):
        before = cpu_ns([server.pid])
        benchmark(server, opts, line, opts.requests)
        costs[False].append((cpu_ns([server.pid]) - before) / opts.requests / 1000)
        with Shadow(server, library) as pid:
            before = cpu_ns([server.pid, pid])
            benchmark(server, opts, line, opts.requests)
            seen.append(settled(server))
            costs[True].append((cpu_ns([server.pid, pid]) - before) / opts.requests / 1000)
    without, with_one = statistics.median(costs[False]), statistics.median(costs[True])
    compared = sum(shadow["tally"]["compared"] for shadow in seen)
    diverged = sum(shadow["tally"]["diverged"] for shadow in seen)
    return {"without": without, "with": with_one, "ratio": with_one / without,
            "compared": compared / (opts.requests * opts.rounds), "diverged": diverged}


def memory(server: ShellServer, library: Path) -> float:
    without = procfs.rss(server.pid)
    with Shadow(server, library) as pid:
        return (procfs.rss(server.pid) + procfs.rss(pid)) / without


def run(opts: argparse.Namespace) -> int:
    worse = False
    with ShellServer(opts.server_bin, opts.logic) as server:
        # The same bytes are serving already; a byte behind their end means nothing.
        library = server.dir / "same.so"
        library.write_bytes(opts.logic.read_bytes() + b".")
        for line in WRITES:
            benchmark(server, opts, line, opts.keys)
        print(f"{'command':<36}{'without':>10}{'with':>10}{'ratio':>8}{'compared':>10}{'differ':>8}")
        for lines, allowed in ((READS, opts.reads_allowed), (WRITES, opts.writes_allowed)):
            for line in lines:
                cost = one(server, opts, line, library)
                print(f"{line:<36}{cost['without']:>8.2f}us{cost['with']:>8.2f}us"
                      f"{cost['ratio']:>7.2f}x{cost['compared']:>9.0%}{cost['diverged']:>8}", flush=True)
                worse |= cost["ratio"] > allowed or cost["diverged"] > 0
        ratio = memory(server, library)
        print(f"memory {ratio:.3f}x")
        worse |= ratio > opts.memory_allowed
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(run(options()))

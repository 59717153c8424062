"""Upgrades between two builds that do the same, under noisy load; counts those that were put back.

The noise is processes that burn every core for a random while, again and again. The two builds are
one library and a copy with a byte behind its end, which means nothing. Every upgrade that is put
back is a false alarm: its reason is printed. Exit status 1 if there are more than --allowed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import children, paths
from harness.server import ShellServer

TESTS = "get,set,incr,lpush,lpop,sadd,hset,spop,zadd,mset"
NOISE = """
import random, time
while True:
    time.sleep(random.uniform(0.0, 2.0))
    end = time.monotonic() + random.uniform(0.05, 2.0)
    while time.monotonic() < end:
        pass
"""
PATIENCE_S = 120.0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/alarms", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--upgrades", type=int, default=200, help="how many (200)")
    add("--probation", default="5s", help="of each (5s)")
    add("--canary", help="steps before it, as `shell upgrade` takes them (none)")
    add("--shadow", help="share of the commands that each runs as a shadow first (none)")
    add("--step", default="3s", help="of each step (3s)")
    add("--allowed", type=int, default=1, help="how many may be put back (1)")
    add("--clients", type=int, default=50, help="connections of the load (50)")
    add("--quiet", action="store_true", help="no noise beside the load")
    add("--server-bin", type=Path, default=paths.SHELL, help="the program to test")
    add("--logic", type=Path, default=paths.LOGIC_V1, help="the library")
    return parser.parse_args()


def load(server: ShellServer, clients: int) -> subprocess.Popen:
    binary = shutil.which("redis-benchmark")
    if not binary:
        raise SystemExit("redis-benchmark is not installed. Try: apt-get install redis-tools")
    command = [binary, "-p", str(server.port), "-c", str(clients), "-t", TESTS, "-n", "20000",
               "-r", "100000", "-l", "-q"]
    return children.spawn(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def noise(wanted: bool) -> list[subprocess.Popen]:
    count = (os.cpu_count() or 1) if wanted else 0
    return [children.spawn([sys.executable, "-c", NOISE]) for _ in range(count)]


def one(server: ShellServer, library: Path, opts: argparse.Namespace) -> str | None:
    """Upgrades to a library and waits for the end of its probation; why it was put back, if it was."""
    words = ["upgrade", str(library), "--probation", opts.probation]
    if opts.shadow:
        words += ["--shadow", opts.shadow, "--shadow-time", opts.step]
    if opts.canary:
        words += ["--canary", opts.canary, "--step", opts.step]
    answer = server.ask(*words)
    if "error" in answer:
        if answer["error"]["code"] not in ("did_worse", "diverged"):
            raise SystemExit(f"an upgrade was refused: {answer['error']}")
        return answer["error"]["message"]
    deadline = time.monotonic() + PATIENCE_S
    while server.ask("status")["phase"] != "idle":
        if time.monotonic() > deadline:
            raise SystemExit("a probation does not end")
        time.sleep(0.1)
    record = server.ask("history")["records"][-1]
    return record["reason"] if record["outcome"] == "rolled_back" else None


def run(opts: argparse.Namespace) -> int:
    alarms = 0
    with ShellServer(opts.server_bin, opts.logic) as server:
        copy = server.dir / "same.so"
        copy.write_bytes(opts.logic.read_bytes() + b".")
        libraries = [copy, opts.logic]
        beside = [load(server, opts.clients), *noise(not opts.quiet)]
        serving = 1
        try:
            for number in range(1, opts.upgrades + 1):
                reason = one(server, libraries[1 - serving], opts)
                if reason is None:
                    serving = 1 - serving
                else:
                    alarms += 1
                    print(f"upgrade {number} was put back: {reason}", flush=True)
        finally:
            for child in beside:
                children.stop(child)
        records = server.ask("history")["records"]
        compared = sum("compared" in str(record["decisions"]) for record in records)
    print(f"{opts.upgrades} upgrades, {alarms} put back ({opts.allowed} allowed); of the last "
          f"{len(records)}, {compared} were compared side by side")
    return 0 if alarms <= opts.allowed else 1


if __name__ == "__main__":
    sys.exit(run(options()))

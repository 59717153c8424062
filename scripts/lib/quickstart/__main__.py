"""Serves, drives, upgrades to and fro, tells."""

import argparse
import contextlib
import json
import sys
import time
from collections import Counter
from typing import Any

from harness import children, paths, resp
from harness.load_process import LoadProcess
from harness.server import ShellServer
from harness.upgrade import CliUpgrader, UpgradeFailed
from quickstart import clients, story
from quickstart.story import Chapter

_PROCESSES = 2
_CLIENTS = 32
_KEYS = 100_000


def start_load(port: int, stack: contextlib.ExitStack) -> list[LoadProcess]:
    processes = []
    for index in range(_PROCESSES):
        orders = {"port": port, "name": f"tour{index}", "clients": _CLIENTS // _PROCESSES}
        command = [sys.executable, "-m", "quickstart.load", json.dumps(orders)]
        processes.append(stack.enter_context(LoadProcess(f"load {index}", command)))
    for process in processes:
        process.wait_until_ready(time.monotonic() + 30.0)
        process.begin(time.monotonic())
    return processes


def preload(port: int) -> None:
    with resp.Connection(port) as connection:
        for first in range(0, _KEYS, 1000):
            connection.pipeline(("SET", f"tour:{i}", "x" * 64) for i in range(first, first + 1000))


def ask_ifeq(port: int) -> str:
    """What a client is told that uses a command only the second release knows."""
    with resp.Connection(port) as connection:
        connection.call("SET", "tour:greeting", "hello")
        try:
            return connection.call("SET", "tour:greeting", "goodbye", "IFEQ", "hello").decode()
        except resp.ReplyError:
            return "refused"


def tour(server: ShellServer, seconds: float) -> tuple[list[Chapter], float]:
    """One release, the next, the first again, each for a while."""
    upgrader = CliUpgrader(paths.SHELL, server.admin, server.port)
    chapters: list[Chapter] = []
    began = time.monotonic()
    time.sleep(seconds)
    ifeq = ask_ifeq(server.port)
    for library in (paths.LOGIC_V2, paths.LOGIC_V1):
        print(f"  $ shell upgrade {library.name}")
        upgrade = upgrader.upgrade(library)
        if not chapters:
            chapters.append(Chapter(began, upgrade.source, None, ifeq))
        committed = time.monotonic()
        time.sleep(seconds)
        chapters.append(Chapter(committed, upgrade.target, upgrade, ask_ifeq(server.port)))
    return chapters, time.monotonic()


def finish(processes: list[LoadProcess]) -> tuple[Counter[str], list[Any], list[str]]:
    counts: Counter[str] = Counter()
    requests: list[Any] = []
    failures: list[str] = []
    for process in processes:
        process.finish()
    for process in processes:
        result = process.join(time.monotonic() + 30.0)
        if result is None:
            raise SystemExit(f"{process.name} came to no end")
        counts.update(result["counts"])
        requests += result["requests"]
        failures += result["failures"]
    return counts, requests, failures


def run(seconds: float) -> int:
    """The whole tour; the exit status."""
    with ShellServer() as server, contextlib.ExitStack() as stack:
        print(f"serving at 127.0.0.1:{server.port}: {_KEYS:,} keys, {_CLIENTS} clients "
              f"({clients.NAME})")
        preload(server.port)
        processes = start_load(server.port, stack)
        try:
            chapters, ended = tour(server, seconds)
        except UpgradeFailed as error:
            raise SystemExit(f"the upgrade failed: {error}\n{server.log_tail()}") from error
        counts, requests, failures = finish(processes)
    story.tell(chapters, ended, requests, counts)
    for failure in failures[:10]:
        print(f"  FAILED: {failure}")
    return 1 if failures else 0


def main() -> int:
    children.end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/quickstart", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="with each release (3)")
    return run(parser.parse_args().seconds)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")

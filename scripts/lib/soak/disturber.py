"""The thread that disturbs the server beside upgrades: replaces the shell, kills the process that
serves, or has a command crash it."""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness import resp
from harness.alternator import Alternator
from harness.schedule import now
from harness.server import ShellServer

# What the log has once a server goes on for another.
_READY = "Ready to accept connections"
# How the commands of the fixture end the process, and after how long one that spins is ended.
_WAYS = ("wild", "stack", "abort", "exit", "spin")
_SPIN_S = 0.5
_AGAIN_S_MAX = 60.0
_FAILURES_MAX = 10


class Disturber(threading.Thread):
    """Does each kind of disturbance at its own intervals, one at a time, between two upgrades.

    `intervals` has seconds by kind (`replace`, `kill`, `crash`); 0: never.
    """

    def __init__(self, server: ShellServer, alternator: Alternator | None,
                 intervals: dict[str, float], seed: int) -> None:
        super().__init__(daemon=True, name="disturber")
        self.server = server
        self.alternator = alternator
        self.intervals = {kind: every for kind, every in intervals.items() if every}
        self.random = random.Random(seed)
        self.stopping = threading.Event()
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.unserved_us: list[float] = []

    def run(self) -> None:
        due = {kind: now() + self._pause(every) for kind, every in self.intervals.items()}
        while due and not self.stopping.is_set() and len(self.failures) < _FAILURES_MAX:
            kind = min(due, key=due.get)
            if self.stopping.wait(max(0.0, due[kind] - now())):
                return
            self._between_upgrades({"replace": self._replace, "kill": self._kill,
                                    "crash": self._crash}[kind], kind)
            due[kind] = now() + self._pause(self.intervals[kind])

    def stop(self) -> None:
        self.stopping.set()
        if self.is_alive():
            self.join()

    def _pause(self, every: float) -> float:
        """At random moments, every so often on average."""
        return every * self.random.uniform(0.5, 1.5)

    def _between_upgrades(self, disturb: Callable[[], None], kind: str) -> None:
        if self.alternator is None:
            return self._do(disturb, kind)
        with self.alternator.at_work:
            self._do(disturb, kind)
            # Another process counts its generations anew if the one before has crashed.
            self.alternator.last = None
        return None

    def _do(self, disturb: Callable[[], None], kind: str) -> None:
        try:
            disturb()
            self.done[kind] += 1
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            self.failures.append(f"{kind}: {error}")

    def _replace(self) -> None:
        words = [str(self.server.binary), "replace", "--json", "--patience", "20s",
                 "--admin", str(self.server.admin)]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        report = json.loads(ended.stdout)
        if ended.returncode:
            raise ValueError(report["error"]["message"])
        self.unserved_us.append(report["unserved_us"])

    def _kill(self) -> None:
        self._and_again(lambda: os.kill(self.server.serving_now(), signal.SIGKILL))

    def _crash(self) -> None:
        way = self.random.choice(_WAYS)
        command = ("FAULTY.EXIT", "1") if way == "exit" else ("FAULTY.CRASH", way)

        def crash() -> None:
            pid = self.server.serving_now()
            with resp.Connection(self.server.port) as connection:
                connection.send(*command)
                if way == "spin":
                    time.sleep(_SPIN_S)
                    os.kill(pid, signal.SIGKILL)
                self._wait_for(pid)

        self._and_again(crash)

    def _wait_for(self, pid: int) -> None:
        deadline = time.monotonic() + _AGAIN_S_MAX
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            if _is_zombie(pid):
                return
            time.sleep(0.01)

    def _and_again(self, end: Callable[[], None]) -> None:
        """Ends the process that serves, and waits until another does."""
        served = self.server.log.read_text(errors="replace").count(_READY)
        end()
        deadline = time.monotonic() + _AGAIN_S_MAX
        while time.monotonic() < deadline:
            if self.server.log.read_text(errors="replace").count(_READY) > served:
                return
            time.sleep(0.02)
        raise ValueError("no other server has gone on")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def unsound(log: str) -> list[str]:
    """What the log says of arenas that were not as they should be, and of clients that were lost."""
    short = []
    if found := log.count("the arena is not as it should be"):
        short.append(f"{found} arenas were not as they should be")
    lost = sum(int(word.split("=")[1]) for line in log.splitlines() if "ended unasked" in line
               for word in line.split() if word.startswith("lost="))
    if lost:
        short.append(f"{lost} clients were lost")
    return short

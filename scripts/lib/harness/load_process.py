"""A process that makes load, and the lines it is steered by and reports in.

It writes a JSON object a line: `ready` once it is connected, `progress` now and then, `result` at
its end. It reads one line, the start of the schedule (seconds on the monotonic clock), works until
its input ends, and then comes to an end.
"""

import json
import subprocess
import threading
import time
from collections import Counter
from typing import Any

from harness import children


class LoadProcess:
    """One child, read by a thread of ours; a context manager that ends it."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.result: dict[str, Any] | None = None
        self.ready = threading.Event()
        self.process = children.spawn(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> "LoadProcess":
        return self

    def __exit__(self, *_: object) -> None:
        children.stop(self.process, grace_s=2.0)

    def wait_until_ready(self, deadline: float) -> None:
        ready = self.ready.wait(max(0.0, deadline - time.monotonic()))
        if not ready or self.process.poll() is not None:
            raise SystemExit(f"the clients of {self.name} could not connect")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._heard(json.loads(line))
        # A process that has ended will never be ready; whoever waits must look.
        self.ready.set()

    def _heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "ready":
            self.ready.set()
            return
        self.counts = Counter(message["counts"])
        if message["type"] == "result":
            self.result = message

    def begin(self, start: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{start!r}\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        """Tells it to come to an end."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def join(self, deadline: float) -> dict[str, Any] | None:
        """Its result, if it has one in time."""
        self.reader.join(max(0.0, deadline - time.monotonic()))
        children.stop(self.process)
        return self.result

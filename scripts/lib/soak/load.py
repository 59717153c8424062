"""The processes that make the load, and what they say."""

import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from harness import paths
from harness.histogram import Histogram
from harness.load_process import LoadProcess
from harness.schedule import CALM, SWAP
from soak.actors import share_out
from soak.options import Options

READY_S_MAX = 120.0
FINISH_S_MAX = 120.0
_NODE_SHARE = 0.1
_NODE_SCRIPT = paths.ROOT / "scripts" / "lib" / "node" / "soak.cjs"


@dataclass
class Outcome:
    """Everything that all processes have seen."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    sums: Counter[str] = field(default_factory=Counter)
    clients: dict[str, Histogram] = field(default_factory=lambda: {
        SWAP: Histogram(), CALM: Histogram()})
    probe: dict[str, Histogram] = field(default_factory=lambda: {
        SWAP: Histogram(), CALM: Histogram()})


class Load:
    """All processes together. A context manager that ends them."""

    def __init__(self, options: Options, port: int) -> None:
        self.options = options
        self.port = port
        self.processes: list[LoadProcess] = []
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def connect(self) -> None:
        """Starts all processes and waits until every client is connected."""
        for name, command in self._commands():
            self.processes.append(self.stack.enter_context(LoadProcess(name, command)))
        deadline = time.monotonic() + READY_S_MAX
        for process in self.processes:
            process.wait_until_ready(deadline)

    def begin(self, start: float) -> None:
        for process in self.processes:
            process.begin(start)

    def counts(self) -> Counter[str]:
        return sum((process.counts for process in self.processes), Counter())

    def finish(self) -> Outcome:
        """Ends the work and gathers what was seen; a process without a result is a failure."""
        for process in self.processes:
            process.finish()
        outcome = Outcome()
        deadline = time.monotonic() + FINISH_S_MAX
        for process in self.processes:
            result = process.join(deadline)
            if result is None:
                outcome.counts["stuck"] += 1
                outcome.failures.append(f"stuck: {process.name} came to no end")
            else:
                _add(outcome, result, process.name == "probe")
        return outcome

    def _commands(self) -> list[tuple[str, list[str]]]:
        options = self.options
        node = int(options.clients * _NODE_SHARE) if options.node else 0
        commands = [
            (f"python {i}", self._python(i, connections))
            for i, connections in enumerate(_split(options.clients - node, options.processes))
        ]
        if node:
            orders = self._orders(name="node", connections=node)
            commands.append(("node", ["node", str(_NODE_SCRIPT), orders]))
        if options.probe_rate:
            orders = self._orders(name="probe", rate=options.probe_rate)
            commands.append(("probe", [sys.executable, "-m", "harness.probe", orders]))
        return commands

    def _python(self, index: int, connections: int) -> list[str]:
        actors = [
            {"kind": kind, "name": f"p{index}.{kind}{i}", "protocol": 2 + (i + index) % 2,
             "seed": self.options.seed}
            for i, kind in enumerate(share_out(connections, self.options.work))
        ]
        return [sys.executable, "-m", "soak.worker", self._orders(actors=actors)]

    def _orders(self, **more: Any) -> str:
        common = {
            "port": self.port,
            "window_s": self.options.window_s,
            "think_s": self.options.think_ms / 1000,
        }
        return json.dumps({**common, **more})


def _split(total: int, parts: int) -> list[int]:
    return [total // parts + (1 if i < total % parts else 0) for i in range(parts)]


def _add(outcome: Outcome, result: dict[str, Any], is_probe: bool) -> None:
    outcome.counts.update(result["counts"])
    outcome.failures.extend(result["failures"])
    outcome.sums.update(result["sums"])
    latency = outcome.probe if is_probe else outcome.clients
    for kind, dumped in result["latency"].items():
        latency[kind].merge(Histogram.load(dumped))

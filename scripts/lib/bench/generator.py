"""One run of redis-benchmark against one server, and what it cost that server."""

import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from harness import procfs
from harness.server import Server

RUN_S_MAX = 600.0

_PERCENTILE = re.compile(r"^(\d+\.\d+)% <= (\d+\.\d+) milliseconds", re.MULTILINE)
_THROUGHPUT = re.compile(r"throughput summary: (\d+\.\d+) requests per second")


@dataclass(frozen=True)
class Measurement:
    """One run. Latencies in microseconds as the generator saw them; CPU time is the server's."""

    requests_per_s: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    cpu_us: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def measure(server: Server, arguments: Sequence[str], requests: int, clients: int,
            keys: int) -> Measurement:
    """Runs redis-benchmark with `arguments`, which name the commands and the pipeline."""
    command = [
        "redis-benchmark", "-p", str(server.port), "-n", str(requests), "-c", str(clients),
        "-r", str(keys), "--precision", "3", *arguments,
    ]
    before = procfs.cpu_ns(server.pid)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
    )
    cpu_us = (procfs.cpu_ns(server.pid) - before) / 1000
    if done.returncode != 0 or "throughput summary" not in done.stdout:
        raise SystemExit(f"{' '.join(command)}\nfailed: {done.stderr or done.stdout[-500:]}")
    return parse(done.stdout, cpu_us / requests)


def parse(text: str, cpu_us: float) -> Measurement:
    """Reads redis-benchmark's report of a single test."""
    distribution = text.partition("Cumulative distribution")[0]
    curve = [(float(p), float(ms) * 1000) for p, ms in _PERCENTILE.findall(distribution)]
    throughput = _THROUGHPUT.search(text)
    if not curve or throughput is None:
        raise SystemExit(f"redis-benchmark's report was not understood:\n{text[-500:]}")
    return Measurement(
        float(throughput.group(1)), _at(curve, 50), _at(curve, 99), _at(curve, 99.9),
        curve[-1][1], cpu_us,
    )


def _at(curve: list[tuple[float, float]], percent: float) -> float:
    """The latency at a percentile, on the line between the two points beside it."""
    low = curve[0]
    for point in curve:
        if point[0] >= percent:
            span = point[0] - low[0]
            part = (percent - low[0]) / span if span else 1.0
            return low[1] + (point[1] - low[1]) * part
        low = point
    return curve[-1][1]


def median(runs: Sequence[Measurement]) -> Measurement:
    """The median of each figure."""
    rows = [run.as_dict() for run in runs]
    return Measurement(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})

"""What a swap costs those who are being served: p99.9 with swaps over without."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.generator import Measurement, measure
from bench.options import Options
from harness import upgrade
from harness.alternator import Alternator
from harness.histogram import Histogram
from harness.load_process import LoadProcess
from harness.schedule import CALM, SWAP, Schedule, now
from harness.server import ShellServer

INTERVAL_S = 0.1
_PROBE_RATE = 2000
_PROBE_WINDOW_S = 2.5
_SATURATED_REQUESTS = 300_000


def run(opts: Options, server: ShellServer, say: Callable[[str], None]) -> dict[str, Any]:
    """Two loads: a light one, where waiting shows, and as much as the machine gives."""
    say("swaps under a light load")
    light = _light(opts, server)
    say("swaps under full load")
    return {"interval_ms": INTERVAL_S * 1000, "light": light, "full": _full(opts, server)}


def _alternator(opts: Options, server: ShellServer, schedule: Schedule) -> Alternator:
    upgrader = upgrade.make("admin", opts.server_bin, server.admin, server.port)
    libraries = (opts.logic_a.resolve(), opts.logic_b.resolve())
    return Alternator(upgrader, libraries, schedule, INTERVAL_S, 0)


def _light(opts: Options, server: ShellServer) -> dict[str, Any]:
    """A steady probe over windows with and without swaps."""
    orders = {"port": server.port, "name": "bench:probe", "rate": _PROBE_RATE,
              "window_s": _PROBE_WINDOW_S}
    command = [sys.executable, "-m", "harness.probe", json.dumps(orders)]
    with LoadProcess("probe", command) as process:
        process.wait_until_ready(now() + 30.0)
        schedule = Schedule(now() + 0.5, _PROBE_WINDOW_S)
        alternator = _alternator(opts, server, schedule)
        process.begin(schedule.start)
        alternator.start()
        time.sleep(0.5 + _PROBE_WINDOW_S * 4 * max(1, round(opts.scale * 4)))
        alternator.stop()
        process.finish()
        result = process.join(now() + 30.0)
    if result is None:
        raise SystemExit("the probe came to no end")
    latency = {kind: Histogram.load(dump) for kind, dump in result["latency"].items()}
    return {
        "upgrades": alternator.done,
        "failures": alternator.failures + result["failures"],
        "commit_us": alternator.commit_us.summary(),
        "with_us": latency[SWAP].summary(),
        "without_us": latency[CALM].summary(),
        "p999_ratio": _ratio(latency[SWAP].percentile(99.9), latency[CALM].percentile(99.9)),
    }


def _full(opts: Options, server: ShellServer) -> dict[str, Any]:
    """redis-benchmark as fast as it goes, with swaps, without, without, with."""
    runs: dict[str, list[Measurement]] = {SWAP: [], CALM: []}
    upgrades = 0
    for kind in (SWAP, CALM, CALM, SWAP) * max(1, opts.repeats // 2):
        alternator = _alternator(opts, server, Schedule(0.0, 0.0))
        if kind == SWAP:
            alternator.start()
        arguments = ("-t", "get", "-P", "1")
        requests = round(_SATURATED_REQUESTS * max(opts.scale, 0.2))
        runs[kind].append(measure(server, arguments, requests, opts.clients, opts.keys))
        if kind == SWAP:
            alternator.stop()
        upgrades += alternator.done
    return {
        "upgrades": upgrades,
        "with": [run.as_dict() for run in runs[SWAP]],
        "without": [run.as_dict() for run in runs[CALM]],
        "p999_ratio": _ratio(_p999(runs[SWAP]), _p999(runs[CALM])),
    }


def _p999(runs: list[Measurement]) -> float:
    return statistics.median(run.p999_us for run in runs)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

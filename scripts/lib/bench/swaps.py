"""What a swap costs those who are being served: p99.9 with swaps over without."""

import statistics
from collections.abc import Callable
from typing import Any

from bench.generator import Measurement, measure
from bench.options import Options
from harness import upgrade
from harness.alternator import Alternator
from harness.histogram import exact_summary
from harness.schedule import CALM, SWAP, Schedule
from harness.server import ShellServer

INTERVAL_S = 0.1

# A light load leaves processor time over, so that it shows who waits for a swap; under a full load
# everything that an upgrade does is taken from the clients.
_LOADS = {"light": (2, 200_000), "full": (50, 400_000)}
# Runs of each kind. p99.9 of one run varies by a tenth and more.
_RUNS = 10


def run(opts: Options, server: ShellServer, say: Callable[[str], None]) -> dict[str, Any]:
    """GET under each load: with swaps, without, without, with, and again."""
    upgrader = upgrade.make("admin", opts.server_bin, server.admin, server.port)
    libraries = (opts.logic_a.resolve(), opts.logic_b.resolve())
    alternator = Alternator(upgrader, libraries, Schedule(0.0, 0.0), INTERVAL_S, 0)
    alternator.pause()
    alternator.start()
    try:
        loads = {name: _load(opts, server, alternator, name, say) for name in _LOADS}
    finally:
        alternator.stop()
    return {
        "interval_ms": INTERVAL_S * 1000,
        "upgrades": alternator.done,
        "failures": alternator.failures,
        "commit_us": exact_summary(alternator.commit_us),
        "total_us": exact_summary(alternator.total_us),
        "loads": loads,
    }


def _load(opts: Options, server: ShellServer, alternator: Alternator, name: str,
          say: Callable[[str], None]) -> dict[str, Any]:
    clients, requests = _LOADS[name]
    rounds = max(1, round(_RUNS / 2 * min(1.0, opts.scale)))
    runs: dict[str, list[Measurement]] = {SWAP: [], CALM: []}
    for number, kind in enumerate((SWAP, CALM, CALM, SWAP) * rounds):
        say(f"swaps under {name} load: run {number + 1} of {4 * rounds}")
        if kind == SWAP:
            alternator.resume()
        runs[kind].append(measure(server, ("-t", "get"), requests, clients, opts.keys))
        alternator.pause()
    return {
        "clients": clients,
        "with": [run.as_dict() for run in runs[SWAP]],
        "without": [run.as_dict() for run in runs[CALM]],
        "ratios": {
            figure: _median(runs[SWAP], figure) / _median(runs[CALM], figure)
            for figure in ("requests_per_s", "p50_us", "p99_us", "p999_us", "max_us")
        },
    }


def _median(runs: list[Measurement], figure: str) -> float:
    return statistics.median(run.as_dict()[figure] for run in runs)

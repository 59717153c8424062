"""What the append-only log costs: processor time with it over without, and throughput where each
reply waits for the disk."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.generator import measure
from bench.options import Options
from harness import resp
from harness.server import Server

_PIPELINE = 16
_REQUESTS = 1_000_000
# Each waits for a disk.
_REQUESTS_ALWAYS = 50_000
# Few, so that a log begins quickly.
_KEYS = 100_000
_REWRITE_S_MAX = 120.0


def run(opts: Options, servers: list[Server], say: Callable[[str], None]) -> dict[str, Any]:
    """Both servers without a log, with one, and with one that is synced before each reply."""
    found: dict[str, dict[str, list[float]]] = {
        server.name: {"off": [], "everysec": [], "always": []} for server in servers
    }
    for server in servers:
        _set(server, ("auto-aof-rewrite-percentage", "0"))
    for repeat in range(opts.repeats):
        for server in servers if repeat % 2 == 0 else servers[::-1]:
            say(f"log: run {repeat + 1} of {opts.repeats} on {server.name}")
            _measure(opts, server, found[server.name])
    ours, peer = (found[server.name] for server in servers)
    return {"server": ours, "peer": peer, "ratios": _ratios(ours, peer)}


def _measure(opts: Options, server: Server, into: dict[str, list[float]]) -> None:
    deep = ("-t", "set", "-d", "64", "-P", str(_PIPELINE))
    requests = max(1000, round(_REQUESTS * opts.scale))
    into["off"].append(measure(server, deep, requests, opts.clients, _KEYS).cpu_us)
    _set(server, ("appendfsync", "everysec"), ("appendonly", "yes"))
    _wait_for_log(server)
    into["everysec"].append(measure(server, deep, requests, opts.clients, _KEYS).cpu_us)
    _set(server, ("appendfsync", "always"))
    single = max(1000, round(_REQUESTS_ALWAYS * opts.scale))
    run = measure(server, ("-t", "set", "-d", "64"), single, opts.clients, _KEYS)
    into["always"].append(run.requests_per_s)
    _set(server, ("appendonly", "no"))


def _ratios(ours: dict[str, list[float]], peer: dict[str, list[float]]) -> dict[str, float]:
    def over(above: list[float], below: list[float]) -> float:
        return statistics.median(a / b for a, b in zip(above, below, strict=True))

    return {
        "everysec": over(ours["everysec"], ours["off"]),
        "peer_everysec": over(peer["everysec"], peer["off"]),
        "everysec_over_peer": over(ours["everysec"], peer["everysec"]),
        "always_over_peer": over(ours["always"], peer["always"]),
    }


def _set(server: Server, *settings: tuple[str, str]) -> None:
    with resp.Connection(server.port, timeout=60.0) as connection:
        for name, value in settings:
            connection.call("CONFIG", "SET", name, value)


def _wait_for_log(server: Server) -> None:
    """Until what was in memory is in the log's base."""
    deadline = time.monotonic() + _REWRITE_S_MAX
    busy = (b"aof_rewrite_in_progress:1", b"aof_rewrite_scheduled:1")
    with resp.Connection(server.port) as connection:
        while any(word in connection.call("INFO", "persistence") for word in busy):
            if time.monotonic() > deadline:
                raise SystemExit(f"{server.name} does not begin its log:\n{server.log_tail()}")
            time.sleep(0.05)

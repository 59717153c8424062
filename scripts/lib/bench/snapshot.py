"""What a snapshot costs, in memory, in time of those who are served and of the processor; and how
long a server takes to start with it."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import commands
from bench.options import Options
from harness import children, procfs, resp
from harness.histogram import Histogram
from harness.load_process import LoadProcess
from harness.schedule import SWAP
from harness.server import Server

_WRITES_PER_S = 20_000
_PROBES_PER_S = 500
# One hash for so many strings.
_STRINGS_PER_HASH = 10
_SAMPLE_S = 0.1
_BASELINE_S = 8.0
_SAVE_S_MAX = 600.0


def run(opts: Options, server: Server, say: Callable[[str], None]) -> dict[str, Any]:
    """Fills the server and has it save three times, for another figure each. Then starts it again."""
    say(f"snapshot: filling {server.name}")
    commands.preload(server, opts.keys)
    commands.fill(server, map(commands.hash_of_fields, range(opts.keys // _STRINGS_PER_HASH)))
    time.sleep(2.0)
    found: dict[str, Any] = {"keys": _keys(server), "resident": _memory(server)}
    say(f"snapshot: processor time of {server.name}")
    before = procfs.cpu_ns_of_family(server.pid)
    found["save_s"] = _save(server)
    found["cpu_s"] = (procfs.cpu_ns_of_family(server.pid) - before) / 1e9
    say(f"snapshot: latency of {server.name}")
    with _writer(opts, server):
        found["without"] = _probe(server, lambda: time.sleep(_BASELINE_S))
        found["during"] = _probe(server, lambda: _save(server))
    say(f"snapshot: memory of {server.name}")
    with _writer(opts, server):
        time.sleep(1.0)
        base, most = _memory(server), 0

        def look() -> None:
            nonlocal most
            most = max(most, _memory(server))

        _save(server, look)
    found["on_top"] = most - base
    say(f"snapshot: starting {server.name} again")
    found["start_s"] = _start_again(server, found["keys"])
    return found


def _keys(server: Server) -> int:
    with resp.Connection(server.port) as connection:
        return connection.call("DBSIZE")


def _memory(server: Server) -> int:
    return sum(procfs.pss(pid) for pid in procfs.family(server.pid))


def _save(server: Server, look: Callable[[], None] = lambda: None) -> float:
    """Seconds until a snapshot is on disk; looks now and then."""
    began = time.monotonic()
    with resp.Connection(server.port) as connection:
        connection.call("BGSAVE")
        while _field(connection, "rdb_bgsave_in_progress") != "0":
            if time.monotonic() - began > _SAVE_S_MAX:
                raise SystemExit(f"{server.name} does not end its snapshot")
            look()
            time.sleep(_SAMPLE_S)
        if _field(connection, "rdb_last_bgsave_status") != "ok":
            raise SystemExit(f"{server.name} could not save:\n{server.log_tail()}")
    return time.monotonic() - began


def _field(connection: resp.Connection, name: str) -> str:
    text = connection.call("INFO", "persistence").decode()
    return next(line for line in text.splitlines() if line.startswith(f"{name}:")).split(":")[1]


@contextlib.contextmanager
def _child(name: str, module: str, orders: dict[str, Any]) -> Iterator[LoadProcess]:
    command = [sys.executable, "-m", module, json.dumps(orders)]
    with LoadProcess(name, command) as process:
        process.wait_until_ready(time.monotonic() + 30.0)
        process.begin(time.monotonic())
        yield process


def _writer(opts: Options, server: Server) -> contextlib.AbstractContextManager[LoadProcess]:
    orders = {"port": server.port, "rate": _WRITES_PER_S, "keys": opts.keys}
    return _child("writer", "bench.pacer", orders)


def _probe(server: Server, work: Callable[[], Any]) -> dict[str, float]:
    """What a light client sees while something is done, in microseconds."""
    orders = {"port": server.port, "name": "probe", "rate": _PROBES_PER_S, "window_s": 0}
    with _child("probe", "harness.probe", orders) as process:
        time.sleep(0.5)
        work()
        process.finish()
        result = process.join(time.monotonic() + 10.0)
    if result is None:
        raise SystemExit(f"the probe of {server.name} has no result")
    latency = Histogram.load(result["latency"][SWAP])
    return {"p50_us": latency.percentile(50), "p999_us": latency.percentile(99.9),
            "max_us": float(latency.max)}


def _start_again(server: Server, keys: int) -> float:
    """Seconds from a start until every key is served."""
    with resp.Connection(server.port) as connection, contextlib.suppress(resp.Disconnected, OSError):
        connection.call("SHUTDOWN", "NOSAVE")
    assert server.process is not None
    children.stop(server.process)
    began = time.monotonic()
    server.start()
    took = time.monotonic() - began
    if _keys(server) < keys:
        raise SystemExit(f"{server.name} has lost keys:\n{server.log_tail()}")
    return took


def ratios(ours: dict[str, Any], peer: dict[str, Any]) -> dict[str, float]:
    """This server over its peer; latencies over those without a snapshot."""
    def worse(found: dict[str, Any], figure: str) -> float:
        return found["during"][figure] / found["without"][figure]

    return {"cpu": ours["cpu_s"] / peer["cpu_s"], "start": ours["start_s"] / peer["start_s"],
            "p999": worse(ours, "p999_us"), "peer_p999": worse(peer, "p999_us")}

"""Throughput, latency and CPU time, command by command, the servers taking turns."""

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.generator import Measurement, measure, median
from bench.options import Options
from harness import resp
from harness.load_process import LoadProcess
from harness.server import Server

VALUE_BYTES = 64
# Of a hash.
FIELDS = 10
FIELD_BYTES = 8
# Of an entry of a stream.
ENTRY_FIELDS = 3
SUBSCRIBERS = 10

# Requests of a run of a few seconds, by pipeline.
_REQUESTS = {1: 200_000, 16: 1_500_000, 100: 3_000_000}
_BATCH = 2000


@dataclass(frozen=True)
class Row:
    """What redis-benchmark is asked for. `weight` divides the usual number of requests. `data` is
    what must be there, a key of `_PRELOADS`; a row that `consumes` finds all of it in each run."""

    name: str
    arguments: tuple[str, ...]
    pipeline: int
    weight: float = 1.0
    data: str = "strings"
    consumes: bool = False

    def requests(self, scale: float) -> int:
        return max(1000, round(_REQUESTS[self.pipeline] * scale / self.weight))


def rows() -> list[Row]:
    simple = ("SET", "GET")
    found = [_test(name, depth) for depth in (1, 16, 100) for name in simple]
    found += [_test(name, depth) for depth in (1, 16) for name in ("INCR", "LPUSH", "LPOP")]
    found += [_test("MSET", depth, weight=5.0) for depth in (1, 16)]
    found += [_publish(depth) for depth in (1, 16)]
    found += [row for depth in (1, 16)
              for row in _hashes(depth) + _sets(depth) + _streams(depth)]
    return found


def _test(name: str, depth: int, weight: float = 1.0) -> Row:
    label = "MSET of 10" if name == "MSET" else name
    arguments = ("-t", name.lower(), "-d", str(VALUE_BYTES), "-P", str(depth))
    return Row(f"{label} P{depth}", arguments, depth, weight)


def _publish(depth: int) -> Row:
    payload = "x" * VALUE_BYTES
    return Row(f"PUBLISH to {SUBSCRIBERS} P{depth}",
               ("-P", str(depth), "publish", "bench:channel", payload), depth, 5.0)


def _hashes(depth: int) -> list[Row]:
    """Fields of a million hashes of ten."""
    key = "hash:__rand_int__"
    commands = [
        ("HSET", key, "field3", "x" * FIELD_BYTES), ("HGET", key, "field5"), ("HGETALL", key),
    ]
    return [Row(f"{command[0]} P{depth}", ("-P", str(depth), *command), depth, 2.0, "hashes")
            for command in commands]


def _sets(depth: int) -> list[Row]:
    """Members of one set of a million."""
    commands = [
        ("SISMEMBER", "members", "member:__rand_int__"), ("SADD", "added", "member:__rand_int__"),
    ]
    found = [Row(f"{command[0]} P{depth}", ("-P", str(depth), *command), depth, 2.0, "members")
             for command in commands]
    pop = ("-P", str(depth), "SPOP", "popped")
    return [*found, Row(f"SPOP P{depth}", pop, depth, 4.0, "popped", consumes=True)]


def entry() -> list[str]:
    """Names and values of an entry of a stream."""
    return [part for i in range(ENTRY_FIELDS) for part in (f"field{i}", "x" * FIELD_BYTES)]


def _streams(depth: int) -> list[Row]:
    """Entries of one stream of a million."""
    add = ("-P", str(depth), "XADD", "grown", "*", *entry())
    read = ("-P", str(depth), "XREAD", "COUNT", "10", "STREAMS", "stream", "__rand_int__")
    return [Row(f"XADD P{depth}", add, depth, 2.0, "entries"),
            Row(f"XREAD of 10 P{depth}", read, depth, 5.0, "entries")]


def _fill(server: Server, keys: int, command: Callable[[int], tuple[resp.Argument, ...]]) -> None:
    fill(server, (command(i) for i in range(keys)))


def fill(server: Server, all_commands: Iterable[tuple[resp.Argument, ...]]) -> None:
    """Sends commands, many at a time."""
    rest = iter(all_commands)
    with resp.Connection(server.port) as connection:
        while batch := list(itertools.islice(rest, _BATCH)):
            connection.pipeline(batch)


def key(number: int) -> bytes:
    """A key that redis-benchmark may ask for."""
    return b"key:%012d" % number


def preload(server: Server, keys: int) -> None:
    """Sets every key that redis-benchmark may ask for."""
    _fill(server, keys, lambda i: ("SET", key(i), b"x" * VALUE_BYTES))


def _preload_hashes(server: Server, keys: int) -> None:
    fields = [part for i in range(FIELDS) for part in (b"field%d" % i, b"x" * FIELD_BYTES)]
    _fill(server, keys, lambda i: ("HSET", b"hash:%012d" % i, *fields))


def _preload_members(server: Server, keys: int) -> None:
    _fill(server, keys, lambda i: ("SADD", "members", b"member:%012d" % i))


def _preload_popped(server: Server, keys: int) -> None:
    _fill(server, keys, lambda i: ("SADD", "popped", b"member:%012d" % i))


def preload_entries(server: Server, keys: int) -> None:
    """Fills a stream with entries of ids that count up."""
    _fill(server, keys, lambda i: ("XADD", "stream", f"{i}-1", *entry()))


_PRELOADS = {
    "strings": preload, "hashes": _preload_hashes, "members": _preload_members,
    "popped": _preload_popped, "entries": preload_entries,
}


@contextlib.contextmanager
def subscribers(server: Server) -> Iterator[None]:
    """Ten subscribers that read whatever comes, in a process of their own."""
    orders = json.dumps({"port": server.port, "subscribers": SUBSCRIBERS})
    command = [sys.executable, "-m", "bench.subscribers", orders]
    with LoadProcess("subscribers", command) as process:
        process.wait_until_ready(time.monotonic() + 30.0)
        yield


def run(opts: Options, servers: list[Server], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every row on every server, `repeats` times, the first server taking turns."""
    wanted = [row for row in rows() if opts.rows.lower() in row.name.lower()]
    for server in servers:
        for data in sorted({row.data for row in wanted}):
            _PRELOADS[data](server, opts.keys)
    runs: dict[tuple[str, str], list[Measurement]] = {}
    for repeat in range(opts.repeats):
        for index, row in enumerate(wanted):
            say(f"run {repeat + 1} of {opts.repeats}: {row.name}")
            turn = servers if (repeat + index) % 2 == 0 else servers[::-1]
            for server in turn:
                runs.setdefault((row.name, server.name), []).append(_run(opts, server, row))
    return [_result(row, servers, runs) for row in wanted]


def _run(opts: Options, server: Server, row: Row) -> Measurement:
    if row.consumes:
        _PRELOADS[row.data](server, opts.keys)
    listeners = subscribers(server) if "PUBLISH" in row.name else contextlib.nullcontext()
    with listeners:
        return measure(server, row.arguments, row.requests(opts.scale), opts.clients, opts.keys)


def _result(row: Row, servers: list[Server],
            runs: dict[tuple[str, str], list[Measurement]]) -> dict[str, Any]:
    ours, peer = (median(runs[row.name, server.name]) for server in servers)
    return {
        "row": row.name,
        "server": ours.as_dict(),
        "peer": peer.as_dict(),
        "throughput_ratio": ours.requests_per_s / peer.requests_per_s,
        "p999_ratio": ours.p999_us / peer.p999_us if peer.p999_us else 0.0,
        "cpu_ratio": ours.cpu_us / peer.cpu_us if peer.cpu_us else 0.0,
        "runs": {
            "server": [run.as_dict() for run in runs[row.name, servers[0].name]],
            "peer": [run.as_dict() for run in runs[row.name, servers[1].name]],
        },
    }

"""Resident memory: of an empty server, of a connection, of a key, of an entry of a stream."""

import time
from collections.abc import Callable
from typing import Any

from bench import commands
from bench.idle import connected
from bench.options import Options
from harness import procfs
from harness.server import Server

# Tables finish growing, and buffers shrinking, a step at a time.
_SETTLE_S = 2.5


def keys(opts: Options, servers: list[Server]) -> dict[str, Any]:
    """Bytes per key of 16 bytes with a value of 64, on servers that never held anything."""
    ours, peer = (_keys(server, opts.keys) for server in servers)
    return {"keys": opts.keys, "server": ours, "peer": peer,
            "ratio": ours["bytes_per_key"] / peer["bytes_per_key"]}


def entries(opts: Options, servers: list[Server]) -> dict[str, Any]:
    """Bytes per entry of one stream, of three fields with values of 8 bytes, on servers that never
    held anything."""
    ours, peer = (_filled(server, commands.preload_entries, opts.keys) for server in servers)
    return {"entries": opts.keys, "server": ours, "peer": peer,
            "ratio": ours["bytes_each"] / peer["bytes_each"]}


def _keys(server: Server, number: int) -> dict[str, float]:
    filled = _filled(server, commands.preload, number)
    return {**filled, "bytes_per_key": filled["bytes_each"]}


def _filled(server: Server, fill: Callable[[Server, int], None], number: int) -> dict[str, float]:
    empty = procfs.rss(server.pid)
    fill(server, number)
    time.sleep(_SETTLE_S)
    full = procfs.rss(server.pid)
    return {"empty_rss": empty, "full_rss": full, "bytes_each": (full - empty) / number}


def connections(opts: Options, servers: list[Server]) -> dict[str, Any]:
    """Bytes per idle connection, on servers that never had many."""
    number = 10_000 if opts.full else 1000
    ours, peer = (_connections(server, number) for server in servers)
    return {"connections": number, "server": ours, "peer": peer, "ratio": ours / peer}


def _connections(server: Server, number: int) -> float:
    empty = procfs.rss(server.pid)
    with connected(server.port, number):
        time.sleep(_SETTLE_S)
        return (procfs.rss(server.pid) - empty) / number

"""Resident memory per key, from empty servers of their own."""

import time
from typing import Any

from bench import commands
from bench.options import Options
from harness import procfs
from harness.server import Server

# Tables finish growing a step at a time.
_SETTLE_S = 1.5


def run(opts: Options, servers: list[Server]) -> dict[str, Any]:
    """Bytes per key of 16 bytes with a value of 64, on servers that hold nothing yet."""
    ours, peer = (_per_key(server, opts.keys) for server in servers)
    return {"keys": opts.keys, "server": ours, "peer": peer,
            "ratio": ours["bytes_per_key"] / peer["bytes_per_key"]}


def _per_key(server: Server, keys: int) -> dict[str, float]:
    empty = procfs.rss(server.pid)
    commands.preload(server, keys)
    time.sleep(_SETTLE_S)
    full = procfs.rss(server.pid)
    return {"empty_rss": empty, "full_rss": full, "bytes_per_key": (full - empty) / keys}

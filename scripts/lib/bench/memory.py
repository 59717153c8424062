"""Resident memory: of a connection, and of keys, entries and members of each type."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import commands
from bench.idle import connected
from bench.options import Options
from harness import procfs, resp
from harness.server import Server

# Tables finish growing, and buffers shrinking, a step at a time.
_SETTLE_S = 2.5
# Members of a small set.
SMALL = 10


@dataclass(frozen=True)
class Content:
    """What servers that never held anything are filled with: so many of `what`, one a command."""

    name: str
    what: str
    command: Callable[[int], tuple[resp.Argument, ...]]


def _small_set(i: int) -> tuple[resp.Argument, ...]:
    return ("SADD", b"set:%012d" % i, *(b"member:%d" % n for n in range(SMALL)))


def _small_sorted_set(i: int) -> tuple[resp.Argument, ...]:
    members = (part for n in range(SMALL) for part in (n, b"member:%d" % n))
    return ("ZADD", b"zset:%011d" % i, *members)


CONTENTS = (
    Content("memory", "keys of 16 bytes with values of 64", commands.string),
    Content("entries", "entries of one stream, of three fields with values of 8 bytes", commands.entry),
    Content("hashes", f"hashes of {commands.FIELDS} fields with values of 8 bytes", commands.hash_of_fields),
    Content("members", "members of one set, of 19 bytes", commands.member),
    Content("scores", "members of one sorted set, of 19 bytes", commands.score),
    Content("sets", f"sets of {SMALL} members of 8 bytes", _small_set),
    Content("zsets", f"sorted sets of {SMALL} members of 8 bytes with small scores", _small_sorted_set),
)


def measure(opts: Options, servers: list[Server], content: Content) -> dict[str, Any]:
    """Bytes that one of the content takes."""
    ours, peer = (_filled(server, content, opts.keys) for server in servers)
    return {"what": content.what, "number": opts.keys, "server": ours, "peer": peer,
            "ratio": ours["bytes_each"] / peer["bytes_each"]}


def _filled(server: Server, content: Content, number: int) -> dict[str, float]:
    empty = procfs.rss(server.pid)
    commands.fill(server, map(content.command, range(number)))
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

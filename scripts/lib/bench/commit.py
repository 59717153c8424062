"""Whether the time from decision to commit depends on how many keys and clients there are."""

import statistics
from collections.abc import Callable
from typing import Any

from bench.idle import connected
from bench.options import Options
from harness import resp, upgrade
from harness.server import ShellServer
from harness.upgrade import UpgradeFailed

_UPGRADES = 20


def run(opts: Options, make_server: Callable[[], ShellServer],
        say: Callable[[str], None]) -> dict[str, Any]:
    """Commit times at growing numbers of keys, then of clients, each on a fresh server."""
    keys = [10**3, 10**5] + ([10**7] if opts.full else [])
    clients = [10, 1000] + ([10_000] if opts.full else [])
    by_keys, by_clients = [], []
    for number in keys:
        say(f"commit times with {number:,} keys")
        with make_server() as server:
            populate(server.port, number)
            by_keys.append({"keys": number, **_commits(opts, server)})
    for number in clients:
        say(f"commit times with {number:,} clients")
        with make_server() as server, connected(server.port, number):
            by_clients.append({"clients": number, **_commits(opts, server)})
    return {"by_keys": by_keys, "by_clients": by_clients}


def populate(port: int, keys: int) -> None:
    with resp.Connection(port, timeout=600.0) as connection:
        connection.call("DEBUG", "POPULATE", keys, "key", 64)
        found = connection.call("DBSIZE")
    if found != keys:
        raise SystemExit(f"DEBUG POPULATE made {found} keys, not {keys}")


def _commits(opts: Options, server: ShellServer) -> dict[str, Any]:
    upgrader = upgrade.make("admin", opts.server_bin, server.admin, server.port)
    libraries = (opts.logic_b.resolve(), opts.logic_a.resolve())
    try:
        done = [upgrader.upgrade(libraries[i % 2]) for i in range(_UPGRADES)]
    except UpgradeFailed as error:
        raise SystemExit(f"an upgrade failed: {error}") from error
    commits = [report.commit_us for report in done]
    return {
        "commit_us_median": statistics.median(commits),
        "commit_us_max": max(commits),
        "total_us_median": statistics.median(report.total_us for report in done),
        "clients_carried": done[-1].clients,
        "keys_carried": done[-1].keys,
    }

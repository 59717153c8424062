"""Runs the parts of the bench that were asked for."""

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from bench import commands, commit, defrag, log, memory, options, report, snapshot, swaps
from bench.options import Options
from harness import children, resp
from harness.server import CustomServer, RedisServer, Server, ShellServer, allow_many_files

MANY_CLIENTS = ("--maxclients", "12000")


def say(text: str) -> None:
    """What is being done now, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def make_shell(opts: Options) -> ShellServer:
    more = [*MANY_CLIENTS, *opts.server_options]
    return ShellServer(opts.server_bin, opts.logic_a, more)


def make_pair(opts: Options) -> list[Server]:
    """This server and its peer, not yet started."""
    ours = CustomServer(opts.server_cmd) if opts.server_cmd else make_shell(opts)
    peer = CustomServer(opts.peer_cmd) if opts.peer_cmd else RedisServer(options=MANY_CLIENTS)
    ours.name = "this server"
    return [ours, peer]


def with_pair(opts: Options, work: Callable[[list[Server]], Any]) -> Any:
    with contextlib.ExitStack() as stack:
        return work([stack.enter_context(server) for server in make_pair(opts)])


def machine(port: int) -> dict[str, Any]:
    with resp.Connection(port) as connection:
        info = connection.call("INFO", "server").decode()
    version = next((line for line in info.splitlines() if "_version:" in line), "")
    return {"cpus": os.cpu_count(), "kernel": platform.release(), "peer": version}


def run(opts: Options) -> dict[str, Any]:
    results: dict[str, Any] = {}
    if "commands" in opts.parts:
        results["machine"] = {}
        results["commands"] = with_pair(opts, lambda pair: _commands(opts, pair, results))
    if "memory" in opts.parts:
        _memory(opts, results)
    if "swaps" in opts.parts and opts.upgradable:
        with make_shell(opts) as server:
            commands.preload(server, opts.keys)
            results["swaps"] = swaps.run(opts, server, say)
        say("")
        report.show_swaps(results["swaps"])
    if "commit" in opts.parts and opts.upgradable:
        results["commit"] = commit.run(opts, lambda: make_shell(opts), say)
        say("")
        report.show_commit(results["commit"])
    if "defrag" in opts.parts and opts.upgradable:
        with make_shell(opts) as server:
            results["defrag"] = defrag.run(opts, server, say)
        say("")
        report.show_defrag(results["defrag"])
    if "snapshot" in opts.parts:
        _snapshot(opts, results)
    if "log" in opts.parts:
        results["log"] = with_pair(opts, lambda pair: log.run(opts, pair, say))
        say("")
        report.show_log(results["log"])
    return results


def _snapshot(opts: Options, results: dict[str, Any]) -> None:
    """One server after the other: both at once might not fit in memory."""
    found = []
    for server in make_pair(opts):
        with server:
            found.append(snapshot.run(opts, server, say))
    results["snapshot"] = {"server": found[0], "peer": found[1],
                           "ratios": snapshot.ratios(*found)}
    say("")
    report.show_snapshot(results["snapshot"])


def _memory(opts: Options, results: dict[str, Any]) -> None:
    wanted = [it for it in memory.CONTENTS if opts.wants(it.what)]
    for content in wanted:
        say(f"memory of {content.what}")
        results[content.name] = with_pair(
            opts, lambda pair, content=content: memory.measure(opts, pair, content))
        say("")
        report.show_memory(results[content.name], "its peer")
    if not opts.rows:
        say("memory of connections")
        results["connections"] = with_pair(opts, lambda pair: memory.connections(opts, pair))
        say("")
        report.show_connections(results["connections"], "its peer")


def _commands(opts: Options, pair: list[Server], results: dict[str, Any]) -> list[dict[str, Any]]:
    results["machine"] = machine(pair[1].port)
    rows = commands.run(opts, pair, say)
    say("")
    report.show_commands(rows, pair[1].name)
    return rows


def main() -> int:
    children.end_on_sigterm()
    allow_many_files()
    opts = options.parse(sys.argv[1:])
    results = run(opts)
    if opts.report:
        opts.report.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")

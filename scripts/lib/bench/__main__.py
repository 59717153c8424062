"""Runs the parts of the bench that were asked for."""

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from bench import commands, commit, defrag, memory, options, report, swaps
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
        say("memory per key")
        results["memory"] = with_pair(opts, lambda pair: memory.keys(opts, pair))
        say("memory per entry of a stream")
        results["entries"] = with_pair(opts, lambda pair: memory.entries(opts, pair))
        say("memory per connection")
        results["connections"] = with_pair(opts, lambda pair: memory.connections(opts, pair))
        say("")
        report.show_memory(results["memory"], "its peer")
        report.show_entries(results["entries"], "its peer")
        report.show_connections(results["connections"], "its peer")
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
    return results


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

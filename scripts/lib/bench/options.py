"""The command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from harness import paths

_EPILOG = """\
The load generator and the servers share one machine, so absolute times depend on it. Ratios and
processor time per request hold; medians are taken over runs in which the servers take turns.

examples:
  scripts/bench --quick
  scripts/bench --full --report bench.json
  scripts/bench --peer-cmd 'valkey-server --port {port} --save ""'
"""

PARTS = ("commands", "memory", "swaps", "commit", "defrag", "snapshot", "log")


@dataclass(frozen=True)
class Options:
    """See `parse` for what each means."""

    repeats: int
    scale: float
    keys: int
    defrag_keys: int
    clients: int
    parts: tuple[str, ...]
    rows: str
    full: bool
    server_bin: Path
    logic_a: Path
    logic_b: Path
    server_cmd: str
    server_options: list[str]
    peer_cmd: str
    report: Path | None

    def wants(self, row: str) -> bool:
        """Whether a row of this name is among those that were asked for."""
        return any(part.strip().lower() in row.lower() for part in self.rows.split(","))

    @property
    def upgradable(self) -> bool:
        return not self.server_cmd


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="This server beside redis-server, taking turns.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_arguments(parser)
    given = vars(parser.parse_args(arguments))
    if given.pop("quick"):
        given.update(scale=given["scale"] * 0.2)
    given["parts"] = tuple(given["parts"].split(","))
    if unknown := set(given["parts"]) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    given["server_options"] = given["server_options"].split()
    return Options(**given)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--quick", action="store_true", help="a fifth of the requests: a few minutes")
    add("--full", action="store_true", help="with 10^7 keys and 10,000 clients for commit times")
    add("--repeats", type=int, default=3, help="runs of each row on each server (3)")
    add("--scale", type=float, default=1.0, help="times the usual number of requests (1)")
    add("--keys", type=int, default=1_000_000, help="random keys in use (1,000,000)")
    add("--defrag-keys", type=int, default=2_000_000,
        help="keys of which nine in ten are deleted in the part defrag (2,000,000)")
    add("--clients", type=int, default=50, help="connections of the load generator (50)")
    add("--parts", default=",".join(PARTS), help=f"which of {','.join(PARTS)}")
    add("--rows", default="", help="only rows whose name contains one of these, separated by commas")
    add("--server-bin", type=Path, default=paths.SHELL, help="the `shell` binary")
    add("--logic-a", type=Path, default=paths.LOGIC_V1, help="library to serve with")
    add("--logic-b", type=Path, default=paths.LOGIC_V2, help="library to swap with")
    add("--server-options", default="", help="more options for `shell serve`, in one argument")
    add("--server-cmd", default="", help="measure this instead; {port} in it is replaced")
    add("--peer-cmd", default="", help="the peer, instead of redis-server; {port} as above")
    add("--report", type=Path, help="write a JSON report here")

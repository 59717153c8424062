"""The command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from harness import paths
from soak.actors import KINDS

# Kinds of work of which each client knows alone what its keys are.
_ALONE = ("StringValues", "ListValues", "HashValues", "SetValues", "SortedSetValues", "Counts",
          "Scripts", "Functions", "Pipelines", "Transactions", "Immortal", "LargeValues")

_EPILOG = """\
exit status:
  0  nothing fell short
  1  a wrong reply, a lost or doubled message, a disconnect, a failed upgrade, or a leak
  2  the soak itself could not run

examples:
  scripts/soak --quick
  scripts/soak --upgrades 10000 --interval-ms 100 --clients 200 --report soak.json
  scripts/soak --upgrades 500 --via cycle --window-s 0      (about 1,000 full cycles)
  scripts/soak --no-upgrade --server-cmd 'redis-server --port {port} --save ""' --seconds 30
"""


@dataclass(frozen=True)
class Options:
    """See `parse` for what each means."""

    clients: int
    seconds: float
    upgrades: int
    interval_ms: float
    window_s: float
    think_ms: float
    processes: int
    keys: int
    probe_rate: float
    seed: int
    node: bool
    replay: bool
    work: tuple[str, ...]
    upgrade: bool
    replace_every: float
    kill_every: float
    crash_every: float
    via: str
    server_bin: Path
    server_cmd: str
    port: int
    pid: int
    admin: Path | None
    logic_a: Path
    logic_b: Path
    report: Path | None


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description="Checked work by real clients while logic is swapped.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_work(parser)
    _add_upgrades(parser)
    _add_server(parser)
    given = vars(parser.parse_args(arguments))
    if given.pop("quick"):
        _make_quick(given)
        given["replay"] |= _is_own(given)
    if not given["upgrade"]:
        given["upgrades"] = 0
    if given["replay"] and not _is_own(given):
        parser.error("--replay needs the server that the soak starts itself")
    if any(given[f"{what}_every"] for what in ("replace", "kill", "crash")) and not _is_own(given):
        parser.error("--replace-every, --kill-every and --crash-every need the server that the soak "
                     "starts itself")
    if given["kill_every"] or given["crash_every"]:
        _make_rough(given)
    if unknown := set(given["work"]) - set(KINDS):
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    if given["port"] and not given["pid"]:
        parser.error("--port needs --pid, the process whose memory and descriptors are watched")
    return Options(**given)


def _is_own(given: dict) -> bool:
    return not given["server_cmd"] and not given["port"]


def _make_quick(given: dict) -> None:
    given.update(seconds=20.0, upgrades=0, clients=min(given["clients"], 80), keys=20_000)
    given.update(window_s=2.5 if given["window_s"] else 0.0, processes=min(given["processes"], 2))


def _make_rough(given: dict) -> None:
    """What relies on messages between clients, or counts what all have done, is left out: a server that
    ends at any moment may lose the one, and nobody knows of the other."""
    given.update(node=False, probe_rate=0.0, replay=False)
    given["work"] = tuple(kind for kind in given["work"] if kind in _ALONE)
    if given["crash_every"]:
        given.update(logic_a=paths.FAULTY, upgrade=False)


def _add_work(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--clients", type=int, default=200, help="connections that do checked work (200)")
    add("--seconds", type=float, default=60.0, help="how long, unless --upgrades says (60)")
    add("--think-ms", type=float, default=20.0,
        help="mean pause of a client between steps; 0: as fast as it can (20)")
    add("--processes", type=int, default=3, help="Python processes that hold the clients (3)")
    add("--keys", type=int, default=100_000, help="keys that nobody touches, checked at the end")
    add("--probe-rate", type=float, default=500.0,
        help="requests a second of the latency probe; 0: none (500)")
    add("--seed", type=int, default=1, help="of all random choices (1)")
    add("--work", default=",".join(KINDS), type=lambda text: tuple(text.split(",")),
        help="only these kinds of work: " + ", ".join(KINDS))
    add("--no-node", dest="node", action="store_false", help="no ioredis clients")
    add("--replay", action="store_true",
        help="keep all effects in a file, apply them to an empty server at the end, and compare")
    add("--quick", action="store_true", help="20 s with at most 80 clients, and --replay")
    add("--report", type=Path, help="write a JSON report here")


def _add_upgrades(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--upgrades", type=int, default=0, help="stop after so many upgrades")
    add("--interval-ms", type=float, default=100.0, help="from one upgrade to the next (100)")
    add("--window-s", type=float, default=5.0,
        help="length of the windows with and without upgrades that alternate, so that latencies "
             "can be compared; 0: upgrades all the time (5)")
    add("--via", choices=("cli", "admin", "wire", "cycle"), default="cli",
        help="how upgrades are asked for: `shell upgrade`, the admin socket, SHELL UPGRADE, or full "
             "cycles of shadow, canary and probation, of which at random each is rolled back or final")
    add("--no-upgrade", dest="upgrade", action="store_false",
        help="never upgrade: a baseline, for this or any other server")
    add("--replace-every", type=float, default=0.0, metavar="S",
        help="have the shell replaced by itself every S seconds on average; 0: never (0)")
    add("--kill-every", type=float, default=0.0, metavar="S",
        help="kill the process that serves every S seconds on average; work that relies on messages "
             "between clients is left out, and the arena checked each time (0)")
    add("--crash-every", type=float, default=0.0, metavar="S",
        help="as --kill-every, by commands that write anywhere, fill the stack, abort, exit or never "
             "end; without upgrades, as only the fixture `faulty` has them (0)")
    add("--logic-a", type=Path, default=paths.LOGIC_V1, help="library to start with")
    add("--logic-b", type=Path, default=paths.LOGIC_V2, help="library to alternate with")


def _add_server(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--server-bin", type=Path, default=paths.SHELL, help="the `shell` binary")
    add("--server-cmd", default="", help="start this instead; {port} in it is replaced")
    add("--port", type=int, default=0, help="use the server that already listens there")
    add("--pid", type=int, default=0, help="its process, with --port")
    add("--admin", type=Path, help="its admin socket, with --port")

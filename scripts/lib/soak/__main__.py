"""Runs the soak: server, clients, upgrades, and the report."""

import contextlib
import json
import sys
import time

from harness import children, procfs, upgrade
from harness.alternator import Alternator
from harness.schedule import Schedule, now
from harness.server import (
    CustomServer,
    ForeignServer,
    Server,
    ShellServer,
    allow_many_files,
)
from soak import keys, options, report, watch
from soak.disturber import Disturber, unsound
from soak.load import Load
from soak.options import Options
from soak.progress import Progress
from soak.replay import Replay
from soak.report import Findings

_LEAD_S = 1.0


def make_server(opts: Options) -> Server:
    if opts.port:
        return ForeignServer(opts.port, opts.pid)
    if opts.server_cmd:
        return CustomServer(opts.server_cmd)
    is_rough = opts.kill_every or opts.crash_every
    more = ["--crashes-max", "1000000", "--check-recovered", "yes"] if is_rough else []
    return ShellServer(opts.server_bin, opts.logic_a, more)


def make_disturber(opts: Options, server: Server, alternator: Alternator | None) -> Disturber | None:
    if not isinstance(server, ShellServer):
        return None
    intervals = {"replace": opts.replace_every, "kill": opts.kill_every, "crash": opts.crash_every}
    return Disturber(server, alternator, intervals, opts.seed) if any(intervals.values()) else None


def make_alternator(opts: Options, server: Server, schedule: Schedule) -> Alternator | None:
    if not opts.upgrade:
        return None
    admin = server.admin if isinstance(server, ShellServer) else opts.admin
    upgrader = upgrade.make(opts.via, opts.server_bin, admin, server.port, opts.seed)
    libraries = (opts.logic_a.resolve(), opts.logic_b.resolve())
    return Alternator(upgrader, libraries, schedule, opts.interval_ms / 1000, opts.upgrades)


def run(opts: Options, server: Server) -> Findings:
    with contextlib.ExitStack() as stack:
        wanted = opts.replay and isinstance(server, ShellServer)
        replay = stack.enter_context(Replay(server)) if wanted else None
        found = run_load(opts, server)
        if replay and server.alive():
            found.replayed = replay.shortcomings()
    return found


def run_load(opts: Options, server: Server) -> Findings:
    keys.preload(server.port, opts.keys)
    start = watch.first_sample(server.pid)
    with Load(opts, server.port) as load:
        load.connect()
        loaded = procfs.sample(server.pid)
        before = keys.connected(server.port)
        schedule = Schedule(now() + _LEAD_S, opts.window_s)
        alternator = make_alternator(opts, server, schedule)
        disturber = make_disturber(opts, server, alternator)
        pid = server.serving_now if disturber else lambda: server.pid
        watcher = watch.Watch(pid, lambda: alternator.done if alternator else 0)
        load.begin(schedule.start)
        watcher.start()
        if disturber:
            disturber.start()
        work(opts, server, load, alternator, watcher)
        if disturber:
            disturber.stop()
        reconnected = missing(before, server) if not opts.kill_every and not opts.crash_every else []
        if alternator:
            alternator.stop()
        outcome = load.finish()
        seconds = now() - schedule.start
        watcher.stop()
    found = Findings(opts, outcome, seconds, alternator, start, loaded, watcher.settled(),
                     watcher.end(), None, reconnected)
    found.disturber = disturber
    if disturber:
        found.unsound = unsound(server.log.read_text(errors="replace"))
        server.serving_now()
    conclude(found, server)
    return found


def work(opts: Options, server: Server, load: Load, alternator: Alternator | None,
         watcher: watch.Watch) -> None:
    """Until the time is over, the upgrades are done, or the server is gone."""
    progress = Progress(load, alternator, watcher)
    deadline = now() + opts.seconds
    if alternator:
        alternator.start()
    while server.alive():
        time.sleep(0.2)
        progress.show()
        if alternator and alternator.finished():
            break
        if not opts.upgrades and now() > deadline:
            break
    progress.end()


def missing(before: dict[str, str], server: Server) -> list[str]:
    """Names of connections that are no longer those from before the first upgrade."""
    if not server.alive():
        return sorted(before)
    today = keys.connected(server.port)
    return sorted(name for name, id_ in before.items() if today.get(name) != id_)


def conclude(found: Findings, server: Server) -> None:
    """What can be checked only when all clients are gone."""
    if not server.alive():
        found.server_died = server.log_tail() or "(nothing)"
        return
    found.keys_changed = keys.changed(server.port, found.options.keys)
    # Nobody knows what of a command was done during which the server ended.
    if not found.options.kill_every and not found.options.crash_every:
        found.wrong_sums = keys.wrong_sums(server.port, found.outcome.sums)
    found.after = watch.calm_sample(server.pid, report.fds_at_rest(found))


def main() -> int:
    children.end_on_sigterm()
    allow_many_files()
    opts = options.parse(sys.argv[1:])
    with make_server(opts) as server:
        print(f"{server.name} at port {server.port}, process {server.pid}")
        # Of a server of its own all keys may go.
        at_start = keys.memory_in_use(server.port) if isinstance(server, ShellServer) else None
        found = run(opts, server)
        if at_start is not None and server.alive():
            found.left_behind = keys.memory_without_keys(server.port) - at_start
    short = report.shortcomings(found)
    report.show(found, short)
    if opts.report:
        opts.report.write_text(json.dumps(report.as_json(found, short), indent=2) + "\n")
    return 1 if short else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")

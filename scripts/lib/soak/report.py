"""What the soak found: for people, for programs, and as an exit status."""

import os
from dataclasses import dataclass, field
from typing import Any

from harness import table
from harness.alternator import Alternator
from harness.histogram import Histogram, exact_summary
from harness.procfs import Sample
from harness.schedule import CALM, SWAP
from harness.table import count, mebibytes, micros
from harness.tally import COMMANDS, DISCONNECTED, DOUBLED, INTERRUPTED, LOST, MESSAGES, WRONG
from soak.disturber import Disturber
from soak.load import Outcome
from soak.options import Options

# From the middle of the run to its end; the clients' data come and go.
RSS_GROWTH_MAX = 1.25
PRIVATE_GROWTH_MAX = 1 << 20
# What one release keeps in memory alone may need a mapping more than that of another.
MAPS_SPREAD = 1
# Two threads that begin with the first shadow have a heap of their own, of two mappings each.
MAPS_OF_SHADOWS = 4
# What stays once all keys are gone: counters of commands that were run for the first time.
LEFT_BEHIND_MAX = 2 << 20
# Of the effects stream, while it is read: memory of the process as it is first written.
RING_BYTES = 16 << 20


@dataclass
class Findings:
    """All there is to report."""

    options: Options
    outcome: Outcome
    seconds: float
    upgrades: Alternator | None
    start: Sample
    loaded: Sample
    settled: Sample | None
    end: Sample | None
    after: Sample | None
    reconnected: list[str] = field(default_factory=list)
    keys_changed: int = 0
    wrong_sums: list[str] = field(default_factory=list)
    replayed: list[str] | None = None
    left_behind: int | None = None
    server_died: str = ""
    disturber: Disturber | None = None
    unsound: list[str] = field(default_factory=list)


def shortcomings(found: Findings) -> list[str]:
    """Everything that fell short, in words; empty if nothing did."""
    counts = found.outcome.counts
    short = [f"{count(counts[what])} {label}" for what, label in (
        (WRONG, "wrong replies"), (LOST, "lost messages"), (DOUBLED, "doubled messages"),
        (DISCONNECTED, "disconnects"), ("stuck", "processes of clients that came to no end"),
    ) if counts[what]]
    if found.server_died:
        short.append("the server died")
    if found.reconnected:
        short.append(f"connections replaced unseen: {', '.join(found.reconnected[:5])}")
    if found.keys_changed:
        short.append(f"{count(found.keys_changed)} untouched keys changed")
    short += found.wrong_sums + (found.replayed or [])
    short += found.unsound + _disturber_shortcomings(found)
    return short + _upgrade_shortcomings(found) + _leaks(found)


def _disturber_shortcomings(found: Findings) -> list[str]:
    disturber = found.disturber
    if disturber is None:
        return []
    short = [f"a disturbance failed: {failure}" for failure in disturber.failures[:3]]
    short += [f"there was no {kind}" for kind in disturber.intervals if not disturber.done[kind]]
    # One command a worker may have been at it.
    ends = disturber.done["kill"] + disturber.done["crash"]
    allowed = ends * (os.cpu_count() or 1) + disturber.done["crash"]
    interrupted = found.outcome.counts[INTERRUPTED]
    if interrupted > allowed:
        short.append(f"{interrupted} commands were broken off by {ends} ends of the server")
    return short


def _upgrade_shortcomings(found: Findings) -> list[str]:
    upgrades = found.upgrades
    if upgrades is None:
        return []
    short = [f"{len(upgrades.failures)} upgrades failed"] if upgrades.failures else []
    if upgrades.retirements["pinned"]:
        short.append(f"{upgrades.retirements['pinned']} old libraries stayed mapped")
    if upgrades.leaked_bytes:
        short.append(f"old logic left {count(upgrades.leaked_bytes)} bytes behind")
    if upgrades.done < max(1, found.options.upgrades):
        short.append(f"only {upgrades.done} upgrades were made")
    return short


def fds_at_rest(found: Findings) -> int:
    """Descriptors that the server should have when all clients are gone."""
    # The image that a rollback would bring back stays open beside the one that serves, and so do the
    # audit log and its folder, which the first upgrade makes.
    kept = 3 if found.upgrades and found.upgrades.done else 0
    return found.start.fds + kept


def _leaks(found: Findings) -> list[str]:
    if found.upgrades is None or found.after is None or found.disturber is not None:
        return []
    short = []
    for name in ("maps", "fds", "threads"):
        after = getattr(found.after, name)
        want = fds_at_rest(found) if name == "fds" else getattr(found.start, name)
        spread = _maps_spread(found) if name == "maps" else 0
        if abs(after - want) > spread:
            short.append(f"{name}: {after} after the last client, {want} expected")
    return short + _memory_shortcomings(found)


def _maps_spread(found: Findings) -> int:
    return MAPS_SPREAD + (MAPS_OF_SHADOWS if found.options.via == "cycle" else 0)


def _memory_shortcomings(found: Findings) -> list[str]:
    short = []
    if found.left_behind is not None and found.left_behind > LEFT_BEHIND_MAX:
        short.append(f"{mebibytes(found.left_behind)} more memory in use without any key than before")
    settled, end = found.settled, found.end
    if settled is None or end is None:
        return short
    ring = RING_BYTES if found.replayed is not None else 0
    if end.rss > settled.rss * RSS_GROWTH_MAX + ring:
        growth = 100 * end.rss / settled.rss - 100
        short.append(f"memory grew by {growth:.1f} % in the second half")
    if end.rss_shmem and end.rss_anon > settled.rss_anon + PRIVATE_GROWTH_MAX + ring:
        growth = end.rss_anon - settled.rss_anon
        short.append(f"private memory grew by {mebibytes(growth)} in the second half")
    return short


def as_json(found: Findings, short: list[str]) -> dict[str, Any]:
    counts = found.outcome.counts
    return {
        "result": "short" if short else "ok",
        "shortcomings": short,
        "seconds": round(found.seconds, 1),
        "clients": found.options.clients,
        "seed": found.options.seed,
        "commands": counts[COMMANDS],
        "messages": counts[MESSAGES],
        "wrong_replies": counts[WRONG],
        "lost": counts[LOST],
        "doubled": counts[DOUBLED],
        "disconnects": counts[DISCONNECTED],
        "interrupted": counts[INTERRUPTED],
        "disturbances": dict(found.disturber.done) if found.disturber else {},
        "unserved_us": found.disturber.unserved_us if found.disturber else [],
        "reconnected": found.reconnected,
        "untouched_keys_changed": found.keys_changed,
        "replayed": None if found.replayed is None else not found.replayed,
        "upgrades": _upgrades_json(found.upgrades),
        "latency_us": {
            "clients": {kind: h.summary() for kind, h in found.outcome.clients.items()},
            "probe": {kind: h.summary() for kind, h in found.outcome.probe.items()},
        },
        "server": {
            name: sample.as_dict() if sample else None
            for name, sample in _samples(found)
        },
        "failures": found.outcome.failures,
    }


def _upgrades_json(upgrades: Alternator | None) -> dict[str, Any] | None:
    if upgrades is None:
        return None
    return {
        "done": upgrades.done,
        "failures": upgrades.failures,
        "old_logic": dict(upgrades.retirements),
        "leaked_bytes": upgrades.leaked_bytes,
        "commit_us": exact_summary(upgrades.commit_us),
        "total_us": exact_summary(upgrades.total_us),
    }


def _samples(found: Findings) -> list[tuple[str, Sample | None]]:
    return [
        ("start", found.start), ("with clients", found.loaded),
        ("half-way", found.settled), ("at the end", found.end),
        ("clients gone", found.after),
    ]


def show(found: Findings, short: list[str]) -> None:
    counts = found.outcome.counts
    print(f"\n{count(counts[COMMANDS])} commands and {count(counts[MESSAGES])} messages checked in "
          f"{found.seconds:.0f} s, {found.options.clients} clients")
    _show_upgrades(found.upgrades)
    _show_disturbances(found)
    print(table.render(("", "found"), [
        ("wrong replies", count(counts[WRONG])), ("lost messages", count(counts[LOST])),
        ("doubled messages", count(counts[DOUBLED])),
        ("disconnects", count(counts[DISCONNECTED] + len(found.reconnected))),
        ("untouched keys changed", count(found.keys_changed)),
        *([("differences after a replay", count(len(found.replayed)))]
          if found.replayed is not None else []),
    ]))
    _show_latencies(found)
    _show_server(found)
    if found.left_behind is not None:
        print(f"\nwithout any key: {mebibytes(found.left_behind)} more memory in use than before")
    _show_failures(found)
    print("\nResult: " + ("nothing fell short" if not short else "FELL SHORT"))
    for line in short:
        print(f"  {line}")


def _show_upgrades(upgrades: Alternator | None) -> None:
    if upgrades is None:
        print("no upgrades\n")
        return
    commit, total = exact_summary(upgrades.commit_us), exact_summary(upgrades.total_us)
    print(f"{count(upgrades.done)} upgrades, {len(upgrades.failures)} failed; "
          f"commit p50 {micros(commit['p50'])}, max {micros(commit['max'])}; "
          f"from request to report p50 {micros(total['p50'])}\n")


def _show_disturbances(found: Findings) -> None:
    disturber = found.disturber
    if disturber is None:
        return
    done = ", ".join(f"{kind} {count(number)}" for kind, number in disturber.done.items())
    print(f"disturbances: {done or 'none'}; "
          f"{count(found.outcome.counts[INTERRUPTED])} commands were broken off")
    if disturber.unserved_us:
        unserved = exact_summary(disturber.unserved_us)
        print(f"nobody served for p50 {micros(unserved['p50'])}, max {micros(unserved['max'])} "
              "while the shell was replaced")
    print()


def _show_latencies(found: Findings) -> None:
    rows = []
    for who, latency in (("clients", found.outcome.clients), ("probe", found.outcome.probe)):
        if latency[SWAP].count():
            rows += _latency_rows(who, latency)
    headings = ("latency", "commands", "p50", "p99", "p99.9", "max")
    print("\n" + table.render(headings, rows))


def _latency_rows(who: str, latency: dict[str, Histogram]) -> list[tuple[str, ...]]:
    rows = []
    for kind, label in ((SWAP, "with swaps"), (CALM, "without")):
        h = latency[kind]
        if h.count():
            rows.append((f"{who}, {label}", count(h.count()), *(
                micros(h.percentile(p)) for p in (50, 99, 99.9)), micros(h.max)))
    if latency[CALM].count():
        ratios = (latency[SWAP].percentile(p) / max(1.0, latency[CALM].percentile(p))
                  for p in (50, 99, 99.9))
        rows.append((f"{who}, ratio", "", *(f"{ratio:.3f}" for ratio in ratios), ""))
    return rows


def _show_server(found: Findings) -> None:
    rows = [
        (name, mebibytes(s.rss), mebibytes(s.rss_anon), count(s.maps), count(s.libraries),
         count(s.threads), count(s.fds))
        for name, s in _samples(found) if s
    ]
    headings = ("server", "RSS", "of it private", "maps", "images", "threads", "descriptors")
    print("\n" + table.render(headings, rows))


def _show_failures(found: Findings) -> None:
    failures = found.outcome.failures + (found.upgrades.failures if found.upgrades else [])
    if failures:
        print("\nFirst failures:")
    for failure in failures[:20]:
        print(f"  {failure}")
    if found.server_died:
        print(f"\nThe server's log ends with:\n{found.server_died}")

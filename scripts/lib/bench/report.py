"""The bench's tables."""

import statistics
from typing import Any

from harness import table
from harness.table import count, micros

_LATENCIES = ("p50_us", "p99_us", "p999_us")


def show_commands(results: list[dict[str, Any]], peer: str) -> None:
    print(f"\nThroughput and server CPU time, beside {peer}")
    headings = ("", "requests/s", "peer's", "ratio", "CPU/request", "peer's", "ratio")
    print(table.render(headings, [_cost_row(result) for result in results]))
    print(f"\nLatency under full load, beside {peer}")
    headings = ("", "p50", "p99", "p99.9", "peer's p50", "p99", "p99.9")
    print(table.render(headings, [_latency_row(result) for result in results]))


def _cost_row(result: dict[str, Any]) -> tuple[str, ...]:
    ours, peer = result["server"], result["peer"]
    return (
        result["row"], count(ours["requests_per_s"]), count(peer["requests_per_s"]),
        f"{result['throughput_ratio']:.2f}", f"{ours['cpu_us']:.2f} us",
        f"{peer['cpu_us']:.2f} us", f"{result['cpu_ratio']:.2f}",
    )


def _latency_row(result: dict[str, Any]) -> tuple[str, ...]:
    cells = [micros(result[who][name]) for who in ("server", "peer") for name in _LATENCIES]
    return (result["row"], *cells)


def show_memory(result: dict[str, Any], peer: str) -> None:
    print(f"\nMemory of {count(result['number'])} {result['what']}")
    print(table.render(("", "empty", "with them", "bytes each"), [
        _memory_row("this server", result["server"]), _memory_row(peer, result["peer"]),
        ("ratio", "", "", f"{result['ratio']:.2f}"),
    ]))


def _memory_row(name: str, result: dict[str, float]) -> tuple[str, ...]:
    return (name, table.mebibytes(result["empty_rss"]), table.mebibytes(result["full_rss"]),
            f"{result['bytes_each']:.1f}")


def show_connections(result: dict[str, Any], peer: str) -> None:
    print(f"\nMemory of {count(result['connections'])} idle connections, without the kernel's")
    print(table.render(("", "bytes per connection"), [
        ("this server", count(result["server"])), (peer, count(result["peer"])),
        ("ratio", f"{result['ratio']:.2f}"),
    ]))


def show_swaps(result: dict[str, Any]) -> None:
    print(f"\nGET with a swap every {result['interval_ms']:.0f} ms, and without "
          "(medians of runs that take turns; ± is half the middle half's width)")
    rows = []
    for name, load in result["loads"].items():
        rows += [_swap_row(f"{name} load, with swaps", load["with"]),
                 _swap_row(f"{name} load, without", load["without"]),
                 _swap_ratios(f"{name} load, ratio", load["ratios"])]
    print(table.render(("", "requests/s", "p50", "p99", "p99.9", "±", "max"), rows))
    commit, total = result["commit_us"], result["total_us"]
    print(f"  {count(result['upgrades'])} upgrades; commit p50 {micros(commit['p50'])}, "
          f"max {micros(commit['max'])}; request to report p50 {micros(total['p50'])}")
    for failure in result["failures"][:5]:
        print(f"  FAILED: {failure}")


def _swap_row(label: str, runs: list[dict[str, float]]) -> tuple[str, ...]:
    def median(figure: str) -> float:
        return statistics.median(run[figure] for run in runs)

    return (label, count(median("requests_per_s")), micros(median("p50_us")),
            micros(median("p99_us")), micros(median("p999_us")), micros(_spread(runs)),
            micros(median("max_us")))


def _spread(runs: list[dict[str, float]]) -> float:
    low, _, high = statistics.quantiles((run["p999_us"] for run in runs), n=4)
    return (high - low) / 2


def _swap_ratios(label: str, ratios: dict[str, float]) -> tuple[str, ...]:
    cells = [f"{ratios[figure]:.3f}" for figure in ("requests_per_s", *_LATENCIES)]
    return (label, *cells, "", f"{ratios['max_us']:.3f}")


def show_commit(result: dict[str, Any]) -> None:
    print("\nTime to commit, by keys and by clients (medians of 20 upgrades)")
    rows = [(f"{count(entry['keys'])} keys", *_commit_cells(entry)) for entry in result["by_keys"]]
    rows += [(f"{count(entry['clients'])} clients", *_commit_cells(entry))
             for entry in result["by_clients"]]
    print(table.render(("", "commit", "slowest", "request to report"), rows))


def _commit_cells(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(micros(entry[name])
                 for name in ("commit_us_median", "commit_us_max", "total_us_median"))


_SAMPLES_SHOWN = 12


def show_defrag(result: dict[str, Any]) -> None:
    print(f"\nMemory after nine in ten of {count(result['keys'])} keys are deleted by chance")
    rows = [_usage_row(name, result[name]) for name in ("full", "scattered")]
    samples = result["samples"]
    step = max(1, len(samples) // _SAMPLES_SHOWN)
    rows += [_usage_row(f"{at:.1f} s", {"rss": rss, "used": used, "ratio": rss / used})
             for at, rss, used in samples[::step]]
    rows.append(_usage_row("after", result["after"]))
    print(table.render(("", "RSS", "in use", "ratio"), rows))
    reached = result["within_target_s"]
    print("  RSS within 1.3 of what is in use "
          + ("never" if reached is None else f"after {reached:.1f} s")
          + f"; {count(result['active_defrag_hits'])} allocations moved, "
          f"{count(result['active_defrag_misses'])} looked at and left")
    rows = [_swap_row(name, result[name]) for name in ("before", "during")
            if len(result[name]) > 1]
    print(table.render(("GET", "requests/s", "p50", "p99", "p99.9", "±", "max"), rows))
    print(f"  p99.9 during over before: {result['p999_ratio']:.2f}")


def _usage_row(name: str, usage: dict[str, float]) -> tuple[str, ...]:
    return (name, table.mebibytes(usage["rss"]), table.mebibytes(usage["used"]),
            f"{usage['ratio']:.2f}")


def show_snapshot(result: dict[str, Any]) -> None:
    print(f"\nA snapshot of {count(result['server']['keys'])} keys; memory and latency with "
          "20,000 writes a second")
    headings = ("", "resident", "on top", "save", "CPU", "p99.9 without", "during", "longest",
                "start")
    rows = [_snapshot_row("this server", result["server"]), _snapshot_row("peer", result["peer"])]
    print(table.render(headings, rows))
    ratios = result["ratios"]
    print(f"  CPU {ratios['cpu']:.2f} of the peer's, start {ratios['start']:.2f}; p99.9 during "
          f"over without {ratios['p999']:.2f}, the peer's {ratios['peer_p999']:.2f}")


def _snapshot_row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    without, during = found["without"], found["during"]
    return (
        name, table.mebibytes(found["resident"]), table.mebibytes(found["on_top"]),
        f"{found['save_s']:.1f} s", f"{found['cpu_s']:.2f} s", micros(without["p999_us"]),
        micros(during["p999_us"]),
        f"{micros(during['max_us'])} ({micros(without['max_us'])})", f"{found['start_s']:.2f} s",
    )


def show_log(result: dict[str, Any]) -> None:
    print("\nSET of 64 bytes with an append-only log (medians)")
    rows = [(name, *(f"{statistics.median(result[who][kind]):.2f} us" for kind in
                     ("off", "everysec")), count(statistics.median(result[who]["always"])))
            for name, who in (("this server", "server"), ("peer", "peer"))]
    headings = ("", "CPU/request P16 without", "everysec", "requests/s P1 always")
    print(table.render(headings, rows))
    ratios = result["ratios"]
    print(f"  everysec over without {ratios['everysec']:.2f}, the peer's "
          f"{ratios['peer_everysec']:.2f}; over the peer's {ratios['everysec_over_peer']:.2f}; "
          f"always {ratios['always_over_peer']:.2f} of the peer's throughput")

"""The bench's tables."""

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
    ours, other = result["server"], result["peer"]
    print(f"\nMemory of {count(result['keys'])} keys of 16 bytes with values of 64")
    print(table.render(("", "empty", "with keys", "bytes per key"), [
        _memory_row("this server", ours), _memory_row(peer, other),
        ("ratio", "", "", f"{result['ratio']:.2f}"),
    ]))


def _memory_row(name: str, result: dict[str, float]) -> tuple[str, ...]:
    return (name, table.mebibytes(result["empty_rss"]), table.mebibytes(result["full_rss"]),
            f"{result['bytes_per_key']:.1f}")


def show_connections(result: dict[str, Any], peer: str) -> None:
    print(f"\nMemory of {count(result['connections'])} idle connections, without the kernel's")
    print(table.render(("", "bytes per connection"), [
        ("this server", count(result["server"])), (peer, count(result["peer"])),
        ("ratio", f"{result['ratio']:.2f}"),
    ]))


def show_swaps(result: dict[str, Any]) -> None:
    light, full = result["light"], result["full"]
    print(f"\nLatency with a swap every {result['interval_ms']:.0f} ms, and without")
    rows = [
        ("light load, with swaps", *_summary_cells(light["with_us"])),
        ("light load, without", *_summary_cells(light["without_us"])),
        ("light load, ratio of p99.9", "", "", f"{light['p999_ratio']:.3f}", ""),
    ]
    rows += [_run_row("full load, with swaps", run) for run in full["with"]]
    rows += [_run_row("full load, without", run) for run in full["without"]]
    rows.append(("full load, ratio of p99.9", "", "", f"{full['p999_ratio']:.3f}", ""))
    print(table.render(("", "p50", "p99", "p99.9", "max"), rows))
    commit = light["commit_us"]
    print(f"  {count(light['upgrades'] + full['upgrades'])} upgrades; under light load commit "
          f"p50 {micros(commit['p50'])}, max {micros(commit['max'])}")
    for failure in light["failures"][:5]:
        print(f"  FAILED: {failure}")


def _summary_cells(summary: dict[str, float]) -> tuple[str, ...]:
    return tuple(micros(summary[name]) for name in ("p50", "p99", "p99.9", "max"))


def _run_row(label: str, run: dict[str, float]) -> tuple[str, ...]:
    return (label, *(micros(run[name]) for name in (*_LATENCIES, "max_us")))


def show_commit(result: dict[str, Any]) -> None:
    print("\nTime to commit, by keys and by clients (medians of 20 upgrades)")
    rows = [(f"{count(entry['keys'])} keys", *_commit_cells(entry)) for entry in result["by_keys"]]
    rows += [(f"{count(entry['clients'])} clients", *_commit_cells(entry))
             for entry in result["by_clients"]]
    print(table.render(("", "commit", "slowest", "request to report"), rows))


def _commit_cells(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(micros(entry[name])
                 for name in ("commit_us_median", "commit_us_max", "total_us_median"))

"""What is told at the end."""

from collections import Counter
from dataclasses import dataclass

from harness import table
from harness.histogram import Histogram
from harness.table import count, micros
from harness.upgrade import Upgrade

# A request that begins this long before or after a commit is one "during the swap".
NEAR_S = 0.1


@dataclass(frozen=True)
class Chapter:
    """A stretch of time under one release. `upgrade` is how it began; the first has none."""

    began: float
    release: str
    upgrade: Upgrade | None
    ifeq: str


def tell(chapters: list[Chapter], ended: float, requests: list[tuple[float, int]],
         counts: Counter[str]) -> None:
    rows = []
    for chapter, end in zip(chapters, [c.began for c in chapters[1:]] + [ended], strict=True):
        during = _latencies(requests, chapter.began, end)
        rows.append(_row(chapter, during, requests))
    headings = ("what happened", "commit", "clients", "keys", "requests", "p99", "p99 in the swap",
                "SET … IFEQ")
    print("\n" + table.render(headings, rows) + "\n")
    print(f"  {count(len(requests))} requests, each reply checked:  "
          f"wrong replies {counts['wrong']},  lost {counts['lost']},  "
          f"disconnects {counts['disconnects']}\n")


def _row(chapter: Chapter, during: Histogram, requests: list[tuple[float, int]]) -> tuple[str, ...]:
    upgrade = chapter.upgrade
    if upgrade is None:
        start = (f"serve {chapter.release}", "", "", "")
        near = ""
    else:
        start = (f"upgrade to {chapter.release}", micros(upgrade.commit_us),
                 count(upgrade.clients), count(upgrade.keys))
        swap = _latencies(requests, chapter.began - NEAR_S, chapter.began + NEAR_S)
        near = micros(swap.percentile(99))
    return (*start, count(during.count()), micros(during.percentile(99)), near, chapter.ifeq)


def _latencies(requests: list[tuple[float, int]], start: float, end: float) -> Histogram:
    histogram = Histogram()
    for began, us in requests:
        if start <= began < end:
            histogram.add(us)
    return histogram

"""What `/proc` tells of a process."""

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """A process at one moment. Memory in bytes."""

    rss: int
    rss_anon: int
    rss_shmem: int
    maps: int
    libraries: int
    threads: int
    fds: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def sample(pid: int) -> Sample:
    """Raises `FileNotFoundError` or `ProcessLookupError` if the process has ended."""
    status = _status(pid)
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return Sample(
        rss=status["VmRSS"] * 1024,
        rss_anon=status["RssAnon"] * 1024,
        rss_shmem=status["RssShmem"] * 1024,
        maps=len(maps),
        libraries=_images(maps),
        threads=status["Threads"],
        fds=len(os.listdir(f"/proc/{pid}/fd")),
    )


def rss(pid: int) -> int:
    """Resident memory in bytes, shared memory included."""
    return _status(pid)["VmRSS"] * 1024


def cpu_ns(pid: int) -> int:
    """Processor time used by all live threads, in nanoseconds."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return _cpu_ns_coarse(pid)
    return total


def family(pid: int) -> list[int]:
    """A process and its children, as it has while it forks to save."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_ns_of_family(pid: int) -> int:
    """Processor time of a process and its children, those that have ended included. In steps of
    a tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) * 1_000_000_000 // _TICKS


def pss(pid: int) -> int:
    """Resident memory in bytes; of what several processes have, a share. 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_ns_coarse(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // _TICKS


def _status(pid: int) -> dict[str, int]:
    wanted = ("VmRSS", "RssAnon", "RssShmem", "Threads")
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in wanted:
            found[name] = int(value.split()[0])
    return found


def _images(maps: list[str]) -> int:
    """Executable mappings of logic images, which run from sealed in-memory files."""
    return sum(1 for line in maps if " r-xp " in line and "memfd:" in line)

"""Everything a server did, applied to an empty one, which must then have the same data."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from harness import children, resp
from harness.server import ShellServer

_BATCH = 1000
_JOIN_S_MAX = 10.0
_CATCH_UP_S_MAX = 60.0


class Replay:
    """A reader of a server's effects, from before its first key on, that misses none: writers wait
    for it. A context manager that ends it."""

    def __init__(self, server: ShellServer) -> None:
        self.server = server
        self.path = server.dir / "effects"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Replay":
        command = [str(self.server.binary), "effects", "--follow", "--hold", "--from", "0",
                   "--format", "resp", "--admin", str(self.server.admin)]
        with self.path.open("wb") as out:
            self.process = children.spawn(command, stdout=out, stderr=subprocess.STDOUT)
        if not _before(_JOIN_S_MAX, lambda: _info(self.server.port)["effects_readers"] == "1"):
            raise SystemExit(f"`shell effects` does not read: {self.path.read_bytes()[:500]!r}")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            children.stop(self.process)

    def shortcomings(self) -> list[str]:
        """What differs, once nobody writes any more; empty if nothing does."""
        expected, end = self._at_rest()
        if not _before(_CATCH_UP_S_MAX, lambda: self.path.stat().st_size >= end):
            return [f"effects: {self.path.stat().st_size} of {end} bytes were read"]
        with ShellServer(self.server.binary, self.server.logic) as empty:
            failed = _apply(self.path, empty.port)
            got = _data(empty.port)
        short = [f"effects: {failed[0]}, and {len(failed) - 1} more failed"] if failed else []
        differ = sorted(key for key in expected.keys() | got.keys()
                        if expected.get(key) != got.get(key))
        if differ:
            short.append(f"effects lead to other data: {len(differ)} differences, first {differ[0]!r}")
        return short

    def _at_rest(self) -> tuple[dict[Any, Any], int]:
        """The data, and the position of the effect that led there last."""
        with resp.Connection(self.server.port) as connection:
            connection.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        while True:
            begin = self._position()
            data = _data(self.server.port)
            # Keys may still have expired meanwhile.
            if begin == (end := self._position()):
                return data, end

    def _position(self) -> int:
        return int(_info(self.server.port)["effects_position"])


def _before(seconds: float, holds: Any) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _info(port: int) -> dict[str, str]:
    with resp.Connection(port) as connection:
        lines = connection.call("INFO").decode().splitlines()
    return dict(line.partition(":")[::2] for line in lines)


def _data(port: int) -> dict[Any, Any]:
    """The digest of all databases, and of the first when each key ends and all that is remembered of
    streams. Nothing expires for it."""
    with resp.Connection(port) as connection:
        connection.call("DEBUG", "APPLY-EFFECTS", "1")
        data: dict[Any, Any] = {"digest": connection.call("DEBUG", "DIGEST")}
        keys = connection.call("KEYS", "*")
        for first in range(0, len(keys), _BATCH):
            batch = keys[first:first + _BATCH]
            times = connection.pipeline(("PEXPIRETIME", key) for key in batch)
            data.update((key.decode(errors="replace"), at)
                        for key, at in zip(batch, times, strict=True))
            kinds = connection.pipeline(("TYPE", key) for key in batch)
            streams = [key for key, kind in zip(batch, kinds, strict=True) if kind == b"stream"]
            told = connection.pipeline(("XINFO", "STREAM", key, "FULL", "COUNT", 0) for key in streams)
            data.update((f"stream {key!r}", _remembered(info))
                        for key, info in zip(streams, told, strict=True))
    return data


def _remembered(info: Any) -> Any:
    """What is told of a stream, without when consumers were there, which effects do not tell, and how
    entries are packed."""
    if not isinstance(info, list):
        return info
    left_out = (b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes")
    skipped = {at for at, part in enumerate(info) if isinstance(part, bytes) and part in left_out}
    return [_remembered(part) for at, part in enumerate(info)
            if at not in skipped and at - 1 not in skipped]


def _apply(path: Path, port: int) -> list[str]:
    """Applies effects. Returns what failed."""
    failed = []
    with resp.Connection(port) as connection, path.open("rb") as effects:
        connection.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        connection.call("DEBUG", "APPLY-EFFECTS", "1")
        for batch in _batches(effects):
            connection.sock.sendall(b"".join(batch))
            for effect in batch:
                if error := _error(connection.value()):
                    failed.append(f"{effect[:200]!r}: {error}")
    return failed


def _batches(effects: BinaryIO) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    while effect := _next(effects):
        batch.append(effect)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _next(effects: BinaryIO) -> bytes:
    """The bytes of an effect; empty at the end."""
    parts = [effects.readline()]
    for _ in range(int(parts[0][1:] or 0)):
        parts.append(effects.readline())
        parts.append(effects.read(int(parts[-1][1:]) + 2))
    return b"".join(parts)


def _error(reply: Any) -> str:
    """The first error in a reply, of a transaction's among them."""
    if isinstance(reply, list):
        return next((error for item in reply if (error := _error(item))), "")
    return str(reply) if isinstance(reply, resp.ReplyError) else ""

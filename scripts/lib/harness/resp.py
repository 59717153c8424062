"""A small RESP client: enough to drive any server where no client library is installed.

Also faster than one for bulk work: `Connection.send_raw` and `drain` move whole pipelines.
"""

import socket
from collections.abc import Iterable
from typing import Any, Self

Argument = str | bytes | int | float


class ReplyError(Exception):
    """An error reply."""


class Disconnected(Exception):
    """The server closed the connection."""


def encode(*args: Argument) -> bytes:
    """A command in the protocol's form."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class Connection:
    """One blocking connection. Errors in replies are raised by `call`, returned by `pipeline`."""

    def __init__(self, port: int, host: str = "127.0.0.1", protocol: int = 2,
                 timeout: float | None = 60.0) -> None:
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.sock.makefile("rb", buffering=1 << 16)
        if protocol == 3:
            self.call("HELLO", "3")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.sock.close()

    def call(self, *args: Argument) -> Any:
        """Sends one command and returns its reply."""
        self.send(*args)
        return self.reply()

    def send(self, *args: Argument) -> None:
        self.sock.sendall(encode(*args))

    def pipeline(self, commands: Iterable[tuple[Argument, ...]]) -> list[Any]:
        """Sends all commands at once; their replies, errors among them as values."""
        encoded = [encode(*command) for command in commands]
        self.sock.sendall(b"".join(encoded))
        return [self.value() for _ in encoded]

    def value(self) -> Any:
        """The next reply, an error as a value."""
        return self._read()

    def reply(self) -> Any:
        """The next reply; raises `ReplyError` if it is an error."""
        value = self._read()
        if isinstance(value, ReplyError):
            raise value
        return value

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise Disconnected("the server closed the connection")
        return line[:-2]

    def _bulk(self, length: int) -> bytes:
        data = self._file.read(length + 2)
        if len(data) != length + 2:
            raise Disconnected("the server closed the connection inside a reply")
        return data[:-2]

    def _read(self) -> Any:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in b"$=!":
            return None if rest == b"-1" else self._bulk_value(kind, int(rest))
        if kind in b"*~>":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        if kind in b"%|":
            return {_hashable(self._read()): self._read() for _ in range(int(rest))}
        return _scalar(kind, rest)

    def _bulk_value(self, kind: bytes, length: int) -> Any:
        data = self._bulk(length)
        return ReplyError(data.decode(errors="replace")) if kind == b"!" else data


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _scalar(kind: bytes, rest: bytes) -> Any:
    if kind == b"+":
        return rest
    if kind in b":(":
        return int(rest)
    if kind == b"-":
        return ReplyError(rest.decode(errors="replace"))
    if kind == b",":
        return float(rest)
    if kind == b"#":
        return rest == b"t"
    if kind == b"_":
        return None
    raise Disconnected(f"not a reply: {(kind + rest)[:60]!r}")

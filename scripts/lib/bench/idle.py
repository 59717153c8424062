"""Connections that have said something and now wait."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def connected(port: int, number: int) -> Iterator[None]:
    """So many connections, each of which has had a reply."""
    sockets = []
    try:
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", port), timeout=30.0)
            sockets.append(sock)
            sock.sendall(b"PING\r\n")
            if sock.recv(64) != b"+PONG\r\n":
                raise SystemExit("a client could not connect")
        yield
    finally:
        for sock in sockets:
            sock.close()

"""A steady, light prober: what an undisturbed client would see.

Its orders are in its argument; input and output are as `harness.load_process` has them.

Sends at a fixed rate over a few connections, so that every worker of the server is asked. A
request that had to wait for the one before it is timed from when it was due: a stall counts for
every request it delays, not for one only.
"""

import json
import select
import socket
import sys
import time
from typing import Any

from harness.resp import encode
from harness.schedule import Schedule
from harness.tally import DISCONNECTED, WRONG, Tally

_CONNECTIONS = 4
_PROGRESS_S = 0.5
_VALUE = b"v" * 64


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


class Prober:
    """Alternates SET and GET over connections taken in turn."""

    def __init__(self, tally: Tally, port: int, name: str) -> None:
        self.tally = tally
        self.sockets = [_connect(port, f"{name}.{i}") for i in range(_CONNECTIONS)]
        self.requests = [
            (encode("SET", f"{name}:key", _VALUE), b"+OK\r\n"),
            (encode("GET", f"{name}:key"), b"$%d\r\n%b\r\n" % (len(_VALUE), _VALUE)),
        ]
        self.sent = 0

    def probe(self, due: float) -> None:
        """One request, due at that moment of the monotonic clock."""
        sock = self.sockets[self.sent % _CONNECTIONS]
        request, want = self.requests[self.sent % 2]
        self.sent += 1
        left = due - time.monotonic()
        if left > 0:
            time.sleep(left)
        began = time.monotonic() if left > 0 else due
        sock.sendall(request)
        got = _receive(sock, len(want))
        self.tally.took(began, time.monotonic())
        self.tally.commands()
        if got != want:
            self.tally.failed(WRONG, f"probe: {got[:80]!r} for {request[:30]!r}")


def _connect(port: int, name: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=60.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(encode("CLIENT", "SETNAME", name))
    if _receive(sock, 5) != b"+OK\r\n":
        raise ConnectionError("CLIENT SETNAME was refused")
    return sock


def _receive(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            raise ConnectionError("the server closed the connection")
        data += part
    return data


def _input_ended() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def run(tally: Tally, prober: Prober, rate: float) -> None:
    """Probes until the input ends."""
    due = time.monotonic()
    report_at = due + _PROGRESS_S
    while True:
        prober.probe(due)
        due += 1 / rate
        if due > report_at:
            report_at = due + _PROGRESS_S
            say(tally.progress())
            if _input_ended():
                return


def main() -> None:
    orders = json.loads(sys.argv[1])
    tally = Tally()
    prober = Prober(tally, orders["port"], orders["name"])
    say({"type": "ready"})
    tally.schedule = Schedule(float(sys.stdin.readline() or "inf"), orders["window_s"])
    try:
        run(tally, prober, orders["rate"])
    except OSError as error:
        tally.failed(DISCONNECTED, f"probe: {error!r}")
    say(tally.result())


if __name__ == "__main__":
    main()

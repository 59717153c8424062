"""How long nobody is served when the server is killed and when the shell is replaced, as a client sees
it, and how many clients are disconnected."""

import contextlib
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.commit import populate
from bench.options import Options
from harness import resp
from harness.server import ShellServer

_TIMES = 5
_AGAIN_S_MAX = 120.0
# Between two disturbances: whatever the one before has left to do is done.
_PAUSE_S = 0.5


def run(opts: Options, make_server: Callable[[list[str]], ShellServer],
        say: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each number of keys, with some clients; and for each number of clients, with some keys."""
    keys = [10**3, 10**5, 10**6] + ([10**7] if opts.full else [])
    clients = [10, 1000] + ([10_000] if opts.full else [])
    sizes = [(number, 10) for number in keys] + [(10**3, number) for number in clients[1:]]
    rows = []
    for number, connections in sizes:
        say(f"time without service with {number:,} keys and {connections:,} clients")
        with make_server(["--crashes-max", "1000000"]) as server:
            populate(server.port, number)
            with _idle(server.port, connections) as sockets:
                rows.append({
                    "keys": number, "clients": connections,
                    "replace": _row(server, sockets, _replace),
                    "kill": _row(server, sockets, _kill),
                })
    return rows


def _row(server: ShellServer, sockets: list[socket.socket],
         disturb: Callable[[ShellServer], float | None]) -> dict[str, Any]:
    gaps, told = [], []
    for _ in range(_TIMES):
        with _Probe(server.port) as probe:
            told.append(disturb(server))
            gaps.append(probe.longest_ms())
        time.sleep(_PAUSE_S)
    row = {"gap_ms_median": statistics.median(gaps), "gap_ms_max": max(gaps),
           "disconnects": _closed(sockets)}
    if told[0] is not None:
        row["told_ms_median"] = statistics.median(told)
    return row


class _Probe:
    """A process that asks again and again, so that the longest time it waits for a reply is the time
    without service. Apart from this one, which is at work itself meanwhile."""

    _CODE = """
import socket, sys, time
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.settimeout(120)
print("ready", flush=True)
import select
longest = 0.0
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    begun = time.monotonic()
    sock.sendall(b"GET key:1\\r\\n")
    while not sock.recv(4096).endswith(b"\\r\\n"):
        pass
    longest = max(longest, time.monotonic() - begun)
print(longest * 1000, flush=True)
"""

    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen(["python3", "-c", self._CODE, str(port)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "_Probe":
        self.process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def longest_ms(self) -> float:
        """Ends it."""
        self.process.stdin.close()
        return float(self.process.stdout.readline())


def _replace(server: ShellServer) -> float:
    words = [str(server.binary), "replace", "--json", "--admin", str(server.admin)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    report = json.loads(ended.stdout)
    if ended.returncode:
        raise SystemExit(f"the shell was not replaced: {report['error']['message']}")
    return report["unserved_us"] / 1000


def _kill(server: ShellServer) -> None:
    pid = server.serving_now()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _AGAIN_S_MAX
    with resp.Connection(server.port, timeout=_AGAIN_S_MAX) as connection:
        while time.monotonic() < deadline:
            if f"process_id:{pid}\r" not in connection.call("INFO", "server").decode():
                return
            time.sleep(0.01)
    raise SystemExit("no other server has gone on")


@contextlib.contextmanager
def _idle(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections, each of which has had a reply."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(number):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30.0))
            sock.sendall(b"PING\r\n")
            if sock.recv(64) != b"+PONG\r\n":
                raise SystemExit("a client could not connect")
            sockets.append(sock)
        yield sockets


def _closed(sockets: list[socket.socket]) -> int:
    """How many the server has closed. None has been sent anything."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLIN | select.POLLHUP)
    return len(poll.poll(0))

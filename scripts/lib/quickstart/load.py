"""One process of the tour's load; steered and read as `harness.load_process` says.

Its result lists, beside the counts, when each request began and how long it took.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from harness.tally import COMMANDS, DISCONNECTED, LOST, WRONG
from quickstart import clients
from quickstart.clients import Client

_PAUSE_S = 0.004


class Crowd:
    """Threads with a client each. What they record is their own until they have ended."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name
        self.stopping = threading.Event()
        self.begin = threading.Event()
        self.connected = threading.Semaphore(0)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.requests: list[tuple[float, int]] = []
        self.threads: list[threading.Thread] = []

    def add(self, work: Callable[["Crowd", Client, str], None], index: int) -> None:
        name = f"{self.name}:{work.__name__}:{index}"
        thread = threading.Thread(target=self._live, args=(work, name, 2 + index % 2))
        self.threads.append(thread)
        thread.start()

    def _live(self, work: Callable[["Crowd", Client, str], None], name: str,
              protocol: int) -> None:
        try:
            client = clients.connect(self.port, protocol)
            client.call("PING")
            self.connected.release()
            self.begin.wait()
            work(self, client, name)
            client.close()
        except Exception as error:  # noqa: BLE001 - any client library may raise anything
            lost = clients.lost_connection(error)
            self.failed(DISCONNECTED if lost else WRONG, f"{name}: {error!r}")
            self.connected.release()

    def failed(self, what: str, text: str) -> None:
        self.counts[what] += 1
        self.failures.append(text)

    def ask(self, client: Client, want: Any, *command: Any) -> None:
        """A request whose reply is known."""
        began = time.monotonic()
        got = client.call(*command)
        self.requests.append((began, int((time.monotonic() - began) * 1e6)))
        if got != want:
            self.failed(WRONG, f"{command[:2]}: got {got!r}, wanted {want!r}")


def values(crowd: Crowd, client: Client, name: str) -> None:
    serial = 0
    while not crowd.stopping.is_set():
        serial += 1
        value = f"value {serial}".encode() * 4
        crowd.ask(client, b"OK", "SET", f"{name}:{serial % 100}", value)
        crowd.ask(client, value, "GET", f"{name}:{serial % 100}")
        time.sleep(_PAUSE_S)


def counters(crowd: Crowd, client: Client, name: str) -> None:
    count = 0
    while not crowd.stopping.is_set():
        count += 1
        crowd.ask(client, count, "INCR", name)
        time.sleep(_PAUSE_S)


def transactions(crowd: Crowd, client: Client, name: str) -> None:
    count = 0
    while not crowd.stopping.is_set():
        count += 1
        crowd.ask(client, b"OK", "MULTI")
        crowd.ask(client, b"QUEUED", "INCR", name)
        time.sleep(_PAUSE_S)
        crowd.ask(client, b"QUEUED", "GET", name)
        crowd.ask(client, [count, str(count).encode()], "EXEC")


def queue(crowd: Crowd, client: Client, name: str) -> None:
    """A producer; its consumer waits in BLPOP on a connection of its own."""
    sent, consumer = 0, clients.connect(crowd.port, 2)
    received: list[bytes] = []

    def consume() -> None:
        while (reply := consumer.call("BLPOP", name, 5)) and reply[1] != b"end":
            received.append(reply[1])

    thread = threading.Thread(target=consume)
    thread.start()
    while not crowd.stopping.is_set():
        sent += 1
        client.call("RPUSH", name, str(sent))
        time.sleep(_PAUSE_S * 5)
    client.call("RPUSH", name, "end")
    thread.join()
    consumer.close()
    if received != [str(serial).encode() for serial in range(1, sent + 1)]:
        crowd.failed(LOST, f"{name}: {len(received)} of {sent} items arrived")


def main() -> None:
    orders = json.loads(sys.argv[1])
    crowd = Crowd(orders["port"], orders["name"])
    kinds = (values, counters, transactions, values, queue)
    for index in range(orders["clients"]):
        crowd.add(kinds[index % len(kinds)], index)
    for _ in crowd.threads:
        crowd.connected.acquire()
    say({"type": "ready"})
    sys.stdin.readline()
    crowd.begin.set()
    sys.stdin.read()
    crowd.stopping.set()
    for thread in crowd.threads:
        thread.join()
    crowd.counts[COMMANDS] = len(crowd.requests)
    say({"type": "result", "counts": crowd.counts, "failures": crowd.failures,
         "requests": crowd.requests})


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()

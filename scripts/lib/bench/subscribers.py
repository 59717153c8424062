"""Subscribers that read and forget; a process beside the load generator."""

import json
import select
import sys

from harness import resp


def main() -> None:
    orders = json.loads(sys.argv[1])
    poll = select.epoll()
    connections = {}
    for _ in range(orders["subscribers"]):
        connection = resp.Connection(orders["port"])
        connection.call("SUBSCRIBE", "bench:channel")
        connections[connection.sock.fileno()] = connection.sock
        poll.register(connection.sock, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
    print(json.dumps({"type": "ready"}), flush=True)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == sys.stdin.fileno() or not connections[descriptor].recv(1 << 18):
                return


if __name__ == "__main__":
    main()

"""Keys that nobody touches while the soak runs, and everything else asked over a side channel."""

from collections import Counter

from harness import resp

_BATCH = 1000


def _key(index: int) -> bytes:
    return b"soak:still:%d" % index


def _value(index: int) -> bytes:
    return b"%d" % (index * 7919) * (1 + index % 9)


def preload(port: int, number: int) -> None:
    with resp.Connection(port) as connection:
        for first in range(0, number, _BATCH):
            batch = range(first, min(first + _BATCH, number))
            replies = connection.pipeline(("SET", _key(i), _value(i)) for i in batch)
            if replies != [b"OK"] * len(replies):
                raise SystemExit(f"could not preload keys: {replies[0]!r}")


def changed(port: int, number: int) -> int:
    """How many of the preloaded keys no longer have their value."""
    differ = 0
    with resp.Connection(port) as connection:
        for first in range(0, number, _BATCH):
            batch = range(first, min(first + _BATCH, number))
            values = connection.call("MGET", *[_key(i) for i in batch])
            differ += sum(got != _value(i) for got, i in zip(values, batch, strict=True))
    return differ


def wrong_sums(port: int, sums: Counter[str]) -> list[str]:
    """Numbers that many clients added to, and that do not show the sum of all."""
    with resp.Connection(port) as connection:
        found = {key: int(connection.call("GET", key) or 0) for key in sums}
    return [
        f"{key} is {found[key]}, not {want}" for key, want in sums.items() if found[key] != want
    ]


def connected(port: int) -> dict[str, str]:
    """Ids of the named connections, by name."""
    with resp.Connection(port) as connection:
        lines = connection.call("CLIENT", "LIST").decode().splitlines()
    clients = (dict(field.partition("=")[::2] for field in line.split(" ")) for line in lines)
    return {client["name"]: client["id"] for client in clients if client.get("name")}

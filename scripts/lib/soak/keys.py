"""Keys that nobody touches while the soak runs, and everything else asked over a side channel."""

from collections import Counter

from harness import resp

_BATCH = 1000


def _key(index: int) -> bytes:
    return b"soak:still:%d" % index


def _value(index: int) -> bytes:
    return b"%d" % (index * 7919) * (1 + index % 9)


def _parts(index: int) -> list[bytes]:
    """Fields and values, or members: of some keys so many that they have outgrown the small form."""
    return [b"%d:%d" % (index, n) for n in range(1000 if index % 1009 == 0 else 6)]


_Words = tuple[bytes | int | str, ...]


def _made(index: int) -> tuple[_Words, object]:
    """How a key is made, and the reply to that. Half of all are strings."""
    key, parts = _key(index), _parts(index)
    match index % 12:
        case 6:
            return ("HSET", key, *parts), len(parts) // 2
        case 7:
            return ("SADD", key, *parts), len(parts)
        case 8:
            return ("ZADD", key, *(p for n, part in enumerate(parts) for p in (n, part))), len(parts)
        case 9:
            return ("XADD", key, f"{index + 1}-1", *parts), b"%d-1" % (index + 1)
        case 10:
            return ("RPUSH", key, *parts), len(parts)
        case 11:
            return ("PFADD", key, *parts), 1
        case _:
            return ("SET", key, _value(index)), b"OK"


def _read(index: int) -> tuple[_Words, object]:
    """How a key is read, and the reply to that."""
    key, parts = _key(index), _parts(index)
    match index % 12:
        case 6:
            return ("HMGET", key, *parts[::2]), parts[1::2]
        case 7:
            return ("SMISMEMBER", key, *parts, "none"), [1] * len(parts) + [0]
        case 8:
            return ("ZRANGE", key, 0, -1), parts
        case 9:
            return ("XRANGE", key, "-", "+"), [[b"%d-1" % (index + 1), parts]]
        case 10:
            return ("LRANGE", key, 0, -1), parts
        case 11:
            # No register is changed by what is counted already.
            return ("PFADD", key, *parts), 0
        case _:
            return ("GET", key), _value(index)


def preload(port: int, number: int) -> None:
    with resp.Connection(port) as connection:
        for first in range(0, number, _BATCH):
            made = [_made(i) for i in range(first, min(first + _BATCH, number))]
            replies = connection.pipeline(words for words, _ in made)
            if replies != [want for _, want in made]:
                raise SystemExit(f"could not preload keys {first} to {first + len(made)}")


def changed(port: int, number: int) -> int:
    """How many of the preloaded keys no longer have their value."""
    differ = 0
    with resp.Connection(port) as connection:
        for first in range(0, number, _BATCH):
            made = [_read(i) for i in range(first, min(first + _BATCH, number))]
            values = connection.pipeline(words for words, _ in made)
            differ += sum(got != want for got, (_, want) in zip(values, made, strict=True))
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


def memory_in_use(port: int) -> int:
    """Bytes that the server has allocated."""
    with resp.Connection(port) as connection:
        lines = connection.call("INFO", "memory").decode().splitlines()
    return next(int(line.split(":")[1]) for line in lines if line.startswith("used_memory:"))


def memory_without_keys(port: int) -> int:
    """The same once all keys are gone."""
    with resp.Connection(port) as connection:
        connection.call("FLUSHALL", "SYNC")
    return memory_in_use(port)

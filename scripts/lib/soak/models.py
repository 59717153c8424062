"""Keys of one owner, modelled: each operation comes with the reply it must get."""

import random
from collections.abc import Callable
from typing import Any

from soak.connection import OK, Command

Operation = tuple[Command, Any]


class Model:
    """`operation` picks one, applies it to the model, and says what the server must reply."""

    KEYS = 8

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.rng = rng
        self.keys = [f"{prefix}:{i}".encode() for i in range(self.KEYS)]
        self.menu: list[Callable[[bytes], Operation]] = self.operations()

    def operations(self) -> list[Callable[[bytes], Operation]]:
        raise NotImplementedError

    def operation(self) -> Operation:
        return self.rng.choice(self.menu)(self.rng.choice(self.keys))

    def bytes(self) -> bytes:
        length = self.rng.choice((0, 3, 11, 40, 64, 200, 1500))
        return self.rng.randbytes(length)


class Numbers(Model):
    """Counters that only their owner touches."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, int] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [self.incr, self.incr, self.incr, self.incrby, self.decr, self.decrby, self.get]

    def _add(self, key: bytes, amount: int) -> int:
        self.values[key] = self.values.get(key, 0) + amount
        return self.values[key]

    def incr(self, key: bytes) -> Operation:
        return ("INCR", key), self._add(key, 1)

    def decr(self, key: bytes) -> Operation:
        return ("DECR", key), self._add(key, -1)

    def incrby(self, key: bytes) -> Operation:
        amount = self.rng.randint(-(10**6), 10**6)
        return ("INCRBY", key, amount), self._add(key, amount)

    def decrby(self, key: bytes) -> Operation:
        amount = self.rng.randint(-(10**6), 10**6)
        return ("DECRBY", key, amount), self._add(key, -amount)

    def get(self, key: bytes) -> Operation:
        value = self.values.get(key)
        return ("GET", key), None if value is None else str(value).encode()


class Strings(Model):
    """Byte strings, absent ones included."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, bytes] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [
            self.set, self.set, self.get, self.get, self.get, self.set_nx, self.set_xx_get,
            self.append, self.strlen, self.getrange, self.setrange, self.getset, self.getdel,
            self.mset, self.mget, self.delete, self.exists, self.setbit, self.bitcount, self.copy,
            self.rename, self.type,
        ]

    def set(self, key: bytes) -> Operation:
        self.values[key] = self.bytes()
        return ("SET", key, self.values[key]), OK

    def set_nx(self, key: bytes) -> Operation:
        value, absent = self.bytes(), key not in self.values
        if absent:
            self.values[key] = value
        return ("SET", key, value, "NX"), OK if absent else None

    def set_xx_get(self, key: bytes) -> Operation:
        value, old = self.bytes(), self.values.get(key)
        if old is not None:
            self.values[key] = value
        return ("SET", key, value, "XX", "GET"), old

    def get(self, key: bytes) -> Operation:
        return ("GET", key), self.values.get(key)

    def append(self, key: bytes) -> Operation:
        tail = self.rng.randbytes(5)
        # Kept from growing without end: a long one is replaced.
        if len(self.values.get(key, b"")) > 4000:
            return self.set(key)
        self.values[key] = self.values.get(key, b"") + tail
        return ("APPEND", key, tail), len(self.values[key])

    def strlen(self, key: bytes) -> Operation:
        return ("STRLEN", key), len(self.values.get(key, b""))

    def getrange(self, key: bytes) -> Operation:
        value = self.values.get(key, b"")
        first, last = sorted((self.rng.randint(0, 80), self.rng.randint(0, 80)))
        return ("GETRANGE", key, first, last), value[first:last + 1]

    def setrange(self, key: bytes) -> Operation:
        at, patch = self.rng.randint(0, 100), self.rng.randbytes(4)
        old = self.values.get(key, b"").ljust(at, b"\0")
        self.values[key] = old[:at] + patch + old[at + 4:]
        return ("SETRANGE", key, at, patch), len(self.values[key])

    def getset(self, key: bytes) -> Operation:
        old, self.values[key] = self.values.get(key), self.bytes()
        return ("GETSET", key, self.values[key]), old

    def getdel(self, key: bytes) -> Operation:
        return ("GETDEL", key), self.values.pop(key, None)

    def mset(self, key: bytes) -> Operation:
        pairs: list[bytes] = []
        for other in self.rng.sample(self.keys, 3):
            self.values[other] = self.bytes()
            pairs += (other, self.values[other])
        return ("MSET", *pairs), OK

    def mget(self, key: bytes) -> Operation:
        return ("MGET", *self.keys), [self.values.get(other) for other in self.keys]

    def delete(self, key: bytes) -> Operation:
        return ("DEL", key), 0 if self.values.pop(key, None) is None else 1

    def exists(self, key: bytes) -> Operation:
        return ("EXISTS", *self.keys), len(self.values)

    def setbit(self, key: bytes) -> Operation:
        offset, bit = self.rng.randint(0, 500), self.rng.randint(0, 1)
        value = bytearray(self.values.get(key, b"").ljust(offset // 8 + 1, b"\0"))
        mask = 0x80 >> (offset % 8)
        old = 1 if value[offset // 8] & mask else 0
        value[offset // 8] = value[offset // 8] | mask if bit else value[offset // 8] & ~mask
        self.values[key] = bytes(value)
        return ("SETBIT", key, offset, bit), old

    def bitcount(self, key: bytes) -> Operation:
        return ("BITCOUNT", key), int.from_bytes(self.values.get(key, b"")).bit_count()

    def copy(self, key: bytes) -> Operation:
        other = self.rng.choice([k for k in self.keys if k != key])
        if key in self.values:
            self.values[other] = self.values[key]
        return ("COPY", key, other, "REPLACE"), 1 if key in self.values else 0

    def rename(self, key: bytes) -> Operation:
        other = self.rng.choice([k for k in self.keys if k != key])
        if key not in self.values:
            return self.set(key)
        self.values[other] = self.values.pop(key)
        return ("RENAME", key, other), OK

    def type(self, key: bytes) -> Operation:
        return ("TYPE", key), b"string" if key in self.values else b"none"


class Lists(Model):
    """Lists worked on from both ends and in the middle."""

    KEYS = 4
    LENGTH_MAX = 300

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, list[bytes]] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [
            self.lpush, self.rpush, self.rpush, self.lpop, self.rpop, self.lrange, self.llen,
            self.lindex, self.lset, self.linsert, self.lrem, self.ltrim, self.lmove, self.lpos,
        ]

    def _items(self, key: bytes) -> list[bytes]:
        return self.values.setdefault(key, [])

    def _some(self) -> list[bytes]:
        return [b"%d" % self.rng.randint(0, 999) for _ in range(self.rng.randint(1, 6))]

    def lpush(self, key: bytes) -> Operation:
        if len(self._items(key)) > self.LENGTH_MAX:
            return self.ltrim(key)
        some = self._some()
        self.values[key] = some[::-1] + self._items(key)
        return ("LPUSH", key, *some), len(self.values[key])

    def rpush(self, key: bytes) -> Operation:
        if len(self._items(key)) > self.LENGTH_MAX:
            return self.ltrim(key)
        some = self._some()
        self._items(key).extend(some)
        return ("RPUSH", key, *some), len(self.values[key])

    def lpop(self, key: bytes) -> Operation:
        items = self._items(key)
        return ("LPOP", key), items.pop(0) if items else None

    def rpop(self, key: bytes) -> Operation:
        items, count = self._items(key), self.rng.randint(1, 4)
        popped = items[::-1][:count]
        del items[max(0, len(items) - count):]
        return ("RPOP", key, count), popped or None

    def lrange(self, key: bytes) -> Operation:
        first = self.rng.randint(0, 20)
        last = first + self.rng.randint(0, 20)
        return ("LRANGE", key, first, last), self._items(key)[first:last + 1]

    def llen(self, key: bytes) -> Operation:
        return ("LLEN", key), len(self._items(key))

    def lindex(self, key: bytes) -> Operation:
        items, at = self._items(key), self.rng.randint(0, 50)
        return ("LINDEX", key, at), items[at] if at < len(items) else None

    def lset(self, key: bytes) -> Operation:
        items = self._items(key)
        if not items:
            return self.rpush(key)
        at, value = self.rng.randrange(len(items)), self._some()[0]
        items[at] = value
        return ("LSET", key, at, value), OK

    def linsert(self, key: bytes) -> Operation:
        items, value = self._items(key), self._some()[0]
        if not items or len(items) > self.LENGTH_MAX:
            return self.ltrim(key)
        pivot = self.rng.choice(items)
        items.insert(items.index(pivot), value)
        return ("LINSERT", key, "BEFORE", pivot, value), len(items)

    def lrem(self, key: bytes) -> Operation:
        value = self._some()[0]
        kept = [item for item in self._items(key) if item != value]
        removed = len(self._items(key)) - len(kept)
        self.values[key] = kept
        return ("LREM", key, 0, value), removed

    def ltrim(self, key: bytes) -> Operation:
        self.values[key] = self._items(key)[1:101]
        return ("LTRIM", key, 1, 100), OK

    def lmove(self, key: bytes) -> Operation:
        other = self.rng.choice([k for k in self.keys if k != key])
        if not self._items(key) or len(self._items(other)) > self.LENGTH_MAX:
            return self.lpop(key)
        item = self._items(key).pop(0)
        self._items(other).append(item)
        return ("LMOVE", key, other, "LEFT", "RIGHT"), item

    def lpos(self, key: bytes) -> Operation:
        items, value = self._items(key), self._some()[0]
        return ("LPOS", key, value), items.index(value) if value in items else None

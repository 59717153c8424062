"""Hashes, sets and sorted sets of one owner, modelled; some of them outgrow their small form."""

import random
from collections.abc import Callable

from soak.models import Model, Operation
from soak.wants import Fields, Members, Number, OneOf, Scored

# Names that a collection draws from: seldom so many that it becomes a large one.
_FEW, _MANY = 20, 700
_MANY_SHARE = 0.25


class _Collections(Model):
    KEYS = 4

    def name(self, key: bytes) -> bytes:
        """A field or member; of the first key one of many."""
        many = key == self.keys[0] or self.rng.random() < _MANY_SHARE / len(self.keys)
        return b"name:%d" % self.rng.randrange(_MANY if many else _FEW)

    def names(self, key: bytes) -> list[bytes]:
        return list({self.name(key) for _ in range(self.rng.randint(1, 6))})

    def other(self, key: bytes) -> bytes:
        return self.rng.choice([other for other in self.keys if other != key])


class Hashes(_Collections):
    """Hashes with short and long values."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, dict[bytes, bytes]] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [
            self.hset, self.hset, self.hset, self.hget, self.hget, self.hmget, self.hdel,
            self.hgetall, self.hlen, self.hincrby, self.hsetnx, self.hkeys, self.hrandfield,
            self.delete, self.copy,
        ]

    def _fields(self, key: bytes) -> dict[bytes, bytes]:
        return self.values.setdefault(key, {})

    def hset(self, key: bytes) -> Operation:
        names = self.names(key)
        before = len(self._fields(key))
        parts: list[bytes] = []
        for name in names:
            value = self.rng.randbytes(self.rng.choice((0, 3, 8, 40, 100)))
            self._fields(key)[name] = value
            parts += (name, value)
        return ("HSET", key, *parts), len(self._fields(key)) - before

    def hsetnx(self, key: bytes) -> Operation:
        name = self.name(key)
        absent = name not in self._fields(key)
        self._fields(key).setdefault(name, b"new")
        return ("HSETNX", key, name, b"new"), 1 if absent else 0

    def hget(self, key: bytes) -> Operation:
        name = self.name(key)
        return ("HGET", key, name), self._fields(key).get(name)

    def hmget(self, key: bytes) -> Operation:
        names = self.names(key)
        return ("HMGET", key, *names), [self._fields(key).get(name) for name in names]

    def hdel(self, key: bytes) -> Operation:
        names = self.names(key)
        removed = [self._fields(key).pop(name, None) for name in names]
        return ("HDEL", key, *names), sum(value is not None for value in removed)

    def hgetall(self, key: bytes) -> Operation:
        return ("HGETALL", key), Fields(dict(self._fields(key)))

    def hkeys(self, key: bytes) -> Operation:
        return ("HKEYS", key), Members(list(self._fields(key)))

    def hlen(self, key: bytes) -> Operation:
        return ("HLEN", key), len(self._fields(key))

    def hrandfield(self, key: bytes) -> Operation:
        return ("HRANDFIELD", key), OneOf(list(self._fields(key)))

    def hincrby(self, key: bytes) -> Operation:
        name, amount = b"number", self.rng.randint(-1000, 1000)
        total = int(self._fields(key).get(name, b"0")) + amount
        self._fields(key)[name] = b"%d" % total
        return ("HINCRBY", key, name, amount), total

    def delete(self, key: bytes) -> Operation:
        return ("UNLINK", key), 1 if self.values.pop(key, None) else 0

    def copy(self, key: bytes) -> Operation:
        other = self.other(key)
        if not self._fields(key):
            return self.hset(key)
        self.values[other] = dict(self._fields(key))
        return ("COPY", key, other, "REPLACE"), 1


class Sets(_Collections):
    """Sets of names, and of integers only."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, set[bytes]] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [
            self.sadd, self.sadd, self.sadd, self.srem, self.sismember, self.sismember,
            self.smismember, self.scard, self.smembers, self.sinter, self.sunionstore, self.sdiff,
            self.smove, self.srandmember, self.delete,
        ]

    def name(self, key: bytes) -> bytes:
        name = super().name(key)
        return name[5:] if key == self.keys[1] else name

    def _members(self, key: bytes) -> set[bytes]:
        return self.values.setdefault(key, set())

    def sadd(self, key: bytes) -> Operation:
        names = self.names(key)
        before = len(self._members(key))
        self._members(key).update(names)
        return ("SADD", key, *names), len(self._members(key)) - before

    def srem(self, key: bytes) -> Operation:
        names = self.names(key)
        before = len(self._members(key))
        self._members(key).difference_update(names)
        return ("SREM", key, *names), before - len(self._members(key))

    def sismember(self, key: bytes) -> Operation:
        name = self.name(key)
        return ("SISMEMBER", key, name), 1 if name in self._members(key) else 0

    def smismember(self, key: bytes) -> Operation:
        names = self.names(key)
        return ("SMISMEMBER", key, *names), [int(name in self._members(key)) for name in names]

    def scard(self, key: bytes) -> Operation:
        return ("SCARD", key), len(self._members(key))

    def smembers(self, key: bytes) -> Operation:
        return ("SMEMBERS", key), Members(list(self._members(key)))

    def sinter(self, key: bytes) -> Operation:
        other = self.other(key)
        return ("SINTER", key, other), Members(list(self._members(key) & self._members(other)))

    def sdiff(self, key: bytes) -> Operation:
        other = self.other(key)
        return ("SDIFF", key, other), Members(list(self._members(key) - self._members(other)))

    def sunionstore(self, key: bytes) -> Operation:
        other = self.other(key)
        union = self._members(key) | self._members(other)
        self.values[self.keys[-1]] = union
        return ("SUNIONSTORE", self.keys[-1], key, other), len(union)

    def smove(self, key: bytes) -> Operation:
        other, name = self.other(key), self.name(key)
        if name not in self._members(key):
            return ("SMOVE", key, other, name), 0
        self._members(key).discard(name)
        self._members(other).add(name)
        return ("SMOVE", key, other, name), 1

    def srandmember(self, key: bytes) -> Operation:
        return ("SRANDMEMBER", key), OneOf(list(self._members(key)))

    def delete(self, key: bytes) -> Operation:
        return ("UNLINK", key), 1 if self.values.pop(key, None) else 0


class SortedSets(_Collections):
    """Sorted sets whose scores often tie."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, dict[bytes, int]] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [
            self.zadd, self.zadd, self.zadd, self.zrem, self.zscore, self.zscore, self.zincrby,
            self.zrank, self.zrange, self.zrange, self.zcount, self.zcard, self.zpopmin,
            self.zrangebyscore, self.zunionstore, self.delete,
        ]

    def _scores(self, key: bytes) -> dict[bytes, int]:
        return self.values.setdefault(key, {})

    def _ordered(self, key: bytes) -> list[tuple[bytes, int]]:
        return sorted(self._scores(key).items(), key=lambda item: (item[1], item[0]))

    def zadd(self, key: bytes) -> Operation:
        before, parts = len(self._scores(key)), []
        for name in self.names(key):
            self._scores(key)[name] = self.rng.randint(-20, 20)
            parts += [self._scores(key)[name], name]
        return ("ZADD", key, *parts), len(self._scores(key)) - before

    def zrem(self, key: bytes) -> Operation:
        names = self.names(key)
        removed = [self._scores(key).pop(name, None) for name in names]
        return ("ZREM", key, *names), sum(score is not None for score in removed)

    def zscore(self, key: bytes) -> Operation:
        name = self.name(key)
        score = self._scores(key).get(name)
        return ("ZSCORE", key, name), None if score is None else Number(score)

    def zincrby(self, key: bytes) -> Operation:
        name, by = self.name(key), self.rng.randint(-9, 9)
        self._scores(key)[name] = self._scores(key).get(name, 0) + by
        return ("ZINCRBY", key, by, name), Number(self._scores(key)[name])

    def zrank(self, key: bytes) -> Operation:
        name, order = self.name(key), [name for name, _ in self._ordered(key)]
        return ("ZRANK", key, name), order.index(name) if name in order else None

    def zrange(self, key: bytes) -> Operation:
        first = self.rng.randint(0, 30)
        last = first + self.rng.randint(0, 20)
        return ("ZRANGE", key, first, last, "WITHSCORES"), Scored(self._ordered(key)[first:last + 1])

    def zrangebyscore(self, key: bytes) -> Operation:
        low, high = sorted((self.rng.randint(-20, 20), self.rng.randint(-20, 20)))
        found = [name for name, score in self._ordered(key) if low < score <= high]
        return ("ZRANGE", key, f"({low}", high, "BYSCORE"), found

    def zcount(self, key: bytes) -> Operation:
        low, high = sorted((self.rng.randint(-20, 20), self.rng.randint(-20, 20)))
        return ("ZCOUNT", key, low, high), sum(
            low <= score <= high for score in self._scores(key).values())

    def zcard(self, key: bytes) -> Operation:
        return ("ZCARD", key), len(self._scores(key))

    def zpopmin(self, key: bytes) -> Operation:
        popped = self._ordered(key)[:2]
        for name, _ in popped:
            del self._scores(key)[name]
        return ("ZPOPMIN", key, 2), Scored(popped)

    def zunionstore(self, key: bytes) -> Operation:
        other, to = self.other(key), self.keys[-1]
        union = dict(self._scores(key))
        for name, score in self._scores(other).items():
            union[name] = union.get(name, 0) + score
        self.values[to] = union
        return ("ZUNIONSTORE", to, 2, key, other), len(union)

    def delete(self, key: bytes) -> Operation:
        return ("UNLINK", key), 1 if self.values.pop(key, None) else 0

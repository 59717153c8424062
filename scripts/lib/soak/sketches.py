"""Values that tell something of what went into them: HyperLogLogs, positions and bitmaps."""

import math
import random
from collections.abc import Callable

from soak.connection import OK
from soak.models import Model, Operation
from soak.wants import Members, Number

# Of a count: three times the standard error of 0.81 %.
_COUNT_ERROR = 0.0244
_EARTH_M = 6372797.560856
# Positions are kept to some decimetres.
_POSITION_ERROR_M = 2.0


class HyperLogLogs(Model):
    """Counts of distinct elements, held against sets of them."""

    KEYS = 3
    MOST = 3000

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, set[bytes]] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [self.pfadd, self.pfadd, self.pfadd, self.pfadd, self.pfcount, self.pfmerge, self.type]

    def _counted(self, elements: set[bytes]) -> Number:
        # Of few elements some may share a register: three of thirty do once in 300,000 times.
        return Number(len(elements), 5 + _COUNT_ERROR * len(elements))

    def pfadd(self, key: bytes) -> Operation:
        elements = self.values.setdefault(key, set())
        if len(elements) > self.MOST:
            del self.values[key]
            return ("DEL", key), 1
        some = [b"%d" % self.rng.randrange(10**9) for _ in range(self.rng.randint(1, 40))]
        elements.update(some)
        # Whether a register changed is not known.
        return ("PFADD", key, *some), Number(0.5, 0.5)

    def pfcount(self, key: bytes) -> Operation:
        other = self.rng.choice(self.keys)
        union = self.values.get(key, set()) | self.values.get(other, set())
        return ("PFCOUNT", key, other), self._counted(union)

    def pfmerge(self, key: bytes) -> Operation:
        other = self.rng.choice(self.keys)
        self.values[key] = self.values.get(key, set()) | self.values.get(other, set())
        return ("PFMERGE", key, other), OK

    def type(self, key: bytes) -> Operation:
        return ("TYPE", key), b"string" if key in self.values else b"none"


class Positions(Model):
    """Places and how far they are from each other."""

    KEYS = 2
    PLACES = 60

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, dict[bytes, tuple[float, float]]] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [self.geoadd, self.geoadd, self.geodist, self.geosearch, self.zrem, self.zcard]

    def _places(self, key: bytes) -> dict[bytes, tuple[float, float]]:
        return self.values.setdefault(key, {})

    def _name(self) -> bytes:
        return b"place:%d" % self.rng.randrange(self.PLACES)

    def geoadd(self, key: bytes) -> Operation:
        name = self._name()
        absent = name not in self._places(key)
        place = (round(self.rng.uniform(-60, 60), 6), round(self.rng.uniform(-60, 60), 6))
        self._places(key)[name] = place
        return ("GEOADD", key, *place, name), int(absent)

    def geodist(self, key: bytes) -> Operation:
        places = [self._name(), self._name()]
        known = [self._places(key).get(name) for name in places]
        if None in known:
            return ("GEODIST", key, *places), None
        return ("GEODIST", key, *places), Number(_distance_m(*known), 2 * _POSITION_ERROR_M)

    def geosearch(self, key: bytes) -> Operation:
        """All that is within a distance on which hardly anything lies."""
        centre, radius_m = (0.0, 0.0), self.rng.choice((1_000_000, 3_000_000, 6_000_000))
        distances = {name: _distance_m(centre, at) for name, at in self._places(key).items()}
        if any(abs(distance - radius_m) < 2 * _POSITION_ERROR_M for distance in distances.values()):
            return self.zcard(key)
        found = [name for name, distance in distances.items() if distance < radius_m]
        command = ("GEOSEARCH", key, "FROMLONLAT", *centre, "BYRADIUS", radius_m, "m")
        return command, Members(found)

    def zrem(self, key: bytes) -> Operation:
        name = self._name()
        return ("ZREM", key, name), 0 if self._places(key).pop(name, None) is None else 1

    def zcard(self, key: bytes) -> Operation:
        return ("ZCARD", key), len(self._places(key))


def _distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lon1, lat1), (lon2, lat2) = (map(math.radians, place) for place in (a, b))
    u, v = math.sin((lat2 - lat1) / 2), math.sin((lon2 - lon1) / 2)
    return 2 * _EARTH_M * math.asin(math.sqrt(u * u + math.cos(lat1) * math.cos(lat2) * v * v))


class Bitmaps(Model):
    """Bits, in numbers too that are longer than a word."""

    KEYS = 3
    BITS = 4000

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.values: dict[bytes, bytearray] = {}
        super().__init__(prefix, rng)

    def operations(self) -> list[Callable[[bytes], Operation]]:
        return [self.setbit, self.setbit, self.getbit, self.bitcount, self.bitpos, self.bitop,
                self.bitfield, self.delete]

    def _bits(self, key: bytes, bits: int = 0) -> bytearray:
        if bits:
            self.values.setdefault(key, bytearray())
        value = self.values.get(key, bytearray())
        value.extend(bytes(max(0, (bits + 7) // 8 - len(value))))
        return value

    def _get(self, key: bytes, at: int, count: int) -> int:
        value = self._bits(key)
        number = int.from_bytes(value) if value else 0
        spare = len(value) * 8 - at - count
        number = number >> spare if spare >= 0 else number << -spare
        return number & ((1 << count) - 1)

    def _put(self, key: bytes, at: int, count: int, number: int) -> None:
        value = self._bits(key, at + count)
        for i in range(count):
            bit, place = number >> (count - 1 - i) & 1, at + i
            mask = 0x80 >> place % 8
            value[place // 8] = value[place // 8] & ~mask | (mask if bit else 0)

    def setbit(self, key: bytes) -> Operation:
        at, bit = self.rng.randrange(self.BITS), self.rng.randint(0, 1)
        old = self._get(key, at, 1)
        self._put(key, at, 1, bit)
        return ("SETBIT", key, at, bit), old

    def getbit(self, key: bytes) -> Operation:
        at = self.rng.randrange(self.BITS)
        return ("GETBIT", key, at), self._get(key, at, 1)

    def bitcount(self, key: bytes) -> Operation:
        first = self.rng.randrange(40)
        part = self._bits(key)[first:first + 60]
        return ("BITCOUNT", key, first, first + 59), int.from_bytes(part).bit_count()

    def bitpos(self, key: bytes) -> Operation:
        value = self._bits(key)
        digits = "".join(f"{byte:08b}" for byte in value)
        return ("BITPOS", key, 1), digits.find("1")

    def bitop(self, key: bytes) -> Operation:
        other, to = self.rng.choice(self.keys), self.keys[-1]
        length = max(len(self._bits(key)), len(self._bits(other)))
        a, b = (self._bits(k).ljust(length, b"\0") for k in (key, other))
        self.values[to] = bytearray(x ^ y for x, y in zip(a, b, strict=True))
        if not length:
            del self.values[to]
        return ("BITOP", "XOR", to, key, other), length

    def bitfield(self, key: bytes) -> Operation:
        at, number = self.rng.randrange(self.BITS), self.rng.randrange(1 << 20)
        old = self._get(key, at, 20)
        self._put(key, at, 20, number)
        new = (number + 1) % (1 << 20)
        self._put(key, at, 20, new)
        command = ("BITFIELD", key, "SET", "u20", at, number, "INCRBY", "u20", at, 1)
        return command, [old, new]

    def delete(self, key: bytes) -> Operation:
        return ("UNLINK", key), 1 if self.values.pop(key, None) else 0

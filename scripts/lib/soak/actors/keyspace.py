"""The life of keys: times to live, and walks that must find all."""

import asyncio

from harness.schedule import now
from soak.actors.base import Actor
from soak.connection import OK, Command

# Both clocks tick in milliseconds, and the server may be a tick ahead of or behind the client's.
_SLACK_S = 0.005


class Expiry(Actor):
    """A key with a time to live is there before its time and gone after it."""

    async def open(self) -> None:
        await super().open()
        self.serial = 0

    async def step(self) -> None:
        self.serial += 1
        key = f"{self.name}:{self.serial}"
        ttl_ms = self.rng.choice((30, 120, 400, 900))
        sent = now()
        await self.create(key, ttl_ms)
        created = now()
        await self.before(key, sent + ttl_ms / 1000, ttl_ms)
        await asyncio.sleep(max(0.0, created + ttl_ms / 1000 + _SLACK_S - now()))
        await self.main.expect(None, "GET", key)
        await self.main.expect(-2, "PTTL", key)

    async def create(self, key: str, ttl_ms: int) -> None:
        way = self.rng.randrange(3)
        if way == 0:
            await self.main.expect(OK, "SET", key, "mortal", "PX", ttl_ms)
        elif way == 1:
            await self.main.expect(OK, "PSETEX", key, ttl_ms, "mortal")
        else:
            await self.main.expect_all(
                [(("SET", key, "mortal"), OK), (("PEXPIRE", key, ttl_ms), 1)], True
            )

    async def before(self, key: str, deadline: float, ttl_ms: int) -> None:
        await asyncio.sleep(self.rng.random() * ttl_ms / 1000)
        await self.alive(("GET", key), b"mortal", deadline)
        left_ms = await self.main.call("PTTL", key)
        if now() < deadline - _SLACK_S and not (isinstance(left_ms, int) and 0 < left_ms <= ttl_ms):
            self.main.wrong(("PTTL", key), f"{left_ms!r} of {ttl_ms} ms")

    async def alive(self, command: Command, want: bytes, deadline: float) -> None:
        reply = await self.main.call(*command)
        # Only a reply that is here before the deadline proves that the key had to be there.
        if now() < deadline - _SLACK_S:
            self.main.same(reply, want, command)


class Immortal(Actor):
    """Keys whose time to live is taken away, or moved far out, stay."""

    async def step(self) -> None:
        key = f"{self.name}:kept"
        await self.main.expect(OK, "SET", key, "kept", "PX", 150)
        keep = ("PERSIST", key) if self.rng.random() < 0.5 else ("EXPIRE", key, 1000)
        reply = await self.main.call(*keep)
        await asyncio.sleep(0.2)
        # A reply of 0 says that the key's time came before the command did.
        await self.main.expect(b"kept" if reply else None, "GET", key)
        await self.main.expect(1 if reply else 0, "DEL", key)


class Scan(Actor):
    """Walks the keyspace while others change it: keys that stay must all be found."""

    STAY = 300

    async def open(self) -> None:
        await super().open()
        self.stay = {f"{self.name}:stay:{i}".encode() for i in range(self.STAY)}
        await self.main.expect_all([(("SET", key, "x"), OK) for key in self.stay], False)

    async def step(self) -> None:
        found = await self.walk("MATCH", f"{self.name}:stay:*", "COUNT", 500)
        if found is not None and found != self.stay:
            self.main.wrong(("SCAN",), f"found {len(found)} of {self.STAY} keys that stay")
        await self.churn()

    async def walk(self, *options: object) -> set[bytes] | None:
        found: set[bytes] = set()
        cursor = 0
        while True:
            reply = await self.main.call("SCAN", cursor, *options)
            if not isinstance(reply, list | tuple) or len(reply) != 2:
                self.main.wrong(("SCAN", cursor), repr(reply))
                return None
            cursor = int(reply[0])
            found.update(reply[1])
            if cursor == 0:
                return found
            await self.stage.think(self.rng)

    async def churn(self) -> None:
        """Adds and removes enough keys for tables to grow and shrink."""
        keys = [f"{self.name}:churn:{i}" for i in range(self.rng.randint(100, 1500))]
        await self.main.expect_all([(("SET", key, "y"), OK) for key in keys], False)
        await self.main.expect(len(keys), "DEL", *keys)

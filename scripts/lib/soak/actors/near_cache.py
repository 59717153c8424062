"""A cache in a client: never older than what was acknowledged before it was last told."""

from soak.actors.base import Actor, Stage
from soak.connection import OK, Checked

_KEYS = 6
# How keys are tracked, and whether that has to be asked for with each read.
_MODES = (
    (("ON",), False),
    (("ON", "NOLOOP"), False),
    (("ON", "OPTIN"), True),
    (("ON", "BCAST", "PREFIX", "{name}:"), False),
)


class NearCache(Actor):
    """Reads through a cache of its own what a second connection writes."""

    CONNECTIONS = 2

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.writer = self.main
        # Pushes need RESP3.
        self.reader = Checked(stage.tally, stage.port, f"{name}.cache", 3)
        self.connections[1] = self.reader
        self.keys = [f"{name}:{i}".encode() for i in range(_KEYS)]
        self.written: dict[bytes, bytes | None] = dict.fromkeys(self.keys)
        self.cached: dict[bytes, bytes | None] = {}
        words, self.asks = self.rng.choice(_MODES)
        self.tracking = [word.format(name=name) for word in words]
        self.number = 0

    async def open(self) -> None:
        await self.writer.expect(b"PONG", "PING")
        pool = self.reader.redis.connection_pool
        connection = await pool.get_connection()
        # There is no public way to it without the cache that the synchronous client has.
        connection._parser.set_invalidation_push_handler(self.told)
        await pool.release(connection)
        await self.reader.expect(OK, "CLIENT", "TRACKING", *self.tracking)

    async def told(self, push: list) -> None:
        if push[1] is None:
            self.cached.clear()
            return
        for key in push[1]:
            self.cached.pop(key, None)
        self.tally.messages()

    async def step(self) -> None:
        key = self.rng.choice(self.keys)
        if self.rng.random() < 0.4:
            await self.write(key)
        await self.check(key)

    async def write(self, key: bytes) -> None:
        self.number += 1
        value = b"%d" % self.number
        old = self.written[key]
        if self.rng.random() < 0.2 and old is not None:
            await self.writer.expect(1, "DEL", key)
            self.written[key] = None
        elif self.rng.random() < 0.3:
            spare = key + b":new"
            await self.writer.expect(OK, "SET", spare, value)
            await self.writer.expect(OK, "RENAME", spare, key)
            self.written[key] = value
        else:
            await self.writer.expect(OK, "SET", key, value)
            self.written[key] = value

    async def check(self, key: bytes) -> None:
        """What was acknowledged before is told before the reply to what is sent now."""
        await self.reader.expect(b"PONG", "PING")
        if key not in self.cached:
            await self.read(key)
        elif self.cached[key] != self.written[key]:
            self.reader.wrong(
                ("cached", key), f"{self.cached[key]!r} after {self.written[key]!r} was written"
            )
            del self.cached[key]

    async def read(self, key: bytes) -> None:
        if self.asks:
            await self.reader.expect(OK, "CLIENT", "CACHING", "YES")
        await self.reader.expect(self.written[key], "GET", key)
        self.cached[key] = self.written[key]

    async def finish(self) -> None:
        for key in self.keys:
            await self.check(key)

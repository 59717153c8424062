"""WATCH: a transaction over a touched key must not happen, over an untouched one it must."""

from redis.exceptions import WatchError

from soak.actors.base import Actor
from soak.connection import OK, QUEUED, Checked

SHARED_KEY = "soak:optimistic"


class Watches(Actor):
    """Conflicts made on purpose, with a second connection that touches or does not."""

    CONNECTIONS = 2

    async def step(self) -> None:
        watcher, other = self.connections
        key, copy = f"{self.name}:watched", f"{self.name}:copy"
        touched = self.rng.random() < 0.5
        await watcher.expect(OK, "WATCH", key)
        await self.stage.think(self.rng)
        await other.expect(OK, "SET", key if touched else copy, self.rng.randbytes(8))
        await self.stage.think(self.rng)
        await self.conclude(watcher, copy, None if touched else [OK, 3])

    async def conclude(self, watcher: Checked, copy: str, want: list | None) -> None:
        await watcher.expect(OK, "MULTI")
        await watcher.expect(QUEUED, "SET", copy, b"abc")
        await watcher.expect(QUEUED, "STRLEN", copy)
        if self.rng.random() < 0.1:
            await watcher.expect(OK, "DISCARD")
        else:
            await watcher.expect(want, "EXEC")


class Optimistic(Actor):
    """Adds to a number shared by all such actors by WATCH, GET, MULTI, SET, EXEC."""

    async def step(self) -> None:
        amount = self.rng.randint(1, 5)
        while not await self.attempt(amount):
            await self.stage.think(self.rng)
        self.tally.sums[SHARED_KEY] += amount

    async def attempt(self, amount: int) -> bool:
        async with self.main.redis.pipeline() as pipeline:
            await pipeline.watch(SHARED_KEY)
            value = int(await pipeline.get(SHARED_KEY) or 0)
            pipeline.multi()
            pipeline.set(SHARED_KEY, value + amount)
            self.tally.commands(5)
            try:
                self.main.same(await pipeline.execute(), [OK], ("EXEC",))
                return True
            except WatchError:
                return False


class Accounts(Actor):
    """Moves money between two accounts; a second connection never sees the sum change."""

    CONNECTIONS = 2
    SUM = 1000

    async def open(self) -> None:
        await super().open()
        self.accounts = (f"{self.name}:a", f"{self.name}:b")
        self.balance = [self.SUM, 0]
        await self.main.expect(OK, "MSET", self.accounts[0], self.SUM, self.accounts[1], 0)

    async def step(self) -> None:
        amount = self.rng.randint(-50, 50)
        self.balance[0] -= amount
        self.balance[1] += amount
        await self.main.expect_all(
            [
                (("DECRBY", self.accounts[0], amount), self.balance[0]),
                (("INCRBY", self.accounts[1], amount), self.balance[1]),
            ],
            transaction=True,
        )
        await self.observe()

    async def observe(self) -> None:
        balances = await self.connections[1].call("MGET", *self.accounts)
        if not isinstance(balances, list) or sum(int(b) for b in balances) != self.SUM:
            self.connections[1].wrong(("MGET", *self.accounts), repr(balances))

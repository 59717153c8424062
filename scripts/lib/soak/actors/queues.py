"""Queues: every item arrives exactly once, and in the order its producer sent it."""

import asyncio

from harness.tally import DOUBLED, LOST, WRONG
from soak.actors.base import Actor, Stage
from soak.connection import Checked

_POLL_S = 0.5


class Queue(Actor):
    """Two producers and four consumers, each with a way of its own, on one list."""

    CONNECTIONS = 6

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.key = f"{name}:queue"
        self.outstanding: set[bytes] = set()
        self.sent = [0, 0]
        # What a reply about one consumer's item may name: the newest item of each producer.
        self.newest = [[-1, -1] for _ in range(4)]
        self.producing = True

    async def run(self) -> None:
        ways = [self.brpop, self.blmove, self.blmpop, self.rpop]
        consumers = [asyncio.create_task(self.consume(i, way)) for i, way in enumerate(ways)]
        try:
            await asyncio.gather(self.produce(0), self.produce(1))
        finally:
            self.producing = False
            await asyncio.gather(*consumers)
        await self.finish()

    async def produce(self, producer: int) -> None:
        connection = self.connections[producer]
        while not self.stage.stopping.is_set():
            items = [self.item(producer) for _ in range(self.rng.choice((1, 1, 1, 2, 5)))]
            self.outstanding.update(items)
            length = await connection.call("LPUSH", self.key, *items)
            if not isinstance(length, int) or length < len(items):
                connection.wrong(("LPUSH", self.key), f"{length!r} for {len(items)} items")
            await self.stage.think(self.rng)

    def item(self, producer: int) -> bytes:
        self.sent[producer] += 1
        return b"%d:%d" % (producer, self.sent[producer])

    async def consume(self, consumer: int, way) -> None:
        connection = self.connections[2 + consumer]
        while self.producing or self.outstanding:
            items = await way(connection)
            for item in items:
                self.arrived(consumer, item)
            # An empty answer at the end, with items still owed, means that they are lost.
            if not items and not self.producing:
                return

    def arrived(self, consumer: int, item: bytes) -> None:
        if item not in self.outstanding:
            self.tally.failed(DOUBLED, f"{self.key}: item {item!r} came again")
            return
        self.outstanding.discard(item)
        self.tally.messages()
        producer, serial = (int(part) for part in item.split(b":"))
        if serial <= self.newest[consumer][producer]:
            newest = self.newest[consumer][producer]
            self.tally.failed(WRONG, f"{self.key}: item {item!r} came after {newest}")
        self.newest[consumer][producer] = serial

    async def brpop(self, connection: Checked) -> list[bytes]:
        reply = await connection.wait("BRPOP", f"{self.key}:none", self.key, _POLL_S)
        if reply is None:
            return []
        if not isinstance(reply, list | tuple) or reply[0] != self.key.encode():
            connection.wrong(("BRPOP", self.key), repr(reply))
            return []
        return [reply[1]]

    async def blmove(self, connection: Checked) -> list[bytes]:
        working = f"{self.key}:working"
        item = await connection.wait("BLMOVE", self.key, working, "RIGHT", "LEFT", _POLL_S)
        if item is None:
            return []
        await connection.expect([item], "LRANGE", working, 0, -1)
        await connection.expect(1, "LREM", working, 1, item)
        return [item]

    async def blmpop(self, connection: Checked) -> list[bytes]:
        reply = await connection.wait("BLMPOP", _POLL_S, 1, self.key, "RIGHT", "COUNT", 3)
        if reply is None:
            return []
        if not isinstance(reply, list | tuple) or reply[0] != self.key.encode():
            connection.wrong(("BLMPOP", self.key), repr(reply))
            return []
        return list(reply[1])

    async def rpop(self, connection: Checked) -> list[bytes]:
        items = await connection.call("RPOP", self.key, 2)
        if not items:
            await asyncio.sleep(0.05)
        return list(items or [])

    async def finish(self) -> None:
        for item in sorted(self.outstanding)[:3]:
            self.tally.failed(LOST, f"{self.key}: item {item!r} never came", 0)
        self.tally.counts[LOST] += len(self.outstanding)
        await self.main.expect(0, "EXISTS", self.key, f"{self.key}:working")


class Handoff(Actor):
    """One waits without a limit, the other pushes a little later, maybe after a swap."""

    CONNECTIONS = 2

    async def open(self) -> None:
        await super().open()
        self.serial = 0

    async def step(self) -> None:
        self.serial += 1
        keys = [f"{self.name}:a", f"{self.name}:b"]
        key, token = self.rng.choice(keys), b"token %d" % self.serial
        waiting = asyncio.create_task(self.connections[0].wait("BLPOP", *keys, 0))
        await asyncio.sleep(self.rng.random() * 0.4)
        await self.connections[1].expect(1, "RPUSH", key, token)
        reply = await waiting
        if self.connections[0].same(reply, [key, token], ("BLPOP", *keys, 0)):
            self.tally.messages()


class Timeouts(Actor):
    """Waits for what never comes: the empty answer may not come early."""

    async def step(self) -> None:
        timeout_s = self.rng.choice((0.05, 0.2, 0.7))
        command = ("BLPOP", f"{self.name}:never", timeout_s)
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.main.same(await self.main.wait(*command), None, command)
        # Servers count milliseconds, and may round the deadline down by one.
        if loop.time() - started < timeout_s - 0.002:
            self.main.wrong(command, f"ended after {loop.time() - started:.4f} s")

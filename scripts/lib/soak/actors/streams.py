"""Consumer groups: every entry is acknowledged exactly once, whoever died over it."""

import asyncio
from typing import Any

from harness.tally import DOUBLED, LOST
from soak.actors.base import Actor, Stage
from soak.connection import Checked

_POLL_MS = 500
_GROUP = "group"
# Entries that a stream keeps at most; the groups have long read what is trimmed.
_KEPT = 20_000
# Entries that are given up are taken over after so long.
_IDLE_MS = 50


class StreamGroup(Actor):
    """A producer, three who read for a group, and one who takes over what those leave behind."""

    CONNECTIONS = 5

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.key = f"{name}:stream"
        self.outstanding: dict[bytes, bytes] = {}
        self.added = 0
        self.last = b"0-0"
        self.producing = True

    async def run(self) -> None:
        await self.main.expect(b"OK", "XGROUP", "CREATE", self.key, _GROUP, "$", "MKSTREAM")
        readers = [asyncio.create_task(self.read(i)) for i in range(3)]
        readers.append(asyncio.create_task(self.take_over()))
        try:
            await self.produce()
        finally:
            self.producing = False
            await asyncio.gather(*readers)
        await self.finish()

    async def produce(self) -> None:
        while not self.stage.stopping.is_set():
            for _ in range(self.rng.choice((1, 1, 2, 10))):
                await self.add()
            await self.stage.think(self.rng)

    async def add(self) -> None:
        self.added += 1
        value = b"%d" % self.added * self.rng.randint(1, 30)
        # It may be delivered before the reply says which id it has.
        self.outstanding[value] = value
        reply = await self.main.call(
            "XADD", self.key, "MAXLEN", "~", _KEPT, "*", "value", value, "serial", self.added)
        if not isinstance(reply, bytes) or _number(reply) <= _number(self.last):
            self.main.wrong(("XADD", self.key), f"{reply!r} after {self.last!r}")
            return
        self.last = reply

    async def read(self, reader: int) -> None:
        connection, consumer = self.connections[1 + reader], f"reader{reader}"
        while self.producing or self.outstanding:
            reply = await connection.wait(
                "XREADGROUP", "GROUP", _GROUP, consumer, "COUNT", 5, "BLOCK", _POLL_MS,
                "STREAMS", self.key, ">")
            entries = _entries(reply)
            kept = [entry for entry in entries if self.rng.random() < 0.9]
            await self.acknowledge(connection, kept)
            if not entries and not self.producing:
                return

    async def take_over(self) -> None:
        """Takes what was delivered and not acknowledged, one way or the other."""
        connection, idle = self.connections[4], 0
        while self.producing or self.outstanding:
            await asyncio.sleep(_IDLE_MS / 1000)
            way = self.rng.choice((self.autoclaim, self.claim))
            entries = await way(connection)
            await self.acknowledge(connection, entries)
            # The others have read all by the time that nothing comes for long.
            idle = 0 if entries or self.producing else idle + 1
            if idle > 2 * _POLL_MS // _IDLE_MS:
                return

    async def autoclaim(self, connection: Checked) -> list[Any]:
        reply = await connection.call(
            "XAUTOCLAIM", self.key, _GROUP, "heir", _IDLE_MS, "0-0", "COUNT", 20)
        if not isinstance(reply, list) or len(reply) != 3 or reply[2]:
            connection.wrong(("XAUTOCLAIM", self.key), repr(reply))
            return []
        return list(reply[1])

    async def claim(self, connection: Checked) -> list[Any]:
        pending = await connection.call(
            "XPENDING", self.key, _GROUP, "IDLE", _IDLE_MS, "-", "+", 20)
        ids = [entry[0] for entry in pending]
        if not ids:
            return []
        return list(await connection.call("XCLAIM", self.key, _GROUP, "heir", _IDLE_MS, *ids))

    async def acknowledge(self, connection: Checked, entries: list[Any]) -> None:
        for entry, fields in entries:
            value = fields[1]
            acknowledged = await connection.call("XACK", self.key, _GROUP, entry)
            # Two may have it at a time, but only one of them acknowledges it.
            if acknowledged == 0 and value not in self.outstanding:
                continue
            if acknowledged != 1 or value not in self.outstanding:
                self.tally.failed(DOUBLED, f"{self.key}: {entry!r} was acknowledged again")
                continue
            del self.outstanding[value]
            self.tally.messages()

    async def finish(self) -> None:
        for value in list(self.outstanding)[:3]:
            self.tally.failed(LOST, f"{self.key}: {value[:20]!r} was never acknowledged", 0)
        self.tally.counts[LOST] += len(self.outstanding)
        pending = await self.main.call("XPENDING", self.key, _GROUP)
        self.main.same(pending[0], 0, ("XPENDING", self.key, _GROUP))
        last = await self.main.call("XREVRANGE", self.key, "+", "-", "COUNT", 1)
        if self.added:
            self.main.same(last[0][0], self.last, ("XREVRANGE", self.key))
        await self.main.expect(1, "DEL", self.key)


def _number(entry: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in entry.split(b"-"))


def _entries(reply: Any) -> list[Any]:
    """The entries of the only stream that was asked for, in either protocol."""
    if not reply:
        return []
    return list(reply.popitem()[1] if isinstance(reply, dict) else reply[0][1])

"""Known values: one at a time, in pipelines, in transactions, and large ones."""

import hashlib
import itertools

from soak.actors.base import Actor, Stage
from soak.connection import OK, QUEUED
from soak.members import Hashes, Sets, SortedSets
from soak.models import Lists, Model, Numbers, Operation, Strings
from soak.sketches import Bitmaps, HyperLogLogs, Positions

TOTAL_KEY = "soak:total"


class Counters(Actor):
    """Counters of its own, and one that everybody adds to."""

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.model = Numbers(name, self.rng)
        self.last_total = 0

    async def step(self) -> None:
        command, want = self.model.operation()
        await self.main.expect(want, *command)
        if self.rng.random() < 0.5:
            await self.add_to_total()

    async def add_to_total(self) -> None:
        amount = self.rng.randint(1, 9)
        total = await self.main.call("INCRBY", TOTAL_KEY, amount)
        if not isinstance(total, int) or total < self.last_total + amount:
            self.main.wrong(("INCRBY", TOTAL_KEY, amount), f"{total!r} after {self.last_total}")
            return
        self.last_total = total
        self.tally.sums[TOTAL_KEY] += amount

    async def finish(self) -> None:
        for key in self.model.keys:
            command, want = self.model.get(key)
            await self.main.expect(want, *command)


class _Modelled(Actor):
    """Random operations on one or more models."""

    MODELS: tuple[type[Model], ...] = (Strings,)

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.models = [
            model(f"{name}:{model.__name__.lower()}", self.rng) for model in self.MODELS
        ]

    def operation(self) -> Operation:
        return self.rng.choice(self.models).operation()

    async def step(self) -> None:
        command, want = self.operation()
        await self.main.expect(want, *command)


class StringValues(_Modelled):
    """Strings and bitmaps, one command at a time."""

    MODELS = (Strings, Bitmaps)


class ListValues(_Modelled):
    """Lists, one command at a time."""

    MODELS = (Lists,)


class HashValues(_Modelled):
    """Hashes, one command at a time."""

    MODELS = (Hashes,)


class SetValues(_Modelled):
    """Sets, one command at a time."""

    MODELS = (Sets,)


class SortedSetValues(_Modelled):
    """Sorted sets and positions, one command at a time."""

    MODELS = (SortedSets, Positions)


class Counts(_Modelled):
    """HyperLogLogs, one command at a time."""

    MODELS = (HyperLogLogs,)


class Pipelines(_Modelled):
    """Everything, up to 200 commands in one write."""

    MODELS = (
        Numbers, Strings, Lists, Hashes, Sets, SortedSets, Positions, HyperLogLogs, Bitmaps,
    )
    SIZES: tuple[int, ...] = (2, 16, 50, 200)
    TRANSACTION = False

    async def step(self) -> None:
        size = self.rng.choice(self.SIZES)
        operations = [self.operation() for _ in range(size)]
        await self.main.expect_all(operations, self.TRANSACTION)


class Transactions(Pipelines):
    """Everything, in MULTI and EXEC, half of them a round trip a command."""

    SIZES = (1, 3, 8)
    TRANSACTION = True

    async def step(self) -> None:
        if self.rng.random() < 0.5:
            await super().step()
        else:
            await self.slowly()

    async def slowly(self) -> None:
        await self.main.expect(OK, "MULTI")
        operations = [self.operation() for _ in range(self.rng.choice(self.SIZES))]
        for command, _ in operations:
            await self.main.expect(QUEUED, *command)
            await self.stage.think(self.rng)
        replies = await self.main.call("EXEC")
        self.compare(replies, operations)

    def compare(self, replies: object, operations: list[Operation]) -> None:
        if not isinstance(replies, list) or len(replies) != len(operations):
            self.main.wrong(("EXEC",), f"{replies!r} for {len(operations)} commands")
            return
        for reply, (command, want) in zip(replies, operations, strict=True):
            self.main.same(reply, want, ("EXEC", *command))


class LargeValues(Actor):
    """Values of up to 4 MiB, which span many reads and writes on both sides."""

    SIZES = (100_000, 1_000_000, 4 << 20)

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.serial = itertools.count()

    async def step(self) -> None:
        key = f"{self.name}:{next(self.serial) % 3}"
        value = self.rng.randbytes(self.rng.choice(self.SIZES))
        reply = await self.main.wait("SET", key, value)
        self.main.same(reply, OK, ("SET", key))
        got = await self.main.wait("GET", key)
        self.main.same(_digest(got), _digest(value), ("GET", key))
        await self.main.expect(1, "DEL", key)


def _digest(value: object) -> object:
    return hashlib.blake2b(value).hexdigest() if isinstance(value, bytes) else value

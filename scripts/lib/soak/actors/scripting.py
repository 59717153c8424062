"""Scripts and functions: known results, whatever is forgotten, replaced and swapped meanwhile."""

import asyncio
import hashlib
from collections import Counter
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from soak.actors.base import Actor, Stage
from soak.connection import OK

_ADD = """
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], sum)
redis.call('LTRIM', KEYS[2], -5, -1)
return {sum, redis.call('LRANGE', KEYS[2], 0, -1)}
"""
_TAKE = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
    return redis.error_reply('SHORT of ' .. ARGV[1])
end
return redis.call('DECRBY', KEYS[1], ARGV[1])
"""
_COUNT = """
local counts = cjson.decode(redis.call('GET', KEYS[1]) or '{}')
counts[ARGV[1]] = (counts[ARGV[1]] or 0) + 1
redis.call('SET', KEYS[1], cjson.encode(counts))
local names, told = {}, {}
for name in pairs(counts) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
    told[#told + 1] = name
    told[#told + 1] = counts[name]
end
return told
"""
_SUMS_KEPT = 5
# One step in so many forgets all scripts, for everybody.
_FLUSH_EVERY = 200


class Scripts(Actor):
    """Calls scripts by their digests, and sends those that the server does not know."""

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.sum = 0
        self.sums: list[bytes] = []
        self.counts: Counter[bytes] = Counter()

    async def step(self) -> None:
        if self.rng.randrange(_FLUSH_EVERY) == 0:
            await self.main.expect(OK, "SCRIPT", "FLUSH")
        await self.rng.choice((self.add, self.take, self.count))()

    async def add(self) -> None:
        amount = self.rng.randint(1, 9)
        self.sum += amount
        self.sums = [*self.sums, b"%d" % self.sum][-_SUMS_KEPT:]
        keys = (f"{self.name}:sum", f"{self.name}:sums")
        await self.expect([self.sum, self.sums], _ADD, keys, amount)

    async def take(self) -> None:
        amount = self.rng.randint(1, 20)
        want: Any = ResponseError(f"SHORT of {amount}")
        if self.sum >= amount:
            self.sum -= amount
            want = self.sum
        await self.expect(want, _TAKE, (f"{self.name}:sum",), amount)

    async def count(self) -> None:
        name = b"name%d" % self.rng.randrange(20)
        self.counts[name] += 1
        want = [part for item in sorted(self.counts.items()) for part in item]
        await self.expect(want, _COUNT, (f"{self.name}:counts",), name)

    async def expect(self, want: Any, source: str, keys: tuple[str, ...], *args: Any) -> None:
        digest = hashlib.sha1(source.encode()).hexdigest()
        words = (len(keys), *keys, *args)
        reply = await self.main.call("EVALSHA", digest, *words)
        if isinstance(reply, NoScriptError):
            reply = await self.main.call("EVAL", source, *words)
        self.main.same(reply, want, ("EVALSHA", digest, *words))

    async def finish(self) -> None:
        await self.main.expect(b"%d" % self.sum if self.sum or self.sums else None,
                               "GET", f"{self.name}:sum")


_LIBRARY = """#!lua name={library}
local version = {version}
local function call(keys, args)
    return {{version, redis.call('INCR', keys[1]), args[1]}}
end
redis.register_function('{library}_call', call)
redis.register_function{{
    function_name = '{library}_look',
    callback = function(keys) return {{version, tonumber(redis.call('GET', keys[1])) or 0}} end,
    flags = {{'no-writes'}},
}}
"""


class Functions(Actor):
    """Calls functions of a library that a second connection replaces all the time."""

    CONNECTIONS = 2

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.library = name.replace(".", "_")
        self.key = f"{name}:calls"
        self.sent = self.acknowledged = 0
        self.calls = 0
        self.replacing = True

    async def run(self) -> None:
        await self.replace()
        calling = asyncio.create_task(self.call())
        try:
            while not self.stage.stopping.is_set():
                await self.replace()
                await self.stage.think(self.rng)
        finally:
            self.replacing = False
            await calling
        await self.finish()

    async def replace(self) -> None:
        self.sent += 1
        source = _LIBRARY.format(library=self.library, version=self.sent)
        await self.main.expect(self.library.encode(), "FUNCTION", "LOAD", "REPLACE", source)
        self.acknowledged = self.sent

    async def call(self) -> None:
        caller = self.connections[1]
        while self.replacing:
            word = self.rng.randbytes(8)
            known = self.acknowledged
            if self.rng.random() < 0.7:
                self.calls += 1
                command = ("FCALL", f"{self.library}_call", 1, self.key, word)
                want = [self.calls, word]
            else:
                command = ("FCALL_RO", f"{self.library}_look", 1, self.key)
                want = [self.calls]
            reply = await caller.call(*command)
            if not isinstance(reply, list) or not known <= reply[0] <= self.sent:
                caller.wrong(command, f"{reply!r} with versions {known} to {self.sent}")
            else:
                caller.same(reply[1:], want, command)
            await self.stage.think(self.rng)

    async def finish(self) -> None:
        await self.main.expect(OK, "FUNCTION", "DELETE", self.library)
        await self.main.expect(b"%d" % self.calls if self.calls else None, "GET", self.key)

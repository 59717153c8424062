"""Users whose rules change while they are at work."""

import asyncio
from typing import Any

from redis.exceptions import NoPermissionError

from soak.actors.base import Actor, Stage
from soak.connection import OK
from soak.wants import ErrorWith

_NO_COMMAND = ErrorWith("has no permissions to run the 'set' command")
_NO_KEY = ErrorWith("permissions to access")
# Commands under way while a rule changes.
_UNDER_WAY = 10


class Users(Actor):
    """One connection is a user's; the other changes what the user may do, and the password."""

    CONNECTIONS = 2

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.user = self.connections[1]
        self.account = name
        self.passwords = 0
        self.may_write = True

    async def open(self) -> None:
        await super().open()
        rules = ("reset", "on", ">password0", f"~{self.name}:own*", "+@all", "-@admin")
        await self.change(*rules)
        await self.user.expect(OK, "AUTH", self.account, "password0")

    async def change(self, *rules: str) -> None:
        await self.main.expect(OK, "ACL", "SETUSER", self.account, *rules)

    async def step(self) -> None:
        await self.rng.choice((self.toggle, self.toggle, self.move, self.replace_password))()
        await self.user.expect(_NO_KEY, "GET", f"{self.name}:other")
        await self.user.expect(self.account.encode(), "ACL", "WHOAMI")

    def written(self) -> Any:
        """The reply to a command that writes."""
        return OK if self.may_write else _NO_COMMAND

    async def toggle(self) -> None:
        """Takes a command away, or gives it back: at one moment, which is before the reply."""
        self.may_write = not self.may_write
        pipeline = self.user.redis.pipeline(transaction=False)
        for number in range(_UNDER_WAY):
            pipeline.execute_command("SET", f"{self.name}:own", number)
        changed = self.change("+set" if self.may_write else "-set")
        replies, _ = await asyncio.gather(pipeline.execute(raise_on_error=False), changed)
        self.tally.commands(_UNDER_WAY)
        refused = [isinstance(reply, NoPermissionError) for reply in replies]
        self.user.same(refused, sorted(refused, reverse=self.may_write), ("SET", "refused"))
        done = [reply for reply in replies if not isinstance(reply, NoPermissionError)]
        self.user.same(done, [OK] * len(done), ("SET", "done"))
        await self.user.expect(self.written(), "SET", f"{self.name}:own", "after")

    async def move(self) -> None:
        """Lets the user see other keys, and no longer those of before."""
        await self.change("resetkeys", f"%R~{self.name}:other", f"~{self.name}:moved")
        await self.user.expect(None, "GET", f"{self.name}:other")
        await self.user.expect(_NO_KEY, "GET", f"{self.name}:own")
        await self.user.expect(_NO_KEY, "RPUSH", f"{self.name}:other", "x")
        await self.change("resetkeys", f"~{self.name}:own*")

    async def replace_password(self) -> None:
        """Replaces the password."""
        old, self.passwords = self.passwords, self.passwords + 1
        await self.change(f">password{self.passwords}", f"<password{old}")
        await self.user.expect(OK, "AUTH", self.account, f"password{self.passwords}")

    async def finish(self) -> None:
        # Connections of a user that is gone would be closed.
        await self.user.expect(OK, "AUTH", "default", "any")
        await self.main.expect(1, "ACL", "DELUSER", self.account)

"""A redis-py connection that counts, times and compares."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from harness.schedule import now
from harness.tally import INTERRUPTED, WRONG, Tally
from soak.wants import Want, plain

Command = tuple[Any, ...]

OK = b"OK"
QUEUED = b"QUEUED"


# The word that begins the error reply to a command during which the server ended.
_INTERRUPTED = "INTERRUPTED"


class Interrupted(Exception):
    """The server has ended while it ran a command of this client: nobody knows whether it was done."""


class Checked:
    """One connection to the server; redis-py may not reconnect it unseen.

    A lost connection surfaces as redis-py's `ConnectionError`. Error replies are values here:
    a command that expects none then counts as wrong.
    """

    def __init__(self, tally: Tally, port: int, name: str, protocol: int) -> None:
        self.tally = tally
        self.name = name
        pool = ConnectionPool(
            host="127.0.0.1", port=port, protocol=protocol, client_name=name, max_connections=1,
            socket_timeout=None, retry=Retry(NoBackoff(), 0),
        )
        self.redis = Redis(connection_pool=pool)
        # Replies are compared as they came, so that no converter hides a difference.
        self.redis.response_callbacks.clear()

    async def close(self) -> None:
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()

    async def call(self, *command: Any) -> Any:
        """The reply to a command that answers at once; counted and timed."""
        started = now()
        reply = await self.wait(*command)
        self.tally.took(started, now())
        return reply

    async def wait(self, *command: Any) -> Any:
        """The reply to a command that may block; counted, not timed."""
        try:
            reply = await self.redis.execute_command(*command)
        except ResponseError as error:
            reply = error
        self.tally.commands()
        self._may_go_on(reply)
        return reply

    def _may_go_on(self, reply: Any) -> None:
        if isinstance(reply, ResponseError) and str(reply).startswith(_INTERRUPTED):
            self.tally.counts[INTERRUPTED] += 1
            raise Interrupted

    async def expect(self, want: Any, *command: Any) -> bool:
        """Sends a command whose reply is known."""
        return self.same(await self.call(*command), want, command)

    async def expect_all(self, commands: Sequence[tuple[Command, Any]], transaction: bool) -> None:
        """Sends commands with known replies in one pipeline, as a transaction if asked."""
        pipeline = self.redis.pipeline(transaction=transaction)
        for command, _ in commands:
            pipeline.execute_command(*command)
        replies = await pipeline.execute(raise_on_error=False)
        self.tally.commands(len(commands))
        for reply in replies:
            self._may_go_on(reply)
        for (command, want), reply in zip(commands, replies, strict=True):
            self.same(reply, want, command)

    def same(self, got: Any, want: Any, command: Command) -> bool:
        """Compares, and counts a difference as a wrong reply."""
        matches = want.matches(plain(got)) if isinstance(want, Want) else plain(got) == plain(want)
        if matches:
            return True
        self.wrong(command, f"got {short(got)}, wanted {short(want)}")
        return False

    def wrong(self, command: Command, text: str) -> None:
        words = " ".join(short(argument) for argument in command[:6])
        self.tally.failed(WRONG, f"{self.name}: {words}: {text}")

    def pubsub(self) -> PubSub:
        return self.redis.pubsub()


def short(value: Any) -> str:
    text = f"error {value}" if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"

"""Publish and subscribe: numbered messages, each exactly once, in order, to every subscriber."""

import asyncio
from typing import Any

from redis.asyncio.client import PubSub

from harness.tally import DOUBLED, LOST, WRONG
from soak.actors.base import Actor, Stage

_POLL_S = 0.5


class Subscriber:
    """Checks one subscription's stream of numbers."""

    def __init__(self, actor: Actor, label: str, pubsub: PubSub, sharded: bool) -> None:
        self.actor = actor
        self.label = label
        self.pubsub = pubsub
        self.sharded = sharded
        self.next = 1

    async def listen(self, done: asyncio.Event) -> None:
        """Until `done` and nothing has come for a while."""
        while True:
            message = await self.poll()
            if message is not None:
                self.arrived(message)
            elif done.is_set():
                return

    async def poll(self) -> dict[str, Any] | None:
        return await self.pubsub.get_message(ignore_subscribe_messages=True, timeout=_POLL_S)

    def arrived(self, message: dict[str, Any]) -> None:
        tally, number = self.actor.tally, int(message["data"].split(b" ", 1)[0])
        if number < self.next:
            tally.failed(DOUBLED, f"{self.label}: message {number} again, expected {self.next}")
            return
        if number > self.next:
            tally.failed(LOST, f"{self.label}: messages {self.next} to {number - 1}",
                         number - self.next)
        self.next = number + 1
        tally.messages()

    def end(self, sent: int) -> None:
        missing = sent - (self.next - 1)
        if missing > 0:
            self.actor.tally.failed(LOST, f"{self.label}: the last {missing} messages", missing)


class PubSubGroup(Actor):
    """A publisher with a subscriber of each kind: channel, pattern, and shard channel."""

    CONNECTIONS = 5

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        super().__init__(stage, name, protocol, seed)
        self.channel, self.shard = f"{name}:channel", f"{name}:shard"
        self.sent = {self.channel: 0, self.shard: 0}
        self.subscribers: list[Subscriber] = []

    async def open(self) -> None:
        await self.main.expect(b"PONG", "PING")
        pubsubs = [connection.pubsub() for connection in self.connections[1:]]
        await pubsubs[0].subscribe(self.channel)
        await pubsubs[1].subscribe(self.channel, f"{self.name}:silent")
        await pubsubs[2].psubscribe(f"{self.name}:ch*nel")
        await pubsubs[3].ssubscribe(self.shard)
        for kind, pubsub in zip(("first", "second", "pattern", "shard"), pubsubs, strict=True):
            label = f"{self.name}.{kind}"
            subscriber = Subscriber(self, label, pubsub, kind == "shard")
            self.subscribers.append(subscriber)
            await self.confirmed(subscriber, 2 if kind == "second" else 1)

    async def confirmed(self, subscriber: Subscriber, number: int) -> None:
        for _ in range(number):
            message = await subscriber.pubsub.get_message(timeout=10.0)
            if message is None or not message["type"].endswith("subscribe"):
                self.tally.failed(WRONG, f"{subscriber.label}: {message!r} for a subscription")

    async def run(self) -> None:
        done = asyncio.Event()
        listening = [asyncio.create_task(s.listen(done)) for s in self.subscribers]
        try:
            while not self.stage.stopping.is_set():
                await self.step()
                await self.stage.think(self.rng)
        finally:
            done.set()
            await asyncio.gather(*listening)
        for subscriber in self.subscribers:
            subscriber.end(self.sent[self.shard if subscriber.sharded else self.channel])

    async def step(self) -> None:
        await self.publish("PUBLISH", self.channel, 3)
        if self.rng.random() < 0.5:
            await self.publish("SPUBLISH", self.shard, 1)

    async def publish(self, command: str, channel: str, receivers: int) -> None:
        self.sent[channel] += 1
        payload = b"%d " % self.sent[channel] + self.rng.randbytes(self.rng.choice((0, 50, 3000)))
        await self.main.expect(receivers, command, channel, payload)

    async def close(self) -> None:
        for subscriber in self.subscribers:
            await subscriber.pubsub.aclose()
        await super().close()

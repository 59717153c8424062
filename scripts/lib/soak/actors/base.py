"""What every actor is given, and what it must do."""

import asyncio
import random
from dataclasses import dataclass, field

from harness.tally import Tally
from soak.connection import Checked


@dataclass
class Stage:
    """What the actors of one process share."""

    tally: Tally
    port: int
    think_s: float
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self, name: str, protocol: int) -> Checked:
        return Checked(self.tally, self.port, name, protocol)

    async def think(self, rng: random.Random) -> None:
        """Waits as a user would; still lets the others run when the time is 0."""
        await asyncio.sleep(rng.random() * 2 * self.think_s)


class Actor:
    """One piece of work on `CONNECTIONS` connections under a key prefix of its own."""

    CONNECTIONS = 1

    def __init__(self, stage: Stage, name: str, protocol: int, seed: int) -> None:
        self.stage = stage
        self.tally = stage.tally
        self.name = name
        self.rng = random.Random(f"{seed}/{name}")
        self.connections = [
            stage.connect(f"{name}.{i}", protocol) for i in range(self.CONNECTIONS)
        ]
        self.main = self.connections[0]

    async def open(self) -> None:
        """Connects all, so that everybody is there before the first swap."""
        for connection in self.connections:
            await connection.expect(b"PONG", "PING")

    async def run(self) -> None:
        """Works until the stage is stopping, then checks what only the end can show."""
        while not self.stage.stopping.is_set():
            await self.step()
            await self.stage.think(self.rng)
        await self.finish()

    async def step(self) -> None:
        raise NotImplementedError

    async def finish(self) -> None:
        """Checks at the end; nothing by default."""

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close()

"""One process of clients. Orders in its argument, the rest as `harness.load_process` says."""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from redis.exceptions import ConnectionError, TimeoutError

from harness.schedule import Schedule
from harness.tally import DISCONNECTED, WRONG, Tally
from soak.actors import KINDS
from soak.actors.base import Actor, Stage
from soak.connection import Interrupted

_PROGRESS_S = 0.5


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def guarded(tally: Tally, name: str, work: Coroutine[Any, Any, None]) -> bool:
    """Runs one actor's work; what it did not expect counts as a failure. Whether all went well."""
    try:
        await work
        return True
    except Interrupted:
        # It is counted, and the work begun anew: what was done of it nobody knows.
        pass
    except (ConnectionError, TimeoutError, OSError) as error:
        tally.failed(DISCONNECTED, f"{name}: {error}")
    except Exception as error:  # noqa: BLE001 - a reply of an unexpected shape can raise anything
        tally.failed(WRONG, f"{name}: {type(error).__name__} {error}")
    return False


async def live(stage: Stage, actor: Actor, order: dict[str, Any]) -> None:
    """Runs an actor to the end; one that failed is replaced, so that the load stays the same."""
    kind = type(actor)
    generation = 0
    while not await guarded(stage.tally, actor.name, actor.run()):
        await guarded(stage.tally, actor.name, actor.close())
        if stage.stopping.is_set():
            return
        await asyncio.sleep(0.5)
        generation += 1
        name = f"{order['name']}.again{generation}"
        actor = kind(stage, name, order["protocol"], order["seed"])
        await guarded(stage.tally, name, actor.open())
    await guarded(stage.tally, actor.name, actor.close())


async def from_input(read: Callable[[], bytes]) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(None, read)


async def report_progress(tally: Tally) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        say(tally.progress())


async def work(orders: dict[str, Any]) -> None:
    tally = Tally()
    stage = Stage(tally, orders["port"], orders["think_s"])
    actors = [
        KINDS[order["kind"]](stage, order["name"], order["protocol"], order["seed"])
        for order in orders["actors"]
    ]
    for actor in actors:
        await guarded(tally, actor.name, actor.open())
    say({"type": "ready"})
    start = float(await from_input(sys.stdin.buffer.readline) or "inf")
    tally.schedule = Schedule(start, orders["window_s"])
    progress = asyncio.create_task(report_progress(tally))
    lives = [
        asyncio.create_task(live(stage, actor, order))
        for actor, order in zip(actors, orders["actors"], strict=True)
    ]
    await from_input(sys.stdin.buffer.read)
    stage.stopping.set()
    await asyncio.gather(*lives)
    progress.cancel()
    say(tally.result())


def main() -> None:
    # Frequent collections would show up in the latencies.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    asyncio.run(work(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()

"""redis-py's asyncio client, over both protocols, while the logic is swapped under it."""

import asyncio
import unittest
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, WatchError

from fixture import WAIT_S_MAX, ServedTest

_RUN_S = 2.5


class Asyncio2(ServedTest):
    PROTOCOL = 2

    def connect(self, **options: Any) -> redis.Redis:
        """A client whose connections may not be lost."""
        return redis.Redis(
            port=self.port, protocol=self.PROTOCOL, decode_responses=True,
            retry=Retry(NoBackoff(), 0), socket_timeout=WAIT_S_MAX, **options,
        )

    def test_work_side_by_side(self) -> None:
        async def work() -> None:
            async with self.connect() as client, asyncio.timeout(2 * WAIT_S_MAX):
                async with asyncio.TaskGroup() as tasks:
                    for part in self.parts():
                        tasks.create_task(part(client))

        with self.swapping():
            asyncio.run(work())

    def parts(self):
        """All that is done at once, on keys of its own."""
        return (
            self.pipelines_of_many_tasks, self.optimistic_transactions,
            self.queues_with_waiting_workers, self.a_wait_that_is_given_up,
            self.messages_arrive_once_and_in_order, self.a_lock_is_held_by_one,
            self.a_group_reads_each_entry_once, self.scripts,
        )

    def until(self) -> float:
        return asyncio.get_running_loop().time() + _RUN_S

    def is_before(self, end: float) -> bool:
        return asyncio.get_running_loop().time() < end

    async def pipelines_of_many_tasks(self, client):
        end = self.until()

        async def count(task):
            rounds = 0
            while self.is_before(end):
                rounds += 1
                async with client.pipeline(transaction=task % 2 == 0) as pipeline:
                    pipeline.incr(f"count:{task}").rpush(f"list:{task}", rounds)
                    pipeline.lrange(f"list:{task}", -2, -1).incr("all")
                    replies = await pipeline.execute()
                last = [str(i) for i in (rounds - 1, rounds) if i]
                self.assertEqual(replies[:3], [rounds, rounds, last])
            return rounds

        rounds = await asyncio.gather(*map(count, range(10)))
        self.assertEqual(int(await client.get("all")), sum(rounds))

    async def optimistic_transactions(self, client):
        end = self.until()

        async def add(pipeline):
            value = int(await pipeline.get("watched") or 0)
            await asyncio.sleep(0)
            pipeline.multi()
            pipeline.set("watched", value + 1)

        async def count():
            done = 0
            while self.is_before(end):
                try:
                    async with client.pipeline() as pipeline:
                        await pipeline.watch("watched")
                        await add(pipeline)
                        await pipeline.execute()
                    done += 1
                except WatchError:
                    pass
            return done

        done = await asyncio.gather(*(count() for _ in range(5)))
        self.assertEqual(int(await client.get("watched")), sum(done))
        self.assertGreater(sum(done), 10)

    async def queues_with_waiting_workers(self, client):
        done = []

        async def serve():
            while (item := (await client.blpop("queue", 0))[1]) != "end":
                done.append(int(item))

        workers = [asyncio.create_task(serve()) for _ in range(5)]
        for number in range(200):
            await client.rpush("queue", number)
            await asyncio.sleep(_RUN_S / 200)
        await client.rpush("queue", *["end"] * 5)
        await asyncio.gather(*workers)
        self.assertEqual(sorted(done), list(range(200)))

    async def a_wait_that_is_given_up(self, client):
        end = self.until()
        while self.is_before(end):
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.blpop("nothing", 0)
            self.assertIsNone(await client.blpop("nothing", 0.05))
            # The connection of a wait that was cancelled is not used again, nor does it take.
            await client.rpush("something", "item")
            self.assertEqual(tuple(await client.blpop("something", 1)), ("something", "item"))

    async def messages_arrive_once_and_in_order(self, client):
        heard = []
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("channel")
            await pubsub.psubscribe("chan*")

            async def listen():
                async for message in pubsub.listen():
                    if message["type"].endswith("message"):
                        heard.append((message["type"], int(message["data"])))
                    if len(heard) == 2 * 200:
                        return

            listening = asyncio.create_task(listen())
            await asyncio.sleep(0.1)
            for number in range(200):
                self.assertEqual(await client.publish("channel", number), 2)
                await asyncio.sleep(_RUN_S / 200)
            await listening
        for kind in ("message", "pmessage"):
            self.assertEqual([n for k, n in heard if k == kind], list(range(200)))

    async def a_lock_is_held_by_one(self, client):
        end, holders = self.until(), 0

        async def contend():
            nonlocal holders
            taken = 0
            while self.is_before(end):
                async with client.lock("lock", timeout=WAIT_S_MAX, sleep=0.005):
                    holders += 1
                    self.assertEqual(holders, 1)
                    value = int(await client.get("counter") or 0)
                    await asyncio.sleep(0.002)
                    await client.set("counter", value + 1)
                    holders -= 1
                    taken += 1
                await asyncio.sleep(0.005)
            return taken

        taken = await asyncio.gather(*(contend() for _ in range(6)))
        self.assertEqual(int(await client.get("counter")), sum(taken))
        short = client.lock("short", timeout=0.1)
        await short.acquire()
        await asyncio.sleep(0.2)
        with self.assertRaises(LockError):
            await short.release()

    async def a_group_reads_each_entry_once(self, client):
        await client.xgroup_create("stream", "group", mkstream=True)
        seen = []

        async def read(name):
            while reply := await client.xreadgroup(
                "group", name, {"stream": ">"}, count=3, block=1000
            ):
                streams = reply.items() if isinstance(reply, dict) else reply
                for _, entries in streams:
                    entries = entries[0] if self.PROTOCOL == 3 else entries
                    for entry, fields in entries:
                        seen.append(int(fields["number"]))
                        self.assertEqual(await client.xack("stream", "group", entry), 1)

        readers = [asyncio.create_task(read(f"reader{i}")) for i in range(3)]
        for number in range(200):
            await client.xadd("stream", {"number": number})
            await asyncio.sleep(_RUN_S / 200)
        await asyncio.gather(*readers)
        self.assertEqual(sorted(seen), list(range(200)))
        self.assertEqual((await client.xpending("stream", "group"))["pending"], 0)

    async def scripts(self, client):
        add = client.register_script(
            "local sum = redis.call('INCRBY', KEYS[1], ARGV[1])"
            " redis.call('RPUSH', KEYS[2], sum) return {sum, KEYS[2]}"
        )
        end, total = self.until(), 0
        while self.is_before(end):
            total += 3
            self.assertEqual(await add(["sum", "sums"], [3]), [total, "sums"])
        self.assertEqual(await client.llen("sums"), total // 3)


class Asyncio3(Asyncio2):
    PROTOCOL = 3


if __name__ == "__main__":
    unittest.main()

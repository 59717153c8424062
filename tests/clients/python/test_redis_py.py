"""redis-py, over both protocols: what a connection is in the middle of outlives an upgrade."""

import threading
import time
import unittest

import redis

from fixture import WAIT_S_MAX, ServedTest


class RedisPy2(ServedTest):
    PROTOCOL = 2

    def client(self, **options):
        return self.redis(protocol=self.PROTOCOL, **options)

    def test_connection_keeps_its_identity(self):
        client = self.client(client_name="keeper", db=3, single_connection_client=True)
        client.set("key", "in database 3")
        before = client.client_id()
        self.upgrade()
        self.assertEqual(client.client_id(), before)
        self.assertIn(client.client_getname(), ("keeper", b"keeper"))
        self.assertEqual(client.client_info()["db"], 3)
        self.assertEqual(client.get("key"), b"in database 3")

    def test_values_survive_and_their_times_to_live(self):
        client = self.client()
        client.set("mortal", "x", px=100_000)
        client.rpush("list", *range(1000))
        client.setbit("bits", 100_000, 1)
        small, large = {b"field": b"value", b"count": b"5"}, {b"%d" % i: b"v" for i in range(1000)}
        client.hset("small hash", mapping=small)
        client.hset("large hash", mapping=large)
        client.sadd("integers", *range(100))
        client.sadd("members", *large)
        self.upgrade()
        self.assertTrue(0 < client.pttl("mortal") <= 100_000)
        self.assertEqual(client.lrange("list", 0, -1), [b"%d" % i for i in range(1000)])
        self.assertEqual(client.bitcount("bits"), 1)
        self.assertEqual(client.hgetall("small hash"), small)
        self.assertEqual(client.hgetall("large hash"), large)
        self.assertEqual(client.smembers("integers"), {b"%d" % i for i in range(100)})
        self.assertEqual(client.smembers("members"), set(large))
        self.assertEqual(set(client.sscan_iter("members", count=7)), set(large))
        self.assertEqual(client.hincrby("small hash", "count", 2), 7)
        self.assertEqual(set(client.srandmember("integers", 100)), client.smembers("integers"))

    def test_transaction_across(self):
        client = self.client(single_connection_client=True)
        client.execute_command("MULTI")
        self.assertEqual(client.execute_command("INCR", "counter"), b"QUEUED")
        self.upgrade()
        self.assertEqual(client.execute_command("INCR", "counter"), b"QUEUED")
        self.assertEqual(client.execute_command("EXEC"), [1, 2])

    def test_watch_touched_before_the_upgrade(self):
        other = self.client()
        with self.client().pipeline() as pipeline:
            pipeline.watch("watched")
            other.set("watched", "touched")
            self.upgrade()
            pipeline.multi()
            pipeline.set("result", "must not be")
            self.assertRaises(redis.WatchError, pipeline.execute)
        self.assertIsNone(other.get("result"))

    def test_watch_touched_after_the_upgrade(self):
        other = self.client()
        with self.client().pipeline() as pipeline:
            pipeline.watch("watched")
            self.upgrade()
            other.set("watched", "touched")
            pipeline.multi()
            pipeline.set("result", "must not be")
            self.assertRaises(redis.WatchError, pipeline.execute)

    def test_watch_untouched(self):
        with self.client().pipeline() as pipeline:
            pipeline.watch("watched")
            self.upgrade()
            pipeline.multi()
            pipeline.set("result", "must be")
            self.assertEqual(pipeline.execute(), [True])

    def test_blocked_pop_is_served_by_the_new_release(self):
        client, other = self.client(), self.client()
        replies: list = []
        thread = threading.Thread(target=lambda: replies.append(client.blpop(["a", "b"], 0)))
        thread.start()
        self.until(lambda: other.info("clients")["blocked_clients"] == 1)
        self.upgrade()
        self.assertEqual(other.rpush("b", "pushed"), 1)
        thread.join(WAIT_S_MAX)
        self.assertEqual([list(reply) for reply in replies], [[b"b", b"pushed"]])

    def test_blocked_pop_runs_into_its_timeout(self):
        client = self.client()
        replies: list = []
        thread = threading.Thread(target=lambda: replies.append(client.blpop("never", 0.5)))
        started = time.monotonic()
        thread.start()
        self.upgrade()
        thread.join(WAIT_S_MAX)
        self.assertEqual(replies, [None])
        self.assertGreaterEqual(time.monotonic() - started, 0.498)

    def test_subscriptions_of_every_kind(self):
        client = self.client()
        pubsub = self.client().pubsub(ignore_subscribe_messages=True)
        self.addCleanup(pubsub.close)
        pubsub.subscribe("channel")
        pubsub.psubscribe("chan*")
        pubsub.execute_command("SSUBSCRIBE", "shard")
        for text in ("before", "after"):
            self.until(lambda: client.pubsub_numsub("channel") == [(b"channel", 1)])
            self.assertEqual(client.publish("channel", text), 2)
            self.assertEqual(client.execute_command("SPUBLISH", "shard", text), 1)
            self.assertEqual(self.three(pubsub), {
                ("message", b"channel"), ("pmessage", b"channel"), ("smessage", b"shard"),
            })
            self.upgrade()

    def three(self, pubsub):
        found = set()
        deadline = time.monotonic() + WAIT_S_MAX
        while len(found) < 3 and time.monotonic() < deadline:
            # Sharded messages are not told apart by get_message, so the reply is taken as it is.
            reply = pubsub.parse_response(block=False, timeout=1.0)
            if reply and reply[0].endswith(b"message"):
                found.add((reply[0].decode(), reply[-2]))
        return found

    def test_monitor(self):
        client = self.client()
        with self.client().monitor() as monitor:
            client.set("one", 1)
            self.assertEqual(self.next_set(monitor), "SET one 1")
            self.upgrade()
            client.set("two", 2)
            self.assertEqual(self.next_set(monitor), "SET two 2")

    def next_set(self, monitor):
        return next(seen["command"] for seen in monitor.listen() if "SET " in seen["command"])

    def test_scan_returns_every_key_that_stays(self):
        client = self.client()
        stay = {b"stay:%d" % i for i in range(2000)}
        client.mset(dict.fromkeys(stay, 1))
        found = set()
        for number, key in enumerate(client.scan_iter(match="stay:*", count=50)):
            found.add(key)
            if number in (200, 900):
                self.upgrade()
                client.mset({f"new:{number}:{i}": 1 for i in range(1000)})
        self.assertEqual(found, stay)

    def test_pipeline_of_ten_thousand(self):
        client = self.client()
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(10_000):
                pipeline.incr("counter")
            upgrading = threading.Thread(target=self.upgrade)
            upgrading.start()
            self.assertEqual(pipeline.execute(), list(range(1, 10_001)))
            upgrading.join()

    def test_value_of_64_mib(self):
        client = self.client()
        value = bytes(range(256)) * (64 << 12)
        upgrading = threading.Thread(target=self.upgrade)
        upgrading.start()
        self.assertTrue(client.set("large", value))
        upgrading.join()
        self.assertTrue(client.get("large") == value, "the value came back changed")

    def test_errors_read_as_ever(self):
        client = self.client()
        client.set("string", "x")
        for _ in range(2):
            with self.assertRaisesRegex(redis.ResponseError, "^WRONGTYPE Operation against"):
                client.execute_command("LPUSH", "string", "x")
            with self.assertRaisesRegex(redis.ResponseError, "^unknown command 'NOSUCH', with"):
                client.execute_command("NOSUCH", "x")
            with self.assertRaisesRegex(redis.ResponseError, "^value is not an integer"):
                client.execute_command("INCR", "string")
            self.upgrade()

    def test_what_tools_read(self):
        client = self.client()
        client.set("key", "value")
        for _ in range(2):
            info = client.info()
            self.assertEqual(info["db0"]["keys"], 1)
            self.assertIn("redis_version", info)
            self.assertGreater(info["total_commands_processed"], 0)
            self.assertEqual(client.command_count(), len(client.command()))
            self.assertEqual(client.config_get("maxmemory-policy"),
                             {"maxmemory-policy": "noeviction"})
            self.assertEqual(client.object("encoding", "key"), b"embstr")
            self.upgrade()

    def until(self, condition):
        deadline = time.monotonic() + WAIT_S_MAX
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.01)


class RedisPy3(RedisPy2):
    PROTOCOL = 3


class RedisPyDefault(ServedTest):
    """As a user writes it who sets nothing."""

    def test_defaults(self):
        client = redis.Redis(port=self.port, decode_responses=True)
        self.addCleanup(client.close)
        client.set("greeting", "hello")
        self.upgrade()
        self.assertEqual(client.get("greeting"), "hello")
        self.assertEqual(client.getex("greeting", ex=100), "hello")
        self.assertGreater(client.ttl("greeting"), 0)


if __name__ == "__main__":
    unittest.main()

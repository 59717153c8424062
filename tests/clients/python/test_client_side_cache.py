"""redis-py's own client-side cache, whose connections outlive upgrades with what they have tracked."""

import threading
import time
import unittest

import redis
from redis.cache import CacheConfig

from fixture import WAIT_S_MAX, ServedTest
from harness.server import ShellServer


class ClientSideCache(ServedTest):
    def setUp(self) -> None:
        super().setUp()
        # It refuses a server that says to be older than Redis 7.4, at the start of a connection.
        if isinstance(self.server, ShellServer) and not type(self).on_second:
            self.upgrade()

    def cache(self) -> redis.Redis:
        return self.redis(protocol=3, decode_responses=True, cache_config=CacheConfig())

    def has(self, client: redis.Redis, key: str) -> bool:
        return any(key in entry.redis_keys for entry in client.get_cache().collection)

    def test_a_cached_value_is_given_up_once_it_changes(self) -> None:
        client, other = self.cache(), self.redis(decode_responses=True)
        for number in range(6):
            other.set("key", number)
            self.until(lambda number=number: client.get("key") == str(number))
            self.assertTrue(self.has(client, "key"))
            before = other.info("commandstats")["cmdstat_get"]["calls"]
            self.assertEqual(client.get("key"), str(number))
            after = other.info("commandstats")["cmdstat_get"]["calls"]
            self.assertEqual(after, before, "it came from the cache")
            # What the old release has remembered, the new one tells of.
            self.upgrade()

    def test_values_of_other_types(self) -> None:
        client, other = self.cache(), self.redis(decode_responses=True)
        other.hset("hash", "field", "1")
        other.sadd("set", "a", "b")
        self.assertEqual(client.hgetall("hash"), {"field": "1"})
        self.assertEqual(client.smembers("set"), {"a", "b"})
        self.assertEqual(client.mget("hash", "nothing"), [None, None])
        self.upgrade()
        other.hset("hash", "field", "2")
        other.srem("set", "a")
        other.set("nothing", "something")
        self.until(lambda: client.hgetall("hash") == {"field": "2"})
        self.until(lambda: client.smembers("set") == {"b"})
        self.until(lambda: client.mget("hash", "nothing") == [None, "something"])

    def test_a_flush_empties_it(self) -> None:
        client, other = self.cache(), self.redis()
        client.set("key", "value")
        self.assertEqual(client.get("key"), "value")
        self.upgrade()
        other.flushall()
        self.until(lambda: client.get("key") is None)

    def test_expiry_empties_it(self) -> None:
        client, other = self.cache(), self.redis()
        other.set("key", "value", px=300)
        self.assertEqual(client.get("key"), "value")
        self.upgrade()
        self.until(lambda: client.get("key") is None)

    def test_a_number_never_goes_back(self) -> None:
        client, other = self.cache(), self.redis()
        other.set("number", 0)
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                other.incr("number")
                time.sleep(0.001)

        writing = threading.Thread(target=write)
        writing.start()
        seen = 0
        for _ in range(6):
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                number = int(client.get("number"))
                self.assertGreaterEqual(number, seen)
                seen = number
            self.upgrade()
        done.set()
        writing.join()
        last = self.redis(decode_responses=True).get("number")
        self.until(lambda: client.get("number") == last)
        self.assertGreater(seen, 50)

    def until(self, condition) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.005)


if __name__ == "__main__":
    unittest.main()

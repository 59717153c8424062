"""The real redis-cli and redis-benchmark, unchanged, across upgrades."""

import re
import unittest

from fixture import WAIT_S_MAX, Lines, ServedTest


class RedisCli(ServedTest):
    def setUp(self):
        super().setUp()
        client = self.redis()
        client.mset({f"string:{i}": "x" * i for i in range(100)})
        for i in range(20):
            client.rpush(f"list:{i}", *range(i + 1))

    def test_bigkeys(self):
        for _ in range(2):
            report = self.cli("--bigkeys")
            self.assertRegex(report, r'Biggest string found .*string:99.* has 99 bytes')
            self.assertRegex(report, r'Biggest\s+list found .*list:19.* has 20 items')
            self.assertIn("Sampled 120 keys in the keyspace!", report)
            self.upgrade()

    def test_memkeys(self):
        for _ in range(2):
            self.assertIn("Sampled 120 keys in the keyspace!", self.cli("--memkeys"))
            self.upgrade()

    def test_scan(self):
        for _ in range(2):
            keys = self.cli("--scan --pattern 'string:*'").split()
            self.assertEqual(sorted(keys), sorted(f"string:{i}" for i in range(100)))
            self.upgrade()

    def test_stat_goes_on(self):
        stat = Lines(self.start(self.tool("redis-cli"), "-p", str(self.port), "--stat",
                                "-i", "0.1"))
        row = re.compile(r"^120 +\d")
        seen = stat.wait_for(lambda line: bool(row.match(line)))
        self.upgrade()
        stat.wait_for(lambda line: bool(row.match(line)), after=seen + 3)

    def test_latency(self):
        process = self.start(self.tool("redis-cli"), "-p", str(self.port), "--latency", "--csv",
                             "-i", "1")
        self.upgrade()
        output, _ = process.communicate(timeout=WAIT_S_MAX)
        lowest, highest, average, samples = output.strip().split(",")
        self.assertGreater(int(samples), 10)
        self.assertLessEqual(float(lowest), float(average))
        self.assertLessEqual(float(average), float(highest))

    def test_monitor_goes_on(self):
        monitor = Lines(self.start(self.tool("redis-cli"), "-p", str(self.port), "MONITOR"))
        monitor.wait_for(lambda line: line == "OK")
        for text in ("before", "after"):
            self.cli(f"SET monitored {text}")
            line = rf'^\d+\.\d{{6}} \[0 127\.0\.0\.1:\d+\] "SET" "monitored" "{text}"$'
            monitor.wait_for(lambda seen, line=line: bool(re.match(line, seen)))
            self.upgrade()

    def test_one_session_across(self):
        session = self.start(self.tool("redis-cli"), "-p", str(self.port))
        lines = Lines(session)
        for command, reply in (("SELECT 2", "OK"), ("MULTI", "OK"), ("INCR n", "QUEUED")):
            self.type(session, lines, command, reply)
        self.upgrade()
        self.type(session, lines, "INCR n", "QUEUED")
        self.type(session, lines, "EXEC", "2")

    def type(self, session, lines, command, reply):
        after = len(lines.seen)
        session.stdin.write(f"{command}\n")
        session.stdin.flush()
        lines.wait_for(lambda line: line.endswith(reply), after)

    def test_mass_insertion(self):
        commands = "".join(f"SET mass:{i} {i}\r\n" for i in range(5000))
        self.assertIn("errors: 0, replies: 5000", self.cli("--pipe", commands))

    def test_third_protocol(self):
        self.upgrade()
        self.assertIn("proto", self.cli("-3 HELLO 3"))

    def test_help_is_drawn_from_the_server(self):
        for _ in range(2):
            self.assertIn("summary", self.cli("--json COMMAND DOCS GET"))
            self.upgrade()


class RedisBenchmark(ServedTest):
    TESTS = "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,lrange_100,mset"

    def test_every_test_it_has_for_what_there_is(self):
        for extra in ((), ("-P", "16"), ("-3",)):
            process = self.start(
                self.tool("redis-benchmark"), "-p", str(self.port), "-q", "-n", "20000",
                "-c", "20", "-r", "10000", "-t", self.TESTS, *extra,
            )
            self.upgrade()
            output, _ = process.communicate(timeout=10 * WAIT_S_MAX)
            self.assertEqual(process.returncode, 0, output)
            # LRANGE is preceded by the pushes that it needs.
            self.assertEqual(output.count("requests per second"), self.TESTS.count(",") + 2, output)
            self.assertNotIn("rror", output)


if __name__ == "__main__":
    unittest.main()

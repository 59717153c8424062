"""The instruments: what measures and checks must itself be right."""

import random
import socket
import subprocess
import threading
import unittest

from bench.generator import parse
from harness import paths, resp
from harness.histogram import Histogram, bucket_of, value_of
from harness.schedule import CALM, SWAP, Schedule
from soak.actors import KINDS, share_out

_BENCHMARK_OUTPUT = """\
====== SET ======
  1000 requests completed in 0.02 seconds

Latency by percentile distribution:
0.000% <= 0.100 milliseconds (cumulative count 2)
50.000% <= 0.500 milliseconds (cumulative count 500)
98.438% <= 1.000 milliseconds (cumulative count 984)
99.219% <= 2.000 milliseconds (cumulative count 992)
99.902% <= 4.000 milliseconds (cumulative count 999)
100.000% <= 8.000 milliseconds (cumulative count 1000)

Cumulative distribution of latencies:
0.200% <= 0.103 milliseconds (cumulative count 2)
100.000% <= 9.103 milliseconds (cumulative count 1000)

Summary:
  throughput summary: 50000.00 requests per second
"""


class Instruments(unittest.TestCase):
    def test_percentiles_are_within_one_percent(self):
        rng = random.Random(7)
        values = [int(rng.lognormvariate(6, 2)) for _ in range(20_000)]
        histogram = Histogram()
        for value in values:
            histogram.add(value)
        values.sort()
        for percent in (1, 50, 99, 99.9):
            exact = values[int(len(values) * percent / 100)]
            self.assertAlmostEqual(histogram.percentile(percent), exact, delta=exact * 0.01 + 1)
        self.assertEqual(histogram.max, values[-1])

    def test_buckets_rise_and_hold_their_values(self):
        last = -1
        for value in (*range(2000), *(1 << i for i in range(11, 31))):
            bucket = bucket_of(value)
            self.assertGreaterEqual(bucket, last)
            self.assertAlmostEqual(value_of(bucket), value, delta=value * 0.005 + 0.5)
            last = bucket

    def test_histogram_survives_its_dump(self):
        histogram = Histogram()
        for value in (1, 1, 500, 70_000):
            histogram.add(value)
        again = Histogram.load(histogram.dump())
        self.assertEqual(again.summary(), histogram.summary())

    def test_node_uses_the_same_buckets(self):
        script = paths.ROOT / "scripts" / "lib" / "node" / "tally.cjs"
        values = [0, 1, 255, 256, 257, 1000, 123_456, 2_000_000_000]
        code = f"console.log({values}.map(require('{script}').bucketOf).join())"
        done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), ",".join(str(bucket_of(v)) for v in values))

    def test_windows_of_both_kinds_share_the_time_and_its_drift(self):
        schedule = Schedule(100.0, 2.0)
        moments = [100.0 + 0.01 * i for i in range(800)]
        for kind in (SWAP, CALM):
            mine = [at for at in moments if schedule.kind(at) == kind]
            self.assertEqual(len(mine), 400)
            self.assertAlmostEqual(sum(mine) / 400, 104.0, delta=0.01)
        self.assertIsNone(schedule.measured(99.0))
        self.assertIsNone(schedule.measured(102.01))
        self.assertEqual(schedule.measured(102.5), CALM)

    def test_reports_of_redis_benchmark(self):
        found = parse(_BENCHMARK_OUTPUT, 1.5)
        self.assertEqual(found.requests_per_s, 50_000)
        self.assertEqual(found.p50_us, 500)
        self.assertAlmostEqual(found.p99_us, 1720, delta=1)
        self.assertAlmostEqual(found.p999_us, 3994, delta=1)
        self.assertEqual((found.max_us, found.cpu_us), (8000, 1.5))

    def test_connections_are_shared_out_exactly(self):
        for connections in (1, 2, 7, 60, 199):
            kinds = [KINDS[name] for name in share_out(connections)]
            self.assertEqual(sum(kind.CONNECTIONS for kind in kinds), connections)

    def test_our_client_reads_every_type(self):
        replies = {
            b"+OK\r\n": b"OK", b":-7\r\n": -7, b"$3\r\na\r\n\r\n": b"a\r\n", b"$-1\r\n": None,
            b"*2\r\n:1\r\n$1\r\nx\r\n": [1, b"x"], b"*-1\r\n": None, b"_\r\n": None,
            b"#t\r\n": True, b",1.5\r\n": 1.5, b"%1\r\n+a\r\n:1\r\n": {b"a": 1},
            b"~1\r\n:1\r\n": [1], b"=7\r\ntxt:abc\r\n": b"txt:abc", b"(99\r\n": 99,
        }
        for sent, want in replies.items():
            self.assertEqual(_received(sent), want, sent)
        self.assertRaisesRegex(resp.ReplyError, "ERR no", _received, b"-ERR no\r\n")
        self.assertRaises(resp.Disconnected, _received, b"$10\r\nabc")


def _received(data):
    """What a client gets from a server that sends `data` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.recv(100)
                sock.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with resp.Connection(listener.getsockname()[1]) as connection:
                return connection.call("ANY")
        finally:
            thread.join()


if __name__ == "__main__":
    unittest.main()

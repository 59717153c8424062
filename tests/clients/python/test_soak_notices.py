"""The soak itself: a saboteur at work must be noticed, and nothing else."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from fixture import ServedTest
from harness import resp
from soak.actors import share_out

_SECONDS = 4
_CLIENTS = 40


def _actor(kind):
    """The name of the first actor of a kind in the soak's only process."""
    return f"p0.{kind}{share_out(_CLIENTS).index(kind)}"



class SoakNotices(ServedTest):
    def soak(self, sabotage):
        """The soak's report after `sabotage`, called with a connection, did its work once."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            process = subprocess.Popen(
                [sys.executable, "-m", "soak", "--no-upgrade", "--port", str(self.port), "--pid",
                 str(self.server.pid), "--clients", str(_CLIENTS), "--processes", "1", "--no-node",
                 "--seconds", str(_SECONDS), "--keys", "1000", "--report", str(report)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ,
            )
            self.addCleanup(process.kill)
            self.wait_for_load()
            with resp.Connection(self.port) as connection:
                sabotage(connection)
            output, _ = process.communicate(timeout=120)
            self.assertEqual(process.returncode, self.want_status, output)
            return json.loads(report.read_text())

    want_status = 1

    def wait_for_load(self):
        with resp.Connection(self.port) as connection:
            deadline = time.monotonic() + 60
            while not connection.call("EXISTS", "soak:total"):
                self.assertLess(time.monotonic(), deadline, "the soak did not begin")
                time.sleep(0.05)

    def test_no_sabotage(self):
        self.want_status = 0
        report = self.soak(lambda _: None)
        self.assertEqual(report["shortcomings"], [])
        self.assertGreater(report["commands"], 1000)
        self.assertGreater(report["messages"], 100)

    def test_lost_writes(self):
        report = self.soak(lambda connection: connection.call("FLUSHALL"))
        self.assertGreater(report["wrong_replies"], 0)
        self.assertGreater(report["untouched_keys_changed"], 0)

    def test_disconnects(self):
        report = self.soak(lambda connection: connection.call("CLIENT", "KILL", "TYPE", "normal"))
        self.assertGreater(report["disconnects"], 0)
        self.assertGreater(len(report["reconnected"]), 0)

    def test_a_doubled_and_a_foreign_queue_item(self):
        report = self.soak(lambda connection: connection.call(
            "LPUSH", _actor("Queue") + ":queue", "0:1"))
        self.assertEqual(report["doubled"], 1)

    def test_a_doubled_message(self):
        report = self.soak(lambda connection: connection.call(
            "PUBLISH", _actor("PubSubGroup") + ":channel", "1 again"))
        self.assertEqual(report["doubled"], 3)


if __name__ == "__main__":
    unittest.main()

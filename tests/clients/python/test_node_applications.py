"""Applications written for Node, in ../node/applications, while the logic is swapped under them."""

import subprocess
import unittest
from pathlib import Path

from fixture import WAIT_S_MAX, ServedTest

_APPLICATIONS = Path(__file__).resolve().parents[1] / "node" / "applications"


class NodeApplications(ServedTest):
    def drive(self, script, *arguments):
        process = self.start(self.tool("node"), str(_APPLICATIONS / script), str(self.port),
                             *arguments)
        with self.swapping():
            try:
                said, _ = process.communicate(timeout=2 * WAIT_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                said = process.communicate()[0] + "came to no end"
        self.assertEqual(process.returncode, 0, said)

    def test_bullmq(self):
        self.drive("bullmq.cjs")

    def test_redlock(self):
        self.drive("redlock.cjs")

    def test_node_redis_client_side_cache(self):
        self.drive("client_side_cache.cjs")

    def test_express_sessions(self):
        self.drive("sessions.cjs")

    def test_socket_io_pubsub(self):
        self.drive("socket_io.cjs", "pubsub")

    def test_socket_io_streams(self):
        self.drive("socket_io.cjs", "streams")


if __name__ == "__main__":
    unittest.main()

"""ioredis and node-redis: the scripts in ../node, each told when the server was upgraded."""

import unittest
from pathlib import Path

from fixture import WAIT_S_MAX, Lines, ServedTest

_SCRIPTS = Path(__file__).resolve().parents[1] / "node"


class Node(ServedTest):
    def drive(self, script, *arguments):
        process = self.start(self.tool("node"), str(_SCRIPTS / script), str(self.port),
                             *arguments)
        lines = Lines(process)
        lines.wait_for(lambda line: line == "ready")
        self.upgrade()
        process.stdin.write("upgraded\n")
        process.stdin.flush()
        try:
            lines.wait_for(lambda line: line == "done")
        finally:
            process.wait(WAIT_S_MAX)
        self.assertEqual(process.returncode, 0, "\n".join(lines.seen))

    def test_ioredis(self):
        self.drive("ioredis.cjs")

    def test_node_redis_resp2(self):
        self.drive("node_redis.cjs", "2")

    def test_node_redis_resp3(self):
        self.drive("node_redis.cjs", "3")


if __name__ == "__main__":
    unittest.main()
